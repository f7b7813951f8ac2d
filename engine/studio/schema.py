"""What may be asked and set, checked against the one schema of the engine's controls."""

import re
from dataclasses import Field, asdict, fields, replace
from typing import Any

from engine.controls import Controls
from engine.errors import UsageError
from models.library import Library
from models.looks import parse_look

MOST_TEXT = 1000  # characters of a look
# Names and shares alone: a look that the command line takes may be a path, which no browser is to reach
_LOOK = re.compile(r"[a-z0-9-]+(:\d*\.?\d+)?(,\s*[a-z0-9-]+(:\d*\.?\d+)?)*")


def describe_controls() -> list[dict[str, Any]]:
    """Name, kind (number, switch, text or choice), low, high, choices, default and help of every control."""
    return [
        {
            "name": control.name,
            "kind": _kind(control),
            "low": control.metadata["low"],
            "high": control.metadata["high"],
            "choices": list(control.metadata["choices"]),
            "default": control.default,
            "help": control.metadata["help"],
        }
        for control in fields(Controls)
    ]


def changed(controls: Controls, values: Any, library: Library) -> Controls:
    """`controls` with `values`, a JSON object of some of them. Raises UsageError for any that is unknown or cannot be."""
    if not isinstance(values, dict):
        raise UsageError("controls are a JSON object")
    known = {control.name: control for control in fields(Controls)}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"there is no control '{str(name)[:40]}'; there are {', '.join(known)}")
        kind = _kind(known[name])
        fits = {
            "switch": isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e9,
            "text": isinstance(value, str) and len(value) <= MOST_TEXT,
            "choice": value in known[name].metadata["choices"],
        }[kind]
        if not fits:
            one = f"one of {', '.join(known[name].metadata['choices'])}" if kind == "choice" else f"a {kind}"
            raise UsageError(f"{name} is {one}" + (f" of at most {MOST_TEXT} characters" if kind == "text" else ""))
    if "style" in values:
        check_look(values["style"], library)
    return replace(controls, **values)


def check_look(look: str, library: Library) -> None:
    """Raises UsageError for all but styles of the library and mixtures of them."""
    if not _LOOK.fullmatch(look):
        raise UsageError("style is a name, or a mixture such as starry-night:0.6,great-wave:0.4")
    try:
        names = {name for name, _ in parse_look(look)}
    except ValueError as error:
        raise UsageError(str(error)) from error
    missing = names - {style.name for style in library.styles}
    if missing:
        raise UsageError(f"there is no style '{sorted(missing)[0]}'")


def uses(look: str, name: str) -> bool:
    """Whether the style `name` is part of `look`."""
    return any(part == name for part, _ in parse_look(look))


def as_json(controls: Controls) -> dict[str, Any]:
    return asdict(controls)


def _kind(control: Field) -> str:
    if control.metadata["choices"]:
        return "choice"
    return "switch" if isinstance(control.default, bool) else "text" if isinstance(control.default, str) else "number"
