"""Dense optical flow on the GPU, defined in NumPy: inverse search over patches (Kroeger et al. 2016), made parallel.

The original hands good motion from patch to patch in the order of reading, which no GPU can follow. Here every patch looks
at what its neighbours near and far had found, all at once, a few times over (after PatchMatch's propagation, Barnes et al.
2009, with the far ones of Rong and Tan's jump flooding, 2006). All arithmetic is float32, in the order in which the CUDA
kernels (`cuda/dis.cu`) do it, so that both give the same numbers.
"""

from dataclasses import dataclass

import numpy as np

from kernels.layout import PATCH, patch_count

STRIDE = 5  # cells between patches
LEVELS = 5  # of the pyramid, at most
SMALLEST = 16  # cells on the shorter side of the coarsest level, at least
FIRST, AGAIN = 4, 3  # evaluations in the first descent of a patch, and in one after it asked its neighbours
ROUNDS = 2  # of asking
REACHES = (1, 3)  # how many patches away the neighbours are
RIDGE = 100.0  # added to the squared gradients of a patch, codes^2: one without texture keeps the motion it began with
SWEEPS = 5  # of red-black successive over-relaxation
SMOOTHNESS, FIDELITY = 40.0, 5.0  # weights of the two terms of the refinement
OVER_RELAXATION = 1.6
FLAT, ROUGH = 0.01, 1e-6  # keep divisors from 0: squared gradient in codes^2, squared penalised value
_PIXELS = PATCH * PATCH
f32 = np.float32


def level_count(height: int, width: int) -> int:
    """How many levels of the pyramid a picture [H, W] of at least SMALLEST on each side has."""
    count = 1
    while count < LEVELS and min(height, width) >= SMALLEST << count:
        count += 1
    return count


def pyramid(picture: np.ndarray) -> list[np.ndarray]:
    """Area means of 1, 2, 4 ... cells squared of `picture` uint8 [H, W], its edge repeated; float32, the finest first."""
    levels = []
    for level in range(level_count(*picture.shape)):
        side = 1 << level
        room = [(0, -length % side) for length in picture.shape]
        framed = np.pad(picture, room, mode="edge").astype(f32)
        rows, columns = framed.shape[0] // side, framed.shape[1] // side
        levels.append(framed.reshape(rows, side, columns, side).mean((1, 3), dtype=f32))
    return levels


