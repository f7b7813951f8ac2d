"""The paint holds still where the world does, follows it where it moves, and is fresh where it changed."""

import numpy as np
import pytest
from scenes import frame_of, panned, texture

from engine import flow, temporal
from engine.controls import Controls
from kernels import reference

SIZE = (320, 192)


def paint_of(luma: np.ndarray) -> np.ndarray:
    """Tiles in which a network would have painted just this luma."""
    grey = np.full(((luma.shape[0] + 1) // 2, (luma.shape[1] + 1) // 2), 128, np.uint8)
    return reference.pack_tiles(luma, grey, grey)


class Scene:
    """The two stages of the chain that remember, fed with pictures and their paintings."""

    def __init__(self, size: tuple[int, int] = SIZE):
        self.flow = flow.FlowState.for_size(*size)
        self.wet = temporal.Wet.for_size(*size, self.flow.scale)

    def paint(self, luma: np.ndarray, painting: np.ndarray | None, **controls: float) -> np.ndarray:
        motion = flow.step(self.flow, luma)
        tiles = None if painting is None else paint_of(painting)
        frame = temporal.step(self.wet, frame_of(luma), motion, tiles, Controls(**controls))
        return frame.planes[0].astype(int)


def flicker(picture: np.ndarray, random: np.random.Generator, amount: float = 20) -> np.ndarray:
    return np.clip(picture + random.normal(0, amount, picture.shape), 0, 255).astype(np.uint8)


def test_without_consistency_every_frame_is_its_own_painting():
    scene, random = Scene(), np.random.default_rng(0)
    for view in panned(*SIZE, count=4):
        painting = flicker(view, random)
        np.testing.assert_array_equal(scene.paint(view, painting, consistency=0), painting)


def test_flicker_of_the_network_is_calmed_on_a_still_scene():
    scene, random = Scene(), np.random.default_rng(0)
    view = texture(*SIZE)
    painted = [scene.paint(view, flicker(view, random), consistency=0.9) for _ in range(12)]
    assert np.abs(painted[-1] - painted[-2]).mean() < 0.25 * 20


def test_paint_follows_a_pan():
    scene = Scene()
    views = panned(*SIZE, count=6, step=(4, 2))
    paintings = [255 - view for view in views]  # a painting that moves just as its scene does
    for view, painting in zip(views, paintings, strict=True):
        painted = scene.paint(view, painting)
    assert np.abs(painted - paintings[-1].astype(int))[20:-20, 20:-20].mean() < 3


def test_a_cut_leaves_nothing_of_the_old_scene():
    scene = Scene()
    for _ in range(3):
        scene.paint(texture(*SIZE, seed=1), texture(*SIZE, seed=2))
    fresh = texture(*SIZE, seed=4)
    np.testing.assert_array_equal(scene.paint(texture(*SIZE, seed=3), fresh), fresh)


def test_a_frame_without_the_network_is_carried_by_motion_alone():
    scene = Scene()
    views = panned(*SIZE, count=2, step=(4, 2))
    scene.paint(views[0], 255 - views[0])
    carried = scene.paint(views[1], None)
    assert np.abs(carried - (255 - views[1].astype(int)))[20:-20, 20:-20].mean() < 4


def test_what_was_carried_without_being_sure_is_painted_anew_by_the_next_fresh_frame():
    background, thing = texture(*SIZE, seed=1), texture(*SIZE, seed=2)

    def view(x: int) -> np.ndarray:
        picture = background.copy()
        picture[60:120, x : x + 60] = thing[60:120, :60]
        return picture

    scene = Scene()
    scene.paint(view(100), view(100))
    scene.paint(view(112), None)  # uncovers background that no paint was ever made for
    painted = scene.paint(view(112), view(112))
    assert np.abs(painted - view(112).astype(int))[65:115, 102:108].mean() < 4


def test_a_slow_change_of_light_is_followed_and_leaves_no_old_paint_behind():
    scene = Scene()
    base = texture(*SIZE) // 2
    for step in range(20):
        view = base + 2 * step
        painted = scene.paint(view, view)
    assert abs(painted.mean() - view.mean()) < 1.5


def test_a_long_still_neither_drifts_nor_blurs():
    scene, random = Scene(), np.random.default_rng(0)
    view = texture(*SIZE)
    painting = texture(*SIZE, seed=9)
    first = scene.paint(view, painting)
    for _ in range(150):
        last = scene.paint(flicker(view, random, 1), flicker(painting, random, 2))
    assert abs(last.mean() / first.mean() - 1) < 0.01
    assert abs(last.std() / first.std() - 1) < 0.01


def test_a_frame_that_is_not_painted_is_a_copy_of_the_camera_s():
    frame = frame_of(texture(*SIZE), chroma=77)
    copy = temporal.unpainted(frame)
    for original, copied in zip(frame.planes, copy.planes, strict=True):
        np.testing.assert_array_equal(copied, original)
        assert not np.shares_memory(copied, original)


def test_keeping_the_colours_takes_chroma_from_the_camera():
    state = flow.FlowState.for_size(*SIZE)
    wet = temporal.Wet.for_size(*SIZE, state.scale)
    frame = frame_of(texture(*SIZE), chroma=77)
    motion = flow.step(state, frame.planes[0])
    painted = temporal.step(wet, frame, motion, paint_of(texture(*SIZE, seed=2)), Controls(keep_color=True))
    assert (painted.planes[1] == 77).all()
    np.testing.assert_array_equal(painted.planes[0], texture(*SIZE, seed=2))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (17, 3), (33, 95)])
def test_any_size_works(size):
    scene = Scene(size)
    view = texture(*size, smooth=0.5) if min(size) > 1 else np.full((size[1], size[0]), 50, np.uint8)
    for _ in range(2):
        painted = scene.paint(view, 255 - view)
    np.testing.assert_allclose(painted, 255 - view.astype(int), atol=1)
