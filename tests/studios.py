"""A studio for tests: its network is arithmetic, its camera draws a counter, its browser is aiortc's."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from aiohttp.test_utils import TestClient, TestServer
from aiortc import AudioStreamTrack, MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from engine.controls import Controls
from engine.frame import Frame, plane_views
from engine.report import Facts
from engine.studio import peers
from engine.studio.api import Api
from engine.studio.desk import Desk
from engine.studio.feed import BROWSER, CLOCK, Shape
from engine.studio.gallery import Gallery
from engine.studio.presets import Presets
from engine.studio.safety import Guardian
from engine.studio.stage import Stage
from engine.stylizers import Painting
from engine.stylizers.morphing import MorphingStylizer, Wish
from kernels.layout import tile_grid
from models.library import Library

SIZE = (160, 96)
BITS = 8
STYLES = {"starry-night": 1.0, "great-wave": 0.5}  # how much of the light is turned over
_BLOCK = 16  # pixels


class Negative:
    """Paints the negative, darker by what the vector says. `broken` is asked at every frame whether to fail."""

    version = device = precision = "test"
    depth = 1

    def __init__(self, grid: tuple[int, int], share: float, broken: Callable[[], None]):
        self.tiles, self.share, self.broken = np.zeros((*grid, 40), np.uint8), share, broken

    def input(self) -> np.ndarray:
        return self.tiles

    def submit(self) -> None:
        pass

    def collect(self) -> np.ndarray:
        self.broken()
        painted = self.tiles[..., :24].copy()
        painted[..., :16] = (235 - self.tiles[..., :16] * self.share).clip(16, 235)
        return painted


class Workshop:
    """Makes the networks. `fault` is raised by every frame of theirs, `refusal` instead of making one, where set."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.refusal: Exception | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.made: list[tuple[Shape, str]] = []
        self.controls = Controls(consistency=0.0)

    def broken(self) -> None:
        self.hang.wait(5)
        if self.fault is not None:
            raise self.fault

    def make(self, shape: Shape, backend: str) -> Painting:
        if self.refusal is not None:
            raise self.refusal
        self.made.append((shape, backend))
        grid = tile_grid(shape.width, shape.height)

        def network(vector: np.ndarray, name: str) -> Negative:
            return Negative(grid, float(vector[0]), self.broken)

        def conditioning(wish: Wish) -> np.ndarray:
            return np.array([STYLES[wish.look]], np.float32)

        vector = conditioning(Wish(self.controls.style, 1.0, "fast"))
        facts = Facts("test", "1", "here", "exact", shape.width, shape.height, self.controls.style, 1.0, 1, network="fast")
        return Painting(MorphingStylizer(network(vector, "fast"), vector, facts, conditioning, network), facts)


