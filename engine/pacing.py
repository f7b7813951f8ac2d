"""What must be decided in real time, as pure functions of measured facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CUT_CONFIDENCE = 0.35  # mean confidence under which the motion explains too little of the picture
CUT_ERROR = 8.0  # codes of luma; mean residual over which it is the scene that changed, not the noise
HEADROOM = 0.92  # part of the time between frames that may be planned for
YIELDING = 0.4  # consistency at most, while the style changes: paint in the old one must not hold its ground
SLOWEST = 8.0  # frames for one run of the network, at most
ROOMY = 0.8  # part of what may be planned for, that a dearer network must fit into before it is tried
SETTLED = 20  # frames after which the times of a new network are known
CALM = 90  # frames after which a dearer network may be tried
LATE = 1.1  # frames for one run of a network, from which on it counts as too slow
PATIENCE = 15  # frames that come too late one after the other, before a cheaper network is taken


def is_cut(confidence: float, error: float) -> bool:
    """Whether a frame begins a new scene, from the mean confidence in [0, 1] and the mean absolute residual in codes."""
    return confidence < CUT_CONFIDENCE and error > CUT_ERROR


def cadence(interval: float, network: float, rest: float) -> float:
    """On every how many frames the network can run while the chain keeps up with a live source; three of four are 1.33.

    `interval` between frames, `network` and `rest` of the chain's work per frame, all in milliseconds: n frames take
    network + n * rest and must fit into n * interval.
    """
    spare = interval * HEADROOM - rest
    return min(max(network / spare, 1.0), SLOWEST) if spare > 0 else SLOWEST


@dataclass(frozen=True, slots=True)
class Load:
    """What a frame of a live source takes just now, in milliseconds: from one to the next, the wait for the network, what
    is done beside it, and what is done without it."""

    interval: float
    network: float
    beside: float
    rest: float

    @property
    def painting(self) -> float:
        """The network's own time: it works beside the flow, and then is waited for."""
        return self.network + self.beside

    def frame(self, factor: float = 1.0) -> float:
        """What a frame takes with a network that takes `factor` times as long."""
        return self.rest + max(self.painting * factor, self.beside)


@dataclass(frozen=True, slots=True)
class Pace:
    """Which network paints, and on every how many frames. `dearness` is what the networks take, relative to one another:
    at first by their multiplications, and by the clock once they have been tried."""

    network: str
    cadence: float = 1.0
    dearness: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0  # since the network was changed
    late: int = 0  # frames, one after the other, for which it was too slow
    before: tuple[str, float] | None = None  # the network it was changed from, and its milliseconds


def follow(pace: Pace, load: Load, painting: str, fresh: bool, free: bool, least: float = 1.0) -> Pace:
    """The pace for the next frame, after one under `load` by the network `painting`, which was `fresh` or carried.

    The cadence changes by one at most, and only after a fresh frame: one that took long for once must not make a dozen
    carried ones.

    A network that cannot keep up gives way to the next cheaper one, and only the cheapest rests for whole frames; one that
    leaves time to spare gives way to the next dearer one, if that fits too, by a margin, so that the two do not swing. The
    network is left alone unless it is `free` to choose; the cadence is `least` at least.
    """
    if not free and painting != pace.network:
        pace = Pace(painting, pace.cadence, pace.dearness)
    if painting != pace.network:
        return pace  # it is still being made
    every = pace.cadence
    if fresh:
        asked = cadence(load.interval, load.network, load.beside + load.rest)
        every = max(min(max(asked, every - 1), every + 1), least)
    late = pace.late + 1 if every > least * LATE else 0
    pace = replace(pace, cadence=every, frames=pace.frames + 1, late=late)
    if pace.frames < SETTLED:
        return pace
    if pace.before is not None:
        name, took = pace.before
        learned = pace.dearness[name] * load.painting / max(took, 1e-3)
        pace = replace(pace, dearness={**pace.dearness, painting: learned}, before=None)
    if not free or painting not in pace.dearness:
        return pace
    order = sorted(pace.dearness, key=lambda name: pace.dearness[name])
    place = order.index(painting)
    wanted = painting
    if pace.late >= PATIENCE and place > 0:
        wanted = order[place - 1]
    elif every == 1 and pace.frames >= CALM and place + 1 < len(order):
        dearer = order[place + 1]
        expected = load.frame(pace.dearness[dearer] / pace.dearness[painting])
        wanted = dearer if expected <= load.interval * HEADROOM * ROOMY else painting
    return pace if wanted == painting else Pace(wanted, least, pace.dearness, before=(painting, load.painting))


def explain(pace: Pace, load: Load) -> str:
    """One line for people: what was chosen, and what else would have taken."""
    often = "every frame" if pace.cadence == 1 else f"{1 / pace.cadence:.0%} of the frames"
    line = f"{pace.network} on {often}: {load.frame():.0f} of {load.interval:.0f} ms"
    others = [
        f"{name} would take {load.frame(dear / pace.dearness[pace.network]):.0f}"
        for name, dear in pace.dearness.items()
        if pace.network in pace.dearness and dear > pace.dearness[pace.network]
    ]
    return "; ".join([line, *others])