def flow(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each cell of `picture` uint8 [H, W] the way to its place in `other`, in cells: float32 [H, W, 2], x before y.

    Both sides are SMALLEST cells or longer. From the coarsest level of the pyramid to the finest, patches start where the
    coarser ones lead, search, and ask around (`Search`); on the finest the patches make a dense field (`gather`), which is
    then refined (`refine`).
    """
    found: Search | None = None
    for here, there in zip(reversed(pyramid(picture)), reversed(pyramid(other)), strict=True):
        search = Search.begin(here, there, found)
        for _ in range(ROUNDS):
            search.ask_around()
        found = search
    assert found is not None
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return refine(found.here, found.there, gather(found, rows, columns))


@dataclass(slots=True)
class Search:
    """All patches of one level: what each shows, and the motion each has found.

    A patch p, of pixels x, minimises over its motion u the squared difference of the pictures up to a change of light:

        cost(u) = sum of d^2 - (sum of d)^2 / 64, d = there(x + u) - here(x)

    by Gauss-Newton steps u -= H^-1 sum of g d, where g is the gradient of `here` less its mean over the patch and
    H = sum of g g^T + RIDGE: inverse compositional, so that H is made once (Baker and Matthews 2004). A step is kept while
    the cost falls; a descent that leads farther than a patch is void. Beyond its edge a picture repeats it.
    """

    here: np.ndarray
    there: np.ndarray
    rows: np.ndarray  # int [m], where patches begin
    columns: np.ndarray  # int [n]
    shown: np.ndarray  # float32 [m, n, 8, 8]
    gradient: tuple[np.ndarray, np.ndarray]  # float32 [m, n, 8, 8], across and down, less their means
    matrix: tuple[np.ndarray, np.ndarray, np.ndarray]  # float32 [m, n], H's xx, xy, yy
    motion: np.ndarray  # float32 [m, n, 2], x before y
    cost: np.ndarray  # float32 [m, n]

    @classmethod
    def begin(cls, here: np.ndarray, there: np.ndarray, coarser: "Search | None") -> "Search":
        """Search from twice the motion of the next coarser level, or from none."""
        rows, columns = (np.minimum(np.arange(patch_count(n, STRIDE)) * STRIDE, n - PATCH) for n in here.shape)
        y = rows[:, None, None, None] + np.arange(PATCH)[:, None]
        x = columns[:, None, None] + np.arange(PATCH)
        last_y, last_x = here.shape[0] - 1, here.shape[1] - 1
        half = f32(0.5)
        across = half * (here[y, np.minimum(x + 1, last_x)] - here[y, np.maximum(x - 1, 0)])
        down = half * (here[np.minimum(y + 1, last_y), x] - here[np.maximum(y - 1, 0), x])
        across -= _total(across)[..., None, None] / f32(_PIXELS)
        down -= _total(down)[..., None, None] / f32(_PIXELS)
        matrix = (_total(across * across) + f32(RIDGE), _total(across * down), _total(down * down) + f32(RIDGE))
        motion = np.zeros((len(rows), len(columns), 2), f32)
        if coarser is not None:
            half_y, half_x = (rows + PATCH // 2) // 2, (columns + PATCH // 2) // 2
            motion = f32(2) * gather(coarser, *np.meshgrid(half_y, half_x, indexing="ij"))
        search = cls(here, there, rows, columns, here[y, x], (across, down), matrix, motion, np.zeros(motion.shape[:2], f32))
        search._descend(FIRST)
        return search

    def ask_around(self) -> None:
        """Take the best motion among a patch's own and its neighbours', and search on from there."""
        best, cost = self.motion.copy(), self.cost.copy()
        for reach in REACHES:
            for down, right in ((-reach, 0), (reach, 0), (0, -reach), (0, reach)):
                row = np.clip(np.arange(len(self.rows)) + down, 0, len(self.rows) - 1)
                column = np.clip(np.arange(len(self.columns)) + right, 0, len(self.columns) - 1)
                offered = self.motion[row[:, None], column]
                asked, *_ = self._evaluate(offered)
                better = asked < cost
                best[better], cost[better] = offered[better], asked[better]
        self.motion = best
        self._descend(AGAIN)

    def _descend(self, evaluations: int) -> None:
        (xx, xy, yy), at = self.matrix, self.motion.copy()
        scale = f32(1) / (xx * yy - xy * xy)
        start, going = self.motion, np.ones(at.shape[:2], bool)
        best, cost = at.copy(), np.full(going.shape, np.inf, f32)
        for evaluation in range(evaluations):
            now, pull_x, pull_y = self._evaluate(at)
            if evaluation == 0:
                start_cost = now
            going &= now < cost
            best[going], cost[going] = at[going], now[going]
            step = np.stack([(yy * pull_x - xy * pull_y) * scale, (xx * pull_y - xy * pull_x) * scale], -1)
            at = np.where(going[..., None], at - step, at)
        moved_x, moved_y = (best - start)[..., 0], (best - start)[..., 1]
        void = moved_x * moved_x + moved_y * moved_y > f32(_PIXELS)
        self.motion, self.cost = np.where(void[..., None], start, best), np.where(void, start_cost, cost)

    def _evaluate(self, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each patch's cost at `motion`, and the sums of its difference times its gradient, across and down."""
        height, width = self.there.shape
        y = np.clip(self.rows[:, None].astype(f32) + motion[..., 1], -PATCH, height)
        x = np.clip(self.columns.astype(f32) + motion[..., 0], -PATCH, width)
        top, left = np.floor(y), np.floor(x)
        t, u = (y - top)[..., None, None], (x - left)[..., None, None]
        row = np.clip(top.astype(int)[..., None] + np.arange(PATCH + 1), 0, height - 1)
        column = np.clip(left.astype(int)[..., None] + np.arange(PATCH + 1), 0, width - 1)
        window = self.there[row[..., :, None], column[..., None, :]]
        along = window[..., :-1] + u * (window[..., 1:] - window[..., :-1])
        seen = along[..., :-1, :] + t * (along[..., 1:, :] - along[..., :-1, :])
        difference = seen - self.shown
        total = _total(difference)
        cost = _total(difference * difference) - total * total / f32(_PIXELS)
        return cost, *(_total(difference * gradient) for gradient in self.gradient)


def _total(patches: np.ndarray) -> np.ndarray:
    """The sum of float32 [..., 8, 8] over the last two axes, in the order of a group of 8 threads: each adds up its row,
    then pairs 4, 2 and 1 apart add up theirs."""
    rows = patches[..., 0]
    for column in range(1, PATCH):
        rows = rows + patches[..., column]
    while rows.shape[-1] > 1:
        half = rows.shape[-1] // 2
        rows = rows[..., :half] + rows[..., half:]
    return rows[..., 0]


def gather(search: Search, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The motion at cells (y, x) int [...], out of all patches that cover each: float32 [..., 2].

    A patch counts by 1 / max(1, |d|), where d is the difference of the pictures at the cell, moved by the patch.
    """
    total, weights = np.zeros((*y.shape, 2), f32), np.zeros(y.shape, f32)
    row, column = (np.maximum(at - (PATCH - STRIDE), 0) // STRIDE for at in (y, x))  # the first that reaches it
    for i in range(3):
        for j in range(3):
            # the last patch of a row or column may begin before its turn, never after
            m, n = np.minimum(row + i, len(search.rows) - 1), np.minimum(column + j, len(search.columns) - 1)
            covers = (row + i == m) & (column + j == n) & (search.rows[m] <= y) & (search.columns[n] <= x)
            motion = search.motion[m, n]
            difference = np.abs(_sample(search.there, y, x, motion) - search.here[y, x])
            weight = np.where(covers, f32(1) / np.maximum(difference, f32(1)), f32(0))
            total, weights = total + weight[..., None] * motion, weights + weight
    return total / weights[..., None]


def refine(here: np.ndarray, there: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The dense field, smoothed where the picture does not object: float32 [H, W, 2].

    Minimises, after linearising `there` around `motion`, the sum over cells of

        FIDELITY sqrt(n r^2 + ROUGH) + SMOOTHNESS sqrt(|grad u|^2 + |grad v|^2 + ROUGH)

    where r is the difference of the pictures and n = 1 / (|grad here|^2 + FLAT) (the normalised data term of Zimmer et al.
    2011), with both penalties' weights held at `motion`: SWEEPS sweeps over the cells in a chequerboard's order.
    """
    height, width = here.shape
    y, x = np.mgrid[:height, :width]
    xx, xy, yy, right_x, right_y, loose = _linearise(here, there, motion)
    pull = [np.zeros((height, width), f32) for _ in range(4)]  # weights of the neighbours left, right, above, below
    half = f32(0.5)
    pull[0][:, 1:] = half * (loose[:, 1:] + loose[:, :-1])
    pull[1][:, :-1] = half * (loose[:, :-1] + loose[:, 1:])
    pull[2][1:] = half * (loose[1:] + loose[:-1])
    pull[3][:-1] = half * (loose[:-1] + loose[1:])
    held = pull[0] + pull[1] + pull[2] + pull[3]
    diagonal_x, diagonal_y = xx + held, yy + held
    scale = f32(1) / (diagonal_x * diagonal_y - xy * xy)
    motion = motion.copy()
    for sweep in range(2 * SWEEPS):
        framed = np.pad(motion, [(1, 1), (1, 1), (0, 0)], mode="edge")
        sides = (framed[1:-1, :-2], framed[1:-1, 2:], framed[:-2, 1:-1], framed[2:, 1:-1])
        towards = sum((p[..., None] * s for p, s in zip(pull[1:], sides[1:], strict=True)), pull[0][..., None] * sides[0])
        to_x, to_y = right_x + towards[..., 0], right_y + towards[..., 1]
        solved = np.stack([(diagonal_y * to_x - xy * to_y) * scale, (diagonal_x * to_y - xy * to_x) * scale], -1)
        turn = ((x + y) % 2 == sweep % 2)[..., None]
        motion = np.where(turn, motion + f32(OVER_RELAXATION) * (solved - motion), motion)
    return motion


def _linearise(here: np.ndarray, there: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, ...]:
    """The data term around `motion`: its matrix (xx, xy, yy) and right side (x, y) for the whole motion, not for a change
    of it, and the weight of smoothness, all float32 [H, W]."""
    y, x = np.mgrid[: here.shape[0], : here.shape[1]]
    gx, gy = _slope(here, 1), _slope(here, 0)
    difference = _sample(there, y, x, motion) - here
    normal = f32(1) / (gx * gx + gy * gy + f32(FLAT))
    weight = f32(FIDELITY) * normal / np.sqrt(difference * difference * normal + f32(ROUGH))
    towards = gx * motion[..., 0] + gy * motion[..., 1] - difference
    along = [_slope(motion[..., c], axis) for axis in (1, 0) for c in (0, 1)]
    bend = along[0] * along[0] + along[1] * along[1] + along[2] * along[2] + along[3] * along[3]
    loose = f32(SMOOTHNESS) / np.sqrt(bend + f32(ROUGH))
    return (
        weight * gx * gx,
        weight * gx * gy,
        weight * gy * gy,
        weight * gx * towards,
        weight * gy * towards,
        loose,
    )


def _slope(plane: np.ndarray, axis: int) -> np.ndarray:
    """Central differences along an axis; the edge is repeated."""
    last = plane.shape[axis] - 1
    at = np.arange(last + 1)
    return f32(0.5) * (plane.take(np.minimum(at + 1, last), axis) - plane.take(np.maximum(at - 1, 0), axis))


def _sample(plane: np.ndarray, y: np.ndarray, x: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """`plane` [H, W] at (y, x) int [...] plus `motion` [..., 2], bilinear, from inside of it."""
    height, width = plane.shape
    to_y = np.clip(y.astype(f32) + motion[..., 1], 0, height - 1)
    to_x = np.clip(x.astype(f32) + motion[..., 0], 0, width - 1)
    top, left = to_y.astype(int), to_x.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    t, u = to_y - top.astype(f32), to_x - left.astype(f32)
    upper = plane[top, left] + u * (plane[top, right] - plane[top, left])
    lower = plane[bottom, left] + u * (plane[bottom, right] - plane[bottom, left])
    return upper + t * (lower - upper)
