"""Decisions in real time, tested without a clock."""

import pytest

from engine import pacing
from engine.pacing import CALM, PATIENCE, Load, Pace, follow

DEARNESS = {"fast": 1.0, "fine": 4.0}


def run(pace: Pace, frames: int, free: bool = True, interval: float = 33.3, **milliseconds: float) -> Pace:
    """The pace after so many frames under networks that take so long."""
    for _ in range(frames):
        load = Load(interval, milliseconds[pace.network] - 1, beside=1, rest=5)
        pace = follow(pace, load, pace.network, fresh=True, free=free)
    return pace


def test_a_finer_network_is_taken_where_it_fits_and_not_at_once():
    pace = Pace("fast", dearness=DEARNESS)
    assert run(pace, CALM - 1, fast=4, fine=16).network == "fast"
    assert run(pace, CALM, fast=4, fine=16).network == "fine"
    assert run(pace, 20 * CALM, fast=4, fine=16).network == "fine"


def test_a_finer_network_is_not_even_tried_where_it_cannot_fit():
    assert run(Pace("fast", dearness=DEARNESS), 1000, fast=10, fine=40).network == "fast"


def test_what_was_tried_and_was_too_slow_is_not_tried_again_until_the_machine_is_faster():
    pace, seen = Pace("fast", dearness=DEARNESS), []
    for _ in range(2000):
        pace = run(pace, 1, fast=4, fine=30)  # dearer than its multiplications let one expect
        seen.append(pace.network)
    assert 0 < seen.count("fine") <= pacing.SETTLED + PATIENCE + 1
    assert seen[-1] == "fast"
    assert pace.dearness["fine"] == pytest.approx(7.5)
    assert run(pace, CALM, fast=2, fine=15).network == "fine"


def test_a_network_that_falls_behind_for_a_moment_is_kept_and_for_longer_is_not():
    pace = run(Pace("fine", dearness=DEARNESS), 100, fine=16)
    assert run(pace, PATIENCE - 1, fine=60).network == "fine"
    assert run(pace, PATIENCE, fine=60, fast=15).network == "fast"


def test_only_the_cheapest_network_rests_for_whole_frames_for_long():
    pace = run(Pace("fine", dearness=DEARNESS), 300, fine=160, fast=40)
    assert pace.network == "fast"
    assert 1 < pace.cadence < 2


def test_a_network_that_was_asked_for_is_left_alone():
    assert run(Pace("fast", dearness=DEARNESS), 500, free=False, fast=1, fine=4).network == "fast"
    pace = follow(Pace("fast", dearness=DEARNESS), Load(33.3, 100, 3, 5), "fine", fresh=True, free=False)
    assert (pace.network, pace.cadence) == ("fine", 2)


def test_the_cadence_changes_by_one_at_a_time_and_only_after_a_fresh_frame():
    slow, quick = Load(33.3, 100, 3, 5), Load(33.3, 1, 3, 5)
    pace, found = Pace("fast"), []
    frames = [(slow, True), (slow, False), (slow, True), (slow, True), (quick, False), (quick, True), (quick, True)]
    for load, fresh in frames:
        pace = follow(pace, load, "fast", fresh, free=True)
        found.append(pace.cadence)
    assert found == [2, 2, 3, 4, 4, 3, 2]


def test_while_a_network_is_being_made_nothing_is_decided():
    pace = Pace("fine", dearness=DEARNESS, before=("fast", 4.0))
    assert follow(pace, Load(33.3, 100, 3, 5), "fast", fresh=True, free=True) == pace


def test_people_are_told_what_was_chosen_and_what_the_other_would_have_taken():
    line = pacing.explain(Pace("fast", 1, DEARNESS), Load(33.3, 7, 3, 5))
    assert line == "fast on every frame: 15 of 33 ms; fine would take 45"
    assert "33% of the frames" in pacing.explain(Pace("fine", 3, DEARNESS), Load(33.3, 70, 3, 5))


def test_the_network_runs_on_every_frame_while_there_is_time():
    assert pacing.cadence(interval=33.3, network=15, rest=8) == 1


@pytest.mark.parametrize("network", [23, 30, 60, 150])
def test_a_slow_network_runs_on_as_many_frames_as_there_is_time_for(network):
    found = pacing.cadence(interval=33.3, network=network, rest=8)
    assert found > 1
    assert network + found * 8 == pytest.approx(found * 33.3 * pacing.HEADROOM)


def test_when_even_carrying_takes_too_long_the_network_rests_as_much_as_it_may():
    assert pacing.cadence(interval=10, network=50, rest=12) == pacing.SLOWEST


def test_a_cut_needs_both_lost_motion_and_a_different_picture():
    assert pacing.is_cut(confidence=0.1, error=40)
    assert not pacing.is_cut(confidence=0.1, error=2)  # black or flat: nothing to follow, nothing changed
    assert not pacing.is_cut(confidence=0.9, error=40)
