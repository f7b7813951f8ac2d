"""The conductor: a thread reads, this one paints, one thread for each sink delivers.

Offline every frame waits its turn and none is lost. Live the newest frame counts: one that was not painted in time is
replaced by the next, and the delay never grows.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import av

from engine import pacing
from engine.controls import AUTO, Controls
from engine.device_chain import AnyChain, chain_for
from engine.errors import SinkClosed
from engine.frame import Frame
from engine.report import Durations, Report
from engine.sinks import Sink
from engine.sources import Source
from engine.stylizers import CHEAPEST
from engine.stylizers.morphing import MorphingStylizer, Wish

_AHEAD = 4  # frames that wait before and behind the painter, offline


class _Reader(threading.Thread):
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


class _Writer(threading.Thread):
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


@dataclass(slots=True)
class Pipeline:
    """Source, stylizer and sinks, run to the end of the source or until `stop`.

    `controls` is asked for every frame, so that they can change while it runs, the style included; `progress` is told after
    every frame.
    `cadence` is on every how many frames the network runs; live it is raised where the network cannot keep up. `pace` is
    what that and the network have become.
    """

    source: Source
    stylizer: MorphingStylizer
    sinks: Sequence[Sink]
    report: Report
    controls: Callable[[], Controls] = Controls
    progress: Callable[[Report], None] = lambda report: None
    cadence: float = 1.0
    pace: pacing.Pace = field(init=False)
    stopping: bool = False
    warm: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        facts = self.stylizer.facts
        self.pace = pacing.Pace(facts.network if facts else CHEAPEST, self.cadence)

    def stop(self) -> None:
        """Ask `run` to finish what is begun and return."""
        self.stopping = True

    def run(self) -> None:
        """Paint. Raises what the source, the stylizer or a sink raised, after all threads have ended; sinks stay open,
        and their notes are complete only when they are closed."""
        info = self.source.info
        if info.live and not self.warm:
            self.warm_up()
        chain = chain_for(info.width, info.height, self.stylizer, self.report)
        reader = _Reader(self.source, self.report)
        writers = [_Writer(sink, info.live, self.report) for sink in self.sinks]
        self.report.started = time.perf_counter()
        for thread in (reader, *writers):
            thread.start()
        try:
            self._paint(chain, reader, writers)
        finally:
            reader.stop()
            for writer in writers:
                writer.finish()
            reader.join(5)
            self.report.ended = time.perf_counter()
            for note in (*self.source.notes, *self.stylizer.notes):
                self.report.note(note)
        for error in (reader.error, *(writer.error for writer in writers)):
            if error is not None and not isinstance(error, SinkClosed):
                raise error

    def warm_up(self) -> None:
        """Paint grey a few times, so that no first frame of a camera waits for what is loaded at the first call.

        `run` does so itself where it was not done before: while another chain paints on, for instance.
        """
        info = self.source.info
        chain = chain_for(info.width, info.height, self.stylizer, Report())
        for index in range(3):
            picture = av.VideoFrame(info.width, info.height, "yuv420p")
            grey = Frame(picture, index, info.time_base, index, time.perf_counter())
            for plane in grey.planes:
                plane[:] = 128
            chain.begin(grey, True, self.controls())
            chain.finish()
        self.warm = True

    def _paint(self, chain: AnyChain, reader: _Reader, writers: list[_Writer]) -> None:
        live, due = self.source.info.live, 1.0
        while not self.stopping and all(writer.error is None for writer in writers):
            item = reader.take()
            if item is None:
                if reader.exhausted:
                    break
                continue
            if not isinstance(item, Frame):
                for writer in writers:
                    writer.give(item)
                continue
            controls, fresh = self._followed(), False
            if self.stylizer.plain:
                chain.let_through(item)
            else:
                fresh = due > 1 - 1e-6
                due += 1 / self.pace.cadence - fresh
                chain.begin(item, fresh, controls)
            if live or chain.full:
                self._deliver(chain, writers)
            if live and reader.arrivals.count and not self.stylizer.plain:
                self._keep_pace(reader.arrivals.recent, fresh, controls.network == AUTO)
        while chain.waiting:
            self._deliver(chain, writers)

    def _followed(self) -> Controls:
        """The controls for the next frame, of which the stylizer is told what concerns it."""
        controls = self.controls()
        network = self.pace.network if controls.network == AUTO else controls.network
        self.stylizer.wish(Wish(controls.style, controls.strength, network))
        if self.stylizer.settled:
            return controls
        return replace(controls, consistency=min(controls.consistency, pacing.YIELDING))

    def _keep_pace(self, interval: float, fresh: bool, free: bool) -> None:
        pack, flow, network, temporal = (self.report.stages[n].recent for n in ("pack", "flow", "network", "temporal"))
        facts = self.stylizer.facts
        if facts is not None:
            load = pacing.Load(interval, network, flow, pack + temporal)
            if not self.pace.dearness:
                self.pace = replace(self.pace, dearness=facts.networks)
            self.pace = pacing.follow(self.pace, load, facts.network, fresh, free, self.cadence)
            self.report.pacing = pacing.explain(self.pace, load)

    def _deliver(self, chain: AnyChain, writers: list[_Writer]) -> None:
        painted = chain.finish()
        for writer in writers:
            writer.give(painted)
        self.report.written += 1
        self.progress(self.report)
