"""What every kernel means, written in NumPy for reading and for testing against; nothing runs it in production."""

import numpy as np

from kernels.layout import BLOCK, BORDER, FAINT, MARGIN, STRONGEST, TILE, tile_grid


def pack_tiles(luma: np.ndarray, cb: np.ndarray, cr: np.ndarray) -> np.ndarray:
    """Fold 4:2:0 planes uint8 [H, W], [ceil(H/2), ceil(W/2)] twice into the network's tiles uint8 [h, w, 24].

    Channels 0-15 are the 4x4 luma samples row by row, 16-19 the 2x2 Cb samples, 20-23 the Cr ones. The picture lies MARGIN
    luma samples from the top left, and its edge samples are repeated all around it.
    """
    height, width = luma.shape
    rows, columns = tile_grid(width, height)
    folded = []
    for plane, side in ((luma, TILE), (cb, TILE // 2), (cr, TILE // 2)):
        margin = MARGIN * side // TILE
        after = (rows * side - margin - plane.shape[0], columns * side - margin - plane.shape[1])
        framed = np.pad(plane, [(margin, after[0]), (margin, after[1])], mode="edge")
        parts = framed.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
        folded.append(parts.reshape(rows, columns, side * side))
    return np.concatenate(folded, 2)


def texture(tiles: np.ndarray) -> np.ndarray:
    """The texture of tiles uint8 [h, w, >= 16]: their luma's faint detail, made as strong everywhere, uint8 [h, w, 16].

    Detail is what a narrow blur leaves and a broad one does not; it is divided by how much of it there is around (local
    contrast normalisation, Jarrett et al. 2009), and 128 is none. A canvas that moves with the picture: paint that is made
    of it moves as well, by fractions of a pixel and where the eye sees nothing but a plane.
    """
    rows, columns, _ = tiles.shape
    parts = tiles[..., : TILE**2].reshape(rows, columns, TILE, TILE).transpose(0, 2, 1, 3)
    luma = parts.reshape(rows * TILE, columns * TILE).astype(np.float32)
    detail = _blurred(luma, [1, 2, 1]) - _blurred(luma, [1, 2, 3, 4, 5, 4, 3, 2, 1])
    energy = np.square(detail).reshape(rows, TILE, columns, TILE).mean((1, 3))
    gain = 1 / np.sqrt(_blurred(energy, [1, 8, 28, 56, 70, 56, 28, 8, 1]) + np.float32(FAINT**2))
    for axis in range(2):
        gain = _stretched(gain, axis)
    codes = np.clip(detail * gain, -STRONGEST, STRONGEST) * np.float32(126 / STRONGEST)
    folded = np.rint(codes + 128).reshape(rows, TILE, columns, TILE).transpose(0, 2, 1, 3)
    return folded.reshape(rows, columns, TILE**2).astype(np.uint8)


def _blurred(plane: np.ndarray, taps: list[int]) -> np.ndarray:
    """Blurred both ways by `taps` over their sum; beyond the edge, the edge."""
    weights, reach = np.array(taps, np.float32) / np.float32(sum(taps)), len(taps) // 2
    for axis in range(2):
        padded = np.pad(plane, [(reach, reach) if axis == side else (0, 0) for side in range(2)], mode="edge")
        length = plane.shape[axis]
        parts = (weight * padded.take(range(i, i + length), axis) for i, weight in enumerate(weights))
        plane = np.stack(list(parts)).sum(0, dtype=np.float32)
    return plane


def _stretched(values: np.ndarray, axis: int) -> np.ndarray:
    """TILE times as many along an axis, linearly between the middles of tiles."""
    place = (np.arange(values.shape[axis] * TILE, dtype=np.float32) + 0.5) / TILE - 0.5
    before = np.floor(place).astype(int)
    last = values.shape[axis] - 1
    one, other = (values.take(np.clip(index, 0, last), axis) for index in (before, before + 1))
    share = np.expand_dims((place - before).astype(np.float32), 1 - axis)
    return one + share * (other - one)


def unpack_plane(tiles: np.ndarray, first_channel: int, side: int, shape: tuple[int, int]) -> np.ndarray:
    """One plane uint8 [H, W] out of tiles: `side` x `side` samples a tile from `first_channel` on."""
    rows, columns, _ = tiles.shape
    part = tiles[..., first_channel : first_channel + side * side].reshape(rows, columns, side, side)
    margin = MARGIN * side // TILE
    plane = part.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    return plane[margin : margin + shape[0], margin : margin + shape[1]]


def pad_wet(plane: np.ndarray) -> np.ndarray:
    """A plane [H, W] as wet paint: float32 with BORDER samples of its edge repeated all around."""
    return np.pad(plane.astype(np.float32), BORDER, mode="edge")


def stretch(field: np.ndarray, scale: int, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a field float32 [h, w] bilinearly to [H, W]; each cell covers `scale` x `scale` samples."""
    height, width = shape
    y = np.clip((np.arange(height) + 0.5) / scale - 0.5, 0, field.shape[0] - 1)
    x = np.clip((np.arange(width) + 0.5) / scale - 0.5, 0, field.shape[1] - 1)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, field.shape[0] - 1), np.minimum(left + 1, field.shape[1] - 1)
    t, u = (y - top)[:, None], (x - left)[None]
    rows = field[top] + t * (field[bottom] - field[top])
    return (rows[:, left] + u * (rows[:, right] - rows[:, left])).astype(np.float32)


def cubic(wet: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample padded `wet` at picture coordinates with Catmull-Rom's cubic (Keys 1981, a = -1/2); exact at whole pixels."""

    def weights(t: np.ndarray) -> list[np.ndarray]:
        return [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ]

    column, row = x.astype(int), y.astype(int)
    across, down = weights(x - column), weights(y - row)
    first = BORDER - 1
    return sum(
        down[j] * sum(across[i] * wet[row + j + first, column + i + first] for i in range(4)) for j in range(4)
    ).astype(np.float32)


def blend_plane(
    wet: np.ndarray,
    field: np.ndarray,
    scale: int,
    shrink: float,
    smooth: bool,
    fresh: np.ndarray | None,
    shape: tuple[int, int],
    consistency: float,
) -> np.ndarray:
    """Carry the wet paint of one plane along the motion and blend it with the fresh.

    `wet` float32, padded, [H + 2 BORDER, W + 2 BORDER] in [0, 255]; `field` float32 [3, h, w], whose cells cover `scale` x
    `scale` samples of this plane: motion x and y to where the sample was (in luma pixels, times `shrink` in samples of this
    plane) and confidence in [0, 1]; `fresh` uint8 [H, W] or None where the network did not run.

        old = sample(wet, position + shrink * motion)                  (cubic where `smooth`, else bilinear)
        wet' = fresh + consistency * confidence * (old - fresh)        (old where there is no fresh)

    Returns the next wet plane, padded.
    """
    height, width = shape
    move_x, move_y, keep = (stretch(f, scale, shape) for f in field)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    from_x = np.clip(x + np.float32(shrink) * move_x, 0, width - 1)
    from_y = np.clip(y + np.float32(shrink) * move_y, 0, height - 1)
    old = cubic(wet, from_x, from_y) if smooth else bilinear(wet, from_x + BORDER, from_y + BORDER)
    mixed = old if fresh is None else fresh + consistency * keep * (old - fresh)
    return pad_wet(np.clip(mixed, 0, 255))


def measure(plane: np.ndarray) -> np.ndarray:
    """What each block of BLOCK x BLOCK samples of a plane [H, W] holds: detail across and down, light; float32 [3, h, w].

    Detail is the sum of |p(x) - p(x-1)| and of |p(y) - p(y-1)|, light the sum of p; the first row and column are left out.
    """
    plane = plane.astype(np.float32)
    inner = plane[1:, 1:]
    found = np.stack([np.abs(inner - plane[1:, :-1]), np.abs(inner - plane[:-1, 1:]), inner])
    rows, columns = -(-plane.shape[0] // BLOCK), -(-plane.shape[1] // BLOCK)
    room = [(0, 0), (1, rows * BLOCK - plane.shape[0]), (1, columns * BLOCK - plane.shape[1])]
    return np.pad(found, room).reshape(3, rows, BLOCK, columns, BLOCK).sum((2, 4))


def restore_plane(wet: np.ndarray, gain: np.ndarray, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the strokes back what carrying and averaging took: light and sharpness.

    `wet` as in `blend_plane`; `gain` float32 [2, h, w] >= 0 and `lift` float32 [h, w] in codes, for each block of BLOCK x
    BLOCK samples, interpolated between them. Across and down are restored apart, because motion blurs along its own
    direction only.

        wet' = wet + lift + gain_across * (wet - mean of 3 across) + gain_down * (wet - mean of 3 down)

    Returns the next wet plane, padded, and the painted plane uint8 [H, W], which is `wet'` rounded.
    """
    height, width = shape = (wet.shape[0] - 2 * BORDER, wet.shape[1] - 2 * BORDER)

    def shifted(x: int, y: int) -> np.ndarray:
        return wet[BORDER + y : BORDER + y + height, BORDER + x : BORDER + x + width]

    inside = shifted(0, 0)
    across = inside - (shifted(-1, 0) + inside + shifted(1, 0)) / 3
    down = inside - (shifted(0, -1) + inside + shifted(0, 1)) / 3
    sharp = inside + stretch(lift, BLOCK, shape) + stretch(gain[0], BLOCK, shape) * across
    sharp = sharp + stretch(gain[1], BLOCK, shape) * down
    restored = np.clip(sharp, 0, 255)
    return pad_wet(restored), round_plane(restored)


def round_plane(plane: np.ndarray) -> np.ndarray:
    """Paint float32 [H, W] in [0, 255], rounded to uint8."""
    return np.floor(plane + 0.5).astype(np.uint8)


def bilinear(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample [H, W] or [H, W, C] at coordinates inside it."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, plane.shape[1] - 1), np.minimum(top + 1, plane.shape[0] - 1)
    t, u = y - top, x - left
    if plane.ndim == 3:
        t, u = t[..., None], u[..., None]
    upper = plane[top, left] + u * (plane[top, right].astype(np.float32) - plane[top, left])
    lower = plane[bottom, left] + u * (plane[bottom, right].astype(np.float32) - plane[bottom, left])
    return (upper + t * (lower - upper)).astype(np.float32)
