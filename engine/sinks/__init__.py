"""Where painted frames go. One file per kind; `open_sink` picks it from the URI.

To add a kind: a module with a class that fulfils `Sink` and has a static method `handles(uri) -> bool`, and its name in
`_KINDS`. Kinds are asked in order; the first that says yes opens it.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import av

from engine.errors import UsageError
from engine.frame import Frame, StreamInfo


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a sink that encodes should: `codec` as FFmpeg or people name it (h264, hevc, av1, vp9, prores, ffv1, or an
    encoder such as h264_nvenc), None for the container's usual; `quality` is CRF-like, lower is better, None the default.
    `on_device` says that a GPU paints, whose CUDA context is that of the thread, so that NVENC can share its memory."""

    codec: str | None = None
    quality: int | None = None
    preset: str | None = None
    on_device: bool = False


class Sink(Protocol):
    """A destination, opened on construction: `Kind(uri, info, encoding)`. Raises SinkError with a line that says what to do.

    `write` takes frames of `info`'s size in order of time and may block (offline, that is the brake); `copy` takes packets
    of `info.companions`. `close(complete=True)` ends it well: a file then appears under its final name. With `False` a file
    stays playable under its partial name where it has frames; `discard` leaves nothing. `notes` as for sources. Where it is
    `on_device`, `write` takes frames on the GPU that paints, of even size and without alpha, as well as those on the CPU.
    """

    notes: list[str]

    @property
    def on_device(self) -> bool: ...

    def write(self, frame: Frame) -> None: ...

    def copy(self, packet: av.Packet) -> None: ...

    def close(self, complete: bool = True) -> None: ...

    def discard(self) -> None: ...


_KINDS = (
    "null:NullSink",
    "y4m:Y4mSink",
    "window:WindowSink",
    "virtual:VirtualCameraSink",
    "network:NetworkSink",
    "images:ImagesSink",
    "file:FileSink",
)


def open_sink(uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> Sink:
    """Open the sink that `uri` names. Raises SinkError, or UsageError if no kind handles it."""
    for kind in _KINDS:
        module, name = kind.split(":")
        sink = getattr(import_module(f"engine.sinks.{module}"), name)
        if sink.handles(uri):
            return sink(uri, info, encoding)
    raise UsageError(f"'{uri}' is no sink this program knows")
