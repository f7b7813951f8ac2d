"""The browsers' WebRTC sessions: cameras come in and go to the stage, paintings and sound go out."""

import asyncio
import contextlib
import fractions
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import cast

import aioice.ice
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    sdp,
)
from aiortc.mediastreams import MediaStreamError

from engine import temporal
from engine.errors import UsageError
from engine.frame import plane_views
from engine.studio import encoder, jitter
from engine.studio.broadcast import Clock
from engine.studio.feed import BROWSER, SOUND_RATE, camera_frame
from engine.studio.stage import Stage

MOST = 8  # sessions at once
IDLE = 30.0  # seconds without a connection, or without a picture from a camera, after which a session is closed
SILENT = 3.0  # seconds without a picture from a camera that are worth a word
ROLES = ("camera", "viewer", "compare")
_GATHERED = 0.02  # seconds of sound in a packet, the first of which are so much older than it
_CLOSING = 5.0  # seconds that a session may take to close


class Full(Exception):
    """There are as many sessions as there may be."""


def keep_to_loopback() -> None:
    """Let ICE use 127.0.0.1 alone, which it leaves out by itself: then nothing leaves the machine."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class _Painted(MediaStreamTrack):
    """The painted picture for one peer: of frames that it is too slow for, the newest."""

    kind = "video"

    def __init__(self, stage: Stage):
        super().__init__()
        self._listener = stage.broadcast.hall.enter()

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        # an encoder writes its wishes into the frame it is given: each peer has its own
        return temporal.unpainted(await self._listener.next()).picture

    def stop(self) -> None:
        self._listener.leave()
        super().stop()


class _Compared(_Painted):
    """Before and after side by side in one picture: of two tracks, none would show the same instant."""

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        frame = await self._listener.next()
        width = frame.width // 2 * 2
        both = frame.like(av.VideoFrame(2 * width, frame.height, frame.picture.format.name))
        halves = (plane_views(frame.before or frame.picture), frame.planes)
        for before, after, target in zip(*halves, both.planes, strict=True):
            half = target.shape[1] // 2
            target[:, :half], target[:, half:] = before[:, :half], after[:, :half]
        return both.picture


class _Sound(MediaStreamTrack):
    """The sound for one peer, held back for as long as the picture takes to be painted."""

    kind = "audio"

    def __init__(self, stage: Stage):
        super().__init__()
        self._listener, self._stage, self._clock = stage.sound.enter(), stage, Clock(SOUND_RATE)

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        frame, instant = await self._listener.next()
        due = instant + self._stage.broadcast.latency(50) / 1e3
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        copy = av.AudioFrame.from_ndarray(frame.to_ndarray(), frame.format.name, frame.layout.name)
        copy.sample_rate, copy.time_base = frame.sample_rate, fractions.Fraction(1, SOUND_RATE)
        assert frame.pts is not None
        assert frame.time_base is not None
        copy.pts = self._clock.place(round(frame.pts * frame.time_base * SOUND_RATE), instant)
        return copy

    def stop(self) -> None:
        self._listener.leave()
        super().stop()


@dataclass(eq=False)
class Session:
    """One browser's connection."""

    id: str
    role: str
    connection: RTCPeerConnection
    active: float = field(default_factory=time.monotonic)  # when it last was known to be there
    tracks: list[MediaStreamTrack] = field(default_factory=list)
    tasks: list[asyncio.Task] = field(default_factory=list)


