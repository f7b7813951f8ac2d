"""A stylizer that never fails: where the network does, the camera passes through until another is up."""

import threading
from collections.abc import Callable

import numpy as np

from engine.report import Facts
from engine.stylizers import Painting, Stylizer
from engine.stylizers.morphing import Wish
from kernels.layout import CHANNELS, SEEN

AGAIN = 2.0  # seconds from a failure to the next try


class Guard:
    """See `engine.stylizers.MorphingStylizer`. `make` gives a network for what is wished at that time; it may take its time
    and raise what it likes. Without a `first` the camera passes through to begin with."""

    depth = 1

    def __init__(self, make: Callable[[], Painting], grid: tuple[int, int], first: Painting | None, wait: float = AGAIN):
        self.failing: str | None = None
        self.facts: Facts | None = first.facts if first else None
        self._make, self._wait = make, wait
        self._painting = first
        self._ready: Painting | None = None
        self._input = np.zeros((*grid, SEEN), np.uint8)  # the camera's tiles, which are shown where nothing is painted
        self._closed = threading.Event()
        if first is None:
            self._mend()

    def input(self) -> np.ndarray:
        if self._painting is not None:
            try:
                self._input = self._painting.stylizer.input()
            except Exception as error:
                self._fail(error)
        return self._input

    def submit(self) -> None:
        if self._painting is not None:
            try:
                self._painting.stylizer.submit()
            except Exception as error:
                self._fail(error)

    def collect(self) -> np.ndarray:
        if self._painting is not None:
            try:
                return self._painting.stylizer.collect()
            except Exception as error:
                self._fail(error)
        return np.ascontiguousarray(self._input[..., :CHANNELS])

    def wish(self, wish: Wish) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            self._painting, self.facts, self.failing = ready, ready.facts, None
        if self._painting is not None:
            self._painting.stylizer.wish(wish)

    @property
    def painting(self) -> Stylizer | None:
        """What paints now, for a chain that runs it on its own device: see `MorphingStylizer`."""
        return self._painting.stylizer.painting if self._painting is not None else None

    def count(self) -> None:
        if self._painting is not None:
            self._painting.stylizer.count()

    def fall_back(self, reason: str) -> None:
        if self._painting is not None:
            self._painting.stylizer.fall_back(reason)

    def prepare_with(self, warm_up: Callable[[Stylizer], None]) -> None:
        if self._painting is not None:
            self._painting.stylizer.prepare_with(warm_up)

    @property
    def settled(self) -> bool:
        return self._painting is None or self._painting.stylizer.settled

    @property
    def plain(self) -> bool:
        return self._painting is None or self._painting.stylizer.plain

    @property
    def notes(self) -> list[str]:
        return self._painting.stylizer.notes if self._painting is not None else []

    def close(self) -> None:
        """Give up; a network that is being made is let go when it is."""
        self._closed.set()
        for painting in (self._painting, self._ready):
            if painting is not None:
                painting.stylizer.close()

    def _fail(self, error: Exception) -> None:
        """Of a backend, in any way of its own."""
        self.failing = f"network: {' '.join(str(error).split())[:200] or type(error).__name__}"
        broken, self._painting = self._painting, None
        self._mend(broken)

    def _mend(self, broken: Painting | None = None) -> None:
        threading.Thread(target=self._work, args=(broken,), name="mender", daemon=True).start()

    def _work(self, broken: Painting | None) -> None:
        if broken is not None:
            broken.stylizer.close()
        while not self._closed.wait(self._wait):
            try:
                painting = self._make()
            except Exception as error:
                self.failing = f"network: {' '.join(str(error).split())[:200] or type(error).__name__}"
                continue
            self._ready = painting
            if self._closed.is_set():
                painting.stylizer.close()
            return
