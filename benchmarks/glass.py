"""What a camera's clock tells about the way to the screen: a number drawn into every frame, and what follows from when it is
captured and when it is shown. Pure functions; `benchmarks.studio` measures.

All times are in milliseconds of one clock, the page's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BITS = 8
NUMBERS = 1 << BITS  # of frames, after which the clock begins anew
COLUMNS = BITS + 1  # the last is the parity
BLOCK = (0.1, 0.1)  # width and height of a block, as shares of the picture's
READABLE = 24.0  # codes of luma between the two blocks of a column, at least
LONGEST = 1500.0  # after which a number is taken for one of an earlier round
_DARK, _BRIGHT = 40, 210
_VISIBLE = 0.1  # share of the way between two looks at which a change counts as seen, if it is not noise


def draw(number: int, planes: Sequence[np.ndarray]) -> None:
    """Write `number` into Y, Cb and Cr uint8 (4:2:0): a column for every bit, bright above dark for 1, the reverse for 0.

    What a painting does to brightness it does to both, so that the order of the two survives it.
    """
    luma, *chroma = planes
    height, width = luma.shape
    across, down = round(width * BLOCK[0]), round(height * BLOCK[1])
    for plane in chroma:
        plane[:down, : COLUMNS * across // 2] = 128
    for place, bit in enumerate(_bits(number)):
        columns = slice(place * across, (place + 1) * across)
        luma[:down, columns] = _BRIGHT if bit else _DARK
        luma[down : 2 * down, columns] = _DARK if bit else _BRIGHT


def read(levels: np.ndarray) -> int | None:
    """The number that blocks of mean luma float [2, COLUMNS] show, None where they show none for certain."""
    difference = levels[0] - levels[1]
    bits = difference > 0
    if np.abs(difference).min() < READABLE or bits[:BITS].sum() % 2 != bits[BITS]:
        return None
    return int(np.packbits(bits[:BITS], bitorder="little")[0])


def _bits(number: int) -> list[bool]:
    bits = [bool(number >> place & 1) for place in range(BITS)]
    return [*bits, sum(bits) % 2 == 1]


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame: its number where it could be read, when it was captured or shown, and its colours float [N]."""

    number: int | None
    time: float
    colours: np.ndarray


def latencies(camera: Sequence[Seen], shown: Sequence[Seen]) -> np.ndarray:
    """How long after its capture each camera frame was first shown, float [N], of those that were, in their order.

    Where no camera frame of the last LONGEST has a shown frame's number, it was misread and tells nothing.
    """
    captured: dict[int, list[float]] = {}
    for frame in camera:
        if frame.number is not None:
            captured.setdefault(frame.number, []).append(frame.time)
    delays: dict[tuple[int, float], float] = {}
    for frame in shown:
        before = [time for time in captured.get(frame.number, []) if 0 <= frame.time - time <= LONGEST]  # type: ignore[arg-type]
        if before:
            delays.setdefault((frame.number, before[-1]), frame.time - before[-1])  # type: ignore[arg-type]
    return np.array(list(delays.values()))


def counted(counts: Sequence[tuple[float, int]], begin: float, end: float) -> int:
    """How many frames were shown from `begin` to `end`, by (time, number of frames so far) of those that were looked at."""
    within = [count for time, count in counts if begin <= time < end]
    return within[-1] - within[0] + 1 if within else 0


@dataclass(frozen=True, slots=True)
class Switch:
    """From the wish for another look to its first trace, to half of it, and to 90 % of it; `noise` is the standard deviation
    of the way gone (0 to 1) before the wish, which the scene's own motion makes."""

    first: float
    half: float
    arrived: float
    noise: float


def switch(shown: Sequence[Seen], asked: float, settled: float) -> Switch:
    """What became of a look asked for at `asked`, from frames before and after; from `settled` on it is taken to be there.

    The way gone is measured on the line between the mean colours of both looks: 0 is the mean of those before, 1 that of
    those settled. Raises ValueError where frames of either are missing, or where the two look the same.
    """
    times = np.array([frame.time for frame in shown])
    colours = np.array([frame.colours for frame in shown])
    if not (times < asked).any() or not (times >= settled).any():
        raise ValueError("there are no frames before the switch, or none after it")
    old, new = colours[times < asked].mean(0), colours[times >= settled].mean(0)
    apart = float(((new - old) ** 2).sum())
    if apart < 1.0:
        raise ValueError("the two looks have the same colours")
    way = (colours - old) @ (new - old) / apart
    noise = float(way[times < asked].std())

    def reached(share: float) -> float:
        # for good, not by one frame of a scene that moves
        there = (times >= asked) & (way >= share)
        there[:-1] &= there[1:] | (times[:-1] < asked)
        return float(times[there][0] - asked) if there.any() else float("inf")

    return Switch(reached(max(_VISIBLE, 4 * noise)), reached(0.5), reached(0.9), noise)


def behind(early: Sequence[float], late: Sequence[float]) -> np.ndarray:
    """How much later each of the `late` clicks came than the newest one of the `early` that it can be, float [N]."""
    before = np.array(early)
    found = [float(click - before[before <= click][-1]) for click in late if (before <= click).any()]
    return np.array(found)
