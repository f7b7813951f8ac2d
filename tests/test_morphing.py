"""The style changes while it paints: along a straight line, without a stop, and only the newest wish counts."""

import weakref

import numpy as np
import pytest
from scenes import frame_of, texture
from workshop import follow, paint, until

from engine.seeing import Seeing
from engine.stylizers import morphing, open_stylizer
from engine.stylizers.morphing import MORPH, SETTLING, STEP, Wish, next_vector
from models.colour import Encoding


def test_a_morph_takes_its_time_and_slows_down_on_its_way():
    start, goal = np.float32([0, 6]), np.float32([6, 0])
    elapsed, vector, steps = 0.0, start, 0
    while vector is not goal:
        vector, due = next_vector(start, goal, elapsed, making=0.001)
        assert due - elapsed >= min(STEP, MORPH - elapsed)
        np.testing.assert_allclose(vector, goal - (1 - due / MORPH) ** 3 * (goal - start), atol=1e-5)
        elapsed, steps = due, steps + 1
    assert elapsed == MORPH
    assert steps == pytest.approx(MORPH / STEP, abs=1)


def test_where_making_a_network_takes_long_there_is_one_step_and_at_once():
    start, goal = np.float32([0, 6]), np.float32([6, 0])
    vector, due = next_vector(start, goal, 0.01, making=0.15)
    assert vector is goal
    assert due == 0.01


def test_another_network_is_taken_over_in_one_step(workshop):
    stylizer = workshop.opened()
    assert paint(stylizer) == 10

    def done() -> bool:
        stylizer.wish(Wish("b", 1.0, "fine"))
        return not stylizer.facts.becoming

    until(done)
    assert paint(stylizer) == 110
    assert workshop.networks == ["fine"]
    assert stylizer.facts.network == "fine"
    workshop.made.clear()
    follow(stylizer, "a", network="fine")
    assert len(workshop.made) > 1
    assert set(workshop.networks) == {"fine"}


def test_while_nothing_else_is_wished_nothing_is_made(workshop):
    stylizer = workshop.opened()
    for _ in range(10):
        stylizer.wish(Wish("a", 1.0, "fast"))
        assert paint(stylizer) == 10
    assert not workshop.asked
    assert not workshop.made


def test_it_walks_straight_to_what_is_wished_and_says_where_it_is(workshop):
    stylizer = workshop.opened("c")
    follow(stylizer, "a")  # in one step, since how long a network takes is not known yet
    assert len(workshop.made) == 1
    workshop.made.clear()
    workshop.gate.clear()
    stylizer.wish(Wish("b", 0.5, "fast"))
    assert (stylizer.facts.style, stylizer.facts.becoming) == ("a", "b")
    workshop.gate.set()
    follow(stylizer, "b", 0.5)
    assert (stylizer.facts.style, stylizer.facts.strength, stylizer.facts.becoming) == ("b", 0.5, "")
    assert paint(stylizer) == 55
    places = [network.vector for network in workshop.made]
    assert len(places) > 1
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    for x, y in places:
        assert y == pytest.approx((x - 10) * 25 / 45, abs=1e-3)


def test_the_old_network_paints_until_the_new_one_is_warm(workshop):
    stylizer = workshop.opened()
    workshop.gate.clear()
    for _ in range(5):
        stylizer.wish(Wish("b", 1.0, "fast"))
        assert paint(stylizer) == 10
    workshop.gate.set()
    painted = []

    def changed() -> bool:
        stylizer.wish(Wish("b", 1.0, "fast"))
        painted.append(paint(stylizer))
        return painted[-1] != 10

    until(changed)
    newest = next(network for network in workshop.made if int(network.vector[0]) == painted[-1])
    assert newest.collected == 2  # once for nobody


def test_frames_in_flight_come_from_the_network_they_were_given_to(workshop):
    stylizer = workshop.opened()
    stylizer.submit()
    follow(stylizer, "b")
    stylizer.submit()
    follow(stylizer, "c")
    stylizer.submit()
    assert [int(stylizer.collect()[0, 0, 0]) for _ in range(3)] == [10, 110, 210]


