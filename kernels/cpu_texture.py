"""The texture that the network is given beside the picture, on the CPU: see `kernels.reference.texture`."""

from typing import Any

import numpy as np
from numba import njit

from kernels.layout import CHANNELS, FAINT, MARGIN, STRONGEST, TILE

# the cache looks at this file only: after a change of `kernels.layout` empty `__pycache__`
_fast: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}
_inlined: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "inline": "always"}
_f32, _i16 = np.float32, np.int16
_NARROW, _BROAD, _AROUND = _f32(1 / 16), _f32(1 / 625), _f32(1 / 65536)  # 1 over the sums of the taps, both ways
_FAINT, _PER_PIXEL = _f32(FAINT**2), _f32(1 / TILE**2)
_STEP, _MOST, _LEAST, _NONE = _f32(126 / STRONGEST), _f32(126), _f32(-126), _f32(128.5)  # rounded by cutting off
_NEAR, _FAR = _f32(0.375), _f32(0.125)  # of a pixel's place in its tile, how much the neighbouring tile counts
_REACH = 4  # pixels, and tiles
_FIVE = 5  # the broad blur is two means of so many pixels each way
_FIRST = MARGIN + _REACH  # where the plane's first column is in sums, which reach over both edges of the tiles
KEPT = 8  # rows of tiles whose detail is remembered until the energy below is known as well


@njit(**_fast)
def texture(luma, tiles, detail, energy):
    """Fill channels 24 to 39 of tiles uint8 [h, w, 40], whose luma is that of the plane uint8 [H, W].

    `detail` float32 [KEPT, 4, 4 w] and `energy` float32 [h, w] are room to work in. Detail is found, measured and
    written row by row, so that it never leaves the cache.
    """
    rows, columns, _ = tiles.shape
    width = columns * TILE
    sums = np.empty((3, width + 2 * _REACH), _i16)
    fives = np.zeros((_FIVE, luma.shape[1]), _i16)
    squares, gains, codes = np.empty(width, _f32), np.empty((3, width), _f32), np.empty(width, np.uint8)
    _begin(luma, sums[1], fives)
    for row in range(rows + _REACH + 1):
        if row < rows:
            _find_detail(luma, row * TILE, sums, fives, detail[row % KEPT], squares)
            _blur_across(squares, energy[row])
        measured, written = row - _REACH, row - _REACH - 1
        if 0 <= measured < rows:
            _find_gains(energy, measured, gains[measured % 3])
        if written >= 0:
            _write(detail[written % KEPT], gains, written, codes, tiles)


@njit(**_inlined)
def _clamped(index, last):
    return min(max(index, 0), last)


@njit(**_fast)
def _begin(luma, broad, fives):
    """The sums down the plane for its first row with margin: of five rows each, and of five of these."""
    last = luma.shape[0] - 1
    inside = broad[_FIRST : _FIRST + luma.shape[1]]
    inside[:] = 0
    for place in range(_FIVE):
        for row in range(_FIVE):
            fives[place] += luma[_clamped(place + row - 4 - MARGIN, last)]
        inside += fives[place]


@njit(**_fast)
def _find_detail(luma, first, sums, fives, detail, squares):
    """The narrow blur less the broad one, of a row of tiles whose first line is `first`; and its squares' sums."""
    columns, last = luma.shape[1], luma.shape[0] - 1
    narrow, broad, across = sums[0], sums[1], sums[2]
    squares[:] = 0
    for part in range(TILE):
        y, oldest = first + part - MARGIN, (first + part) % _FIVE
        above, here, below = luma[_clamped(y - 1, last)], luma[_clamped(y, last)], luma[_clamped(y + 1, last)]
        _sum_down(above, here, below, narrow[_FIRST : _FIRST + columns])
        for line in (narrow, broad):
            line[:_FIRST] = line[_FIRST]
            line[_FIRST + columns :] = line[_FIRST + columns - 1]
        _sum_across(narrow, broad, across, detail[part], squares)
        comes, newest = luma[_clamped(y + 5, last)], fives[oldest - 1]
        _step_down(comes, here, newest, fives[oldest], broad[_FIRST : _FIRST + columns])


@njit(**_fast)
def _sum_down(above, here, below, narrow):
    for x in range(narrow.shape[0]):
        narrow[x] = _i16(above[x]) + _i16(below[x]) + 2 * _i16(here[x])


