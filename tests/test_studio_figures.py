"""The figures of the studio's benchmark are right where the answer is known."""

import numpy as np
import pytest

from benchmarks import glass
from benchmarks.glass import Seen

NOTHING = np.zeros(3)


def seen(*frames: tuple[int | None, float]) -> list[Seen]:
    return [Seen(number, time, NOTHING) for number, time in frames]


def levels(luma: np.ndarray) -> np.ndarray:
    """Block means as the probe in the page takes them, of the inner half of each block."""
    across, down = (round(side * share) for side, share in zip(luma.shape[::-1], glass.BLOCK, strict=True))
    blocks = luma[: 2 * down, : glass.COLUMNS * across].reshape(2, down, glass.COLUMNS, across)
    return blocks[:, down // 4 : -down // 4, :, across // 4 : -across // 4].mean((1, 3))


def clock(number: int, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    width, height = size
    planes = [np.full((height // k, width // k), 90, np.uint8) for k in (1, 2, 2)]
    glass.draw(number, planes)
    return planes[0]


@pytest.mark.parametrize("number", [0, 1, 85, 128, 254, 255])
def test_a_number_is_read_as_it_was_drawn_and_in_any_paint(number):
    drawn = levels(clock(number))
    assert glass.read(drawn) == number
    assert glass.read(drawn * 0.3 + 70) == number


def test_what_is_not_certain_is_no_number():
    drawn = levels(clock(5))
    flipped, faint = drawn.copy(), drawn.copy()
    flipped[:, 3] = flipped[::-1, 3]
    faint[:, 2] = 120, 110
    assert glass.read(flipped) is None
    assert glass.read(faint) is None


def test_latency_is_from_the_capture_to_the_first_time_shown():
    camera = seen((7, 1000), (8, 1033), (9, 1067))
    shown = seen((7, 1100), (7, 1117), (9, 1180))
    assert glass.latencies(camera, shown) == pytest.approx([100, 113])


def test_a_number_belongs_to_its_own_round_and_a_misread_one_to_none():
    camera = seen((7, 1000), (7, 9533))
    assert glass.latencies(camera, seen((7, 1100), (7, 9600))) == pytest.approx([100, 67])
    assert glass.latencies(camera, seen((7, 5000), (None, 1050), (3, 1050))).size == 0


def test_frames_that_nobody_looked_at_count_as_shown():
    counts = [(1000.0, 40), (1033.0, 41), (1100.0, 43), (1133.0, 44)]
    assert glass.counted(counts, 1010, 1120) == 3
    assert glass.counted(counts, 0, 2000) == 5
    assert glass.counted(counts, 1140, 2000) == 0


def faded(ways: list[float], every: float = 100.0, noise: float = 0.0) -> list[Seen]:
    """Frames that are this far from one look to another."""
    old, new, rng = np.array([10.0, 20, 30]), np.array([110.0, 20, 90]), np.random.default_rng(1)
    sway = rng.normal(0, noise, len(ways))
    return [Seen(None, n * every, old + (way + s) * (new - old)) for n, (way, s) in enumerate(zip(ways, sway, strict=True))]


def test_a_switch_is_seen_at_its_first_trace_half_way_and_when_it_has_arrived():
    shown = faded([0] * 10 + [0, 0.05, 0.2, 0.4, 0.6, 0.95] + [1] * 10)
    switch = glass.switch(shown, asked=1000, settled=2000)
    assert (switch.first, switch.half, switch.arrived) == pytest.approx((200, 400, 500))
    assert switch.noise == pytest.approx(0)


def test_motion_of_the_scene_is_not_taken_for_a_switch():
    shown = faded([0] * 20 + [0] * 5 + [1] * 20, noise=0.05)
    switch = glass.switch(shown, asked=2000, settled=3000)
    assert switch.first == pytest.approx(500)
    assert switch.noise == pytest.approx(0.05, rel=0.5)


def test_a_single_frame_of_another_colour_is_no_switch():
    shown = faded([0] * 10 + [0, 0.9, 0, 0, 1, 1] + [1] * 10)
    assert glass.switch(shown, asked=1000, settled=2000).half == pytest.approx(400)


def test_a_switch_between_equal_looks_or_without_frames_cannot_be_measured():
    with pytest.raises(ValueError, match="same colours"):
        glass.switch(faded([0] * 10), asked=300, settled=600)
    with pytest.raises(ValueError, match="no frames"):
        glass.switch(faded([0] * 3), asked=300, settled=600)


def test_a_click_comes_back_after_the_newest_that_it_can_be():
    assert glass.behind([0, 1000, 2000], [120, 1130]) == pytest.approx([120, 130])
    assert glass.behind([1000], [900]).size == 0
