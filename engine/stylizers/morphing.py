"""A stylizer whose style changes while it paints.

A style is one vector, and all vectors between two of them are styles as well. Where a network for a vector is made in no
time (on a GPU it is weights to load), those on the straight line from what is painted to what is wished are made one after
the other; where it takes longer (on a CPU it is compiled), or the wish is for a network of another size, there is one step,
which the blending of frames softens. Networks are made by a thread of their own, warmed up, and taken over between two
frames; until then the old one paints on.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import StylizerError
from engine.report import Facts

if TYPE_CHECKING:
    from engine.stylizers import Stylizer

MORPH = 0.3  # seconds from one style to another
STEP = 0.03  # seconds between two networks; where making one takes longer, there is one step
MOST_EXPECTED = 3  # networks that wait for a wish, some 10 MB each at 640x480, 30 MB at 1280x720
SETTLING = 4  # frames under a new network, after which nothing is left of paint of the one before


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be painted: a look at a strength, by the network of that name."""

    look: str
    strength: float
    network: str


Make = Callable[[np.ndarray, str], "Stylizer"]


@dataclass(frozen=True, slots=True)
class Made:
    """A stylizer, the backend that made it and makes more (of a vector, for a network), and why others were not taken."""

    backend: str
    stylizer: "Stylizer"
    make: Make
    refused: list[str]


def next_vector(start: np.ndarray, goal: np.ndarray, elapsed: float, making: float) -> tuple[np.ndarray, float]:
    """The vector float32 [D] that is to be painted next on the way from `start` to `goal`, and when.

    `elapsed` seconds of MORPH are gone, and `making` a network takes so many. The time is in seconds since the way was
    begun; the last vector is `goal` itself.
    """
    if making > STEP:
        return goal, elapsed
    due = min(elapsed + STEP, MORPH)
    return (goal if due == MORPH else start + np.float32(due / MORPH) * (goal - start)), due


