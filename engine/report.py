"""What was measured while it ran, in a fixed amount of memory however long that is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np

_KEPT = 8192  # newest durations of each kind


@dataclass(slots=True)
class Facts:
    """What a stylizer is and what it paints: declared, shown and reported. The style can change while it runs."""

    backend: str
    version: str
    device: str
    precision: str
    width: int
    height: int
    style: str
    strength: float
    depth: int  # frames in flight
    fallbacks: list[str] = field(default_factory=list)  # what was preferred and why it is not used
    network: str = ""  # which of `networks` paints
    networks: dict[str, float] = field(default_factory=dict)  # what each would cost, billions of multiplications a frame
    becoming: str = ""  # the style it is on the way to
    refused: str = ""  # why the style asked for last is not painted


class Durations:
    """Milliseconds of one kind of event: count, and median and 99th percentile of the newest."""

    def __init__(self) -> None:
        self._kept = np.zeros(_KEPT, np.float32)
        self.count = 0
        self.recent = 0.0  # smoothed over about five events

    def add(self, milliseconds: float) -> None:
        self._kept[self.count % _KEPT] = milliseconds
        self.recent += (milliseconds - self.recent) * (0.2 if self.count else 1.0)
        self.count += 1

    @contextmanager
    def timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add((time.perf_counter() - start) * 1e3)

    def percentile(self, share: float) -> float:
        """In milliseconds; 0 where nothing was measured."""
        kept = self._kept[: min(self.count, _KEPT)]
        return float(np.percentile(kept, share)) if len(kept) else 0.0

    @property
    def median(self) -> float:
        return self.percentile(50)

    def summary(self) -> dict[str, float]:
        return {"median": round(self.median, 3), "p99": round(self.percentile(99), 3)}


STAGES = ("decode", "pack", "flow", "network", "temporal", "deliver")


@dataclass
class Report:
    """Counts and times of one run. `network` is the time spent waiting for it; it works while other stages do."""

    facts: Facts | None = None
    read: int = 0
    written: int = 0
    dropped: int = 0  # read, but replaced by a newer one before it was painted
    carried: int = 0  # painted by motion alone, without the network
    cuts: int = 0
    stages: dict[str, Durations] = field(default_factory=lambda: {name: Durations() for name in STAGES})
    latency: Durations = field(default_factory=Durations)  # from capture to delivery
    pacing: str = ""  # live: which network was chosen, on how many frames it runs, and why
    interrupted: bool = False  # by the user, before the end of the input
    notes: list[str] = field(default_factory=list)
    started: float | None = None
    ended: float | None = None

    @property
    def seconds(self) -> float:
        if self.started is None:
            return 0.0
        return (self.ended or time.perf_counter()) - self.started

    @property
    def rate(self) -> float:
        """Frames a second, all stages, decoding and delivery included."""
        return self.written / self.seconds if self.seconds else 0.0

    def note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def as_dict(self) -> dict:
        """Everything, ready for JSON."""
        return {
            "frames": {
                "read": self.read,
                "written": self.written,
                "dropped": self.dropped,
                "carried": self.carried,
                "cuts": self.cuts,
            },
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            "fps": round(self.rate, 2),
            "stages_ms": {name: durations.summary() for name, durations in self.stages.items() if durations.count},
            "latency_ms": {"p50": round(self.latency.median, 2), "p99": round(self.latency.percentile(99), 2)},
            "pacing": self.pacing,
            "backend": asdict(self.facts) if self.facts else None,
            "fallbacks": self.facts.fallbacks if self.facts else [],
            "notes": self.notes,
        }
