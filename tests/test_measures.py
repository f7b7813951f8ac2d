"""The measures measure: each is right where the answer is known, and gets worse when the picture does."""

import cv2
import numpy as np
import pytest
from scenes import panned, texture

from benchmarks import measures


def flow(x: float, y: float, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    """The same way back everywhere."""
    return np.full((*shape, 2), (x, y), np.float32)


EVERYWHERE = np.ones((48, 64), bool)


def inner(shape: tuple[int, int] = (48, 64), margin: int = 8) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def test_warp_fetches_what_the_flow_points_at():
    picture = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    assert measures.warp(picture, flow(2, 1))[10, 20] == picture[11, 22]
    assert measures.warp(picture, flow(0.25, 0))[10, 20] == pytest.approx(picture[10, 20] + 0.25)
    assert measures.warp(picture, flow(-5, 0))[10, 2] == picture[10, 0]  # beyond the edge, the edge


def test_stability_of_an_exactly_moved_picture_is_zero():
    then, now = panned(64, 48, 2, step=(3, 2))
    error = measures.pair_error(now, then, flow(3, 2), inner())
    assert measures.stability([error]) == 0
    assert measures.pair_error(now, then, flow(0, 0), inner()) > 1e-4  # and not with another flow


def test_stability_of_noise_is_that_of_the_noise():
    """Two pictures with noise of deviation s differ by one of s sqrt 2."""
    rng = np.random.default_rng(0)
    shape = (400, 400)
    one, two = (128 + rng.normal(0, 10, shape).astype(np.float32) for _ in range(2))
    error = measures.pair_error(one, two, flow(0, 0, shape), np.ones(shape, bool))
    assert measures.stability([error]) == pytest.approx(10 * np.sqrt(2) / 255, rel=0.02)


def test_what_is_not_valid_counts_as_still():
    one, two = np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)
    half = EVERYWHERE.copy()
    half[:, 32:] = False
    assert measures.pair_error(one, two, flow(0, 0), EVERYWHERE) == pytest.approx(1)
    assert measures.pair_error(one, two, flow(0, 0), half) == pytest.approx(0.5)


def test_stability_is_the_root_of_the_mean_of_pairs():
    assert measures.stability([0.01, 0.03]) == pytest.approx(np.sqrt(0.02))


def test_gradient_of_a_ramp_is_its_slope():
    ramp = np.tile(np.arange(0, 192, 3, dtype=np.uint8), (48, 1))
    assert measures.gradient(ramp) == pytest.approx((3, 0))
    assert measures.gradient(ramp[:, ::-1].T) == pytest.approx((0, 3))  # falling too, though bytes cannot be negative


def test_sharpness_falls_with_blur_and_rises_with_sharpening():
    picture = texture(64, 48, smooth=1.0)
    blurred = cv2.GaussianBlur(picture, (0, 0), 1)
    assert measures.sharpness([picture], [picture]) == (1, 1, 1)
    assert max(measures.sharpness([blurred], [picture])) < 0.8
    assert min(measures.sharpness([picture, picture], [blurred, blurred])) > 1.25


def test_blur_in_one_direction_is_not_hidden_by_sharpening_in_the_other():
    picture = texture(64, 48, smooth=1.0).astype(np.float32)
    smeared = cv2.blur(picture, (5, 1))
    streaks = np.clip(2.2 * smeared - 1.2 * cv2.blur(smeared, (1, 3)), 0, 255)
    whole, across, down = measures.sharpness([streaks], [picture])
    assert whole > 0.75
    assert across < 0.65
    assert down > 0.95


def test_distance_is_of_the_chosen_place():
    one, two = np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8)
    two[:, :16] = 51
    left = np.zeros((48, 64), bool)
    left[:, :16] = True
    assert measures.distance(one, two) == pytest.approx(0.05)
    assert measures.distance(two, one, left) == pytest.approx(0.2)
    assert measures.distance(one, two, ~left) == 0
    assert np.isnan(measures.distance(one, two, np.zeros_like(left)))


