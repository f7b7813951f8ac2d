"""Whether the studio lasts: `python -m benchmarks.endurance [--frames N] [--json FILE]`.

First the stage with its real network, in small: frames of a camera 1/30 s apart, but given as fast as they are painted, so
that an hour takes minutes, while viewers come and go by WebRTC and the style changes. Its memory must not grow from what it
is after a tenth of the frames. Then the real `allaprima studio`: broken pictures are uploaded and malformed messages sent
by HTTP and WebSocket, and it must paint on. Linux only.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from benchmarks.chain import Row
from benchmarks.rig import RATE, Server, show, write
from engine.controls import Controls
from engine.errors import AllaPrimaError, SourceError
from engine.frame import Frame
from engine.memory import bound_arenas
from engine.sources.scene import SceneSource
from engine.studio import peers
from engine.studio.command import open_painting
from engine.studio.feed import BROWSER, CLOCK
from engine.studio.peers import Peers
from engine.studio.stage import Stage
from models.library import Library

SIZE = (160, 96)
SCENE = 64  # frames of it, played forth and back
LOOKS = ("starry-night", "great-wave", "scream:0.5,udnie:0.5")
LOOK_EVERY = 1000  # frames
VISIT, PAUSE = 2.0, 0.5  # seconds of real time that a viewer looks on, and until the next one comes
SAMPLES = 40  # of the memory
UPLOADS, MESSAGES = 50, 1000
LOOKING, PATIENCE = 3.0, 10.0  # seconds

Offer = Callable[[str], Any]  # told an offer's SDP, answers with the answer's


def resident() -> float:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Runner:
    """Gives a stage the next frame when it has painted the last one."""

    def __init__(self, stage: Stage):
        scene = SceneSource(f"scene:{SIZE[0]}x{SIZE[1]},{SCENE / RATE},{RATE}")
        self._pictures = [scene.render(index) for index in (*range(SCENE), *reversed(range(SCENE)))]
        self._stage, self._began, self._painted = stage, time.perf_counter(), threading.Event()
        stage.broadcast.hall.listeners.add(self)  # type: ignore[arg-type]

    def tell(self, frame: Frame) -> None:
        self._painted.set()

    def give(self, index: int) -> None:
        """Raises SourceError where it is not painted."""
        picture = self._pictures[index % len(self._pictures)]
        picture.colorspace, picture.color_range = BROWSER.matrix, BROWSER.range
        self._painted.clear()
        # at the camera's pace, by which the chain decides what there is time for
        captured = self._began + index / RATE
        self._stage.feed.offer(Frame(picture, index * CLOCK.denominator // RATE, CLOCK, index, captured), BROWSER)
        if not self._painted.wait(PATIENCE):
            raise SourceError(f"frame {index} was not painted: {self._stage.failing}")


@asynccontextmanager
async def viewer(offer: Offer) -> AsyncIterator[MediaStreamTrack]:
    """One who looks on: the painted track."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    try:
        await connection.setLocalDescription(await connection.createOffer())
        answer = await offer(connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield connection.getTransceivers()[0].receiver.track
    finally:
        await connection.close()


async def visits(stage: Stage, over: threading.Event) -> list[int]:
    """Viewers come and go until it is over; how many frames each of them saw."""
    house, counts = Peers(stage), []

    async def offer(sdp: str) -> str:
        return (await house.answer(sdp, "viewer"))[1]

    while not over.is_set():
        seen, end = 0, time.monotonic() + VISIT
        async with viewer(offer) as track:
            with suppress(TimeoutError):
                while time.monotonic() < end:
                    await asyncio.wait_for(track.recv(), VISIT)
                    seen += 1
        counts.append(seen)
        await asyncio.sleep(PAUSE)
    await house.close_all()
    return counts


def run_long(frames: int, say: Callable[[str], None]) -> dict[str, Any]:
    """So many frames through one stage: MB by frames painted, and what happened meanwhile."""
    bound_arenas()  # as the studio does
    peers.keep_to_loopback()
    library, controls = Library(), Controls()
    stage = Stage(partial(open_painting, library, lambda: controls), lambda: controls, size=SIZE)
    stage.start()
    while stage.status()["size"] is None:
        time.sleep(0.05)
    runner, over = Runner(stage), threading.Event()
    counts: list[int] = []
    watching = threading.Thread(target=lambda: counts.extend(asyncio.run(visits(stage, over))))
    watching.start()
    memory: list[tuple[int, float]] = []
    begun = time.perf_counter()
    try:
        for index in range(frames):
            if index % LOOK_EVERY == 0:
                controls = replace(controls, style=LOOKS[index // LOOK_EVERY % len(LOOKS)])
            runner.give(index)
            if (index + 1) % max(frames // SAMPLES, 1) == 0:
                memory.append((index + 1, resident()))
                say(f"{index + 1:7} frames, {time.perf_counter() - begun:4.0f} s: {memory[-1][1]:6.1f} MB")
    finally:
        over.set()
        watching.join(PATIENCE)
        failing, report = stage.failing, stage.report
        stage.close()
    return {
        "frames": frames,
        "seconds": time.perf_counter() - begun,
        "memory_mb": memory,
        "growth_mb": growth([mb for _, mb in memory]),
        "viewers": len(counts),
        "frames_they_saw": sum(counts),
        "carried": report.carried,
        "failing": failing,
    }


def growth(memory: Sequence[float]) -> float:
    """By how much the last tenth lies above the tenth that follows the first, by their medians; MB."""
    tenth = max(len(memory) // 10, 1)
    return float(np.median(memory[-tenth:]) - np.median(memory[tenth : 2 * tenth]))


def broken_pictures(count: int) -> list[tuple[str, bytes]]:
    """Content types and bodies, each wrong in a way of its own: cut off, with bytes turned over, mislabelled, of noise."""
    chance = random.Random(2)
    picture = np.random.default_rng(2).integers(0, 255, (64, 96, 3), np.uint8)
    whole = {f"image/{kind}": cv2.imencode(f".{kind}", picture)[1].tobytes() for kind in ("png", "jpeg", "webp")}
    kinds = list(whole)
    found = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = whole[kind]
        way = number // len(kinds) % 4
        if way == 0:
            data = data[: chance.randrange(len(data) // 2)]
        elif way == 1:
            head = bytearray(data[:64])
            for at in (0, 5, *(chance.randrange(len(head)) for _ in range(8))):
                head[at] ^= 0xFF
            data = bytes(head) + data[64:]
        elif way == 2:
            kind = kinds[(number + 1) % len(kinds)]
        else:
            data = data[:12] + chance.randbytes(4096)
        found.append((kind, data))
    return found


def malformed_messages(count: int) -> list[str]:
    """What is no message: letters at random, a right one cut off, values of wrong types and out of range, unknown names."""
    chance = random.Random(3)
    right = json.dumps({"type": "controls", "strength": 0.5, "style": "great-wave", "keep_color": True})
    junk = [None, [], {}, -5, 1e300, "x" * 2000, [1] * 50, {"a": {}}]
    ways: list[Callable[[], str]] = [
        lambda: "".join(chr(chance.randrange(32, 1000)) for _ in range(chance.randrange(60))),
        lambda: right[: chance.randrange(len(right))],
        lambda: json.dumps({"type": "controls", chance.choice(["strength", "style", "keep_color"]): chance.choice(junk)}),
        lambda: json.dumps({"type": "controls", chance.choice(["nonsense", "__class__", "\x00"]): 1}),
        lambda: "[" * chance.randrange(1, 30_000),
    ]
    return [ways[number % len(ways)]() for number in range(count)]


async def misuse(server: Server) -> dict[str, Any]:
    """Send it all, and look whether the server paints on: frames seen before and after, and what it answered."""
    async with aiohttp.ClientSession(server.address) as client:

        async def offer(sdp: str) -> str:
            async with client.post("/api/offer", json={"sdp": sdp, "type": "offer", "role": "viewer"}) as answer:
                return (await answer.json())["sdp"]

        async def painted() -> tuple[int, float]:
            """Frames seen in LOOKING seconds, and how much they differ: mean codes of luma from the first to the last."""
            pictures: list[np.ndarray] = []
            async with viewer(offer) as track:
                await asyncio.wait_for(track.recv(), PATIENCE)
                end = time.monotonic() + LOOKING
                while time.monotonic() < end:
                    frame = await asyncio.wait_for(track.recv(), PATIENCE)
                    assert isinstance(frame, av.VideoFrame)
                    pictures.append(frame.to_ndarray(format="gray").astype(np.float32))
            return len(pictures), float(np.abs(pictures[-1] - pictures[0]).mean())

        before = await painted()
        statuses = []
        for kind, data in broken_pictures(UPLOADS):
            async with client.post("/api/styles?name=broken", data=data, headers={"Content-Type": kind}) as answer:
                statuses.append(answer.status)
        errors = 0
        async with client.ws_connect("/api/live") as channel:
            for message in malformed_messages(MESSAGES):
                await channel.send_str(message)
            await channel.send_json({"type": "controls", "strength": 0.75})
            while True:
                said = await channel.receive_json(timeout=PATIENCE)
                errors += said["type"] == "error"
                if said["type"] == "controls" and said["strength"] == 0.75:
                    break
        after = await painted()
        return {
            "uploads": dict(Counter(statuses)),
            "messages_refused": errors,
            "seen_before": before,
            "seen_after": after,
            "failing": server.status()["failing"],
        }


def run_misused() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), "--source", "scene:640x480,20,30")
        try:
            return asyncio.run(misuse(server)) | {"running": server.process.poll() is None, "memory_mb": server.memory}
        finally:
            server.close()


def rows(long: dict[str, Any], misused: dict[str, Any]) -> list[Row]:
    refused = sum(count for status, count in misused["uploads"].items() if 400 <= status < 500)
    return [
        Row(f"memory, growth over {long['frames']} frames", long["growth_mb"], "MB", 5, 0, higher=False),
        Row("broken pictures refused", refused, f"of {UPLOADS}", UPLOADS, UPLOADS),
        Row("malformed messages refused", misused["messages_refused"], f"of {MESSAGES}", MESSAGES, MESSAGES),
        Row("painted and seen after it", misused["seen_after"][0] / LOOKING, "fps", 24, RATE),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000, help="default %(default)s, nearly an hour of a camera")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    misused = run_misused()
    long = run_long(options.frames, lambda line: print(line, file=sys.stderr, flush=True))
    found = rows(long, misused)
    result = {
        "size": list(SIZE),
        "long": long,
        "misused": misused,
    }
    show(found, {"misused": misused} | {key: long[key] for key in long if key != "memory_mb"})
    if options.json:
        write(options.json, found, result)


if __name__ == "__main__":
    try:
        main()
    except AllaPrimaError as error:
        sys.exit(f"endurance: {error}")
