"""The live parameters: one schema, from which the command line (and whatever else steers) is made."""

from dataclasses import dataclass, field, fields
from typing import Any

from engine.errors import UsageError


def _control(default: Any, help: str, low: float | None = None, high: float | None = None, value: str = "") -> Any:
    """`value` is what the help calls the value of a text."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "value": value})


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be changed while it runs. Raises UsageError for a number out of its range."""

    style: str = _control(
        "starry-night",
        "a painting of `allaprima styles list`, a picture, or a mixture such as starry-night:0.6,great-wave:0.4",
        value="LOOK",
    )
    strength: float = _control(1.0, "0 the camera, 1 the painting", 0, 1)
    consistency: float = _control(0.9, "0 each frame for itself, 1 the most still", 0, 1)
    keep_color: bool = _control(False, "keep the colours of the input")

    def __post_init__(self) -> None:
        for control in fields(self):
            low, high = control.metadata["low"], control.metadata["high"]
            value = getattr(self, control.name)
            if low is not None and not low <= value <= high:
                raise UsageError(f"{control.name} is {value}; it goes from {low} to {high}")