@njit(**_fast)
def _step_down(comes, goes, newest, oldest, broad):
    """Move the sums down by a row: `oldest`, the five rows that are out of reach, become the five that come into it."""
    for x in range(broad.shape[0]):
        five = _i16(newest[x] + _i16(comes[x]) - _i16(goes[x]))
        broad[x] += five - oldest[x]
        oldest[x] = five


@njit(**_fast)
def _sum_across(narrow, broad, across, line, squares):
    for x in range(line.shape[0] + _REACH):
        across[x] = broad[x] + broad[x + 1] + broad[x + 2] + broad[x + 3] + broad[x + 4]
    for x in range(line.shape[0]):
        near = _i16(narrow[x + 3] + 2 * narrow[x + 4] + narrow[x + 5])
        far = np.int32(across[x]) + np.int32(across[x + 1]) + np.int32(across[x + 2])
        far += np.int32(across[x + 3]) + np.int32(across[x + 4])
        found = _f32(near) * _NARROW - _f32(np.int32(far)) * _BROAD
        line[x] = found
        squares[x] += found * found


@njit(**_fast)
def _blur_across(squares, energy):
    """The mean square of each tile, blurred along the row of tiles."""
    columns = energy.shape[0]
    means = np.empty(columns + 2 * _REACH, _f32)
    for column in range(columns):
        at = column * TILE
        sum_of_four = squares[at] + squares[at + 1] + squares[at + 2] + squares[at + 3]
        means[column + _REACH] = sum_of_four * _PER_PIXEL
    means[:_REACH], means[_REACH + columns :] = means[_REACH], means[_REACH + columns - 1]
    for x in range(columns):
        outer = means[x] + means[x + 8] + _f32(8) * (means[x + 1] + means[x + 7])
        inner = _f32(28) * (means[x + 2] + means[x + 6]) + _f32(56) * (means[x + 3] + means[x + 5])
        energy[x] = outer + inner + _f32(70) * means[x + 4]


@njit(**_fast)
def _find_gains(energy, row, gains):
    """What the detail of a row of tiles is to be multiplied by, at each pixel along it."""
    columns, last = energy.shape[1], energy.shape[0] - 1
    a, b, c = energy[_clamped(row - 4, last)], energy[_clamped(row - 3, last)], energy[_clamped(row - 2, last)]
    d, e, f = energy[_clamped(row - 1, last)], energy[row], energy[_clamped(row + 1, last)]
    g, h, i = energy[_clamped(row + 2, last)], energy[_clamped(row + 3, last)], energy[_clamped(row + 4, last)]
    between = np.empty(columns + 2, _f32)
    for x in range(columns):
        outer, inner = a[x] + i[x] + _f32(8) * (b[x] + h[x]), _f32(28) * (c[x] + g[x]) + _f32(56) * (d[x] + f[x])
        between[x + 1] = _STEP / np.sqrt((outer + inner + _f32(70) * e[x]) * _AROUND + _FAINT)
    between[0], between[columns + 1] = between[1], between[columns]
    for x in range(columns):
        middle, at = between[x + 1], x * TILE
        before, after = between[x] - middle, between[x + 2] - middle
        gains[at], gains[at + 1] = middle + _NEAR * before, middle + _FAR * before
        gains[at + 2], gains[at + 3] = middle + _FAR * after, middle + _NEAR * after


@njit(**_fast)
def _write(detail, gains, row, codes, tiles):
    """A row of tiles. `gains` are those of the rows above, here and below, each at its number's rest by 3."""
    here, last = gains[row % 3], tiles.shape[0] - 1
    above, below = gains[max(row - 1, 0) % 3], gains[min(row + 1, last) % 3]
    fours, quads = codes.view(np.uint32), tiles[row].view(np.uint32)
    for part in range(TILE):
        _encode(detail[part], here, above if part < 2 else below, _NEAR if part in (0, 3) else _FAR, codes)
        for column in range(fours.shape[0]):
            quads[column, CHANNELS // TILE + part] = fours[column]


@njit(**_fast)
def _encode(detail, here, beside, share, codes):
    for x in range(codes.shape[0]):
        strong = detail[x] * (here[x] + share * (beside[x] - here[x]))
        codes[x] = np.uint8(np.int32(min(max(strong, _LEAST), _MOST) + _NONE))
