"""A stylizer whose style changes while it paints.

A style is one vector, and all vectors between two of them are styles as well. Where a network for a vector is made in no
time (on a GPU it is weights to load; on the CPU a pliable network, whose style is an input, may stand by), those on the
straight line from what is painted to what is wished are made one after the other. Where it takes longer (on a CPU it is
compiled), or the wish is for a network of another size, there is one step, which the blending of frames softens. Networks
are made by threads of their own, warmed up, and taken over between two frames; until then the old one paints on.

A pliable network is somewhat slower than one that was made for its style alone, which follows when nothing new is wished.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import StylizerError
from engine.report import Facts

if TYPE_CHECKING:
    from engine.stylizers import Stylizer

MORPH = 0.2  # seconds from one style to another
STEP = 0.03  # seconds between two networks; where making one takes longer, there is one step
RESTING = 2.0  # seconds without a wish after which there is time to make what is not needed at once
SETTLING = 4  # frames under a new network, after which nothing is left of paint of the one before


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be painted: a look at a strength, by the network of that name."""

    look: str
    strength: float
    network: str


Make = Callable[[np.ndarray, str], "Stylizer"]
Mould = Callable[[np.ndarray], "Stylizer"]  # of a pliable network: what paints a vector, in no time
Knead = Callable[[str], Mould]


@dataclass(frozen=True, slots=True)
class Made:
    """A stylizer, the backend that made it and makes more (of a vector, for a network), and why others were not taken.

    `knead` makes the pliable network of a name, where the backend has such.
    """

    backend: str
    stylizer: "Stylizer"
    make: Make
    refused: list[str]
    knead: Knead | None = None


def next_vector(start: np.ndarray, goal: np.ndarray, elapsed: float, making: float) -> tuple[np.ndarray, float]:
    """The vector float32 [D] that is to be painted next on the way from `start` to `goal`, and when.

    `elapsed` seconds of MORPH are gone, and `making` a network takes so many. The time is in seconds since the way was
    begun; the last vector is `goal` itself. It sets out fast, to be seen at once, and arrives softly.
    """
    if making > STEP:
        return goal, elapsed
    due = min(elapsed + STEP, MORPH)
    left = np.float32((1 - due / MORPH) ** 3)
    return (goal if due == MORPH else goal + left * (start - goal)), due


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
        knead: Knead | None = None,
    ):
        self.version, self.device, self.precision, self.depth = first.version, first.device, first.precision, first.depth
        self.facts = facts
        self.notes: list[str] = []
        self._painting = first
        self._in_flight: deque[Stylizer] = deque()
        self._under_new = SETTLING  # frames submitted since the newest network was taken over
        self._at_nought = facts.strength == 0
        self._conditioning, self._make, self._instead, self._knead = conditioning, make, instead, knead
        self._warm_up: Callable[[Stylizer], None] = _warm_up
        self._making = MORPH  # seconds that the last network took; of the first it is not known
        # between the painter and the threads, under the lock of `_changed`
        self._changed = threading.Condition()
        self._wish = Wish(facts.style, facts.strength, facts.network)
        self._ready: Stylizer | None = None  # the newest network, not yet taken over
        self._anew = False  # whether it paints otherwise than the one before
        self._reached: Wish | None = None  # the wish that is fulfilled by it, or by the one that paints
        self._thread: threading.Thread | None = None
        self._vector, self._network = vector, facts.network  # of the newest network
        self._mould: tuple[str, Mould] | None = None  # of the pliable network of that name
        self._unfinished: tuple[np.ndarray, str] | None = None  # painted by it, until there is a network for it alone
        self._finisher: threading.Thread | None = None
        self._closed = False
        self._finish_soon()

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
            self._instead, self._knead, self._warm_up = None, made.knead, _warm_up
            self._in_flight.clear()
            facts, painting = self.facts, made.stylizer
            facts.fallbacks += [f"{facts.backend} broke ({reason})", *made.refused]
            self.notes.append(f"{facts.backend} broke ({reason}); {made.backend} paints on")
            facts.backend, facts.version, facts.device = made.backend, painting.version, painting.device
            facts.precision, facts.depth = painting.precision, painting.depth
            self.version, self.device, self.precision = painting.version, painting.device, painting.precision
            self._finish_soon()

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
                self._changed.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="morphing")
                    self._thread.start()
            self._take_over()

    def _take_over(self) -> None:
        if self._ready is not None:
            self._painting, self._ready = self._ready, None
            if self._anew:
                self._under_new, self._at_nought, self._anew = 0, False, False
        if self._reached is not None:
            reached = self._reached
            self.facts.style, self.facts.strength, self.facts.network = reached.look, reached.strength, reached.network
            self._at_nought = self.facts.strength == 0
            if self._reached == self._wish:
                self.facts.becoming = ""
            self._reached = None

    @property
    def settled(self) -> bool:
        """Whether the network has been the same for so many frames that the paint of the one before is gone."""
        return self._under_new >= SETTLING

    @property
    def plain(self) -> bool:
        """Whether strength 0 is painted, so that frames can be left as they are."""
        return self._at_nought and self.settled

    def close(self) -> None:
        """Give up what is wished, and wait for the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = self._thread, self._finisher
        for thread in threads:
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
            mould = self._mould[1] if self._mould is not None and self._mould[0] == wish.network and not another else None
            making = math.inf if another else 0.0 if mould else self._making
            vector, due = next_vector(start, goal, time.perf_counter() - began, making)
            make = self._make
            network = mould(vector) if mould else self._made(make, vector, wish.network)
            with self._changed:
                self._changed.wait_for(lambda: self._outdated(wish), began + due - time.perf_counter())
                if make is not self._make:  # its backend broke meanwhile
                    continue
                self._ready, self._anew, self._vector, self._network = network, True, vector, wish.network
                arrived = vector is goal
                self._unfinished = (vector, wish.network) if mould and arrived else None
                self._reached = wish if arrived else None
                self._finish_soon()
        return arrived

    def _finish_soon(self) -> None:
        if self._knead is not None and self._finisher is None:
            self._finisher = threading.Thread(target=self._finish, name="finisher")
            self._finisher.start()

    def _finish(self) -> None:
        """After a rest knead the pliable network, and after another make the one for the style alone, until neither is
        missing."""
        while True:
            with self._changed:
                knead, make, network, unfinished = self._knead, self._make, self._network, self._unfinished
                kneaded = self._mould is not None and self._mould[0] == network
                if self._closed or knead is None or (kneaded and unfinished is None):
                    self._finisher = None
                    return
                if self._changed.wait_for(partial(self._overtaken, unfinished), RESTING):
                    continue
            try:
                if not kneaded:
                    mould = knead(network)
                    _warm_up(mould(self._vector))
                    self._mould = network, mould
                    continue
                assert unfinished is not None
                finished = self._made(make, *unfinished)
            except Exception as error:  # of a backend; what paints paints on
                with self._changed:
                    self._knead = None
                    self.notes.append(f"{' '.join(str(error).split())[:300]}; styles change more slowly, or paint so")
                continue
            with self._changed:
                if self._unfinished is unfinished and make is self._make:
                    self._ready, self._unfinished = finished, None

    def _overtaken(self, unfinished: tuple[np.ndarray, str] | None) -> bool:
        return self._closed or self._unfinished is not unfinished

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
