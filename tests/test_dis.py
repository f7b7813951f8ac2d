"""Dense inverse search finds motion that is known exactly, as well as OpenCV's does."""

import cv2
import numpy as np
import pytest

from kernels import dis
from models.training.motion import MARGIN, moving_pair

f32 = np.float32


def rich_texture(side: int, seed: int) -> np.ndarray:
    """Random luma uint8 [side, side] with detail of many sizes."""
    noise = np.random.default_rng(seed).random((side, side)).astype(f32)
    layers = [cv2.GaussianBlur(noise, (0, 0), 2.0**k) * 3**k for k in range(1, 5)]
    total = sum(layers)
    low, high = float(total.min()), float(total.max())
    return (16 + (total - low) / (high - low) * 219).astype(np.uint8)


def shifted(width: int, height: int, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Two views of a texture; what the first shows at p, the second shows at p + (x, y)."""
    wide = rich_texture(max(width, height) + 100, 0).astype(f32)
    rows, columns = np.mgrid[:height, :width].astype(f32) + 50
    views = [cv2.remap(wide, columns - dx, rows - dy, cv2.INTER_CUBIC) for dx, dy in ((0, 0), (x, y))]
    return tuple(np.clip(np.rint(view), 0, 255).astype(np.uint8) for view in views)


@pytest.mark.parametrize("motion", [(0.0, 0.0), (2.6, -1.3), (-14.0, 9.5)])
@pytest.mark.parametrize("size", [(160, 96), (131, 117)])
def test_a_shift_is_found_to_a_fraction_of_a_cell(size, motion):
    found = dis.flow(*shifted(*size, *motion))
    inside = found[20:-20, 20:-20] - np.array(motion)
    assert np.abs(np.median(inside, (0, 1))).max() < 0.05
    assert np.quantile(np.abs(inside), 0.9) < 0.3


def test_a_change_of_light_is_no_motion():
    one, other = shifted(96, 64, 2.6, -1.3)
    brighter = np.clip(other.astype(int) * 0.95 + 12, 0, 255).astype(np.uint8)
    assert np.median(np.abs(dis.flow(one, brighter) - (2.6, -1.3))) < 0.2


def test_what_shows_nothing_does_not_move():
    assert np.abs(dis.flow(np.full((40, 50), 90, np.uint8), np.full((40, 50), 93, np.uint8))).max() < 1e-3


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (40, 23)])
def test_every_cell_of_any_size_has_a_motion(size):
    width, height = size
    found = dis.flow(*shifted(width, height, 1, 0))
    assert found.shape == (height, width, 2)
    assert found.dtype == f32
    assert np.isfinite(found).all()


def test_coarse_levels_are_means_and_repeat_the_edge():
    levels = dis.pyramid(np.arange(35 * 33, dtype=np.uint8).reshape(33, 35) % 200)
    assert [level.shape for level in levels] == [(33, 35), (17, 18), (9, 9)][: dis.level_count(33, 35)]
    assert levels[1][3, 4] == levels[0][6:8, 8:10].mean()
    assert levels[1][16, 17] == levels[0][32, 34]


def pairs() -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Layers of textures that move by perspective and elastic maps, with noise and changes of light: pictures, the exact
    motion from the first to the second, and where it holds."""
    random, found = np.random.default_rng(5), []
    for index in range(3):
        layers = [np.repeat(rich_texture(176 + 2 * MARGIN, 2 * index + k)[..., None], 3, 2) for k in range(2)]
        pair = moving_pair(*layers, random)
        found.append((pair.second[..., 1].copy(), pair.first[..., 1].copy(), pair.backward, pair.visible > 0))
    return found


def test_errors_are_at_most_a_tenth_above_those_of_opencv():
    opencv = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    errors = [
        [np.linalg.norm(found - exact, axis=-1)[valid].mean() for found in (dis.flow(a, b), opencv.calc(a, b, None))]
        for a, b, exact, valid in pairs()
    ]
    ours, theirs = np.mean(errors, 0)
    assert ours < 1.1 * theirs
    assert ours < 0.5  # cells


def test_refinement_makes_motion_more_exact(monkeypatch):
    one, other, exact, valid = pairs()[1]
    refined = np.linalg.norm(dis.flow(one, other) - exact, axis=-1)[valid].mean()
    monkeypatch.setattr(dis, "SWEEPS", 0)
    rough = np.linalg.norm(dis.flow(one, other) - exact, axis=-1)[valid].mean()
    assert refined < 0.95 * rough
