"""The kernels that run in production without a GPU: fused, one pass over the picture, compiled by Numba, GIL released.

Meaning, shapes and formulas are those of `kernels.reference`; this file only says how they are made fast.
"""

from typing import Any

import numpy as np
from numba import njit

from kernels.layout import BLOCK, BORDER, MARGIN, TILE

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_MINUS_HALF, _THREE_HALVES, _FIVE_HALVES = np.float32(-0.5), np.float32(1.5), np.float32(2.5)
_WHITE = np.float32(255)
# inlined, the compiler sees that a function's buffers do not overlap, and keeps its vectors
_inlined: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "inline": "always"}
# the cache looks at this file only: after a change of `kernels.layout` empty `__pycache__`
_fast: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}


@njit(**_fast)
def pack_tiles(luma, cb, cr, tiles):
    """See `kernels.reference.pack_tiles`."""
    height, width = luma.shape
    half_height, half_width = cb.shape
    rows, columns, _ = tiles.shape
    first, after = MARGIN // TILE, (MARGIN + width) // TILE
    for row in range(rows):
        for part in range(4):
            y = min(max(row * 4 + part - MARGIN, 0), height - 1)
            for column in range(first, after):
                for k in range(4):
                    tiles[row, column, part * 4 + k] = luma[y, column * 4 + k - MARGIN]
            for column in range(first):
                for k in range(4):
                    tiles[row, column, part * 4 + k] = luma[y, 0]
            for column in range(after, columns):
                for k in range(4):
                    tiles[row, column, part * 4 + k] = luma[y, min(column * 4 + k - MARGIN, width - 1)]
        for part in range(2):
            y = min(max(row * 2 + part - MARGIN // 2, 0), half_height - 1)
            for column in range(columns):
                for k in range(2):
                    x = min(max(column * 2 + k - MARGIN // 2, 0), half_width - 1)
                    tiles[row, column, 16 + part * 2 + k] = cb[y, x]
                    tiles[row, column, 20 + part * 2 + k] = cr[y, x]


@njit(**_inlined)
def _sample_cubic(wet, stride, from_x, from_y, start, stop, places, weights, out):
    """Samples of the padded plane `wet` (flat) at picture coordinates inside it, for a run of one row: Catmull-Rom.

    First all weights of the run, which compiles to vector code, then the samples. Unsigned indices spare the test for
    Python's negative ones, and float32 constants the detour over float64: together four times as fast as written plainly.
    """
    for x in range(start, stop):
        column, row = np.int32(from_x[x]), np.int32(from_y[x])
        t, u = from_x[x] - np.float32(column), from_y[x] - np.float32(row)
        places[x] = np.int32((row + BORDER - 1) * stride + column + BORDER - 1)
        a0 = ((_MINUS_HALF * t + _ONE) * t + _MINUS_HALF) * t
        a1 = (_THREE_HALVES * t - _FIVE_HALVES) * t * t + _ONE
        a2 = ((_TWO - _THREE_HALVES * t) * t - _MINUS_HALF) * t
        b0 = ((_MINUS_HALF * u + _ONE) * u + _MINUS_HALF) * u
        b1 = (_THREE_HALVES * u - _FIVE_HALVES) * u * u + _ONE
        b2 = ((_TWO - _THREE_HALVES * u) * u - _MINUS_HALF) * u
        weights[x, 0], weights[x, 1], weights[x, 2], weights[x, 3] = a0, a1, a2, _ONE - a0 - a1 - a2
        weights[x, 4], weights[x, 5], weights[x, 6], weights[x, 7] = b0, b1, b2, _ONE - b0 - b1 - b2
    one, two, three, line = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(stride)
    for x in range(start, stop):
        p = np.uint64(places[x])
        q = p + line
        r = q + line
        s = r + line
        b0, b1, b2, b3 = weights[x, 4], weights[x, 5], weights[x, 6], weights[x, 7]
        c0 = b0 * wet[p] + b1 * wet[q] + b2 * wet[r] + b3 * wet[s]
        c1 = b0 * wet[p + one] + b1 * wet[q + one] + b2 * wet[r + one] + b3 * wet[s + one]
        c2 = b0 * wet[p + two] + b1 * wet[q + two] + b2 * wet[r + two] + b3 * wet[s + two]
        c3 = b0 * wet[p + three] + b1 * wet[q + three] + b2 * wet[r + three] + b3 * wet[s + three]
        out[x] = weights[x, 0] * c0 + weights[x, 1] * c1 + weights[x, 2] * c2 + weights[x, 3] * c3


@njit(**_inlined)
def _sample_linear(wet, stride, from_x, from_y, start, stop, out):
    """Likewise, bilinear."""
    one, line = np.uint64(1), np.uint64(stride)
    for x in range(start, stop):
        column, row = np.int32(from_x[x]), np.int32(from_y[x])
        t, u = from_x[x] - np.float32(column), from_y[x] - np.float32(row)
        p = np.uint64((row + BORDER) * stride + column + BORDER)
        q = p + line
        upper = wet[p] + t * (wet[p + one] - wet[p])
        lower = wet[q] + t * (wet[q + one] - wet[q])
        out[x] = upper + u * (lower - upper)


@njit(**_fast)
def _fill_border(wet, width, height):
    """Repeat the edge into the border of a padded plane."""
    for y in range(BORDER, BORDER + height):
        for k in range(BORDER):
            wet[y, k] = wet[y, BORDER]
            wet[y, BORDER + width + k] = wet[y, BORDER + width - 1]
    for k in range(BORDER):
        wet[k] = wet[BORDER]
        wet[BORDER + height + k] = wet[BORDER + height - 1]


@njit(**_fast)
def _field_row(field, y, scale, coarse, fine):
    """One row of the coarse field [3, h, w], interpolated to row `y` of the picture: `coarse` [3, w], `fine` [3, width]."""
    _, height, width = field.shape
    position = min(max((y + 0.5) / scale - 0.5, 0.0), height - 1.0)
    above = int(position)
    below = min(above + 1, height - 1)
    t = np.float32(position - above)
    for c in range(3):
        top, bottom, out = field[c, above], field[c, below], coarse[c]
        for i in range(width):
            out[i] = top[i] + t * (bottom[i] - top[i])
        if scale == 1:
            fine[c, :width] = out
        elif scale == 2:
            _stretch_2(out, fine[c])
        elif scale == 4:
            _stretch_4(out, fine[c])
        else:
            _stretch(out, fine[c], scale)


@njit(**_fast)
def _stretch(row, out, scale):
    """Linear interpolation of a row to `scale` (even) times its samples; cell centres lie between the samples."""
    half = scale // 2
    for x in range(half):
        out[x] = row[0]
        out[len(row) * scale - 1 - x] = row[-1]
    for i in range(len(row) - 1):
        difference = (row[i + 1] - row[i]) / np.float32(scale)
        for k in range(scale):
            out[half + i * scale + k] = row[i] + difference * np.float32(k + 0.5)


@njit(**_fast)
def _stretch_2(row, out):
    """`_stretch` by 2, in the form that compiles to vector shuffles."""
    cells = np.uint64(len(row) - 1)
    out[0], out[2 * len(row) - 1] = row[0], row[-1]
    for i in range(cells):
        start, difference = row[i], row[i + np.uint64(1)] - row[i]
        base = np.uint64(2) * i + np.uint64(1)
        out[base] = start + np.float32(0.25) * difference
        out[base + np.uint64(1)] = start + np.float32(0.75) * difference


@njit(**_fast)
def _stretch_4(row, out):
    """`_stretch` by 4, likewise."""
    cells = np.uint64(len(row) - 1)
    end = 4 * len(row)
    out[0], out[1], out[end - 2], out[end - 1] = row[0], row[0], row[-1], row[-1]
    for i in range(cells):
        start, difference = row[i], row[i + np.uint64(1)] - row[i]
        base = np.uint64(4) * i + np.uint64(2)
        out[base] = start + np.float32(0.125) * difference
        out[base + np.uint64(1)] = start + np.float32(0.375) * difference
        out[base + np.uint64(2)] = start + np.float32(0.625) * difference
        out[base + np.uint64(3)] = start + np.float32(0.875) * difference


@njit(**_fast)
def _fresh_row(tiles, first_channel, side, y, fresh):
    """Row `y` of the plane that starts at `first_channel` with `side` x `side` samples a tile, as float32."""
    margin = MARGIN * side // TILE
    row, part = (y + margin) // side, (y + margin) % side
    channel = first_channel + part * side
    width = fresh.shape[0]
    offset = margin // side
    if side == 4:
        for tile in range((width + 3) // 4):
            for k in range(4):
                x = tile * 4 + k
                if x < width:
                    fresh[x] = tiles[row, offset + tile, channel + k]
    else:
        for tile in range((width + 1) // 2):
            for k in range(2):
                x = tile * 2 + k
                if x < width:
                    fresh[x] = tiles[row, offset + tile, channel + k]


@njit(**_fast)
def blend_plane(wet, field, scale, shrink, smooth, tiles, first_channel, side, height, width, consistency, next_wet):
    """See `kernels.reference.blend_plane`. `side` 0 says that there is no fresh paint and the wet one is only carried."""
    cells = field.shape[2]
    flat, stride = wet.reshape(-1), np.int32(wet.shape[1])
    coarse = np.empty((3, cells), np.float32)
    fine = np.empty((3, max(cells * scale, width)), np.float32)
    fresh, from_x, from_y = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    places, weights = np.empty(width, np.int32), np.empty((width, 8), np.float32)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    for y in range(height):
        _field_row(field, y, scale, coarse, fine)
        move_x, move_y, keep = fine[0], fine[1], fine[2]
        line = np.uint64((y + BORDER) * wet.shape[1] + BORDER)
        here = np.float32(y)
        mixed = next_wet[y + BORDER, BORDER : BORDER + width]
        cell = 0
        while cell < cells:
            # the longest run of cells that all move or all stand still
            first, moves = cell, coarse[0, cell] != _ZERO or coarse[1, cell] != _ZERO
            while cell < cells and (coarse[0, cell] != _ZERO or coarse[1, cell] != _ZERO) == moves:
                cell += 1
            # cells are interpolated, so motion reaches half a cell into its still neighbours
            reach = scale // 2 if moves else -(scale // 2)
            start = np.uint64(max(first * scale - reach, 0) if first else 0)
            stop = np.uint64(width if cell == cells else max(min(cell * scale + reach, width), start))
            if not moves:
                for x in range(start, stop):
                    mixed[x] = flat[line + x]
                continue
            for x in range(start, stop):
                from_x[x] = min(max(np.float32(np.int32(x)) + move_x[x] * shrink, _ZERO), last_x)
                from_y[x] = min(max(here + move_y[x] * shrink, _ZERO), last_y)
            if smooth:
                _sample_cubic(flat, stride, from_x, from_y, start, stop, places, weights, mixed)
            else:
                _sample_linear(flat, stride, from_x, from_y, start, stop, mixed)
        if side:
            _fresh_row(tiles, first_channel, side, y, fresh)
            for x in range(width):
                mixed[x] = fresh[x] + consistency * keep[x] * (mixed[x] - fresh[x])
        for x in range(width):
            mixed[x] = min(max(mixed[x], _ZERO), _WHITE)
    _fill_border(next_wet, width, height)


@njit(**_fast)
def _measure_row(row, above, across, down, light):
    """Add a row's samples, and their changes along it and against the row `above`, to the sums of its blocks."""
    width = np.uint64(row.shape[0])
    for block in range(np.uint64(light.shape[0])):
        start, stop = max(block * np.uint64(BLOCK), np.uint64(1)), min((block + np.uint64(1)) * np.uint64(BLOCK), width)
        along, against, total = _ZERO, _ZERO, _ZERO
        for x in range(start, stop):
            along += abs(row[x] - row[x - np.uint64(1)])
            against += abs(row[x] - above[x])
            total += row[x]
        across[block] += along
        down[block] += against
        light[block] += total


@njit(**_fast)
def measure_wet(wet, height, width, found):
    """See `kernels.reference.measure`; into `found` float32 [3, h, w]."""
    found[:] = _ZERO
    for y in range(1, height):
        row, above = wet[y + BORDER, BORDER : BORDER + width], wet[y + BORDER - 1, BORDER : BORDER + width]
        _measure_row(row, above, found[0, y // BLOCK], found[1, y // BLOCK], found[2, y // BLOCK])


@njit(**_fast)
def measure_tiles(tiles, height, width, found):
    """See `kernels.reference.measure`, of the luma in `tiles`."""
    found[:] = _ZERO
    row, above = np.empty(width, np.float32), np.empty(width, np.float32)
    _fresh_row(tiles, 0, TILE, 0, above)
    for y in range(1, height):
        _fresh_row(tiles, 0, TILE, y, row)
        _measure_row(row, above, found[0, y // BLOCK], found[1, y // BLOCK], found[2, y // BLOCK])
        row, above = above, row


@njit(**_fast)
def _stretch_blocks(field, y, line, fine):
    """Row `y` of a field [h, w] of blocks, interpolated into `fine` [w * BLOCK]."""
    rows, columns = field.shape
    position = min(max((y + 0.5) / BLOCK - 0.5, 0.0), rows - 1.0)
    top = int(position)
    bottom = min(top + 1, rows - 1)
    t = np.float32(position - top)
    for i in range(columns):
        line[i] = field[top, i] + t * (field[bottom, i] - field[top, i])
    _stretch(line, fine, BLOCK)


@njit(**_fast)
def restore_plane(wet, gain, lift, next_wet, painted):
    """See `kernels.reference.restore_plane`."""
    height, width = painted.shape
    columns = lift.shape[1]
    line = np.empty(columns, np.float32)
    across, down = np.empty(columns * BLOCK, np.float32), np.empty(columns * BLOCK, np.float32)
    lifts = np.empty(columns * BLOCK, np.float32)
    third, one = np.float32(1 / 3), np.uint64(1)
    for y in range(height):
        _stretch_blocks(gain[0], y, line, across)
        _stretch_blocks(gain[1], y, line, down)
        _stretch_blocks(lift, y, line, lifts)
        above, here, below = wet[y + BORDER - 1], wet[y + BORDER], wet[y + BORDER + 1]
        sharp, out = next_wet[y + BORDER, BORDER : BORDER + width], painted[y]
        for x in range(np.uint64(width)):
            at = x + np.uint64(BORDER)
            value = here[at]
            rough = across[x] * (value + value - here[at - one] - here[at + one])
            rough += down[x] * (value + value - above[at] - below[at])
            value = min(max(value + lifts[x] + third * rough, _ZERO), _WHITE)
            sharp[x] = value
            out[x] = np.uint8(value + _HALF)
    _fill_border(next_wet, width, height)


@njit(**_fast)
def round_plane(wet, painted):
    """See `kernels.reference.round_plane`; `wet` padded."""
    height, width = painted.shape
    for y in range(height):
        source, out = wet[y + BORDER, BORDER : BORDER + width], painted[y]
        for x in range(width):
            out[x] = np.uint8(source[x] + _HALF)
