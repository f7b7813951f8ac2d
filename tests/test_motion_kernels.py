"""The kernels of motion equal their reference, and find what is there."""

import numpy as np
import pytest
from scenes import field_of, texture

from kernels import cpu_motion, reference_motion
from kernels.layout import PATCH, PATCH_ROOM, patch_count

f32 = np.float32
DESCENT = (4, f32(1), f32(4))  # evaluations, ridge, farthest
AGREEMENT = (f32(2), f32(0.3), f32(1e-3), 8)  # noise, stiffness, kink, sweeps


def framed(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture.astype(f32), PATCH_ROOM, mode="edge")


def shifted(width: int, height: int, x: float, y: float, smooth: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and what it was when everything was (x, y) further, both float32."""
    wide = texture(width + 32, height + 32, seed=3, smooth=smooth).astype(f32)
    spectrum = np.fft.rfft2(wide)
    fy, fx = np.fft.fftfreq(wide.shape[0])[:, None], np.fft.rfftfreq(wide.shape[1])[None]
    moved = np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fx * x + fy * y)), wide.shape)
    inside = (slice(16, 16 + height), slice(16, 16 + width))
    return wide[inside], moved[inside].astype(f32)


def aligned(
    here: np.ndarray, there: np.ndarray, start: np.ndarray, ratio: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    m, n = (patch_count(length, stride) for length in here.shape)
    motion, texture_ = np.full((2, m, n), np.nan, f32), np.full((4, m, n), np.nan, f32)
    cpu_motion.align_patches(framed(here), framed(there), start, ratio, stride, *DESCENT, motion, texture_)
    return motion, texture_


@pytest.mark.parametrize("way", [(0.3, -0.45), (1.7, 0.8)])
def test_patches_find_a_shift_to_a_fiftieth_of_a_pixel(way):
    here, there = shifted(160, 96, *way)
    motion, _ = aligned(here, there, np.zeros((48, 80, 2), f32), 2, PATCH)
    inside = motion[:, 1:-1, 1:-1]
    assert np.abs(np.median(inside, (1, 2)) - way).max() < 0.02
    assert np.percentile(np.abs(inside - np.array(way)[:, None, None]), 90) < 0.1


def test_patches_begin_where_the_rough_search_leads():
    here, there = shifted(160, 96, 9.3, -6.6)
    far, _ = aligned(here, there, np.zeros((48, 80, 2), f32), 2, PATCH)
    led, _ = aligned(here, there, np.full((48, 80, 2), (4.5, -3.5), f32), 2, PATCH)
    assert np.median(np.abs(far[0] - 9.3)) > 1
    assert np.median(np.abs(led[0, 1:-1, 1:-1] - 9.3)) < 0.05


def test_a_patch_without_texture_and_one_that_is_lost_stay_where_they_began():
    here = np.full((24, 24), 90, f32)
    start = np.full((12, 12, 2), (0.5, -0.25), f32)
    motion, texture_ = aligned(here, here + 7, start, 2, PATCH)
    np.testing.assert_allclose(motion[0], 1)
    np.testing.assert_allclose(motion[1], -0.5)
    np.testing.assert_allclose(texture_, 0, atol=1e-2)  # and a change of light costs nothing
    slope = np.tile(np.arange(24, dtype=f32), (24, 1))
    motion, _ = aligned(slope * 0.2, slope * 0.2 + slope.T, np.zeros((12, 12, 2), f32), 2, PATCH)
    assert (np.hypot(*motion) <= 4).all()


@pytest.mark.parametrize(("size", "ratio", "stride"), [((96, 64), 2, 8), ((75, 45), 1, 8), ((64, 48), 2, 6)])
def test_aligned_patches_equal_the_reference(size, ratio, stride):
    here, there = shifted(*size, 0.7, -0.4)
    cells = (-(-size[1] // ratio), -(-size[0] // ratio))
    start = np.random.default_rng(1).normal(0, 0.3, (*cells, 2)).astype(f32)
    motion, texture_ = aligned(here, there, start, ratio, stride)
    expected, texture_expected = reference_motion.align_patches(framed(here), framed(there), start, ratio, stride, *DESCENT)
    # where two costs are all but equal, rounding decides which one is taken
    assert (np.abs(motion - expected).max(0) < 2e-3).mean() > 0.97
    np.testing.assert_allclose(texture_[:3], texture_expected[:3], rtol=1e-3, atol=0.1)
    assert np.median(np.abs(texture_[3] / texture_expected[3] - 1)) < 1e-2


def test_settled_patches_equal_the_reference():
    random = np.random.default_rng(0)
    motion = random.normal(0, 1, (2, 7, 9)).astype(f32)
    slopes = random.normal(0, 5, (2, 64, 7, 9))
    across, down = slopes * random.choice([0.05, 1], (7, 9))
    squares = [(a * b).sum(0) for a, b in ((across, across), (across, down), (down, down))]
    texture_ = np.stack([*squares, random.uniform(0, 900, (7, 9))]).astype(f32)
    settled = np.empty_like(motion)
    cpu_motion.settle_patches(motion, texture_, *AGREEMENT, settled)
    np.testing.assert_allclose(settled, reference_motion.settle_patches(motion, texture_, *AGREEMENT), atol=1e-3)


def test_a_patch_without_texture_takes_the_motion_around_it_and_an_edge_of_motion_stays():
    motion = np.zeros((2, 8, 12), f32)
    motion[0, :, 6:] = 3
    texture_ = np.zeros((4, 8, 12), f32)
    texture_[[0, 2]] = 2000
    motion[:, 4, 3], texture_[:, 4, 3] = (2, -2), 0
    settled = np.empty_like(motion)
    cpu_motion.settle_patches(motion, texture_, *AGREEMENT, settled)
    assert np.abs(settled[:, 4, 3]).max() < 0.1
    assert np.abs(settled[0, :, :6]).max() < 0.1
    assert np.abs(settled[0, :, 6:] - 3).max() < 0.1


def test_patches_along_the_hardest_edges_settle_on_what_is_possible():
    """Black on white along a diagonal: squared gradients of millions, of which the determinant is a hair's breadth."""
    motion = np.random.default_rng(0).normal(0, 60, (2, 6, 6)).astype(f32)
    texture_ = np.full((4, 6, 6), 1.0e6, f32)
    texture_[3] = 0
    settled = np.empty_like(motion)
    cpu_motion.settle_patches(motion, texture_, *AGREEMENT, settled)
    assert np.abs(settled).max() <= 2 * np.abs(motion).max()
    # across the edge every patch knows its own way; along it they agree
    assert np.abs(settled.sum(0) - motion.sum(0)).max() < 1


@pytest.mark.parametrize(("cells", "ratio", "stride"), [((24, 40), 2, 8), ((17, 23), 1, 8), ((16, 16), 2, 6)])
def test_spread_motion_equals_the_reference(cells, ratio, stride):
    random = np.random.default_rng(2)
    small, previous = (random.integers(0, 256, cells).astype(np.uint8) for _ in range(2))
    patches = tuple(patch_count(length * ratio, stride) for length in cells)
    motion = random.normal(0, 4, (2, *patches)).astype(f32)
    motion[:, :, : patches[1] // 2] = random.normal(0, 0.3, (2, patches[0], patches[1] // 2))  # some are alike
    spread = np.full((*cells, 2), np.nan, f32)
    cpu_motion.spread_patches(motion, ratio, stride, small, previous, f32(0.02), f32(0.8), spread)
    expected = reference_motion.spread_patches(motion, ratio, stride, small, previous, 0.02, 0.8)
    np.testing.assert_allclose(spread, expected, atol=2e-3)


def test_a_cell_takes_the_motion_that_explains_it_not_that_of_the_nearest_patch():
    height, width = 32, 48
    previous = texture(width, height, seed=5, smooth=2)
    small = previous.copy()
    small[:, :22] = np.roll(previous, 5, 1)[:, :22]  # the left part has come 5 cells to the right
    motion = np.zeros((2, patch_count(height * 2, 8), patch_count(width * 2, 8)), f32)
    motion[0, :, :5] = -10  # pixels, of which a cell has two; the patches' edge lies two cells before that of the picture
    spread = np.empty((height, width, 2), f32)
    cpu_motion.spread_patches(motion, 2, 8, small, previous, f32(0.02), f32(0.05), spread)
    assert np.median(np.abs(spread[:, 6:19, 0] + 5)) < 0.5
    assert np.median(np.abs(spread[:, 25:, 0])) < 0.5


@pytest.mark.parametrize("scale", [1, 4])
def test_motion_field_equals_the_reference(scale):
    random = np.random.default_rng(0)
    shape = (45, 80)
    small, previous = (random.integers(80, 120, shape).astype(np.uint8) for _ in range(2))
    backward = np.repeat(np.repeat(random.normal(0, 1.0, (9, 16, 2)), 5, 0), 5, 1).astype(f32)
    forward = -backward + random.normal(0, 0.4, (*shape, 2)).astype(f32)
    field, residual = np.zeros((3, *shape), f32), np.zeros(shape, f32)
    limits = (f32(0.4), f32(1), f32(6), f32(20))
    cpu_motion.motion_field(small, previous, backward, forward, scale, *limits, field, residual)
    expected, residual_expected = reference_motion.motion_field(small, previous, backward, forward, scale, *limits)
    assert 0.05 < (expected[2] > 0).mean() < 0.95  # both outcomes occur
    assert 0 < (expected[0] == 0).mean() < 1
    np.testing.assert_allclose(field, expected, atol=1e-3)
    np.testing.assert_allclose(residual, residual_expected, atol=1e-3)


def test_discount_equals_the_reference():
    field = field_of(20, 30)
    stale = np.random.default_rng(2).random((20, 30)).astype(f32)
    expected = reference_motion.discount(field, 4, stale)
    cpu_motion.discount(field, 4, stale)
    np.testing.assert_allclose(field[2], expected, atol=1e-4)
