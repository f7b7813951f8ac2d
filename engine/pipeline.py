"""The conductor: a thread reads, this one paints, one thread for each sink delivers.

Offline every frame waits its turn and none is lost. Live the newest frame counts: one that was not painted in time is
replaced by the next, and the delay never grows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import av

from engine import pacing
from engine.controls import AUTO, Controls
from engine.device_chain import AnyChain, Ends, chain_for
from engine.errors import SinkClosed
from engine.frame import Frame
from engine.lanes import Reader, Writer
from engine.report import Report
from engine.sinks import Sink
from engine.sources import Source
from engine.stylizers import CHEAPEST
from engine.stylizers.morphing import MorphingStylizer, Wish


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
        takes = all(sink.on_device for sink in self.sinks) and not (info.width % 2 or info.height % 2)
        chain = chain_for(info.width, info.height, self.stylizer, self.report, Ends(info.on_device, takes))
        reader = Reader(self.source, self.report)
        writers = [Writer(sink, info.live, self.report) for sink in self.sinks]
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

    def _paint(self, chain: AnyChain, reader: Reader, writers: list[Writer]) -> None:
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

    def _deliver(self, chain: AnyChain, writers: list[Writer]) -> None:
        painted = chain.finish()
        for writer in writers:
            writer.give(painted)
        self.report.written += 1
        self.progress(self.report)
