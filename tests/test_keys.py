"""What a key makes of the controls, and how keys get from a window to the painter."""

import pytest

from engine.controls import Controls
from engine.keys import LIST, STEP, Keyboard, turned

STYLES = ("one", "two", "three")


@pytest.mark.parametrize(
    ("style", "key", "becomes"),
    [
        ("one", "right", "two"),
        ("one", "n", "two"),
        ("three", "down", "one"),
        ("one", "left", "three"),
        ("two", "p", "one"),
        ("two:0.4,three:0.6", "n", "three"),
        ("my.jpg", "n", "one"),
        ("one", "3", "three"),
        ("one", "4", "one"),
        ("one", "0", "one"),
        ("one", "x", "one"),
    ],
)
def test_keys_step_through_the_styles(style: str, key: str, becomes: str) -> None:
    assert turned(Controls(style=style), key, STYLES).style == becomes


def test_keys_turn_the_amounts_as_far_as_they_go() -> None:
    controls = Controls()
    assert turned(controls, "-", STYLES).strength == 1 - STEP
    assert turned(controls, "+", STYLES).strength == 1
    assert turned(controls, "[", STYLES).consistency == pytest.approx(0.9 - STEP)
    for _ in range(30):
        controls = turned(turned(controls, "keypad -", STYLES), "]", STYLES)
    assert (controls.strength, controls.consistency) == (0, 1)
    assert turned(controls, "k", STYLES).keep_color


def test_what_means_nothing_changes_nothing_even_without_styles() -> None:
    controls = Controls()
    assert all(turned(controls, key, ()) is controls for key in ("return", "left shift", "n", "1", "", "12"))


class Window:
    """Keys as if they had been pressed."""

    def __init__(self, *keys: str):
        self.title, self.keys = "", list(keys)

    def poll_key(self) -> str | None:
        return self.keys.pop(0) if self.keys else None


def test_the_painter_asks_and_every_window_says_what_was_turned(capsys: pytest.CaptureFixture[str]) -> None:
    windows = [Window("n", "-"), Window("k")]
    keyboard = Keyboard(Controls(style="one"), STYLES, windows)
    assert keyboard() == Controls(style="two", strength=0.95, keep_color=True)
    assert keyboard() is keyboard()
    assert {window.title for window in windows} == {"two, strength 0.95, consistency 0.90, colours kept"}
    assert capsys.readouterr().err == ""
    windows[0].keys.append("h")
    keyboard()
    assert LIST in capsys.readouterr().err
