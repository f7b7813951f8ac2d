"""What stylizers share that paint in `collect`, one frame at a time: the frames that wait."""

from collections import deque

import numpy as np

from engine.stylizers import new_tiles
from kernels.layout import SEEN


class Deferred:
    """The input side of `engine.stylizers.Stylizer`; `take` gives the oldest frame submitted, uint8 [1, h, w, 40]."""

    def __init__(self, grid: tuple[int, int], depth: int):
        self.depth = depth
        self._inputs = [new_tiles(grid, SEEN) for _ in range(depth + 1)]
        self._waiting: deque[np.ndarray] = deque()
        self._submitted = 0

    def input(self) -> np.ndarray:
        return self._inputs[self._submitted % len(self._inputs)][0]

    def submit(self) -> None:
        self._waiting.append(self._inputs[self._submitted % len(self._inputs)])
        self._submitted += 1

    def take(self) -> np.ndarray:
        return self._waiting.popleft()
