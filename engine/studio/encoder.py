"""VP8 for paintings: strokes are fine detail, which aiortc's own settings, made for faces, take for noise and wash away."""

import multiprocessing
import re
from typing import cast

import aiortc.codecs
import av
from aiortc.codecs.vpx import Vp8Encoder, number_of_threads
from aiortc.mediastreams import VIDEO_TIME_BASE
from av.frame import Frame
from av.video.codeccontext import VideoCodecContext

PER_PIXEL = 13  # bits a second: 4 Mbit/s for 640x480
LEAST, MOST = 500_000, 10_000_000  # bits a second
START = 2_500_000  # bits a second with which a browser's camera is sent before its line is measured
FELL, ROSE = 0.9, 1.5  # of the rate in use: an estimate beyond them is followed
_OPTIONS = {
    "cpu-used": "-6",
    "deadline": "realtime",
    "lag-in-frames": "0",
    # aiortc has 4, which smooths each frame into the one before: 7 dB at 2.5 Mbit/s, and a fifth of the time
    "noise-sensitivity": "0",
    "overshoot-pct": "15",
    "static-thresh": "1",
    "undershoot-pct": "100",
}


def rate(pixels: int, estimate: int, current: int | None) -> int:
    """Bits a second for a picture of `pixels` on a line of which the receiver says that it holds `estimate`.

    A libvpx at work cannot change its rate, so that every other one costs a keyframe: a `current` rate is kept while the
    estimate, which climbs for many seconds, says neither that it is too high nor that much more would pass.
    """
    wanted = max(LEAST, min(PER_PIXEL * pixels, estimate, MOST))
    return wanted if current is None or wanted < FELL * current or wanted > ROSE * current else current


class PaintingEncoder(Vp8Encoder):
    """See `aiortc.codecs.base.Encoder`. What the receiver estimates its line to hold is set as `target_bitrate`."""

    def __init__(self) -> None:
        super().__init__()
        self._estimate = MOST

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        assert isinstance(frame, av.VideoFrame)
        size = (frame.width, frame.height)
        current = self.codec.bit_rate if self.codec and (self.codec.width, self.codec.height) == size else None
        wanted = rate(frame.width * frame.height, self._estimate, current)
        if wanted != current:
            self.codec = _codec(*size, wanted)
        return super().encode(frame, force_keyframe)

    @property
    def target_bitrate(self) -> int:
        """Bits a second; that of the codec at work, so that aiortc finds nothing to change about it."""
        return (self.codec.bit_rate if self.codec else None) or self._estimate

    @target_bitrate.setter
    def target_bitrate(self, estimate: int) -> None:
        self._estimate = estimate


def _codec(width: int, height: int, bits: int) -> VideoCodecContext:
    codec = cast(VideoCodecContext, av.CodecContext.create("libvpx", "w"))
    codec.width, codec.height, codec.pix_fmt, codec.bit_rate = width, height, "yuv420p", bits
    codec.time_base = VIDEO_TIME_BASE  # else PyAV counts in microseconds, and times come out rounded
    codec.gop_size, codec.qmin, codec.qmax = 3000, 2, 56
    # as much at the least as at the most is a constant rate, over a second
    codec.options = _OPTIONS | dict.fromkeys(("bufsize", "minrate", "maxrate"), str(bits))
    codec.thread_count = number_of_threads(width * height, multiprocessing.cpu_count())
    return codec


def install() -> None:
    """Have aiortc use it, which knows but one encoder for each codec."""
    aiortc.codecs.Vp8Encoder = PaintingEncoder  # type: ignore[misc]


def eager(answer: str) -> str:
    """The SDP `answer`, by which Chromium sends its camera at START at once: else it begins with 300 kbit/s and takes a
    minute to climb, and the network paints the blocks."""
    return re.sub(
        r"(a=rtpmap:(\d+) VP8/90000\r\n)",
        rf"\1a=fmtp:\2 x-google-start-bitrate={START // 1000};x-google-min-bitrate={LEAST // 1000}\r\n",
        answer,
    )
