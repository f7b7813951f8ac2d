"""A recorded source played in real time, as if it were a camera."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import av

from engine.frame import Frame
from engine.sources import Source


class PacedSource:
    """See `engine.sources.Source`. Yields each frame when its time has come; `captured` is that moment."""

    def __init__(self, source: Source):
        self._source = source
        self.info = replace(source.info, live=True)
        self.notes = source.notes
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame | av.Packet]:
        offset: float | None = None  # of the clock against the stream
        for item in self._source:
            if isinstance(item, Frame):
                instant = float(item.pts * item.time_base)
                if offset is None:
                    offset = time.perf_counter() - instant
                if self._closed.wait(max(offset + instant - time.perf_counter(), 0)):
                    return
                item.captured = time.perf_counter()
            yield item

    def close(self) -> None:
        self._closed.set()
        self._source.close()
