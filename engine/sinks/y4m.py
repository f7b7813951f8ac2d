"""Uncompressed video for another program: YUV4MPEG2 on standard output."""

import contextlib
import os
import sys
from typing import IO

import av

from engine.errors import SinkClosed, SinkError
from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding
from engine.sinks.conversion import Packed
from engine.sinks.encoding import NOMINAL_RATE


class Y4mSink:
    """`-`: frames for the next program in the pipe. A reader that ends raises SinkClosed.

    The format knows a constant rate only, no sound, and of the colours only the range.
    """

    on_device = False

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []
        self._output = _standard_output()
        if info.rate is None:
            self.notes.append(f"the frame rate is unknown: standard output says {NOMINAL_RATE} a second")
        if info.companions:
            self.notes.append("sound and subtitles are left out: standard output carries the picture alone")
        self._packed = Packed(info.width, info.height, info.colour)
        rate, aspect = info.rate or NOMINAL_RATE, info.sample_aspect_ratio
        header = (
            f"YUV4MPEG2 W{info.width} H{info.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{aspect.numerator}:{aspect.denominator} C420mpeg2 XYSCSS=420MPEG2 "
            f"XCOLORRANGE={'FULL' if info.colour.full_range else 'LIMITED'}\n"
        )
        self._write(header.encode())

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "-"

    def write(self, frame: Frame) -> None:
        """Raises SinkClosed when nobody reads any more."""
        self._write(b"FRAME\n")
        self._write(self._packed.fill(frame))

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        # Two descriptors hold the pipe: standard output itself stays open
        with contextlib.suppress(OSError):
            self._output.close()

    def discard(self) -> None:
        self.close(False)

    def _write(self, data: "bytes | memoryview | object") -> None:
        rest = memoryview(data)  # type: ignore[arg-type]
        try:
            while rest:
                rest = rest[self._output.write(rest) :]
        except BrokenPipeError:
            raise SinkClosed("whatever read standard output has ended") from None
        except OSError as error:
            raise SinkError(f"standard output cannot be written ({error.strerror})") from error


def _standard_output() -> IO[bytes]:
    """Standard output without a buffer, so that every frame leaves at once. Raises SinkError if it is a terminal."""
    if sys.stdout is None or sys.stdout.isatty():
        raise SinkError("standard output is a terminal; pipe the video on: ... - | ffplay -")
    sys.stdout.flush()
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(sys.stdout.fileno(), os.O_BINARY)
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
