"""A pliable network stands by, so that a style changes at once on the CPU; one for the style alone follows."""

import numpy as np
import pytest
from scenes import frame_of, texture
from workshop import Moulded, Network, follow, is_ready, paint, until

from engine.seeing import Seeing
from engine.stylizers import morphing, open_stylizer
from engine.stylizers.morphing import SETTLING, Wish
from models.colour import Encoding


def test_a_pliable_network_walks_to_what_is_wished_and_one_for_the_style_alone_follows(workshop):
    workshop.gate.clear()  # nothing is made but by kneading
    stylizer = workshop.opened("a", pliable=True)
    until(lambda: is_ready(stylizer))
    passed = set()

    def arrived() -> bool:
        stylizer.wish(Wish("b", 1.0, "fast"))
        passed.add(paint(stylizer))
        return not stylizer.facts.becoming

    until(arrived)
    assert len(passed) > 2
    assert isinstance(stylizer.painting, Moulded)
    assert paint(stylizer) == 110
    until(lambda: workshop.begun == 1)
    for _ in range(SETTLING):
        paint(stylizer)
    workshop.gate.set()
    until(lambda: is_ready(stylizer))
    stylizer.wish(Wish("b", 1.0, "fast"))
    assert type(stylizer.painting) is Network
    assert (len(workshop.made), paint(stylizer)) == (1, 110)
    assert stylizer.settled  # it paints the same, so nothing has to be blended over
    stylizer.close()


def test_while_there_are_new_wishes_nothing_is_made_for_a_style_alone(workshop, monkeypatch):
    stylizer = workshop.opened("a", pliable=True)
    until(lambda: is_ready(stylizer))
    monkeypatch.setattr(morphing, "RESTING", 60.0)
    for look in ("b", "c", "b"):
        follow(stylizer, look)
    assert not workshop.made
    assert isinstance(stylizer.painting, Moulded)
    stylizer.close()  # which does not wait for the rest to be over
    assert not workshop.made


def test_what_was_made_for_a_style_that_is_no_longer_wished_is_not_painted(workshop):
    stylizer = workshop.opened("a", pliable=True)
    until(lambda: is_ready(stylizer))
    workshop.gate.clear()
    follow(stylizer, "b")
    until(lambda: workshop.begun == 1)
    follow(stylizer, "c")  # while that of b is still being made
    workshop.gate.set()
    until(lambda: is_ready(stylizer))
    stylizer.wish(Wish("c", 1.0, "fast"))
    assert [int(network.vector[0]) for network in workshop.made] == [110, 210]
    assert paint(stylizer) == 210
    stylizer.close()


def test_until_the_pliable_network_is_kneaded_there_is_one_step(workshop):
    workshop.kneading.clear()
    stylizer = workshop.opened("a", pliable=True)
    follow(stylizer, "b")
    assert type(stylizer.painting) is Network
    assert paint(stylizer) == 110
    workshop.kneading.set()
    stylizer.close()


def test_another_network_gets_a_pliable_one_of_its_own(workshop, monkeypatch):
    stylizer = workshop.opened("a", pliable=True)
    until(lambda: is_ready(stylizer))
    follow(stylizer, "b", network="fine")
    until(lambda: is_ready(stylizer))
    assert workshop.kneaded == ["fast", "fine"]
    monkeypatch.setattr(morphing, "RESTING", 60.0)
    follow(stylizer, "c", network="fine")
    assert isinstance(stylizer.painting, Moulded)
    stylizer.close()


def test_a_pliable_network_that_cannot_be_made_leaves_a_note_and_styles_change_without_it(workshop):
    workshop.crumbles = True
    stylizer = workshop.opened("a", pliable=True)
    until(lambda: is_ready(stylizer))
    follow(stylizer, "b")
    assert paint(stylizer) == 110
    (note,) = stylizer.notes
    assert "no flour" in note
    stylizer.close()


@pytest.mark.parametrize("encoding", [Encoding(), Encoding((0.299, 0.114), full_range=False)])
def test_the_real_pliable_network_paints_what_the_one_for_the_style_alone_does(encoding, monkeypatch):
    monkeypatch.setattr(morphing, "MORPH", 0.05)
    monkeypatch.setattr(morphing, "RESTING", 0.0)
    stylizer = open_stylizer("starry-night", (64, 48), encoding, changing=True).stylizer
    alone = open_stylizer("great-wave", (64, 48), encoding).stylizer
    until(lambda: is_ready(stylizer))
    monkeypatch.setattr(morphing, "RESTING", 60.0)
    follow(stylizer, "great-wave")
    assert stylizer.painting is not alone
    painted = []
    for each in (stylizer, alone):
        Seeing.for_size(64, 48).show(frame_of(texture(64, 48)).planes, each.input())
        each.submit()
        painted.append(each.collect().astype(int))
        each.close()
    # the last layer's kernel is rounded before its colours are changed in the one, after it in the other
    assert np.abs(painted[0] - painted[1]).mean() < 0.3
    assert np.abs(painted[0] - painted[1]).max() <= 4
