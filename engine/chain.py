"""The chain of one frame: pack, flow and network, then warp, blend and finish. No threads, no clocks but for measuring."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from engine import flow, temporal
from engine.controls import Controls
from engine.frame import Frame
from engine.report import Report
from engine.stylizers import Stylizer
from kernels import cpu


@dataclass(slots=True)
class Chain:
    """Everything that is remembered from frame to frame. Frames go in with `begin` and come out of `finish` in order."""

    stylizer: Stylizer
    report: Report
    motion: flow.FlowState
    wet: temporal.Wet
    waiting: deque[tuple[Frame, flow.Motion, bool]] = field(default_factory=deque)

    @classmethod
    def for_size(cls, width: int, height: int, stylizer: Stylizer, report: Report) -> "Chain":
        state = flow.FlowState.for_size(width, height, ring=stylizer.depth + 1)
        return cls(stylizer, report, state, temporal.Wet.for_size(width, height, state.scale))

    @property
    def full(self) -> bool:
        """Whether a frame must be finished before the next is begun."""
        return len(self.waiting) >= self.stylizer.depth

    def begin(self, frame: Frame, fresh: bool) -> None:
        """Set the network to work on `frame`, where `fresh` or at a cut, and meanwhile find its motion."""
        stages = self.report.stages
        if fresh:
            self._submit(frame)
        with stages["flow"].timed():
            motion = flow.step(self.motion, frame.planes[0])
        self.report.cuts += motion.cut and self.motion.count > 1  # the first frame ends no scene
        if motion.cut and not fresh:
            self._submit(frame)
        self.waiting.append((frame, motion, fresh or motion.cut))

    def _submit(self, frame: Frame) -> None:
        with self.report.stages["pack"].timed():
            cpu.pack_tiles(*frame.planes, self.stylizer.input())
        self.stylizer.submit()

    def finish(self, controls: Controls) -> Frame:
        """The oldest frame begun, painted."""
        frame, motion, fresh = self.waiting.popleft()
        tiles: np.ndarray | None = None
        if fresh:
            with self.report.stages["network"].timed():
                tiles = self.stylizer.collect()
        self.report.carried += not fresh
        with self.report.stages["temporal"].timed():
            return temporal.step(self.wet, frame, motion, tiles, controls)
