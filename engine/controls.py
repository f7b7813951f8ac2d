"""The live parameters: one schema, from which the command line (and whatever else steers) is made."""

from dataclasses import dataclass, field, fields
from typing import Any

from engine.errors import UsageError

AUTO = "auto"  # of the networks the one that there is time for


def _control(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    value: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """`value` is what the help calls the value of a text; `choices` are all that there are, if not just any text goes."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "value": value, "choices": choices})


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be changed while it runs. Raises UsageError for a number out of its range and for what is no choice."""

    style: str = _control(
        "starry-night",
        "a painting of `allaprima styles list`, a picture, or a mixture such as starry-night:0.6,great-wave:0.4",
        value="LOOK",
    )
    strength: float = _control(1.0, "0 the camera, 1 the painting", 0, 1)
    consistency: float = _control(0.9, "0 each frame for itself, 1 the most still", 0, 1)
    keep_color: bool = _control(False, "keep the colours of the input")
    network: str = _control(
        "auto",
        "fast, fine (four times the work), or auto: fast, but live the finer one where there is time for it",
        choices=(AUTO, "fast", "fine"),
    )

    def __post_init__(self) -> None:
        for control in fields(self):
            low, high, choices = (control.metadata[name] for name in ("low", "high", "choices"))
            value = getattr(self, control.name)
            if choices and value not in choices:
                raise UsageError(f"{control.name} is one of {', '.join(choices)}, not '{value}'")
            if low is not None and not low <= value <= high:
                raise UsageError(f"{control.name} is {value}; it goes from {low} to {high}")
