"""One connection to a server: the encoder that feeds it, and a process that holds it.

FFmpeg connects while it holds Python's global lock, so that a server that takes the call and then says nothing would stop
the whole program. Another process can wait for it, and be ended.
"""

import multiprocessing
import queue
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from multiprocessing.connection import Connection

import av

from engine.frame import Frame, StreamInfo
from engine.notes import reason
from engine.sinks import Encoding
from engine.sinks.companions import Companions
from engine.sinks.encoding import NOMINAL_RATE, Encoder, find_encoder

_CONNECT = 10.0  # seconds a server has to take the stream
_STALLED = 10.0  # seconds without progress after which a connection counts as lost
_AHEAD = 60  # packets that may wait for the network before frames are left out

# Times start at 0 for every connection; a companion that is silent holds the picture back for half a second at most
_MUXING = {"avoid_negative_ts": "make_zero", "max_interleave_delta": "500000", "flush_packets": "1"}
_ENCODING = {"whip": {"profile": "baseline"}}  # what every browser can show


@dataclass(frozen=True, slots=True)
class Address:
    """Where to, and how: `form` is FFmpeg's name of the format, `options` are for its muxer."""

    url: str
    form: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One packet on its way to the process, times in `time_base`."""

    stream: int
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    keyframe: bool


class Link:
    """A connection, made on construction. Companions that it cannot carry are named in `notes`.

    Raises ConnectionError with the reason where no connection is made, and SinkError where no encoder opens. `error` says
    why it broke, None while it holds.
    """

    def __init__(self, address: Address, info: StreamInfo, encoding: Encoding, notes: list[str]) -> None:
        described = BytesIO()
        container = av.open(described, "w", format="nut")
        codec = find_encoder(encoding.codec or "h264")
        self._encoder = Encoder(container, codec, info, encoding, live=True, extra=_ENCODING.get(address.form))
        self._companions = Companions(container, info.companions, notes, address.form)
        container.mux_one(_nothing(self._encoder.stream))
        container.close()
        self._broken: str | None = None
        self._progress = time.monotonic()
        self._waiting: queue.SimpleQueue[_Parcel | None] = queue.SimpleQueue()
        # Spawned, since a fork would inherit the locks that other threads hold
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, address, described.getvalue(), info.rate or NOMINAL_RATE)
        self._process = context.Process(target=_relay, args=arguments, name="network", daemon=True)
        self._process.start()
        theirs.close()
        refused = self._answer()
        if refused is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            raise ConnectionError(refused)
        self._sender = threading.Thread(target=self._send_all, name="network", daemon=True)
        self._sender.start()

    @property
    def congested(self) -> bool:
        """Whether more waits than should: the network is slower than the picture."""
        return self._waiting.qsize() > _AHEAD

    @property
    def error(self) -> str | None:
        if self._broken is None and self.congested and time.monotonic() - self._progress > _STALLED:
            self._broken = "the server takes nothing any more"
        return self._broken

    def wait_for_room(self, patience: float) -> None:
        """Return when the network has taken enough, or after `patience` seconds."""
        end = time.monotonic() + patience
        while self.congested and self._broken is None and time.monotonic() < end:
            time.sleep(0.005)

    def send(self, frame: Frame) -> None:
        for packet in self._encoder.encode(frame):
            self._enqueue(packet)

    def copy(self, packet: av.Packet) -> None:
        copy = self._companions.packet(packet)
        if copy is not None:
            self._enqueue(copy)

    def close(self, patience: float) -> None:
        """Send the rest and say goodbye within `patience` seconds; 0 just ends it."""
        if patience and self._broken is None:
            for packet in self._encoder.flush():
                self._enqueue(packet)
        self._waiting.put(None)
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._sender.join()
        self._pipe.close()

    def _enqueue(self, packet: av.Packet) -> None:
        if packet.pts is not None and packet.dts is not None:
            times = (packet.pts, packet.dts, packet.duration or 0, packet.time_base)
            self._waiting.put(_Parcel(packet.stream_index, bytes(packet), *times, packet.is_keyframe))

    def _answer(self) -> str | None:
        """None when connected, else why not."""
        try:
            return self._pipe.recv() if self._pipe.poll(_CONNECT) else "it does not answer"
        except (EOFError, OSError):
            return "the connection broke"

    def _send_all(self) -> None:
        try:
            parcel: _Parcel | None
            while (parcel := self._waiting.get()) is not None:
                self._pipe.send(parcel)
                self._progress = time.monotonic()
            self._pipe.send(None)
        except OSError:
            words = None
            with suppress(EOFError, OSError):  # it may have said why
                words = self._pipe.recv() if self._pipe.poll(1) else None
            self._broken = words or "the connection broke"


def _nothing(stream: av.VideoStream) -> av.Packet:
    """A packet without a picture: a reader of NUT sees no streams before the first packet."""
    packet = av.Packet(b"\0")
    packet.stream, packet.time_base = stream, 1 / NOMINAL_RATE
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return packet


def _relay(pipe: Connection, address: Address, described: bytes, rate: Fraction) -> None:
    """What the process does: connect, answer None, and send on what comes out of `pipe`; where that fails, answer why.

    `described` is a NUT file that has the streams' parameters.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then says when to end
    try:
        with av.open(BytesIO(described)) as templates:
            container = av.open(address.url, "w", format=address.form, container_options=_MUXING | address.options)
            streams = [container.add_stream_from_template(stream, opaque=True) for stream in templates.streams]
            picture = streams[0]
            assert isinstance(picture, av.VideoStream)
            picture.codec_context.framerate = rate
            container.start_encoding()
            pipe.send(None)
            while (parcel := pipe.recv()) is not None:
                packet = av.Packet(parcel.data)
                packet.stream, packet.time_base = streams[parcel.stream], parcel.time_base
                packet.pts, packet.dts, packet.duration = parcel.pts, parcel.dts, parcel.duration
                packet.is_keyframe = parcel.keyframe
                container.mux_one(packet)
            container.close()
    except (av.FFmpegError, OSError, ValueError) as error:
        pipe.send(reason(error))
    except EOFError:
        pass  # the program is gone
