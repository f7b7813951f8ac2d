"""What every kernel of motion means, written in NumPy for reading and for testing against; nothing runs it in production."""

import numpy as np

from kernels.layout import PATCH, PATCH_ROOM, patch_count
from kernels.reference import bilinear

f32 = np.float32


def align_patches(
    here: np.ndarray,
    there: np.ndarray,
    start: np.ndarray,
    ratio: int,
    stride: int,
    evaluations: int,
    ridge: float,
    farthest: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The way of each patch of a picture to its place in the one before, to a fraction of a pixel.

    `here`, `there` float32 [H + 2 PATCH_ROOM, W + 2 PATCH_ROOM] in codes, the edge repeated around; patches of PATCH x PATCH
    pixels begin `stride` pixels apart, the last of a row or column where it still fits. `start` float32 [h, w, 2] is the
    motion, x before y, in cells of `ratio` x `ratio` pixels, from which each patch begins: that of the cell in its middle.

    From there Gauss-Newton, inverse compositional (Baker & Matthews 2004; Kroeger et al. 2016), with the gradient g of the
    patch itself less its mean, so that a change of light counts for nothing:

        d = there(x + motion) - here(x)      cost = sum d^2 - (sum d)^2 / PATCH^2
        motion' = motion - (sum g g^T + ridge I)^-1 sum g d

    as long as the cost falls, `evaluations` of it at most; what leads more than `farthest` pixels away is not believed.

    Returns (motion float32 [2, m, n] in pixels; texture float32 [4, m, n]: sum g_x^2, g_x g_y, g_y^2, and the cost).
    """
    height, width = (length - 2 * PATCH_ROOM for length in here.shape)
    y = np.minimum(np.arange(patch_count(height, stride)) * stride, height - PATCH)
    x = np.minimum(np.arange(patch_count(width, stride)) * stride, width - PATCH)
    rows = (y[:, None] + np.arange(PATCH))[:, None, :, None] + PATCH_ROOM
    columns = (x[:, None] + np.arange(PATCH))[None, :, None, :] + PATCH_ROOM
    shown = here[rows, columns]
    slopes = (here[rows, columns + 1] - here[rows, columns - 1], here[rows + 1, columns] - here[rows - 1, columns])
    across, down = ((slope - slope.mean((2, 3), keepdims=True)) / 2 for slope in slopes)
    xx, xy, yy = ((a * b).sum((2, 3), dtype=np.float64) for a, b in ((across, across), (across, down), (down, down)))

    def judged(motion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cost of a motion [2, m, n], and the sums of difference times gradient."""
        to_x = np.clip(x + motion[0], 1 - PATCH_ROOM, width)[..., None, None] + np.arange(PATCH)
        to_y = np.clip(y[:, None] + motion[1], 1 - PATCH_ROOM, height)[..., None, None] + np.arange(PATCH)[:, None]
        d = bilinear(there, *np.broadcast_arrays(to_x + PATCH_ROOM, to_y + PATCH_ROOM)) - shown
        cost = (d * d).sum((2, 3)) - d.sum((2, 3)) ** 2 / PATCH**2
        return cost, (d * across).sum((2, 3)), (d * down).sum((2, 3))

    cells = (np.minimum((side + PATCH // 2) // ratio, count - 1) for side, count in zip((y, x), start.shape, strict=False))
    first = np.moveaxis(start[np.ix_(*cells)], -1, 0) * ratio
    at, best, going = first.copy(), first.copy(), np.ones(xx.shape, bool)
    cost = np.full(xx.shape, np.inf)
    first_cost = judged(first)[0]
    scale = 1 / ((xx + ridge) * (yy + ridge) - xy * xy)
    for _ in range(evaluations):
        now, pull_x, pull_y = judged(at)
        going &= now < cost
        cost, best = np.where(going, now, cost), np.where(going, at, best)
        step = np.stack([(yy + ridge) * pull_x - xy * pull_y, (xx + ridge) * pull_y - xy * pull_x]) * scale
        at = np.where(going, at - step, at)
    lost = ((best - first) ** 2).sum(0) > farthest**2
    motion, cost = np.where(lost, first, best), np.where(lost, first_cost, cost)
    return motion.astype(f32), np.stack([xx, xy, yy, cost]).astype(f32)


def settle_patches(
    motion: np.ndarray, texture: np.ndarray, noise: float, stiffness: float, kink: float, sweeps: int
) -> np.ndarray:
    """Motion of patches that agree with their neighbours where their own texture says little: float32 [2, m, n] in pixels.

    `motion` v and `texture` as `align_patches` gives them. The least of

        sum over patches (s - v)^T G (s - v) / (cost / PATCH^2 + noise) + 2 stiffness sum over neighbours |s_i - s_j|

    where G are the patch's squared gradients: total variation, so that edges of motion stay. By iteratively reweighted least
    squares, |d| as d^2 / sqrt(d^2 + kink) with the newest d, in `sweeps` of Gauss-Seidel over the two colours of a
    chequerboard.
    """
    _, m, n = motion.shape
    weight = 1 / (texture[3] / PATCH**2 + noise)
    xx, xy, yy = texture[:3].astype(np.float64) * weight
    own = np.stack([xx * motion[0] + xy * motion[1], xy * motion[0] + yy * motion[1]])
    settled = motion.astype(f32).copy()
    colour = np.add.outer(np.arange(m), np.arange(n)) % 2
    for half_sweep in range(2 * sweeps):
        framed = np.pad(settled, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        pull, to = np.zeros((m, n)), own.copy()
        for a, b in ((2, 1), (0, 1), (1, 2), (1, 0)):
            there = framed[:, a : a + m, b : b + n]
            strength = np.nan_to_num(stiffness / np.sqrt(((there - settled) ** 2).sum(0) + kink))
            pull, to = pull + strength, to + strength * np.nan_to_num(there)
        held_x, held_y = xx + pull, yy + pull
        solved = np.stack([held_y * to[0] - xy * to[1], held_x * to[1] - xy * to[0]]) / (held_x * held_y - xy * xy)
        settled = np.where(colour == half_sweep % 2, solved, settled).astype(f32)
    return settled


def spread_patches(
    motion: np.ndarray, ratio: int, stride: int, small: np.ndarray, previous: np.ndarray, floor: float, alike: float
) -> np.ndarray:
    """Motion of every cell out of that of the patches around it: float32 [h, w, 2], x before y, in cells.

    `motion` [2, m, n] in pixels, of which a cell has `ratio` x `ratio`; `small`, `previous` uint8 [h, w], the luma of the
    cells of this frame and of the one before. Of the four patches around a cell each counts by how near it is (bilinearly;
    a `floor` more for all, so that the right one may win from afar) and by how well its motion explains the cell:

        weight = (nearness + floor) / max(|previous(x + motion) - small(x)|, 1)

    Where the other three are less than `alike` pixels from the first, nothing is to be chosen, and they are interpolated.
    """
    height, width = small.shape
    _, m, n = motion.shape
    rows, columns = (np.clip(((np.arange(c) + 0.5) * ratio - PATCH / 2) / stride, 0, None) for c in (height, width))
    top, left = np.minimum(rows.astype(int), m - 1), np.minimum(columns.astype(int), n - 1)
    t, u = np.minimum(rows - top, 1)[:, None], np.minimum(columns - left, 1)[None]
    y, x = np.mgrid[:height, :width].astype(f32)
    total, weights = np.zeros((2, height, width)), np.zeros((height, width))
    mean, apart = np.zeros((2, height, width)), np.zeros((height, width))
    first = motion[:, top[:, None], left[None]]
    for below in (0, 1):
        for right in (0, 1):
            i, j = np.minimum(top + below, m - 1), np.minimum(left + right, n - 1)
            offered = motion[:, i[:, None], j[None]] / ratio
            there = bilinear(previous, np.clip(x + offered[0], 0, width - 1), np.clip(y + offered[1], 0, height - 1))
            near = (t if below else 1 - t) * (u if right else 1 - u)
            weight = (near + floor) / np.maximum(np.abs(there - small), 1)
            total, weights = total + weight * offered, weights + weight
            mean = mean + near * offered
            apart = np.maximum(apart, ((motion[:, i[:, None], j[None]] - first) ** 2).sum(0))
    return np.moveaxis(np.where(apart < alike**2, mean, total / weights), 0, -1).astype(f32)


def motion_field(
    small: np.ndarray,
    previous: np.ndarray,
    backward: np.ndarray,
    forward: np.ndarray,
    scale: int,
    still: float,
    slack: float,
    sure: float,
    unsure: float,
) -> tuple[np.ndarray, np.ndarray]:
    """What is known of the motion behind each cell: where it was, and how sure that is.

    `small`, `previous` uint8 [h, w], the luma of this frame and of the one before; `backward` float32 [h, w, 2], for each
    cell of `small` the way to its place in `previous`, `forward` the other way round, both in cells.

    A cell stands still if it moves less than `still` luma pixels and not moving explains its luma as well (within `slack`
    codes): its paint is then copied, not resampled. Confidence is the product of what is left of 1 after
      - the luma's residual d, from 1 at |d| <= `sure` to 0 at |d| >= `unsure` codes,
      - the round trip: 0 where |b + f(x + b)|^2 > 0.02 (|b|^2 + |f|^2) + 2 (the form of Sundaram et al. 2010),
      - motion boundaries: 0 where |grad b_x|^2 + |grad b_y|^2 > 0.01 |b|^2 + 0.04, the gradient in central differences
        (the form of Ruder et al. 2016; their constant 0.002 is for flow of full size),
      - places that come from outside of the picture: 0.

    Returns (field float32 [3, h, w], residual float32 [h, w]): motion x, y in luma pixels of full size, confidence; and d.
    """
    height, width = small.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    unmoved = small.astype(np.float32) - previous
    bx, by = backward[..., 0], backward[..., 1]
    px, py = np.clip(x + bx, 0, width - 1), np.clip(y + by, 0, height - 1)
    moved = small.astype(np.float32) - bilinear(previous, px, py)
    rests = (bx * bx + by * by < (still / scale) ** 2) & (np.abs(unmoved) <= np.abs(moved) + slack)
    residual = np.where(rests, unmoved, moved)
    confidence = np.clip((unsure - np.abs(residual)) / (unsure - sure), 0, 1)
    back = bilinear(forward, px, py)
    trip = (bx + back[..., 0]) ** 2 + (by + back[..., 1]) ** 2
    length = bx * bx + by * by
    confidence[~rests & (trip > 0.02 * (length + (back**2).sum(2)) + 2)] = 0
    left, right = np.maximum(np.arange(width) - 1, 0), np.minimum(np.arange(width) + 1, width - 1)
    above, below = np.maximum(np.arange(height) - 1, 0), np.minimum(np.arange(height) + 1, height - 1)
    across, down = (backward[:, right] - backward[:, left]) / 2, (backward[below] - backward[above]) / 2
    confidence[~rests & ((across**2).sum(2) + (down**2).sum(2) > 0.01 * length + 0.04)] = 0
    outside = (x + bx < 0) | (x + bx > width - 1) | (y + by < 0) | (y + by > height - 1)
    confidence[~rests & outside] = 0
    field = np.stack(
        [
            np.where(rests, 0, bx * scale),
            np.where(rests, 0, by * scale),
            confidence,
        ]
    )
    return field.astype(np.float32), residual.astype(np.float32)


def discount(field: np.ndarray, scale: int, stale: np.ndarray) -> np.ndarray:
    """The confidence [h, w] of `field` less what was stale, float32 [h, w] in [0, 1], where each cell came from."""
    _, height, width = field.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    px, py = np.clip(x + field[0] / scale, 0, width - 1), np.clip(y + field[1] / scale, 0, height - 1)
    return field[2] * (1 - bilinear(stale, px, py))
