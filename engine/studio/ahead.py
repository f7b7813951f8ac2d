"""Networks made before anybody asks for them, so that a style chosen is there at once."""

import contextlib
import threading
from collections.abc import Callable, Sequence

REST = 5.0  # seconds between two, while there is somebody to paint for


class Ahead(threading.Thread):
    """Has `prepare` make the network of each of `looks`, one after the other: what a backend compiles of it is kept, and
    only loaded when it is chosen. `busy` says whether the machine has something better to do meanwhile."""

    def __init__(self, prepare: Callable[[str], None], looks: Sequence[str], busy: Callable[[], bool]):
        super().__init__(name="ahead", daemon=True)
        self._prepare, self._looks, self._busy = prepare, looks, busy
        self._over = threading.Event()

    def run(self) -> None:
        for look in self._looks:
            if self._over.wait(REST if self._busy() else 0.0):
                return
            with contextlib.suppress(Exception):  # who chooses it is told why it cannot be painted
                self._prepare(look)

    def close(self) -> None:
        """Begin no further one."""
        self._over.set()