class Peers:
    """All sessions. Of several cameras the newest is shown."""

    def __init__(self, stage: Stage):
        encoder.install()
        jitter.install()
        self.sessions: dict[str, Session] = {}
        self._stage = stage
        self._camera: Session | None = None

    @property
    def viewers(self) -> int:
        """How many look on, whatever else they ask for."""
        return sum(session.role != "compare" for session in self.sessions.values())

    @property
    def has_camera(self) -> bool:
        return self._camera is not None

    @property
    def failing(self) -> str | None:
        """What is wrong with the camera that is shown."""
        if self._camera is None or self._stage.player is not None:
            return None
        silent = time.monotonic() - self._camera.active
        return f"camera: no picture for {silent:.0f} s" if silent > SILENT else None

    async def answer(self, offer: str, role: str) -> tuple[Session, str]:
        """A session for `offer`, and the answer to it, both SDP. Raises UsageError for what is no offer, and Full."""
        if len(self.sessions) >= MOST:
            raise Full(f"there are {MOST} sessions already; close one")
        kinds = _checked(offer, role)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # asks nobody outside for its address
        session = Session(secrets.token_urlsafe(9), role, connection)
        self.sessions[session.id] = session
        try:
            self._furnish(session, kinds)
            await connection.setRemoteDescription(RTCSessionDescription(_without_names(offer), "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # aiortc refuses in many ways what is not quite SDP
            await self.close(session.id)
            raise UsageError(f"this offer cannot be answered: {' '.join(str(error).split())[:120]}") from error
        return session, encoder.eager(connection.localDescription.sdp)

    def _furnish(self, session: Session, kinds: list[str]) -> None:
        connection, camera = session.connection, session.role == "camera"

        @connection.on("connectionstatechange")
        async def changed() -> None:
            session.active = time.monotonic()
            if connection.connectionState in ("failed", "closed"):
                await self.close(session.id)

        @connection.on("track")
        def arrived(track: MediaStreamTrack) -> None:
            receive = self._receive_video if track.kind == "video" else self._receive_sound
            session.tasks.append(asyncio.create_task(receive(session, track)))

        picture = _Compared if session.role == "compare" else _Painted
        for kind in kinds:
            track = picture(self._stage) if kind == "video" else _Sound(self._stage)
            session.tracks.append(track)
            transceiver = connection.addTransceiver(track, direction="sendrecv" if camera else "sendonly")
            if kind == "video":
                # H.264, which aiortc encodes for quality, takes four times as long (at 640x480: 19 against 4 ms)
                codecs = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType != "video/VP8"))
        if camera:
            self._camera = session

    async def _receive_video(self, session: Session, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                picture = cast(av.VideoFrame, await track.recv())
                session.active = time.monotonic()
                if session is self._camera and self._stage.player is None:
                    self._stage.feed.offer(camera_frame(picture), BROWSER)

    async def _receive_sound(self, session: Session, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                sound = cast(av.AudioFrame, await track.recv())
                if session is self._camera and self._stage.player is None:
                    self._stage.hear(sound, time.perf_counter() - _GATHERED)

    async def close(self, id: str) -> None:
        """End the session `id`, if there is one."""
        session = self.sessions.pop(id, None)
        if session is None:
            return
        if self._camera is session:
            cameras = [other for other in self.sessions.values() if other.role == "camera"]
            self._camera = cameras[-1] if cameras else None
        for task in session.tasks:
            task.cancel()
        for track in session.tracks:
            track.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.connection.close(), _CLOSING)

    async def sweep(self) -> None:
        """Close sessions that nobody uses any more; to be called now and then."""
        for session in tuple(self.sessions.values()):
            connected = session.connection.connectionState == "connected"
            silent = time.monotonic() - session.active > IDLE
            if silent and not (connected and session.role != "camera"):
                await self.close(session.id)

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(id) for id in tuple(self.sessions)))


def _checked(offer: str, role: str) -> list[str]:
    """The kinds of media that `offer` has, each once. Raises UsageError."""
    try:
        kinds = [media.kind for media in sdp.SessionDescription.parse(offer).media]
    except Exception as error:  # the parser fails in many ways on what is none
        raise UsageError("sdp is no session description") from error
    if role not in ROLES:
        raise UsageError(f"role is one of {', '.join(ROLES)}")
    if sorted(kinds) not in (["video"], ["audio", "video"]):
        raise UsageError("an offer has one video and at most one audio, and nothing else")
    return kinds


def _without_names(offer: str) -> str:
    """Without candidates that a browser hides behind names of multicast DNS, which take seconds to find out: who has one
    reaches us first, and is answered where it comes from."""
    return re.sub(r"a=(candidate:[^\r\n]*\.local |end-of-candidates)[^\r\n]*\r?\n", "", offer, flags=re.IGNORECASE)
