"""Synthetic motion: the flow is exact where it is said to hold."""

import numpy as np
import pytest
from scenes import texture

from models.training import motion
from models.training.motion import MARGIN, MovingPair, moving_pair

SIDE = 96


def layer(seed: int) -> np.ndarray:
    side = SIDE + 2 * MARGIN
    return np.stack([texture(side, side, seed * 3 + i, smooth=5) for i in range(3)], -1)


@pytest.fixture(autouse=True)
def _a_perfect_camera(monkeypatch):
    monkeypatch.setattr(motion, "degrade", lambda rgb, random: rgb)


def pairs(count: int) -> list[MovingPair]:
    random = np.random.default_rng(5)
    return [moving_pair(layer(1), layer(2), random) for _ in range(count)]


def whole(pair: MovingPair) -> bool:
    return bool((pair.backward == np.rint(pair.backward)).all())


def carried(pair: MovingPair) -> np.ndarray:
    import cv2

    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    places = x + pair.backward[..., 0], y + pair.backward[..., 1]
    return cv2.remap(pair.first, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def test_the_first_frame_carried_along_the_flow_is_the_second_where_it_holds():
    for pair in pairs(12):
        error = np.abs(carried(pair).astype(int) - pair.second).mean(-1)
        assert error[pair.visible > 0].mean() < 1.5
        assert pair.visible.mean() > 0.4


def test_where_it_does_not_hold_something_else_is_seen():
    errors = [
        (error[pair.visible > 0].mean(), error[pair.visible == 0].mean())
        for pair in pairs(12)
        for error in [np.abs(carried(pair).astype(int) - pair.second).mean(-1)]
        if (pair.visible == 0).any()
    ]
    assert len(errors) > 6
    assert np.median([hidden / seen for seen, hidden in errors if seen > 0]) > 5


def test_some_pairs_shift_by_whole_pixels_and_match_exactly():
    shifts = [pair for pair in pairs(30) if whole(pair)]
    assert 5 < len(shifts) < 20
    for pair in shifts:
        np.testing.assert_array_equal(carried(pair)[pair.visible > 0], pair.second[pair.visible > 0])


def test_two_layers_move_apart_from_each_other():
    spread = [np.ptp(pair.backward[..., 0]) for pair in pairs(12) if not whole(pair)]
    assert max(spread) > 8


def test_the_same_seed_gives_the_same_pair():
    one, other = pairs(3)[-1], pairs(3)[-1]
    np.testing.assert_array_equal(one.second, other.second)
    np.testing.assert_array_equal(one.backward, other.backward)


def test_the_next_shot_of_a_camera_differs_a_little(monkeypatch):
    monkeypatch.undo()
    random, given = np.random.default_rng(0), layer(1)
    for _ in range(5):
        seen = motion.degrade(given, random)
        assert seen.dtype == np.uint8
        assert 0.1 < np.abs(seen.astype(int) - given).mean() < 20
