"""The pictures that the encoder learns from beside the paintings."""

import cv2
import numpy as np
import pytest
from scenes import colours

pytest.importorskip("torch")

from models.encoder import SIDE
from models.training.pictures import Photographs
from models.training.stand_ins import in_colours_of, stand_ins


def muted(seed: int) -> np.ndarray:
    """Few colours, far from black and white, which all depend on one another."""
    turn = np.random.default_rng(seed).normal(0, 0.25, (3, 3))
    return np.rint((colours(96, seed, smooth=2) - 128.0) @ turn + 128).clip(0, 255).astype(np.uint8)


def test_a_picture_in_the_colours_of_another_has_their_mean_and_covariance():
    picture, other = muted(1), muted(2)
    moved = in_colours_of(picture, other)
    found, wanted = (p.reshape(-1, 3).astype(float) for p in (moved, other))
    np.testing.assert_allclose(found.mean(0), wanted.mean(0), atol=0.5)
    np.testing.assert_allclose(np.cov(found.T), np.cov(wanted.T), atol=0.03 * np.cov(wanted.T).max())
    assert np.abs(moved.astype(int) - picture).mean() > 5


def test_a_picture_in_its_own_colours_stays_as_it_is():
    picture = muted(3)
    assert np.abs(in_colours_of(picture, picture).astype(int) - picture).max() <= 1


def test_a_grey_picture_takes_on_the_light_of_another_and_stays_a_picture():
    grey = np.repeat(muted(4)[..., :1], 3, 2)
    moved = in_colours_of(grey, muted(5))
    np.testing.assert_allclose(moved.reshape(-1, 3).mean(0), muted(5).reshape(-1, 3).mean(0), atol=0.6)


def test_stand_ins_are_many_different_squares_and_the_same_for_the_same_seed(tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.stand_ins.PARTS", 60)
    cv2.imwrite(str(tmp_path / "a.png"), colours(200, 6))
    paintings = [colours(600, seed) for seed in (7, 8)]
    one, same = (stand_ins(paintings, Photographs(tmp_path, 1), seed=2) for _ in range(2))
    assert {picture.shape for picture in one} == {(SIDE, SIDE, 3)}
    assert {picture.dtype for picture in one} == {np.dtype(np.uint8)}
    assert len({picture.tobytes() for picture in one}) == len(one) == 100
    np.testing.assert_array_equal(one, same)
