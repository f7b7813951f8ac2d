"""The sinks that run beside the page: a stream, a virtual camera, a file. None can hold the picture up or bring it down."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import av

from engine.errors import AllaPrimaError, SinkClosed
from engine.frame import Colour, Frame, StreamInfo
from engine.notes import reason
from engine.sinks import Sink
from engine.sources.pictures import Converter
from engine.studio.broadcast import Clock
from engine.studio.feed import CLOCK, shown

_AHEAD = 4  # frames that may wait


class Beside(threading.Thread):
    """See `engine.sinks.Sink`: opened at the first frame, with its size, which it keeps when the chain's changes.

    `write` never blocks and never fails: what a sink cannot take in time is left out, and one that breaks is let go, with
    the reason in `failing`.
    """

    on_device = False

    def __init__(self, uri: str, open: Callable[[StreamInfo], Sink]):
        super().__init__(name="beside", daemon=True)
        self.notes: list[str] = []
        self.failing: str | None = None
        self._name, self._open = shown(uri), open
        self._sink: Sink | None = None
        self._over = False
        self._clock = Clock(CLOCK.denominator)
        self._items: queue.Queue[Frame | None] = queue.Queue(_AHEAD)
        self.start()

    def write(self, frame: Frame) -> None:
        if not self._over and not self._items.full():
            self._items.put(replace(frame))

    def copy(self, packet: av.Packet) -> None: ...

    def run(self) -> None:
        size: tuple[int, int] | None = None
        try:
            while (frame := self._items.get()) is not None:
                if self._sink is None:
                    size = frame.width, frame.height
                    colour = Colour(frame.picture.colorspace, frame.picture.color_range)
                    self._sink = self._open(StreamInfo(*size, CLOCK, colour=colour, live=True))
                if (frame.width, frame.height) != size:
                    frame.picture = Converter(frame.picture, size).convert(frame.picture)[0]
                frame.pts = frame.picture.pts = self._clock.place(frame.pts, frame.captured)
                self._sink.write(frame)
        except SinkClosed:
            pass  # a window that was closed
        except Exception as error:  # a sink may fail in any way of its own; the page goes on
            self.failing = f"sink {self._name}: {error if isinstance(error, AllaPrimaError) else reason(error)}"
        finally:
            self._over = True
            self._finish()

    def _finish(self) -> None:
        if self._sink is None:
            return
        try:
            self._sink.close(complete=self.failing is None)
        except Exception as error:
            self.failing = self.failing or f"sink {self._name}: {error}"
        self.notes.extend(self._sink.notes)

    def close(self, complete: bool = True) -> None:
        """Let what waits be written, and wait ten seconds at most for the end."""
        deadline = time.monotonic() + 10
        while self.is_alive() and time.monotonic() < deadline:
            try:
                self._items.put(None, timeout=0.1)
                break
            except queue.Full:
                continue
        self.join(max(deadline - time.monotonic(), 0))

    def discard(self) -> None:
        self.close(complete=False)
