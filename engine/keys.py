"""What the keys do while a window shows the painting; those of the studio's page do the same (`studio/page/main.js`)."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engine.controls import Controls
from models.looks import parse_look

STEP = 0.05  # of a control that goes from 0 to 1
_STYLES = {"left": -1, "up": -1, "p": -1, "right": 1, "down": 1, "n": 1}
_AMOUNTS = {
    **dict.fromkeys(("+", "=", "keypad +"), ("strength", STEP)),
    **dict.fromkeys(("-", "keypad -"), ("strength", -STEP)),
    **dict.fromkeys(("]", "pageup"), ("consistency", STEP)),
    **dict.fromkeys(("[", "pagedown"), ("consistency", -STEP)),
}
_HELP = ("h", "/", "?")  # a question mark is, on many keyboards, a slash with Shift
LIST = """\
  left, right, p, n   the painting before, the next one
  1 to 9              a painting by its place
  - +                 strength
  [ ]                 consistency (also PageDown, PageUp)
  k                   keep the colours
  space               camera or painting
  b                   before and after
  f                   full screen
  h, ?                these keys
  q, Esc              the end"""


def turned(controls: Controls, key: str, styles: Sequence[str]) -> Controls:
    """`controls` after `key`, by SDL's name in small letters; the same where it means nothing. `styles` are the names there
    are, in order; next to what is none of them, a mixture or a picture, are those of its first part, or the first of all."""
    if key == "k":
        return replace(controls, keep_color=not controls.keep_color)
    if key in _AMOUNTS:
        name, step = _AMOUNTS[key]
        return replace(controls, **{name: round(min(max(getattr(controls, name) + step, 0.0), 1.0), 2)})
    if key in _STYLES and styles:
        first = parse_look(controls.style)[0][0]
        place = (styles.index(first) + _STYLES[key]) % len(styles) if first in styles else 0
        return replace(controls, style=styles[place])
    if len(key) == 1 and key in "123456789" and int(key) <= len(styles):
        return replace(controls, style=styles[int(key) - 1])
    return controls


class Window(Protocol):
    """What shows the painting and has the keyboard: `engine.sinks.window.WindowSink`. Both may be used on any thread."""

    title: str

    def poll_key(self) -> str | None: ...


@dataclass(slots=True)
class Keyboard:
    """The controls as the keys of `windows` have turned them; asked by the painter before every frame, on its thread."""

    controls: Controls
    styles: Sequence[str]
    windows: Sequence[Window]

    def __call__(self) -> Controls:
        for window in self.windows:
            while (key := window.poll_key()) is not None:
                self._press(key)
        return self.controls

    def _press(self, key: str) -> None:
        if key in _HELP:
            print(f"\n{LIST}", file=sys.stderr)
        before, self.controls = self.controls, turned(self.controls, key, self.styles)
        if self.controls != before:
            now = self.controls
            colours = ", colours kept" if now.keep_color else ""
            for window in self.windows:
                window.title = f"{now.style}, strength {now.strength:.2f}, consistency {now.consistency:.2f}{colours}"
