"""Decisions in real time, tested without a clock."""

import pytest

from engine import pacing


def test_the_network_runs_on_every_frame_while_there_is_time():
    assert pacing.cadence(interval=33.3, network=15, rest=8, current=1) == 1


@pytest.mark.parametrize(("network", "expected"), [(30, 2), (60, 3), (80, 4)])
def test_a_slow_network_runs_on_as_few_frames_as_it_must(network, expected):
    found = pacing.cadence(interval=33.3, network=network, rest=8, current=1)
    assert found == expected
    assert network + found * 8 <= found * 33.3


def test_when_even_carrying_takes_too_long_the_network_rests_as_much_as_it_may():
    assert pacing.cadence(interval=10, network=50, rest=12, current=1) == pacing.SLOWEST


def test_the_cadence_does_not_swing_between_two():
    interval, rest = 33.3, 8.0
    edge = interval * pacing.HEADROOM - rest  # a network that just fits every frame
    assert pacing.cadence(interval, edge - 0.1, rest, current=1) == 1
    assert pacing.cadence(interval, edge - 0.1, rest, current=2) == 2
    assert pacing.cadence(interval, edge * 0.8, rest, current=2) == 1


def test_a_cut_needs_both_lost_motion_and_a_different_picture():
    assert pacing.is_cut(confidence=0.1, error=40)
    assert not pacing.is_cut(confidence=0.1, error=2)  # black or flat: nothing to follow, nothing changed
    assert not pacing.is_cut(confidence=0.9, error=40)
