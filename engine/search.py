"""The search for motion without a GPU: roughly at the size of the cells, then by patches at up to twice that size.

What moves the paint must be right to a fraction of a pixel: a tenth more or less is half of all the unrest that is left.
OpenCV's dense inverse search (Kroeger et al. 2016) finds it roughly, in a millisecond; from there patches of our own are
aligned, where there is time on twice as many pixels each way, agree with their neighbours, and are spread over the cells.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from kernels import cpu_motion
from kernels.layout import PATCH, PATCH_ROOM, patch_count

# the other cores are busy with the network; more threads would only take turns with it
cv2.setNumThreads(1)

SMALLEST = 16  # cells; the search needs two patches side by side
AFFORDED = 320  # cells of 4 pixels on the longer side, at most, for patches at twice their size
STRIDE = PATCH  # pixels between patches; overlapping ones cost more than they gain
EVALUATIONS = 4  # of a patch's place
RIDGE = np.float32(1)  # squared codes; only keeps a divisor from 0
FARTHEST = np.float32(4)  # pixels from where the rough search leads; a patch that goes further has lost itself
NOISE = np.float32(2)  # squared codes by which a pixel may differ for nothing
STIFFNESS = np.float32(0.3)  # of the agreement between neighbours
KINK = np.float32(1e-3)  # squared pixels of disagreement that count for little
SWEEPS = 8  # of the patches, until they agree
FLOOR = np.float32(0.1)  # of a patch's weight for a cell, however far it is
ALIKE = np.float32(0.1)  # pixels between the motions of neighbours among which nothing is to be chosen


@dataclass(slots=True)
class Search:
    """What the search remembers of the frame before, and its buffers; see `kernels.reference_motion` for the patches'."""

    ratio: int  # pixels of the `fine` picture on a cell's side
    fine: np.ndarray  # float32, padded: luma of the newest frame
    before: np.ndarray  # the same, of the frame before
    shrunk: np.ndarray  # uint8, the same, not padded
    framed: np.ndarray  # uint8, padded
    motion: np.ndarray
    settled: np.ndarray
    texture: np.ndarray
    backward: np.ndarray  # float32 [h, w, 2], from each cell to its place in the frame before, in cells
    forward: np.ndarray  # the other way round
    rough: tuple[cv2.DISOpticalFlow, cv2.DISOpticalFlow]  # backward, from where patches begin; forward, which only checks

    @classmethod
    def for_cells(cls, rows: int, columns: int, scale: int) -> "Search":
        """For cells of `scale` luma pixels."""
        ratio = 2 if scale == 8 or (scale == 4 and max(rows, columns) <= AFFORDED) else 1
        shape = (rows * ratio, columns * ratio)
        padded = tuple(length + 2 * PATCH_ROOM for length in shape)
        patches = tuple(patch_count(max(length, PATCH), STRIDE) for length in shape)  # none is ever aligned in less
        return cls(
            ratio,
            fine=np.zeros(padded, np.float32),
            before=np.zeros(padded, np.float32),
            shrunk=np.zeros(shape, np.uint8),
            framed=np.zeros(padded, np.uint8),
            motion=np.zeros((2, *patches), np.float32),
            settled=np.zeros((2, *patches), np.float32),
            texture=np.zeros((4, *patches), np.float32),
            backward=np.zeros((rows, columns, 2), np.float32),
            forward=np.zeros((rows, columns, 2), np.float32),
            # the way back only has to show whether it leads home
            rough=(_rough_search(rows, columns, 1 if ratio == 2 else 2), _rough_search(rows, columns, 2)),
        )

    def look(self, luma: np.ndarray, small: np.ndarray, scale: int) -> None:
        """Take in the newest frame, uint8 [H, W], whose cells have the luma `small`."""
        self.fine, self.before = self.before, self.fine
        if self.ratio > 1:
            shrink(luma, scale // self.ratio, self.shrunk)
            small = self.shrunk
        cv2.copyMakeBorder(small, *(PATCH_ROOM,) * 4, cv2.BORDER_REPLICATE, dst=self.framed)
        np.copyto(self.fine, self.framed)

    def find(self, small: np.ndarray, previous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`backward` and `forward` between the last two frames, whose cells have the luma uint8 [h, w]; at rest if few."""
        if min(small.shape) < SMALLEST:
            return self.backward, self.forward
        self.backward = self.rough[0].calc(small, previous, self.backward)
        self.forward = self.rough[1].calc(previous, small, self.forward)
        pictures, found = (self.fine, self.before), (self.motion, self.texture)
        cpu_motion.align_patches(*pictures, self.backward, self.ratio, STRIDE, EVALUATIONS, RIDGE, FARTHEST, *found)
        cpu_motion.settle_patches(self.motion, self.texture, NOISE, STIFFNESS, KINK, SWEEPS, self.settled)
        cpu_motion.spread_patches(self.settled, self.ratio, STRIDE, small, previous, FLOOR, ALIKE, self.backward)
        return self.backward, self.forward


def shrink(luma: np.ndarray, scale: int, small: np.ndarray) -> None:
    """Area average of `scale` x `scale` pixels, into `small`; a last, incomplete cell repeats the edge."""
    height, width = luma.shape
    rows, columns = small.shape
    if rows * scale != height or columns * scale != width:
        bottom, right = rows * scale - height, columns * scale - width
        luma = cv2.copyMakeBorder(luma, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    cv2.resize(luma, (columns, rows), dst=small, interpolation=cv2.INTER_AREA)


def _rough_search(rows: int, columns: int, finest: int) -> cv2.DISOpticalFlow:
    """One that goes down to the cells halved `finest` times; fewer times if the picture is thin.

    Where OpenCV finds `finest` beyond the coarsest, it takes another by the longer side alone, and halves the shorter one to
    nothing.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(min(finest, max(min(rows, columns) // PATCH, 1).bit_length() - 1))
    if finest < 2:  # four times the patches; wider steps and fewer iterations pay for them
        search.setPatchStride(6)
        search.setGradientDescentIterations(3)
    return search
