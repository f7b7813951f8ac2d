"""Networks made before anybody asks for them, so that a style chosen is there at once."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence

REST = 5.0  # seconds between two, while there is somebody to paint for


class Ahead(threading.Thread):
    """Has `expect` make the network of each of `looks`, one after the other: what a backend compiles of it is kept, and only
    loaded when it is chosen. `busy` says whether the machine has something better to do meanwhile. What somebody is about
    to choose (`sooner`) does not wait."""

    def __init__(self, expect: Callable[[str], None], looks: Sequence[str], busy: Callable[[], bool]):
        super().__init__(name="ahead", daemon=True)
        self._expect, self._busy = expect, busy
        self._changed = threading.Condition()
        self._looks = deque(looks)
        self._likely: str | None = None
        self._over = False

    def sooner(self, look: str) -> None:
        """Make the network of `look` next. Of several at once the last is the likeliest, and the only one made."""
        with self._changed:
            self._likely = look
            self._changed.notify()

    def run(self) -> None:
        while (look := self._next()) is not None:
            with contextlib.suppress(Exception):  # who chooses it is told why it cannot be painted
                self._expect(look)

    def _next(self) -> str | None:
        with self._changed:
            rest = (REST if self._busy() else 0.0) if self._looks else None
            self._changed.wait_for(lambda: self._over or self._likely is not None, rest)
            if self._over:
                return None
            look, self._likely = self._likely, None
            return look if look is not None else self._looks.popleft()

    def close(self) -> None:
        """Begin no further one."""
        with self._changed:
            self._over = True
            self._changed.notify()