def drawn(number: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    """A picture with `number` in dark and bright blocks, behind a dark and a bright one to read them by."""
    picture = av.VideoFrame(*size, "yuv420p")
    luma, cb, cr = plane_views(picture)
    luma[:], cb[:], cr[:] = 90, 128, 128
    for place, bit in enumerate([0, 1, *(number >> bit & 1 for bit in range(BITS))]):
        luma[32:64, place * _BLOCK : (place + 1) * _BLOCK] = 190 if bit else 30
    return picture


def read(picture: av.VideoFrame) -> tuple[int, float]:
    """The number in a picture, and its light at the dark block of reference."""
    luma = plane_views(picture)[0].astype(np.float32)
    scale = picture.width / SIZE[0]
    half = round(_BLOCK * scale / 2)
    row = luma[round(40 * scale) : round(56 * scale)].mean(0)
    dark, bright, *bits = [
        float(row[round(place * _BLOCK * scale) + half // 2 :][:half].mean()) for place in range(BITS + 2)
    ]
    return sum((abs(bit - bright) < abs(bit - dark)) << place for place, bit in enumerate(bits)), dark


def offer(stage: Stage, number: int, size: tuple[int, int] = SIZE) -> None:
    picture = drawn(number, size)
    picture.colorspace, picture.color_range = BROWSER.matrix, BROWSER.range
    stage.feed.offer(Frame(picture, number * 3000, CLOCK, number, time.perf_counter()), BROWSER)


@contextlib.contextmanager
def running(workshop: Workshop, **settings) -> Iterator[Stage]:
    stage = Stage(workshop.make, lambda: workshop.controls, **{"size": SIZE} | settings)
    stage.again, stage.patience = 0.2, 0.5
    stage.start()
    try:
        yield stage
    finally:
        workshop.hang.set()
        stage.close()


class Played:
    """Offers numbered frames to a stage and collects what it paints, for as long as the block lasts."""

    def __init__(self, stage: Stage, size: tuple[int, int] = SIZE):
        self.painted: list[tuple[int, float]] = []
        self.sizes: list[tuple[int, int]] = []
        self.size, self.stage = size, stage
        self._over = threading.Event()
        stage.broadcast.hall.listeners.add(self)  # type: ignore[arg-type]

    def tell(self, frame: Frame) -> None:
        self.painted.append(read(frame.picture))
        self.sizes.append((frame.width, frame.height))

    def __enter__(self) -> "Played":
        self.thread = threading.Thread(target=self._play, daemon=True)
        self.thread.start()
        return self

    def _play(self) -> None:
        number = 0
        while not self._over.wait(0.01):
            offer(self.stage, number % 256, self.size)
            number += 1

    def __exit__(self, *reason) -> None:
        self._over.set()
        self.thread.join()

    def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        return condition()


@contextlib.asynccontextmanager
async def served(folder: Path, token: str | None = None, **settings) -> AsyncIterator[tuple[TestClient, Api]]:
    """The whole server but the command, on a port of its own, its styles and presets under `folder`."""
    peers.keep_to_loopback()
    workshop, library = Workshop(), Library(own=folder / "styles")
    desk = Desk(workshop.controls, library)
    stage = Stage(workshop.make, lambda: desk.controls, **{"size": SIZE} | settings)
    api = Api(stage, desk, Gallery(library), Presets(folder / "presets"), {"browser": None})
    stage.start()
    try:
        while stage.status()["size"] is None:
            await asyncio.sleep(0.01)
        async with TestClient(TestServer(api.application(Guardian("127.0.0.1", token)))) as client:
            yield client, api
    finally:
        stage.close()


class CounterTrack(MediaStreamTrack):
    """A camera that draws a counter, 25 frames a second."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(0.04)
        picture = drawn(self.number % 256)
        picture.pts, picture.time_base = self.number * 3600, Fraction(1, 90_000)
        self.number += 1
        return picture


class Browser:
    """What a page does: offers, and looks at what comes."""

    def __init__(self, client: TestClient):
        self.client = client
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.tracks: dict[str, MediaStreamTrack] = {}
        self.connection.on("track", lambda track: self.tracks.__setitem__(track.kind, track))
        self.session = ""

    async def join(self, role: str, sound: bool = False) -> None:
        if role == "camera":
            self.camera = CounterTrack()
            self.connection.addTrack(self.camera)
            if sound:
                self.connection.addTrack(AudioStreamTrack())
        else:
            self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        local = self.connection.localDescription
        answer = await self.client.post("/api/offer", json={"sdp": local.sdp, "type": "offer", "role": role})
        assert answer.status == 200, await answer.text()
        said = await answer.json()
        self.session = said["session"]
        await self.connection.setRemoteDescription(RTCSessionDescription(said["sdp"], said["type"]))

    async def see(self, kind: str = "video", seconds: float = 5.0):
        return await asyncio.wait_for(self.tracks[kind].recv(), seconds)

    async def leave(self) -> None:
        await self.connection.close()


def ask(folder, questions, **settings):
    """What `questions(client, api)` returns."""

    async def asked():
        async with served(folder, **settings) as (client, api):
            return await questions(client, api)

    return asyncio.run(asked())
