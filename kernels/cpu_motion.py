"""The kernels of motion that run in production without a GPU, compiled by Numba, GIL released.

Meaning, shapes and formulas are those of `kernels.reference_motion`; this file only says how they are made fast.
"""

from typing import Any

import numpy as np
from numba import njit

from kernels.layout import PATCH, PATCH_ROOM

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_PIXELS = PATCH * PATCH
_SHARE, _MIDDLE = np.float32(1 / _PIXELS), np.float32(PATCH / 2)
_fast: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}


@njit(**_fast)
def align_patches(here, there, start, ratio, stride, evaluations, ridge, farthest, motion, texture):
    """See `kernels.reference_motion.align_patches`; into `motion` [2, m, n] and `texture` [4, m, n].

    Differences are stored before they are summed, in loops of a whole patch: so both compile to vector code.
    """
    _, m, n = motion.shape
    rows, columns, _ = start.shape
    width, height = here.shape[1] - 2 * PATCH_ROOM, here.shape[0] - 2 * PATCH_ROOM
    shown, other = here.reshape(-1), there.reshape(-1)
    patch, across, down = np.empty(_PIXELS, np.float32), np.empty(_PIXELS, np.float32), np.empty(_PIXELS, np.float32)
    apart = np.empty(_PIXELS, np.float32)
    one, line, side, pixels = np.uint64(1), np.uint64(here.shape[1]), np.uint64(PATCH), np.uint64(_PIXELS)
    size, nearest = np.float32(ratio), np.float32(1 - PATCH_ROOM)
    for i in range(m):
        y = min(i * stride, height - PATCH)
        for j in range(n):
            x = min(j * stride, width - PATCH)
            corner = np.uint64((y + PATCH_ROOM) * here.shape[1] + x + PATCH_ROOM)
            for row in range(side):
                p = corner + row * line
                k = row * side
                for column in range(side):
                    patch[k + column] = shown[p + column]
                for column in range(side):
                    across[k + column] = _HALF * (shown[p + column + one] - shown[p + column - one])
                for column in range(side):
                    down[k + column] = _HALF * (shown[p + column + line] - shown[p + column - line])
            mean_x, mean_y = _ZERO, _ZERO
            for pixel in range(pixels):
                mean_x += across[pixel]
                mean_y += down[pixel]
            mean_x, mean_y = mean_x * _SHARE, mean_y * _SHARE
            xx, xy, yy = _ZERO, _ZERO, _ZERO
            for pixel in range(pixels):
                gx, gy = across[pixel] - mean_x, down[pixel] - mean_y
                across[pixel], down[pixel] = gx, gy
                xx += gx * gx
                xy += gx * gy
                yy += gy * gy
            cell_y, cell_x = min((y + PATCH // 2) // ratio, rows - 1), min((x + PATCH // 2) // ratio, columns - 1)
            first_x, first_y = start[cell_y, cell_x, 0] * size, start[cell_y, cell_x, 1] * size
            at_x, at_y, best_x, best_y = first_x, first_y, first_x, first_y
            cost, first_cost = np.float32(3e38), _ZERO
            gain_x, gain_y = xx + ridge, yy + ridge
            scale = np.float32(1 / (np.float64(gain_x) * gain_y - np.float64(xy) * xy))
            for evaluation in range(evaluations):
                from_x = min(max(np.float32(x) + at_x, nearest), np.float32(width))
                from_y = min(max(np.float32(y) + at_y, nearest), np.float32(height))
                left, top = np.int32(np.floor(from_x)), np.int32(np.floor(from_y))
                u, t = from_x - np.float32(left), from_y - np.float32(top)
                w00, w01, w10, w11 = (_ONE - t) * (_ONE - u), (_ONE - t) * u, t * (_ONE - u), t * u
                origin = np.uint64((top + PATCH_ROOM) * here.shape[1] + left + PATCH_ROOM)
                for row in range(side):
                    p, k = origin + row * line, row * side
                    q = p + line
                    for column in range(side):
                        upper = w00 * other[p + column] + w01 * other[p + column + one]
                        lower = w10 * other[q + column] + w11 * other[q + column + one]
                        apart[k + column] = upper + lower - patch[k + column]
                total, squares, pull_x, pull_y = _ZERO, _ZERO, _ZERO, _ZERO
                for pixel in range(pixels):
                    d = apart[pixel]
                    total += d
                    squares += d * d
                    pull_x += d * across[pixel]
                    pull_y += d * down[pixel]
                now = squares - total * total * _SHARE
                if evaluation == 0:
                    first_cost = now
                if now >= cost:
                    break
                cost, best_x, best_y = now, at_x, at_y
                at_x -= (gain_y * pull_x - xy * pull_y) * scale
                at_y -= (gain_x * pull_y - xy * pull_x) * scale
            if (best_x - first_x) ** 2 + (best_y - first_y) ** 2 > farthest * farthest:
                cost, best_x, best_y = first_cost, first_x, first_y
            motion[0, i, j], motion[1, i, j] = best_x, best_y
            texture[0, i, j], texture[1, i, j], texture[2, i, j], texture[3, i, j] = xx, xy, yy, cost


@njit(**_fast)
def settle_patches(motion, texture, noise, stiffness, kink, sweeps, settled):
    """See `kernels.reference_motion.settle_patches`; into `settled` [2, m, n].

    In double precision: along an edge what neighbours say is a hair's breadth beside what the edge says of the way across.
    """
    _, m, n = motion.shape
    settled[:] = motion
    for half_sweep in range(2 * sweeps):
        for i in range(m):
            for j in range((i + half_sweep) % 2, n, 2):
                x, y = settled[0, i, j], settled[1, i, j]
                weight = 1 / np.float64(texture[3, i, j] * _SHARE + noise)
                xx, xy, yy = texture[0, i, j] * weight, texture[1, i, j] * weight, texture[2, i, j] * weight
                to_x = xx * motion[0, i, j] + xy * motion[1, i, j]
                to_y = xy * motion[0, i, j] + yy * motion[1, i, j]
                for way in range(4):
                    a, b = i + (way == 0) - (way == 1), j + (way == 2) - (way == 3)
                    if 0 <= a < m and 0 <= b < n:
                        there_x, there_y = settled[0, a, b], settled[1, a, b]
                        pull = stiffness / np.sqrt((there_x - x) ** 2 + (there_y - y) ** 2 + kink)
                        xx += pull
                        yy += pull
                        to_x += pull * there_x
                        to_y += pull * there_y
                scale = 1 / (xx * yy - xy * xy)
                settled[0, i, j] = (yy * to_x - xy * to_y) * scale
                settled[1, i, j] = (xx * to_y - xy * to_x) * scale


@njit(**_fast)
def spread_patches(motion, ratio, stride, small, previous, floor, alike, spread):
    """See `kernels.reference_motion.spread_patches`; into `spread` [h, w, 2]. By runs of cells that share their patches."""
    _, m, n = motion.shape
    height, width = small.shape
    before, line, one = previous.reshape(-1), np.uint64(width), np.uint64(1)
    per_cell, per_patch = np.float32(1 / ratio), np.float32(1 / stride)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    first, beside = np.zeros(n + 1, np.int64), np.empty(width, np.float32)
    for x in range(width):
        j, beside[x] = _between(x, ratio, per_patch, n)
        first[j + 1 :] = x + 1
    for y in range(height):
        i, below = _between(y, ratio, per_patch, m)
        next_i = min(i + 1, m - 1)
        for j in range(n):
            next_j = min(j + 1, n - 1)
            x0, y0 = motion[0, i, j] * per_cell, motion[1, i, j] * per_cell
            x1, y1 = motion[0, i, next_j] * per_cell, motion[1, i, next_j] * per_cell
            x2, y2 = motion[0, next_i, j] * per_cell, motion[1, next_i, j] * per_cell
            x3, y3 = motion[0, next_i, next_j] * per_cell, motion[1, next_i, next_j] * per_cell
            apart = max((x1 - x0) ** 2 + (y1 - y0) ** 2, (x2 - x0) ** 2 + (y2 - y0) ** 2)
            apart = max(apart, (x3 - x0) ** 2 + (y3 - y0) ** 2)
            if apart * np.float32(ratio * ratio) < alike * alike:
                left_x, left_y = x0 + below * (x2 - x0), y0 + below * (y2 - y0)
                right_x, right_y = x1 + below * (x3 - x1), y1 + below * (y3 - y1)
                for x in range(first[j], first[j + 1]):
                    spread[y, x, 0] = left_x + beside[x] * (right_x - left_x)
                    spread[y, x, 1] = left_y + beside[x] * (right_y - left_y)
                continue
            for x in range(first[j], first[j + 1]):
                here, sum_x, sum_y, weights = np.float32(small[y, x]), _ZERO, _ZERO, _ZERO
                for corner in range(4):
                    to_x = x0 if corner == 0 else x1 if corner == 1 else x2 if corner == 2 else x3
                    to_y = y0 if corner == 0 else y1 if corner == 1 else y2 if corner == 2 else y3
                    share = (beside[x] if corner % 2 else _ONE - beside[x]) * (below if corner // 2 else _ONE - below)
                    px = min(max(np.float32(x) + to_x, _ZERO), last_x)
                    py = min(max(np.float32(y) + to_y, _ZERO), last_y)
                    # the last row and column are reached with a weight of 1 from those before them
                    left, top = min(np.int32(px), width - 2), min(np.int32(py), height - 2)
                    u, t = px - np.float32(left), py - np.float32(top)
                    p = np.uint64(top * width + left)
                    q = p + line
                    upper, lower = np.float32(before[p]), np.float32(before[q])
                    upper += u * (np.float32(before[p + one]) - upper)
                    lower += u * (np.float32(before[q + one]) - lower)
                    weight = (share + floor) / max(abs(upper + t * (lower - upper) - here), _ONE)
                    sum_x += weight * to_x
                    sum_y += weight * to_y
                    weights += weight
                spread[y, x, 0], spread[y, x, 1] = sum_x / weights, sum_y / weights


@njit(**_fast)
def _between(cell, ratio, per_patch, count):
    """Between which patch and the next, of `count`, a cell's centre lies: the patch, and the share of the next."""
    position = ((np.float32(cell) + _HALF) * np.float32(ratio) - _MIDDLE) * per_patch
    first = min(max(int(np.floor(position)), 0), count - 1)
    return np.int32(first), min(max(position - np.float32(first), _ZERO), _ONE)


@njit(**_fast)
def motion_field(small, previous, backward, forward, scale, still, slack, sure, unsure, field, residual):
    """See `kernels.reference_motion.motion_field`."""
    height, width = small.shape
    size = np.float32(scale)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    still_square = (still / size) ** 2
    sure_gain = _ONE / (unsure - sure)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            bx, by = backward[y, x, 0], backward[y, x, 1]
            to_x, to_y = np.float32(x) + bx, np.float32(y) + by
            px, py = min(max(to_x, _ZERO), last_x), min(max(to_y, _ZERO), last_y)
            left, top = int(px), int(py)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            u, t = px - np.float32(left), py - np.float32(top)
            w00, w01, w10, w11 = (_ONE - t) * (_ONE - u), (_ONE - t) * u, t * (_ONE - u), t * u
            here = np.float32(small[y, x])
            unmoved = here - np.float32(previous[y, x])
            moved = here - (
                w00 * previous[top, left]
                + w01 * previous[top, right]
                + w10 * previous[bottom, left]
                + w11 * previous[bottom, right]
            )
            length = bx * bx + by * by
            if length < still_square and abs(unmoved) <= abs(moved) + slack:
                trust = min(max((unsure - abs(unmoved)) * sure_gain, _ZERO), _ONE)
                field[0, y, x] = _ZERO
                field[1, y, x] = _ZERO
                residual[y, x] = unmoved
                field[2, y, x] = trust
                continue
            trust = min(max((unsure - abs(moved)) * sure_gain, _ZERO), _ONE)
            if trust > _ZERO:
                fx = (
                    w00 * forward[top, left, 0]
                    + w01 * forward[top, right, 0]
                    + w10 * forward[bottom, left, 0]
                    + w11 * forward[bottom, right, 0]
                )
                fy = (
                    w00 * forward[top, left, 1]
                    + w01 * forward[top, right, 1]
                    + w10 * forward[bottom, left, 1]
                    + w11 * forward[bottom, right, 1]
                )
                trip = (bx + fx) ** 2 + (by + fy) ** 2
                before, after = max(x - 1, 0), min(x + 1, width - 1)
                xx = (backward[y, after, 0] - backward[y, before, 0]) * _HALF
                xy = (backward[y, after, 1] - backward[y, before, 1]) * _HALF
                yx = (backward[below, x, 0] - backward[above, x, 0]) * _HALF
                yy = (backward[below, x, 1] - backward[above, x, 1]) * _HALF
                bend = xx * xx + xy * xy + yx * yx + yy * yy
                if (
                    trip > np.float32(0.02) * (length + fx * fx + fy * fy) + _TWO
                    or bend > np.float32(0.01) * length + np.float32(0.04)
                    or to_x < _ZERO
                    or to_x > last_x
                    or to_y < _ZERO
                    or to_y > last_y
                ):
                    trust = _ZERO
            field[0, y, x] = bx * size
            field[1, y, x] = by * size
            residual[y, x] = moved
            field[2, y, x] = trust


@njit(**_fast)
def discount(field, scale, stale):
    """See `kernels.reference_motion.discount`; changes the confidence in place."""
    _, height, width = field.shape
    per_cell = np.float32(1 / scale)
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    for y in range(height):
        for x in range(width):
            px = min(max(np.float32(x) + field[0, y, x] * per_cell, _ZERO), last_x)
            py = min(max(np.float32(y) + field[1, y, x] * per_cell, _ZERO), last_y)
            left, top = int(px), int(py)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            u, t = px - np.float32(left), py - np.float32(top)
            upper = stale[top, left] + u * (stale[top, right] - stale[top, left])
            lower = stale[bottom, left] + u * (stale[bottom, right] - stale[bottom, left])
            field[2, y, x] *= _ONE - (upper + t * (lower - upper))
