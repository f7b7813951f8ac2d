"""Where frames come from. One file per kind; `open_source` picks it from the URI.

To add a kind: a module with a class that fulfils `Source` and has a static method `handles(uri) -> bool`, and its name in
`_KINDS`. Kinds are asked in order; the first that says yes opens it.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Protocol

import av

from engine.errors import UsageError
from engine.frame import Frame, StreamInfo


class Source(Protocol):
    """A stream of frames, opened on construction: `Kind(uri, size)`. `size` (width, height) rescales, None keeps.

    Iterating yields each `Frame` in order of time, and between them the packets of `info.companions` as they come from
    the demuxer. All frames have `info`'s size, rotation applied; timestamps rise strictly. `notes` gathers, while it runs,
    one line per thing the user should know (corrupt packets skipped, timestamps repaired). Construction and iteration raise
    SourceError with a line that says what to do. `close` may be called from another thread and ends the iteration.
    """

    info: StreamInfo
    notes: list[str]

    def __iter__(self) -> Iterator[Frame | av.Packet]: ...

    def close(self) -> None: ...


# module:class, most specific first; imported when asked, so that a camera's needs do not slow a file's start
_KINDS = (
    "y4m:Y4mSource",
    "pattern:PatternSource",
    "scene:SceneSource",
    "camera:CameraSource",
    "screen:ScreenSource",
    "network:NetworkSource",
    "images:ImagesSource",
    "file:FileSource",
)


def open_source(uri: str, size: tuple[int, int] | None = None) -> Source:
    """Open the source that `uri` names. Raises SourceError, or UsageError if no kind handles it."""
    for kind in _KINDS:
        module, name = kind.split(":")
        source = getattr(import_module(f"engine.sources.{module}"), name)
        if source.handles(uri):
            return source(uri, size)
    raise UsageError(f"'{uri}' is no source this program knows")
