"""Motion: dense optical flow from the luma plane at a fraction of the size, and how far it can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.pacing import is_cut
from engine.search import SMALLEST, Search, shrink
from kernels import cpu_motion

TARGET = 320  # cells on the longer side; finer flow costs more than it gains
STILL = 0.2  # luma pixels; less motion than this may be none
SLACK = 1.0  # codes by which the luma may fit worse without motion
SURE, UNSURE = 10.0, 30.0  # codes of luma; residuals at which confidence begins to fall and has gone
_LIMITS = tuple(np.float32(limit) for limit in (STILL, SLACK, SURE, UNSURE))


def flow_scale(width: int, height: int) -> int:
    """Luma pixels to a cell's side: the power of two that brings the longer side nearest to TARGET cells, at most 8."""
    scale = 1
    while scale < 8 and max(width, height) / scale > TARGET * 1.5 and min(width, height) >= 2 * SMALLEST * scale:
        scale *= 2
    return scale


@dataclass(slots=True)
class Motion:
    """What is known of the way from one frame to the next.

    `field` float32 [3, h, w]: see `kernels.reference_motion.motion_field`; confidence 0 everywhere at a cut. The array is
    reused `ring` frames later (`FlowState.for_size`).
    """

    field: np.ndarray
    scale: int  # luma pixels on a cell's side
    cut: bool  # the scene changed, or this is the first frame
    confidence: float  # mean, in [0, 1]


@dataclass(slots=True)
class FlowState:
    """What this stage remembers of the frame before, and its buffers."""

    scale: int
    small: np.ndarray  # uint8 [h, w], luma of the newest frame
    previous: np.ndarray  # the same, of the frame before
    search: Search
    residual: np.ndarray
    scratch: np.ndarray
    fields: list[np.ndarray]
    count: int = 0
    begun: bool = False  # there is a frame before

    @classmethod
    def for_size(cls, width: int, height: int, scale: int | None = None, ring: int = 2) -> "FlowState":
        """For pictures of this size; `ring` is how many frames a `Motion` stays valid."""
        scale = flow_scale(width, height) if scale is None else scale
        cells = (-(-height // scale), -(-width // scale))
        return cls(
            scale,
            small=np.zeros(cells, np.uint8),
            previous=np.zeros(cells, np.uint8),
            search=Search.for_cells(*cells, scale),
            residual=np.zeros(cells, np.float32),
            scratch=np.zeros(cells, np.float32),
            fields=[np.zeros((3, *cells), np.float32) for _ in range(ring)],
        )


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def step(state: FlowState, luma: np.ndarray) -> Motion:
    """Motion from the frame given before to `luma` uint8 [H, W]."""
    state.small, state.previous = state.previous, state.small
    shrink(luma, state.scale, state.small)
    state.search.look(luma, state.small, state.scale)
    field = state.fields[state.count % len(state.fields)]
    state.count += 1
    if not state.begun:
        state.begun = True
        field[:] = 0
        return Motion(field, state.scale, cut=True, confidence=0.0)
    ways = state.search.find(state.small, state.previous)
    cpu_motion.motion_field(state.small, state.previous, *ways, state.scale, *_LIMITS, field, state.residual)
    confidence = float(field[2].mean())
    cut = is_cut(confidence, float(np.abs(state.residual, out=state.scratch).mean()))
    if cut:
        field[:] = 0
    else:
        # halfway down to the least sure neighbour, with a soft seam
        cv2.erode(field[2], _NEIGHBOURS, dst=state.scratch)
        cv2.addWeighted(state.scratch, 0.5, field[2], 0.5, 0, dst=state.scratch)
        cv2.blur(state.scratch, (3, 3), dst=field[2])
    return Motion(field, state.scale, cut, confidence)
