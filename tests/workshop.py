"""A library and a backend at once, made up: what `engine.stylizers.morphing` asks for networks, and how it is driven."""

import threading
import time
from collections.abc import Callable

import numpy as np

from engine.report import Facts
from engine.stylizers.morphing import MorphingStylizer, Wish
from models.library import LibraryError

LOOKS = {"a": (10.0, 0.0), "b": (110.0, 50.0), "c": (210.0, 0.0)}


class Network:
    """Paints every tile in the first number of its vector."""

    version = device = precision = "test"
    depth = 3

    def __init__(self, vector: np.ndarray):
        self.vector = vector
        self.submitted = self.collected = 0

    def input(self) -> np.ndarray:
        return np.zeros((2, 2, 40), np.uint8)

    def submit(self) -> None:
        self.submitted += 1

    def collect(self) -> np.ndarray:
        self.collected += 1
        return np.full((2, 2, 24), self.vector[0], np.uint8)


class Moulded(Network):
    """Of a pliable network."""


class Workshop:
    """A library and a backend at once. Holds its thread up at every network while `gate` is closed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.made: list[Network] = []
        self.networks: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = 0
        self.breaks_at: int | None = None
        self.kneaded: list[str] = []
        self.kneading = threading.Event()
        self.kneading.set()
        self.crumbles = False

    def conditioning(self, wish: Wish) -> np.ndarray:
        self.asked.append((wish.look, wish.strength))
        if wish.look not in LOOKS:
            raise LibraryError(f"no style and no picture '{wish.look}'; there are a, b, c")
        return np.array(LOOKS[wish.look], np.float32) * np.float32(wish.strength)

    def make(self, vector: np.ndarray, network: str) -> Network:
        self.begun += 1
        assert self.gate.wait(10)
        if len(self.made) == self.breaks_at:
            raise RuntimeError("out of\nmemory")
        self.made.append(Network(vector))
        self.networks.append(network)
        return self.made[-1]

    def knead(self, network: str) -> Callable[[np.ndarray], Network]:
        self.kneaded.append(network)
        assert self.kneading.wait(10)
        if self.crumbles:
            raise RuntimeError("no flour")
        return Moulded

    def opened(self, look: str = "a", strength: float = 1.0, pliable: bool = False) -> MorphingStylizer:
        vector = self.conditioning(Wish(look, strength, "fast"))
        self.asked.clear()
        facts = Facts("test", "test", "test", "test", 8, 8, look, strength, 3, network="fast")
        knead = self.knead if pliable else None
        return MorphingStylizer(Network(vector), vector, facts, self.conditioning, self.make, None, knead)


def paint(stylizer: MorphingStylizer) -> int:
    stylizer.input()
    stylizer.submit()
    return int(stylizer.collect()[0, 0, 0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def follow(stylizer: MorphingStylizer, look: str, strength: float = 1.0, network: str = "fast") -> None:
    """Wish it as the pipeline does, before every frame, until nothing is left to be done."""

    def done() -> bool:
        stylizer.wish(Wish(look, strength, network))
        return not stylizer.facts.becoming

    until(done)


def is_ready(stylizer: MorphingStylizer) -> bool:
    """Whether nothing is left to be made."""
    return stylizer._finisher is None
