"""Every kernel that runs in production equals its NumPy reference."""

import numpy as np
import pytest
from scenes import field_of, texture

from engine.seeing import Seeing
from kernels import cpu, reference
from kernels.layout import BLOCK, BORDER, tile_grid

SIZES = [(1, 1), (2, 3), (37, 21), (64, 48), (323, 181)]
f32 = np.float32


def planes_of(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    return tuple(random.integers(0, 256, shape).astype(np.uint8) for shape in shapes)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_packing_equals_the_reference(width, height):
    planes = planes_of(width, height)
    tiles = np.zeros((*tile_grid(width, height), 24), np.uint8)
    cpu.pack_tiles(*planes, tiles)
    np.testing.assert_array_equal(tiles, reference.pack_tiles(*planes))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("fainter", [1, 16, 64])
def test_texture_equals_the_reference(width, height, fainter):
    luma, *chroma = planes_of(width, height)
    luma = luma // fainter
    tiles = np.zeros((*tile_grid(width, height), 40), np.uint8)
    Seeing.for_size(width, height).show((luma, *chroma), tiles)
    packed = reference.pack_tiles(luma, *chroma)
    np.testing.assert_array_equal(tiles[..., :24], packed)
    apart = np.abs(tiles[..., 24:].astype(int) - reference.texture(packed))
    assert apart.max() <= 1  # which way the half of a code is rounded
    assert apart.mean() < 1e-3


def texture_of(luma: np.ndarray) -> np.ndarray:
    """As one plane, 0 where there is none."""
    chroma = np.zeros(((luma.shape[0] + 1) // 2, (luma.shape[1] + 1) // 2), np.uint8)
    found = reference.texture(reference.pack_tiles(luma, chroma, chroma))
    return reference.unpack_plane(found, 0, 4, luma.shape).astype(int) - 128


def test_texture_is_as_strong_where_hardly_anything_is_seen():
    luma = 128 + (texture(256, 192, 0, smooth=1.5) - f32(128)) * np.linspace(0.2, 1, 256, dtype=f32)
    left, right = slice(40), slice(-40, None)
    found = texture_of(np.rint(luma).astype(np.uint8))
    assert luma[:, left].std() < 0.4 * luma[:, right].std()
    assert found[:, left].std() > 0.8 * found[:, right].std()


def test_texture_moves_with_the_picture():
    wide = texture(264, 200, 0, smooth=2)
    here, there = texture_of(wide[:192, :256])[32:160, 32:224], texture_of(wide[2:194, 3:259])[30:158, 29:221]
    assert np.abs(here - there).mean() < 0.05 * here.std()  # but for the gains, which are interpolated between tiles


def test_a_plane_without_detail_has_no_texture():
    assert not texture_of(np.full((48, 64), 77, np.uint8)).any()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_unpacking_gives_back_what_was_packed(width, height):
    planes = planes_of(width, height)
    tiles = reference.pack_tiles(*planes)
    for plane, side, channel in zip(planes, (4, 2, 2), (0, 16, 20), strict=True):
        np.testing.assert_array_equal(reference.unpack_plane(tiles, channel, side, plane.shape), plane)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(("side", "channel", "smooth"), [(4, 0, True), (2, 16, False), (2, 20, True)])
def test_blending_equals_the_reference(scale, fresh, side, channel, smooth):
    luma, cb, cr = planes_of(123, 61)
    plane = {0: luma, 16: cb, 20: cr}[channel]
    height, width = plane.shape
    tiles = reference.pack_tiles(luma, cb, cr)
    wet = reference.pad_wet(planes_of(width, height, seed=5)[0])
    field = field_of(-(-height // scale), -(-width // scale))
    found = np.zeros_like(wet)
    used = side if fresh else 0
    cpu.blend_plane(wet, field, scale, f32(0.5), smooth, tiles, channel, used, height, width, f32(0.8), found)
    expected = reference.blend_plane(wet, field, scale, 0.5, smooth, plane if fresh else None, plane.shape, 0.8)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_paint_that_stands_still_is_copied_exactly():
    wet = reference.pad_wet(planes_of(64, 40)[0])
    field = np.zeros((3, 10, 16), f32)
    field[2] = 1
    found = np.zeros_like(wet)
    nothing = np.zeros((1, 1, 24), np.uint8)
    cpu.blend_plane(wet, field, 4, f32(1), True, nothing, 0, 0, 40, 64, f32(1), found)
    np.testing.assert_array_equal(found, wet)


def test_paint_carried_by_whole_pixels_is_shifted_exactly():
    wet = reference.pad_wet(planes_of(64, 40)[0])
    field = np.zeros((3, 10, 16), f32)
    field[0], field[1] = 3, -2
    found = np.zeros_like(wet)
    nothing = np.zeros((1, 1, 24), np.uint8)
    cpu.blend_plane(wet, field, 4, f32(1), True, nothing, 0, 0, 40, 64, f32(1), found)
    inside = found[BORDER + 2 : BORDER + 40, BORDER : BORDER + 61]
    np.testing.assert_allclose(inside, wet[BORDER : BORDER + 38, BORDER + 3 : BORDER + 64], atol=1e-3)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_restoring_detail_equals_the_reference(width, height):
    wet = reference.pad_wet(planes_of(width, height, seed=3)[0])
    gain = np.random.default_rng(1).random((2, -(-height // BLOCK), -(-width // BLOCK))).astype(f32)
    lift = 10 * gain[0, ::-1, ::-1] - 5
    found, painted = np.zeros_like(wet), np.zeros((height, width), np.uint8)
    cpu.restore_plane(wet, gain, lift, found, painted)
    wet_expected, painted_expected = reference.restore_plane(wet, gain, lift)
    np.testing.assert_allclose(found, wet_expected, atol=1e-3)
    assert np.abs(painted.astype(int) - painted_expected).max() <= 1


def test_rounding_equals_the_reference():
    wet = reference.pad_wet(255 * np.random.default_rng(2).random((21, 37)).astype(f32))
    painted = np.zeros((21, 37), np.uint8)
    cpu.round_plane(wet, painted)
    np.testing.assert_array_equal(painted, reference.round_plane(wet[BORDER:-BORDER, BORDER:-BORDER]))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_measures_of_blocks_equal_the_reference(width, height):
    planes = planes_of(width, height)
    expected = reference.measure(planes[0])
    found = np.ones_like(expected)
    cpu.measure_wet(reference.pad_wet(planes[0]), height, width, found)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    cpu.measure_tiles(reference.pack_tiles(*planes), height, width, found)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
