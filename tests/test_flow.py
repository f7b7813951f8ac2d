"""Motion is found, its confidence falls where it must, and cuts are seen."""

import numpy as np
import pytest
from scenes import panned, texture

from engine import flow


def test_scale_keeps_the_search_near_its_target():
    assert flow.flow_scale(320, 180) == 1
    assert flow.flow_scale(640, 360) == 2
    assert flow.flow_scale(1280, 720) == 4
    assert flow.flow_scale(3840, 2160) == 8
    assert flow.flow_scale(1, 1) == 1
    assert flow.flow_scale(4000, 20) == 1  # thin pictures keep enough rows to search


@pytest.mark.parametrize("size", [(320, 180), (640, 360)])
def test_a_pan_is_found_to_a_fraction_of_a_pixel(size):
    views = panned(*size, count=2, step=(6, 4), seed=1)
    state = flow.FlowState.for_size(*size)
    flow.step(state, views[0])
    motion = flow.step(state, views[1])
    inside = motion.field[:, 10:-10, 10:-10]
    assert np.median(np.abs(inside[0] - 6)) < 0.05
    assert np.median(np.abs(inside[1] - 4)) < 0.05
    assert not motion.cut
    assert inside[2].mean() > 0.8


@pytest.mark.parametrize("size", [(4000, 20), (20, 1000), (16, 16), (33, 17), (481, 271), (1281, 723)])
def test_a_pan_is_found_in_pictures_of_any_shape(size):
    views = panned(*size, count=3, step=(3, 2), seed=1)
    state = flow.FlowState.for_size(*size)
    for view in views:
        motion = flow.step(state, view)
    assert np.abs(np.median(motion.field[:2], (1, 2)) - (3, 2)).max() < 0.3


def test_a_still_picture_does_not_move_despite_noise():
    still = texture(320, 180, smooth=6).astype(int)
    random = np.random.default_rng(0)
    state = flow.FlowState.for_size(320, 180)
    for _ in range(3):
        noisy = np.clip(still + random.normal(0, 0.7, still.shape), 0, 255).astype(np.uint8)
        motion = flow.step(state, noisy)
    assert (motion.field[:2] == 0).all(axis=0).mean() > 0.9
    assert motion.confidence > 0.9


def test_a_change_of_scene_is_a_cut_and_a_change_of_light_is_not():
    one, other = texture(320, 180, seed=1), texture(320, 180, seed=2)
    state = flow.FlowState.for_size(320, 180)
    assert flow.step(state, one).cut  # there is nothing before the first frame
    assert not flow.step(state, one).cut
    assert not flow.step(state, np.clip(one.astype(int) + 5, 0, 255).astype(np.uint8)).cut
    motion = flow.step(state, other)
    assert motion.cut
    assert (motion.field == 0).all()


def test_where_something_was_uncovered_confidence_is_gone():
    background, object_ = texture(320, 180, seed=1), texture(320, 180, seed=2)
    views = []
    for x in (100, 112):
        view = background.copy()
        view[60:120, x : x + 60] = object_[60:120, :60]
        views.append(view)
    state = flow.FlowState.for_size(320, 180)
    flow.step(state, views[0])
    confidence = flow.step(state, views[1]).field[2]
    assert confidence[65:115, 101:110].mean() < 0.35
    assert confidence[65:115, 200:300].mean() > 0.9


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (15, 200)])
def test_pictures_too_small_to_search_are_taken_as_still(size):
    state = flow.FlowState.for_size(*size)
    picture = np.full((size[1], size[0]), 90, np.uint8)
    flow.step(state, picture)
    motion = flow.step(state, picture)
    assert (motion.field[:2] == 0).all()
    assert not motion.cut
