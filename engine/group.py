"""Several files painted together on a GPU: a round takes a frame of each; one that has ended makes room for the next."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from engine import flow, temporal
from engine.chain import Chain
from engine.controls import Controls
from engine.device_chain import RULES
from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.lanes import Reader, Writer
from engine.report import Report
from engine.run import decode_where_painted
from engine.sinks import Encoding, open_sink
from engine.sources import open_source
from engine.stylizers import Painting
from engine.stylizers.on_device import DeviceStylizer
from kernels.gpu_group import GpuGroup

Job = TypeVar("Job")


class Film:
    """A file on its way, a thread at either end. Raises SourceError, SinkError and UsageError."""

    def __init__(self, source: str, target: str, size: tuple[int, int] | None, encoding: Encoding, painting: Painting):
        self.source = open_source(source, size)
        try:
            decode_where_painted(self.source, painting)
            self.sink = open_sink(target, self.source.info, encoding)
        except BaseException:
            self.source.close()
            raise
        self.report = Report()
        self.show: Callable[[Report], None] = lambda report: None
        self.begun: deque[Frame] = deque()  # frames that are not painted yet
        self.ended = False  # all frames have been taken
        self.follows = False  # a frame went before, which this one's scene may go on from
        self._reader, self._writer = Reader(self.source, self.report), Writer(self.sink, False, self.report)
        self.report.started = time.perf_counter()
        self._reader.start()
        self._writer.start()

    def take(self, stopping: Callable[[], bool]) -> Frame | None:
        """Wait for the next frame, and pass on what is none. None at the end, after a failure, and when it is to stop."""
        while not stopping() and self._writer.error is None:
            item = self._reader.take()
            if isinstance(item, Frame):
                self.begun.append(item)
                return item
            if item is not None:
                self._writer.give(item)
            elif self._reader.exhausted:
                self.ended = True
                return None
        return None

    def deliver(self, painted: Frame) -> None:
        """The painting of the oldest frame begun."""
        self.begun.popleft()
        self._writer.give(painted)
        self.report.written += 1
        self.show(self.report)

    def close(self) -> Report:
        """Finish the file: whole if it was painted to its end, else as partial. Raises what reading or writing it raised,
        and then leaves nothing."""
        self._stop()
        try:
            for error in (self._reader.error, self._writer.error):
                if error is not None:
                    raise error
            self.report.interrupted = not self.ended
            self.sink.close(complete=self.ended)
        except BaseException:
            self.discard()
            raise
        for note in (*self.source.notes, *self.sink.notes):
            self.report.note(note)
        return self.report

    def discard(self) -> None:
        """Leave nothing."""
        self._stop()
        with suppress(SinkError):
            self.sink.discard()

    def _stop(self) -> None:
        if self.report.ended is None:
            self._reader.stop()
            self._writer.finish()
            self._reader.join(5)
            self.report.ended = time.perf_counter()
            self.show(self.report)


def open_group(info: StreamInfo, painting: DeviceStylizer, count: int) -> GpuGroup:
    """Room for `count` films like one on the device of `painting`, and its networks. Raises whatever the device raises."""
    device = painting.open_device()
    together, alone = painting.engine.network(device, count), painting.engine.network(device)
    for network in (together, alone):
        network.load(painting.weights)
    size, runs = (info.width, info.height), (together.run, alone.run)
    return GpuGroup(device, count, *size, flow.flow_scale(*size), RULES, *runs, interleaved=info.on_device)


class GroupPainter(Generic[Job]):
    """Paints the film that `open_film` opens of each job through `group`, as many at once as it has lanes.

    After a failure of the device the films go on, one after another, on the CPU; no frame is lost, and the reason is among
    their notes.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        open_film: Callable[[Job], Film],
        group: GpuGroup,
        painting: Painting,
        controls: Controls,
    ):
        self.stopping = False
        self._jobs, self._open_film = deque(jobs), open_film
        self._group, self._painting, self._controls = group, painting, controls
        self._films: dict[Film, Job] = {}  # those that are open
        self._lanes: list[Film | None] = [None] * len(group.lanes)
        self._rounds: deque[list[tuple[Film, Frame] | None]] = deque()  # on their way
        self._done: list[tuple[Job, Report | Exception]] = []

    def stop(self) -> None:
        """Ask `run` to finish what is begun and return."""
        self.stopping = True

    def run(self) -> Iterator[tuple[Job, Report | Exception]]:
        """Paint; gives each job with what was measured, or with what its film raised, when it is done with."""
        try:
            try:
                while self._begin_round():
                    if len(self._rounds) == self._group.IN_FLIGHT:
                        self._finish_round()
                    yield from self._news()
                while self._rounds:
                    self._finish_round()
                    yield from self._news()
            except Exception as error:  # a GPU may fail in any way of its own
                self._painting.stylizer.fall_back(" ".join(str(error).split())[:200] or type(error).__name__)
            yield from self._on_the_cpu()
        finally:
            for film in self._films:  # none, unless something broke that nobody expected
                film.discard()

    def _news(self) -> Iterator[tuple[Job, Report | Exception]]:
        yield from self._done
        self._done.clear()

    def _begin_round(self) -> bool:
        """Whether there was a frame to begin with."""
        taken = [self._next(lane) for lane in range(len(self._lanes))]
        if not any(taken):
            return False
        start = time.perf_counter()
        self._group.submit(
            [each[1].planes if each else None for each in taken], self._controls.consistency, self._controls.keep_color
        )
        self._rounds.append(taken)
        self._time("pack", start, taken)
        return True

    def _next(self, lane: int) -> tuple[Film, Frame] | None:
        """The next frame of the film in a lane, or of the next film where that has ended."""
        while (film := self._lanes[lane] or self._open(lane)) is not None:
            if (frame := film.take(lambda: self.stopping)) is not None:
                return film, frame
            self._lanes[lane] = None
            self._close_if_done(film)
        return None

    def _open(self, lane: int) -> Film | None:
        film = self._opened()
        if film is not None:
            self._lanes[lane] = film
            self._group.forget(lane)
        return film

    def _opened(self) -> Film | None:
        while self._jobs and not self.stopping:
            job = self._jobs.popleft()
            try:
                film = self._open_film(job)
            except Exception as error:
                self._done.append((job, error))
            else:
                self._films[film] = job
                for note in self._group.device.notes:
                    film.report.note(note)
                return film
        return None

    def _finish_round(self) -> None:
        taken = self._rounds[0]
        painted = [temporal.room(each[1]) if each else None for each in taken]
        start = time.perf_counter()
        verdicts = self._group.collect([frame.planes if frame else None for frame in painted])
        self._time("network", start, taken)
        self._rounds.popleft()
        for each, frame, verdict in zip(taken, painted, verdicts, strict=True):
            if each is not None and frame is not None and verdict is not None:
                film, _ = each
                film.report.cuts += verdict[2] and film.follows  # the first frame ends no scene
                film.follows = True
                film.deliver(frame)
                self._close_if_done(film)

    def _close_if_done(self, film: Film) -> None:
        if film in self._lanes or film.begun:
            return
        job = self._films.pop(film)
        film.report.facts = replace(self._painting.facts, fallbacks=[*self._painting.facts.fallbacks])
        for note in self._painting.stylizer.notes:
            film.report.note(note)
        try:
            self._done.append((job, film.close()))
        except Exception as error:
            self._done.append((job, error))

    def _on_the_cpu(self) -> Iterator[tuple[Job, Report | Exception]]:
        """What is left of the films, and those not yet begun, where the stylizer has fallen back to."""
        self._lanes = []
        left = deque(self._films)
        while (film := left.popleft() if left else self._opened()) is not None:
            try:
                self._paint_on(film)
            except Exception as error:
                self._done.append((self._films.pop(film), error))
                film.discard()
            else:
                self._close_if_done(film)
            yield from self._news()
        yield from self._news()

    def _paint_on(self, film: Film) -> None:
        info, controls = film.source.info, self._controls
        chain = Chain.for_size(info.width, info.height, self._painting.stylizer, film.report)
        for frame in tuple(film.begun):
            chain.begin(frame.on_host(), True, controls)
            if chain.full:
                film.deliver(chain.finish())
        while (taken := film.take(lambda: self.stopping)) is not None:
            chain.begin(taken.on_host(), True, controls)
            if chain.full:
                film.deliver(chain.finish())
        while chain.waiting:
            film.deliver(chain.finish())

    def _time(self, stage: str, start: float, taken: list[tuple[Film, Frame] | None]) -> None:
        milliseconds = (time.perf_counter() - start) * 1e3
        for film, _ in filter(None, taken):
            film.report.stages[stage].add(milliseconds)
