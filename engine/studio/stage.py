"""The one live chain that all viewers share, and what keeps it going.

What cannot change while a chain runs (size, colours, backend) changes by a second one, which is made and warmed up while the
first paints on. A chain that breaks or hangs is replaced at once by one that lets the camera through, and paints again when
it can.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import av

from engine.controls import Controls
from engine.notes import reason
from engine.pipeline import Pipeline
from engine.report import Report
from engine.sources import Source
from engine.studio.beside import Beside
from engine.studio.broadcast import Broadcast, Hall
from engine.studio.feed import Feed, Player, Shape, Tap
from engine.studio.guard import Guard
from engine.stylizers import Painting
from engine.stylizers.morphing import MorphingStylizer
from kernels.layout import tile_grid

DEFAULT = Shape(640, 480)
MOST_PIXELS = 1280 * 720  # of a camera whose own size is painted
SAME_ASPECT = 0.02  # share by which the aspect of what comes may differ before the size follows it
_SOUND_ROOM = 50  # frames of sound, 20 ms each, that may wait for a listener
_LONGEST_REST = 60.0  # seconds
_TICK = 0.05  # seconds between two looks at what runs
_MODULES = {"engine.flow": "flow", "engine.temporal": "temporal", "kernels.cpu": "kernels", "engine.sources": "source"}

MakePainting = Callable[[Shape, str], Painting]


def fitting(running: Shape | None, incoming: Shape, fixed: tuple[int, int] | None) -> Shape:
    """What to paint `incoming` as. A browser sends smaller pictures of the same shape when the line is bad, for which the
    size does not change; it does for a larger or differently shaped one, up to MOST_PIXELS. With `fixed` (width, height) it
    is that, or, for an incoming picture of another aspect, the largest of its own aspect that fits in."""
    if fixed is not None:
        if _same_aspect(Shape(*fixed), incoming):
            return Shape(*fixed, incoming.colour)
        factor = min(fixed[0] / incoming.width, fixed[1] / incoming.height)
    else:
        smaller = running is not None and running.colour == incoming.colour and incoming.width <= running.width
        if running is not None and smaller and _same_aspect(running, incoming):
            return running
        factor = min((MOST_PIXELS / (incoming.width * incoming.height)) ** 0.5, 1)
    width, height = (max(round(side * factor / 2) * 2, 16) for side in (incoming.width, incoming.height))
    return Shape(width, height, incoming.colour)


def _same_aspect(one: Shape, other: Shape) -> bool:
    return abs(one.width * other.height / (other.width * one.height) - 1) <= SAME_ASPECT


def rest(first: float, breaks: int) -> float:
    """Seconds that the camera passes through after so many `breaks`, one soon after the other: `first`, then twice as long
    each time. A device that hangs keeps what it was given, so it is not to be given something new too often."""
    return min(first * 2 ** min(breaks - 1, 16), _LONGEST_REST)


@dataclass(slots=True)
class _Run:
    """A chain that paints, and what it was made for."""

    pipeline: Pipeline
    guard: Guard
    shape: Shape
    backend: str
    thread: threading.Thread | None = None
    error: Exception | None = None
    began: float = 0.0  # on the clock of time.monotonic

    def start(self) -> None:
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self._paint, name="painter", daemon=True)
        self.thread.start()

    @property
    def over(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()

    def _paint(self) -> None:
        try:
            self.pipeline.run()
        except Exception as error:  # of any stage, in any way of its own: the stage sees to it
            self.error = error

    def end(self, patience: float) -> None:
        self.pipeline.stop()
        if self.thread is not None:
            self.thread.join(patience)
        self.guard.close()


class Stage(threading.Thread):
    """Paints what `feed` gives into `broadcast` and `sinks`, whatever happens, from `start` to `close`.

    `make` opens the network for a shape on a backend; `controls` is asked for every frame. `size` (width, height) is kept
    where given, else it follows the camera.
    """

    patience = 3.0  # seconds without a painted frame, while others come, after which a chain counts as hung
    again = 2.0  # seconds from a failure to the next try

    def __init__(
        self,
        make: MakePainting,
        controls: Callable[[], Controls],
        sinks: Sequence[Beside] = (),
        size: tuple[int, int] | None = None,
        backend: str = "auto",
    ):
        super().__init__(name="stage", daemon=True)
        self.feed, self.broadcast, self.report = Feed(), Broadcast(), Report()
        self.sound: Hall[tuple[av.AudioFrame, float]] = Hall(_SOUND_ROOM)  # with the instant that it is of
        self.size, self.backend = size, backend
        self.player: Player | None = None  # of a source of the engine's; without one, browsers send their cameras
        self._make, self._controls, self._sinks = make, controls, sinks
        self._run: _Run | None = None
        self._broke: str | None = None  # why the chain before this one ended
        self._refused: str | None = None  # why what was asked for last is not done
        self._breaks = 0  # chains that broke one soon after the other
        self._not_before = 0.0  # on the clock of time.monotonic, when that is tried again
        self._progress = (0, 0, 0.0)  # frames broadcast, frames offered, and when that was seen
        self._closing = threading.Event()

    def play(self, uri: str, open: Callable[[], Source] | None) -> None:
        """From now on show what `open` opens, which `uri` names; without it, the browsers' cameras."""
        if self.player is not None:
            self.player.close()
        self.player = Player(self.feed, self.hear, open, uri) if open is not None else None
        if self.player is not None:
            self.player.start()

    def change(self, size: tuple[int, int] | None, backend: str) -> None:
        """From now on paint in `size` (width, height; None follows the camera) on `backend`."""
        self._refused, self._not_before = None, 0.0
        self.size, self.backend = size, backend

    def hear(self, sound: av.AudioFrame, instant: float) -> None:
        """What is to be heard with the picture captured at `instant`, in seconds of `time.perf_counter`."""
        self.sound.tell((sound, instant))

    @property
    def source(self) -> str:
        return self.player.uri if self.player is not None else "browser"

    @property
    def failing(self) -> str | None:
        """What does not work now, and why; None where all does."""
        guard = self._run.guard if self._run else None
        broken = (guard.failing if guard else None) or self._broke
        if broken:
            return f"{broken} (camera passes through)"
        outside = [self.player.failing if self.player else None, *(sink.failing for sink in self._sinks)]
        return self._refused or next(filter(None, outside), None)

    def status(self) -> dict[str, Any]:
        """What `GET /api/status` shows, but for the viewers."""
        run, report, latency = self._run, self.report, self.broadcast.latency
        facts = run.guard.facts if run else None
        return {
            "fps": round(self.broadcast.rate, 1),
            "latency_ms": {"p50": round(latency(50), 1), "p99": round(latency(99), 1)},
            "dropped": report.dropped,
            "carried": report.carried,
            "size": [run.shape.width, run.shape.height] if run else None,
            "style": facts.style if facts else self._controls().style,
            "becoming": facts.becoming if facts else "",
            "refused": facts.refused if facts else "",
            "backend": f"{facts.backend} {facts.version}, {facts.device}, {facts.precision}" if facts else None,
            "why": facts.fallbacks if facts else [],
            "cadence": round(run.pipeline.pace.cadence, 2) if run else 1,
            "network": facts.network if facts else "",
            "pacing": report.pacing,
            "source": self.source,
            "failing": self.failing,
        }

    def run(self) -> None:
        while not self._closing.wait(_TICK):
            self._look_after()
        if self._run is not None:
            self._run.end(self.patience)

    def close(self) -> None:
        """End everything, the sinks last. The first network, while it is being made, is not waited for."""
        if self.player is not None:
            self.player.close()
        self._closing.set()
        self.join(10 if self._run is not None else 0.1)
        for sink in self._sinks:
            sink.close()

    def _look_after(self) -> None:
        run, shape = self._run, self._wanted()
        if run is not None and run.over:
            self._go_on_without(run, _explain(run.error) if run.error else "painting: it ended")
        elif run is not None and self._hangs():
            self._go_on_without(run, f"network: no answer for {self.patience:g} s")
        elif shape is not None and (run is None or (run.shape, run.backend) != (shape, self.backend)):
            self._replace(run, shape, self.backend)
        elif run is not None and self._broke and run.guard.facts is not None and run.guard.failing is None:
            self._broke = None  # it paints again

    def _wanted(self) -> Shape | None:
        if self.feed.shape is not None:
            return fitting(self._run.shape if self._run else None, self.feed.shape, self.size)
        return None if self.player is not None else Shape(*self.size) if self.size else DEFAULT

    def _hangs(self) -> bool:
        count, offered, now = self.broadcast.count, self.feed.offered, time.monotonic()
        if count != self._progress[0] or offered == self._progress[1]:
            self._progress = (count, offered, now)
        return now - self._progress[2] > self.patience

    def _replace(self, old: _Run | None, shape: Shape, backend: str) -> None:
        """Make a chain for what is wanted while the old one paints on; where that fails it does so for good."""
        if time.monotonic() < self._not_before:
            return
        first, refused = None, None
        try:
            first = self._make(shape, backend)
        except Exception as error:  # of a backend, in any way of its own
            refused = _explain(error)
            self._not_before = time.monotonic() + self.again
        self._refused = refused
        if first is None and old is not None and old.shape == shape:
            self.backend = old.backend  # nothing is gained by going over to one that does not run
            return
        self._broke, self._refused = self._refused, None
        run = self._prepared(shape, backend, first)
        if first is not None:
            try:
                run.pipeline.warm_up()
            except Exception as error:
                self._broke = _explain(error)
                run.guard.close()
                run = self._prepared(shape, backend, None)
        if old is not None:
            old.end(self.patience)
        self._begin(run)

    def _go_on_without(self, broken: _Run, why: str) -> None:
        """Let the camera through, and try to paint again in a while."""
        self._broke = why
        self._breaks = self._breaks + 1 if time.monotonic() - broken.began < _LONGEST_REST else 1
        run = self._prepared(broken.shape, broken.backend, None, rest(self.again, self._breaks))
        broken.pipeline.stop()  # one that hangs ends whenever it wakes up
        threading.Thread(target=broken.guard.close, daemon=True).start()
        self._begin(run)

    def _prepared(self, shape: Shape, backend: str, first: Painting | None, wait: float | None = None) -> _Run:
        grid = tile_grid(shape.width, shape.height)
        guard = Guard(lambda: self._make(shape, backend), grid, first, wait or self.again)
        pipeline = Pipeline(
            Tap(self.feed, shape),
            cast(MorphingStylizer, guard),  # which it stands in for
            [self.broadcast, *self._sinks],
            self.report,
            self._controls,
        )
        pipeline.warm = first is None
        return _Run(pipeline, guard, shape, backend)

    def _begin(self, run: _Run) -> None:
        self._progress = (self.broadcast.count, self.feed.offered, time.monotonic())
        self._run = run
        run.start()


def _explain(error: Exception) -> str:
    """Which stage failed, by the innermost module of the house that the error came through, and why."""
    stage, trace = "network", error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        stage = next((name for start, name in _MODULES.items() if module.startswith(start)), stage)
        trace = trace.tb_next
    return f"{stage}: {' '.join(reason(error).split())[:200] or type(error).__name__}"