class MorphingStylizer:
    """See `engine.stylizers.Stylizer`; `wish` says what it is to paint from then on.

    `first` paints `vector`, and `facts` say what that is; they and `notes` are kept up to date. `conditioning` gives the
    vector of a wish, `make` the stylizer for a vector and the name of a network. Either may take its time and raise what it
    likes: the stream goes on as it is. `instead` gives both of another backend, where there is one, if this one breaks.
    """

    def __init__(
        self,
        first: "Stylizer",
        vector: np.ndarray,
        facts: Facts,
        conditioning: Callable[[Wish], np.ndarray],
        make: Make,
        instead: Callable[[np.ndarray, str], "Made"] | None = None,
    ):
        self.version, self.device, self.precision, self.depth = first.version, first.device, first.precision, first.depth
        self.facts = facts
        self.notes: list[str] = []
        self._painting = first
        self._in_flight: deque[Stylizer] = deque()
        self._under_new = SETTLING  # frames submitted since the newest network was taken over
        self._at_nought = facts.strength == 0
        self._conditioning, self._make, self._instead = conditioning, make, instead
        self._warm_up: Callable[[Stylizer], None] = _warm_up
        # networks are made one at a time, under the lock of that name
        self._one_at_a_time = threading.Lock()
        self._making = MORPH  # seconds that the last one took; of the first it is not known
        self._expected: OrderedDict[tuple[Make, bytes, str], Stylizer] = OrderedDict()
        # between the painter and the thread, under the lock of `_changed`
        self._changed = threading.Condition()
        self._wish = Wish(facts.style, facts.strength, facts.network)
        self._ready: Stylizer | None = None  # the newest network, not yet taken over
        self._reached: Wish | None = None  # the wish that is fulfilled by it, or by the one that paints
        self._thread: threading.Thread | None = None
        self._closed = False
        # of the thread alone
        self._vector, self._network = vector, facts.network  # of the newest network

    def input(self) -> np.ndarray:
        return self._painting.input()

    def submit(self) -> None:
        self._painting.submit()
        self._in_flight.append(self._painting)
        self._under_new += 1

    def collect(self) -> np.ndarray:
        return self._in_flight.popleft().collect()

    @property
    def painting(self) -> "Stylizer":
        """The network that paints now. Who runs it without `submit` says so with `count`."""
        return self._painting

    def count(self) -> None:
        self._under_new += 1

    def prepare_with(self, warm_up: Callable[["Stylizer"], None]) -> None:
        """Do this with a new network before it paints, in the thread that made it; else it paints a frame for nobody."""
        self._warm_up = warm_up

    def fall_back(self, reason: str) -> None:
        """From now on paint on another backend, because of `reason`; what this one had begun is lost.

        Raises StylizerError if there is no other that runs.
        """
        if self._instead is None:
            raise StylizerError(f"{self.facts.backend} broke ({reason})")
        with self._changed:
            made = self._instead(self._vector, self._network)
            self._painting, self._make, self._ready = made.stylizer, made.make, None
            self._instead, self._warm_up = None, _warm_up
            self._in_flight.clear()
            facts, painting = self.facts, made.stylizer
            facts.fallbacks += [f"{facts.backend} broke ({reason})", *made.refused]
            self.notes.append(f"{facts.backend} broke ({reason}); {made.backend} paints on")
            facts.backend, facts.version, facts.device = made.backend, painting.version, painting.device
            facts.precision, facts.depth = painting.precision, painting.depth
            self.version, self.device, self.precision = painting.version, painting.device, painting.precision

    def wish(self, wish: Wish) -> None:
        """Say before every frame what is to be painted, and take over the network on the way to it that is ready.

        Only the newest wish counts. One that cannot be fulfilled leaves everything as it is, a note, and `facts.refused`.
        """
        if self._wish == wish and self._ready is None and self._reached is None:
            return
        with self._changed:
            if self._wish != wish:
                self._wish = wish
                self.facts.becoming, self.facts.refused = wish.look, ""
                self._changed.notify()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="morphing")
                    self._thread.start()
            self._take_over()

    def _take_over(self) -> None:
        if self._ready is not None:
            self._painting, self._ready = self._ready, None
            self._under_new, self._at_nought = 0, False
        if self._reached is not None:
            reached = self._reached
            self.facts.style, self.facts.strength, self.facts.network = reached.look, reached.strength, reached.network
            self._at_nought = self.facts.strength == 0
            if self._reached == self._wish:
                self.facts.becoming = ""
            self._reached = None

    def expect(self, look: str) -> None:
        """Make the network of `look`, which is likely to be wished soon, now; of several the last MOST_EXPECTED are kept.

        In the thread that calls. Raises what `conditioning` and `make` raise.
        """
        wish = Wish(look, self._wish.strength, self._wish.network)
        vector = self._conditioning(wish)
        with self._one_at_a_time:
            make = self._make
            key = make, vector.tobytes(), wish.network
            if key in self._expected:
                self._expected.move_to_end(key)
            elif not self._closed:
                self._expected[key] = self._made(make, vector, wish.network)
                if len(self._expected) > MOST_EXPECTED:
                    self._expected.popitem(last=False)

    @property
    def settled(self) -> bool:
        """Whether the network has been the same for so many frames that the paint of the one before is gone."""
        return self._under_new >= SETTLING

    @property
    def plain(self) -> bool:
        """Whether strength 0 is painted, so that frames can be left as they are."""
        return self._at_nought and self.settled

    def close(self) -> None:
        """Give up what is wished, and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        """Fulfil wishes until there is no new one."""
        fulfilled = None
        while True:
            with self._changed:
                wish = self._wish
                if self._closed or wish == fulfilled:
                    self._thread = None
                    return
            try:
                arrived = self._go(wish)
            except Exception as error:  # of the library or of a backend; the stream must not stop for either
                self._refuse(wish, " ".join(str(error).split())[:300])
                arrived = True  # at all that there is of it
            if arrived:
                fulfilled = wish

    def _go(self, wish: Wish) -> bool:
        """Walk to what is wished, while it is; returns whether all the way."""
        goal = self._conditioning(wish)
        start, began, arrived = self._vector, time.perf_counter(), False
        another = wish.network != self._network  # to which there is no way but a step
        if not another and np.array_equal(start, goal):
            with self._changed:
                self._reached = wish
            return True
        while not arrived and not self._outdated(wish):
            vector, due = next_vector(start, goal, time.perf_counter() - began, math.inf if another else self._making)
            make = self._make
            with self._one_at_a_time:
                expected = self._expected.pop((make, vector.tobytes(), wish.network), None)
                network = expected or self._made(make, vector, wish.network)
            with self._changed:
                self._changed.wait_for(lambda: self._outdated(wish), began + due - time.perf_counter())
                if make is not self._make:  # its backend broke meanwhile
                    continue
                self._ready, self._vector, self._network = network, vector, wish.network
                arrived = vector is goal
                self._reached = wish if arrived else None
        return arrived

    def _made(self, make: Make, vector: np.ndarray, network: str) -> "Stylizer":
        begun = time.perf_counter()
        stylizer = make(vector, network)
        self._warm_up(stylizer)
        self._making = time.perf_counter() - begun
        return stylizer

    def _outdated(self, wish: Wish) -> bool:
        return self._closed or self._wish != wish

    def _refuse(self, wish: Wish, reason: str) -> None:
        with self._changed:
            line = f"{reason}; {self.facts.style} paints on"
            if line not in self.notes:
                self.notes.append(line)
            if self._wish == wish:
                self.facts.becoming, self.facts.refused = "", line


def _warm_up(network: "Stylizer") -> None:
    """Paint a frame for nobody, because a backend's first one takes longer."""
    network.input()
    network.submit()
    network.collect()
