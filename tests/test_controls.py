"""One schema, checked once."""

import argparse

import pytest

from engine.cli import add_controls, read_controls
from engine.controls import Controls
from engine.errors import UsageError


@pytest.mark.parametrize("control", ["strength", "consistency"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_a_value_out_of_range_is_refused_by_name(control, value):
    with pytest.raises(UsageError, match=control):
        Controls(**{control: value})


def test_what_is_no_choice_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="network is one of auto, fast, fine"):
        Controls(network="large")


def test_the_ends_of_the_range_are_in_it():
    assert Controls(strength=0, consistency=1) != Controls()


def test_every_control_is_an_option_of_the_command_line():
    parser = argparse.ArgumentParser()
    add_controls(parser)
    assert read_controls(parser.parse_args([])) == Controls()
    given = ["--style", "my.jpg", "--strength", "0.5", "--consistency", "0.25", "--keep-color", "--network", "fine"]
    assert read_controls(parser.parse_args(given)) == Controls("my.jpg", 0.5, 0.25, True, "fine")
