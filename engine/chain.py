"""The chain of one frame: pack, flow and network, then warp, blend and finish. No threads, no clocks but for measuring."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from engine import flow, temporal
from engine.controls import Controls
from engine.frame import Frame
from engine.report import Report
from engine.seeing import Seeing
from engine.stylizers import Stylizer


@dataclass(slots=True)
class _Begun:
    """A frame on its way. Without `motion` it is not painted at all; where `fresh`, the network works on it."""

    frame: Frame
    motion: flow.Motion | None = None
    fresh: bool = False
    controls: Controls = field(default_factory=Controls)


@dataclass(slots=True)
class Chain:
    """Everything that is remembered from frame to frame. Frames go in with `begin` or `let_through` and come out of
    `finish` in order."""

    stylizer: Stylizer
    report: Report
    motion: flow.FlowState
    wet: temporal.Wet
    seeing: Seeing
    waiting: deque[_Begun] = field(default_factory=deque)

    @classmethod
    def for_size(cls, width: int, height: int, stylizer: Stylizer, report: Report) -> "Chain":
        state = flow.FlowState.for_size(width, height, ring=stylizer.depth + 1)
        wet = temporal.Wet.for_size(width, height, state.scale)
        return cls(stylizer, report, state, wet, Seeing.for_size(width, height))

    @property
    def full(self) -> bool:
        """Whether a frame must be finished before the next is begun."""
        return len(self.waiting) >= self.stylizer.depth

    def begin(self, frame: Frame, fresh: bool, controls: Controls) -> None:
        """Set the network to work on `frame`, where `fresh` or at a cut, and meanwhile find its motion."""
        if fresh:
            self._submit(frame)
        follows = self.motion.begun
        with self.report.stages["flow"].timed():
            motion = flow.step(self.motion, frame.planes[0])
        self.report.cuts += motion.cut and follows  # the first frame ends no scene
        if motion.cut and not fresh:
            self._submit(frame)
        self.waiting.append(_Begun(frame, motion, fresh or motion.cut, controls))

    def let_through(self, frame: Frame) -> None:
        """Leave `frame` as it is. The next one to be painted is the first of its scene: no paint is wet any more."""
        self.motion.begun = False
        self.waiting.append(_Begun(frame))

    def _submit(self, frame: Frame) -> None:
        with self.report.stages["pack"].timed():
            self.seeing.show(frame.planes, self.stylizer.input())
        self.stylizer.submit()

    def finish(self) -> Frame:
        """The oldest frame begun, painted."""
        begun = self.waiting.popleft()
        if begun.motion is None:
            return temporal.unpainted(begun.frame)
        tiles: np.ndarray | None = None
        if begun.fresh:
            with self.report.stages["network"].timed():
                tiles = self.stylizer.collect()
        self.report.carried += not begun.fresh
        with self.report.stages["temporal"].timed():
            return temporal.step(self.wet, begun.frame, begun.motion, tiles, begun.controls)