@pytest.mark.parametrize(
    ("before", "after", "frames"),
    [
        ([0.02, 0.02], [0.0, 0.01, 0.02], 0),
        ([0.02, 0.02], [0.3, 0.1, 0.02], 2),
        ([0.02, 0.02], [0.3, 0.2, 0.1], None),
        ([0.0, 0.0], [0.9 / 255], 0),  # under a code nobody sees it
        ([0.0, 0.0], [1.1 / 255, 0.5 / 255], 1),
        ([], [0.0], 0),
    ],
)
def test_recovery_counts_the_frames_after_a_cut(before: list[float], after: list[float], frames: int | None):
    assert measures.recovery(before, after) == frames


def test_drift_tells_brightness_from_contrast():
    picture = texture(64, 48).astype(np.float32)
    assert measures.drift(picture, picture) == (0, 0)
    brightness, contrast = measures.drift(picture, picture * 0.9)
    assert (brightness, contrast) == (pytest.approx(-0.1), pytest.approx(-0.1))
    brightness, contrast = measures.drift(picture, (picture - picture.mean()) * 1.02 + picture.mean())
    assert (brightness, contrast) == (pytest.approx(0, abs=1e-5), pytest.approx(0.02, rel=1e-4))


def test_psnr_is_that_of_its_definition():
    picture = texture(64, 48, smooth=1.0)
    off = picture.astype(np.float32) + 2.55
    assert measures.psnr([picture], [picture]) == float("inf")
    assert measures.psnr([off], [picture]) == pytest.approx(40)
    assert measures.psnr([off, picture], [picture, picture]) == pytest.approx(40 + 10 * np.log10(2))


def test_the_independent_flow_finds_a_shift_and_knows_what_it_cannot_find():
    then, now = panned(160, 96, 2, step=(4, 2))
    backward, valid = measures.independent_flow(now, then)
    assert valid[16:-16, 16:-16].mean() > 0.9
    assert np.abs(backward[valid] - (4, 2)).mean() < 0.2
    left_out = texture(160, 96, seed=7)  # another picture altogether
    assert measures.independent_flow(left_out, then)[1].mean() < 0.5


def test_a_flow_is_trusted_where_it_comes_back():
    one, back = flow(4, 2), flow(-4, -2)
    trusted = measures.trusted(one, back)
    assert trusted[:-2, :-4].all()
    assert not trusted[-2:].any()  # comes from outside of the frame
    assert not trusted[:, -4:].any()
    assert not measures.trusted(one, flow(-4, 2)).any()
    bent = one.copy()
    bent[20:] = 0
    assert not measures.trusted(bent, np.where(bent, back, 0))[19:21].any()  # the boundary of a motion
    assert measures.trusted(bent, np.where(bent, back, 0))[30:40, 10:40].all()


def test_joined_flows_lead_from_the_first_frame_to_the_last():
    wide = flow(2, 0)
    wide[:, 32:] = (6, 0)  # further on to the right it goes faster
    whole, valid = measures.joined([(flow(5, 1), EVERYWHERE), (wide, EVERYWHERE)])
    assert (whole[10, 10] == (7, 1)).all()
    assert (whole[10, 30] == (11, 1)).all()  # came to where it is faster
    assert valid[10, 10]
    assert not valid[:, -5:].any()  # left the frame on the first way
    half = EVERYWHERE.copy()
    half[:, 20:] = False
    assert measures.joined([(flow(5, 1), half), (wide, EVERYWHERE)])[1].sum() == 20 * 47
    assert not measures.joined([(flow(5, 1), EVERYWHERE), (wide, half)])[1][:, 15:].any()
    assert (measures.joined([(wide, half)])[0] == wide).all()


def test_of_nothing_there_is_no_sharpness_and_no_change():
    empty, picture = np.zeros((48, 64), np.uint8), texture(64, 48)
    assert np.isnan(measures.sharpness([picture], [empty])).all()
    assert np.isnan(measures.drift(empty, picture)).all()
