"""Timestamps: kept where they rise, repaired where they do not, in step with the rest of the stream."""

from fractions import Fraction
from itertools import pairwise

import pytest

from engine.sources.timeline import Timeline

FRAME = Fraction(40)  # ticks


def placed(own: list[int | None], step: Fraction = FRAME, from_zero: bool = False) -> tuple[list[int], Timeline]:
    timeline = Timeline(step, from_zero)
    return [timeline.place(time) for time in own], timeline


@pytest.mark.parametrize("own", [[0, 40, 80], [7, 8, 500, 501], [-3, 0, 1]], ids=["even", "varying", "from below zero"])
def test_times_that_rise_are_kept(own: list[int]):
    times, timeline = placed(list(own))
    assert times == own
    assert timeline.repaired == 0


@pytest.mark.parametrize(
    ("own", "wanted", "repaired"),
    [
        ([None, None, None], [0, 40, 80], 3),
        ([0, 0, 0, 0], [0, 40, 80, 120], 3),
        ([100, None, 180, 220], [100, 140, 180, 220], 1),
        ([0, 40, 0, 120, 160], [0, 40, 80, 120, 160], 1),
        ([0, 40, 40, 41], [0, 40, 80, 81], 1),
    ],
    ids=["none at all", "all zero", "one missing", "one zero", "one twice"],
)
def test_a_time_that_does_not_rise_is_set_one_frame_after_the_last(own, wanted, repaired):
    times, timeline = placed(own)
    assert times == wanted
    assert timeline.repaired == repaired


def test_a_clock_that_starts_again_is_followed_with_its_distances():
    times, timeline = placed([1000, 1040, 1080, 0, 30, 100, 107])
    assert times == [1000, 1040, 1080, 1120, 1150, 1220, 1227]
    assert timeline.repaired == 1
    assert timeline.offset == 1120  # by so much the sound of the second part is moved


def test_repaired_times_do_not_drift():
    times, _ = placed([None] * 3001, step=Fraction(1001, 30))
    assert times[-1] == round(3000 * Fraction(1001, 30))
    assert {later - earlier for earlier, later in pairwise(times)} == {33, 34}


def test_times_rise_though_a_frame_is_shorter_than_a_tick():
    times, _ = placed([None] * 5, step=Fraction(1, 4))
    assert times == [0, 1, 2, 3, 4]


def test_a_clock_that_counts_from_elsewhere_starts_at_zero_if_asked_to():
    times, timeline = placed([1_790_000_000, 1_790_000_040], from_zero=True)
    assert times == [0, 40]
    assert timeline.offset == -1_790_000_000


@pytest.mark.parametrize(("gap", "wanted"), [(3000, 3080), (0, 120), (-5, 120)])
@pytest.mark.parametrize("again", [[0, 40], [9_000, 9_040], [None, None]], ids=["from zero", "from later", "without times"])
def test_after_opening_again_time_goes_on_as_long_after_as_it_took(gap: int, wanted: int, again: list[int | None]):
    _, timeline = placed([0, 40, 80])
    timeline.restart(gap)
    assert [timeline.place(time) for time in again] == [wanted, wanted + 40]
