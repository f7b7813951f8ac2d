"""The code-made scene: what it says of its motion is true of its pictures."""

from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import pytest

from engine.errors import UsageError
from engine.frame import BT709, LIMITED, Planes, plane_views
from engine.sources import open_source
from engine.sources.scene import SceneSource

SIZE = (320, 180)


@cache
def scene(uri: str = "scene:320x180,4,30") -> SceneSource:
    return SceneSource(uri)


def planes(source: SceneSource, index: int) -> Planes:
    return plane_views(source.render(index))


def luma(source: SceneSource, index: int) -> np.ndarray:
    return planes(source, index)[0].astype(np.float32)


def warped(picture: np.ndarray, backward: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    return cv2.remap(picture, x + backward[..., 0], y + backward[..., 1], cv2.INTER_LINEAR)


@pytest.mark.parametrize(("index", "distance"), [(1, 1), (60, 1), (90, 10)])
def test_the_frame_before_warped_along_the_flow_is_the_frame(index: int, distance: int):
    source = scene()
    backward, visible = source.flow(index, distance)
    now, then = luma(source, index), luma(source, index - distance)
    error = np.abs(now - warped(then, backward))[visible]
    assert visible.mean() > 0.75
    assert error.mean() < 1.5  # codes: rounding, grain, and what bilinear sampling blurs
    assert error.mean() < 0.45 * np.abs(now - then)[visible].mean()


def test_the_flow_is_more_than_the_eye_can_tell_wrong():
    """A flow that is a fifth of a pixel off explains the frames less well, so the check above can fail."""
    source = scene()
    backward, visible = source.flow(60)
    now, then = luma(source, 60), luma(source, 59)
    right = np.abs(now - warped(then, backward))[visible].mean()
    wrong = np.abs(now - warped(then, backward + np.float32(0.2)))[visible].mean()
    assert wrong > 1.15 * right


def test_motion_goes_both_ways_and_is_not_whole_pixels():
    backward, visible = scene().flow(45)
    moved = backward[visible]
    assert len(np.unique(np.round(moved % 1, 2))) > 20
    assert (moved[:, 0] > 0.5).any()
    assert (moved[:, 0] < -0.1).any()  # the balloon, against the camera
    assert np.abs(moved[:, 1]).max() > 0.02


def test_uncovered_points_were_hidden_and_are_not_called_visible():
    source = scene()
    backward, visible, uncovered = source.motion(60, 5)
    assert 0.001 < uncovered.mean() < 0.2
    assert not (visible & uncovered).any()
    error = np.abs(luma(source, 60) - warped(luma(source, 55), backward))
    assert error[uncovered].mean() > 5 * error[visible].mean()


def test_what_left_the_frame_is_not_visible():
    backward, visible = scene().flow(60, 10)
    x = np.arange(SIZE[0])
    outside = (x + backward[..., 0] < 0) | (x + backward[..., 0] > SIZE[0] - 1)
    assert outside.any()
    assert not visible[outside].any()


def test_the_same_parameters_give_the_same_frames():
    first, second = scene(), SceneSource("scene:320x180,4,30")
    for index in (70, 0):  # in whatever order
        for one, other in zip(planes(first, index), planes(second, index), strict=True):
            assert np.array_equal(one, other)


def test_every_sample_of_every_plane_is_drawn():
    for uri in ("scene:97x61", "scene:64x96"):
        picture = SceneSource(uri).render(20)
        for plane in plane_views(picture):
            plane[:] = 1
        source = SceneSource(uri)
        source._scenery(20).render(source._seconds(20), plane_views(picture))
        for plane, again in zip(plane_views(picture), planes(source, 20), strict=True):
            assert np.array_equal(plane, again)


def test_frames_are_what_the_stream_says():
    source = open_source("scene:96x54,1/2,30000/1001,cut", (70, 51))
    assert isinstance(source, SceneSource)
    frames = list(source)
    assert len(frames) == source.info.frames == 15
    assert source.info.rate == Fraction(30000, 1001)
    assert [frame.pts for frame in frames] == list(range(15))
    assert all(frame.time_base == Fraction(1001, 30000) for frame in frames)
    assert (frames[0].width, frames[0].height) == (source.info.width, source.info.height) == (70, 51)
    picture = frames[0].picture
    assert (picture.format.name, picture.colorspace, picture.color_range) == ("yuv420p", BT709, LIMITED)
    assert frames[0].planes[1].shape == (26, 35)


def test_codes_are_of_limited_range():
    y, cb, cr = planes(scene(), 30)
    assert 16 <= np.percentile(y, 0.1) < 60
    assert 180 < np.percentile(y, 99.9) <= 240
    assert cr.astype(int).mean() > cb.astype(int).mean()  # a warm light


def test_the_cut_changes_everything_and_has_no_flow():
    source = scene("scene:320x180,1,30,cut")
    assert source.cut == 15
    assert np.abs(luma(source, 15) - luma(source, 14)).mean() > 20
    assert np.abs(luma(source, 16) - luma(source, 15)).mean() < 8
    assert not source.flow(15)[1].any()
    assert source.flow(16)[1].any()


def test_noise_is_of_the_strength_asked_for_and_its_own_every_frame():
    clean, noisy = scene(), SceneSource("scene:320x180,4,30", noise=3.0, seed=1)
    one, two = (luma(noisy, index) - luma(clean, index) for index in (10, 11))
    assert one.std() == pytest.approx(3, abs=0.15)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.02
    assert np.array_equal(luma(noisy, 10), luma(SceneSource("scene:320x180,4,30", noise=3.0, seed=1), 10))


def test_it_can_be_closed():
    source = SceneSource("scene:64x48")
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


@pytest.mark.parametrize("uri", ["scene:640", "scene:64x48,0", "scene:64x48,x", "scene:64x48,1,30,wipe", "scene:0x48"])
def test_a_wrong_uri_is_refused_in_a_line(uri: str):
    with pytest.raises(UsageError, match="write") as refused:
        SceneSource(uri)
    assert "\n" not in str(refused.value)