def test_of_many_wishes_only_the_newest_counts(workshop):
    stylizer = workshop.opened()
    workshop.gate.clear()
    stylizer.wish(Wish("b", 1.0, "fast"))
    until(lambda: len(workshop.asked) == 1)
    for step in range(100):
        stylizer.wish(Wish("c", step / 100, "fast"))
    workshop.gate.set()
    follow(stylizer, "c", 0.99)
    assert workshop.asked == [("b", 1.0), ("c", 0.99)]
    assert paint(stylizer) == int(210 * 0.99)


def test_a_new_wish_sets_out_from_where_it_is(workshop):
    stylizer = workshop.opened()
    follow(stylizer, "b")
    workshop.made.clear()
    workshop.gate.clear()
    workshop.begun = 0
    stylizer.wish(Wish("c", 1.0, "fast"))
    until(lambda: workshop.begun == 1)
    stylizer.wish(Wish("a", 1.0, "fast"))
    workshop.gate.set()
    follow(stylizer, "a")
    turn, *after = [network.vector[0] for network in workshop.made]
    assert 110 < turn < 210
    assert after == sorted(after, reverse=True)
    assert after[0] < turn
    assert after[-1] == 10


def test_a_wish_that_is_taken_back_ends_where_it_began(workshop):
    stylizer = workshop.opened()
    workshop.gate.clear()
    stylizer.wish(Wish("b", 1.0, "fast"))
    workshop.gate.set()
    follow(stylizer, "a")
    assert paint(stylizer) == 10
    assert stylizer.facts.style == "a"


@pytest.mark.parametrize(("look", "breaks_at", "why"), [("mona-lisa", None, "there are a, b, c"), ("b", 0, "out of memory")])
def test_what_cannot_be_painted_leaves_a_note_and_the_stream_goes_on(workshop, look, breaks_at, why):
    stylizer = workshop.opened()
    workshop.breaks_at = breaks_at
    follow(stylizer, look)
    assert paint(stylizer) == 10
    assert stylizer.facts.style == "a"
    assert why in stylizer.facts.refused
    assert stylizer.notes == [stylizer.facts.refused]
    workshop.breaks_at = None
    follow(stylizer, "c")
    assert paint(stylizer) == 210
    assert not stylizer.facts.refused


def test_networks_that_are_no_longer_used_are_released(workshop):
    stylizer = workshop.opened()
    follow(stylizer, "b")
    follow(stylizer, "c")
    networks = [weakref.ref(network) for network in workshop.made]
    workshop.made.clear()
    until(lambda: stylizer._thread is None)
    assert sum(network() is not None for network in networks) == 1


def test_once_strength_nought_is_painted_frames_can_be_left_as_they_are(workshop):
    stylizer = workshop.opened()
    assert not stylizer.plain
    follow(stylizer, "a", 0.0)
    for _ in range(SETTLING):
        assert not stylizer.plain
        assert not stylizer.settled
        assert paint(stylizer) == 0
    assert stylizer.plain
    follow(stylizer, "b", 0.0)
    assert stylizer.plain
    follow(stylizer, "mona-lisa", 1.0)
    assert stylizer.plain
    follow(stylizer, "b", 0.1)
    assert not stylizer.plain


def test_opened_at_strength_nought_frames_can_be_left_as_they_are_at_once(workshop):
    assert workshop.opened(strength=0.0).plain


def test_closing_gives_up_what_is_wished(workshop, monkeypatch):
    monkeypatch.setattr(morphing, "STEP", 60.0)
    monkeypatch.setattr(morphing, "MORPH", 300.0)
    stylizer = workshop.opened()
    stylizer.wish(Wish("b", 1.0, "fast"))
    until(lambda: len(workshop.made) == 1)
    stylizer.close()
    assert stylizer._thread is None
    assert len(workshop.made) == 1


def test_the_real_network_ends_where_another_begins(monkeypatch):
    monkeypatch.setattr(morphing, "MORPH", 0.05)
    frame = frame_of(texture(64, 48))
    painted = []
    for first in ("starry-night", "great-wave:0.5,starry-night:0.5"):
        stylizer = open_stylizer(first, (64, 48), Encoding(), strength=0.8).stylizer
        follow(stylizer, "great-wave:0.5,starry-night:0.5", 0.8)
        Seeing.for_size(64, 48).show(frame.planes, stylizer.input())
        stylizer.submit()
        painted.append(stylizer.collect().copy())
        stylizer.close()
    np.testing.assert_array_equal(*painted)
