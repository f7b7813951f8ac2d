"""The threads at either end of a painter: one reads a source, one delivers to a sink."""

import queue
import threading
import time

import av

from engine.frame import Frame
from engine.report import Durations, Report
from engine.sinks import Sink
from engine.sources import Source

_AHEAD = 4  # frames that wait before and behind the painter, offline


class Reader(threading.Thread):
    """Takes frames and packets from the source. Live, a frame that nobody took is replaced by the newer one."""

    def __init__(self, source: Source, report: Report):
        super().__init__(name="reader", daemon=True)
        self.source, self.report = source, report
        self.items: queue.Queue[Frame | av.Packet] = queue.Queue(0 if source.info.live else _AHEAD)
        self.newest: Frame | None = None
        self.arrivals = Durations()  # milliseconds from frame to frame
        self.error: Exception | None = None
        self.changed = threading.Condition()
        self.stopped = False

    def run(self) -> None:
        try:
            before = None
            decoding = time.perf_counter()
            for item in self.source:
                if self.stopped:
                    return
                if isinstance(item, Frame):
                    self.report.read += 1
                    if not self.source.info.live:
                        self.report.stages["decode"].add((time.perf_counter() - decoding) * 1e3)
                    elif before is not None:
                        self.arrivals.add((item.captured - before) * 1e3)
                    before = item.captured
                self._offer(item)
                decoding = time.perf_counter()
        except Exception as error:
            self.error = error
        finally:
            self.stopped = True
            with self.changed:
                self.changed.notify_all()

    def _offer(self, item: Frame | av.Packet) -> None:
        if self.source.info.live and isinstance(item, Frame):
            with self.changed:
                self.report.dropped += self.newest is not None
                self.newest = item
                self.changed.notify_all()
            return
        while not self.stopped:
            try:
                self.items.put(item, timeout=0.1)
                break
            except queue.Full:
                continue
        with self.changed:
            self.changed.notify_all()

    def take(self) -> Frame | av.Packet | None:
        """The next item, or None if there is none within a tenth of a second."""
        with self.changed:
            if self.items.empty() and self.newest is None and not self.stopped:
                self.changed.wait(0.1)
            if not self.items.empty():
                return self.items.get_nowait()
            frame, self.newest = self.newest, None
            return frame

    @property
    def exhausted(self) -> bool:
        return self.stopped and self.items.empty() and self.newest is None

    def stop(self) -> None:
        self.stopped = True
        self.source.close()


class Writer(threading.Thread):
    """Delivers to one sink. Offline a slow sink holds the painter back; live it loses frames, and only its own."""

    def __init__(self, sink: Sink, live: bool, report: Report):
        super().__init__(name="writer", daemon=True)
        self.sink, self.live, self.report = sink, live, report
        self.items: queue.Queue[Frame | av.Packet | None] = queue.Queue(_AHEAD)
        self.error: Exception | None = None
        self.late = 0

    def run(self) -> None:
        while (item := self.items.get()) is not None:
            if self.error is not None:
                continue  # the painter is told; until it stops, nothing may block it
            try:
                if isinstance(item, Frame):
                    with self.report.stages["deliver"].timed():
                        self.sink.write(item)
                    self.report.latency.add((time.perf_counter() - item.captured) * 1e3)
                else:
                    self.sink.copy(item)
            except Exception as error:
                self.error = error

    def give(self, item: Frame | av.Packet) -> None:
        if self.live and self.items.full() and isinstance(item, Frame):
            self.late += 1
            return
        self.items.put(item)

    def finish(self) -> None:
        self.items.put(None)
        self.join()
        if self.late:
            self.report.note(f"{type(self.sink).__name__} was too slow for {self.late} frames")
