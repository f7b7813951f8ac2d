"""A device whose streams take all the freedom that the stated order leaves them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from cuda_on_cpu import CpuDevice

from kernels.device import Copies

STREAMS = ("kernels", "up", "down")


@dataclass(frozen=True, slots=True)
class Point:
    """An event: so many things given to a stream are done."""

    device: "LazyDevice"
    stream: str
    count: int

    def synchronize(self) -> None:
        self.device.reach(self.stream, self.count)


class LazyDevice:
    """See `kernels.device.Device`. Each stream does nothing before somebody waits for it, or, if it is among `eager`, does
    at once all that it is given; either way with no more of the others than the events say. `careless` are methods that
    heed no event."""

    def __init__(self, device: CpuDevice, eager: Collection[str] = (), careless: Collection[str] = ()):
        self.wet, self.notes = device.wet, device.notes
        self.zeros, self.staging = device.zeros, device.staging
        self._device, self._eager, self._careless = device, eager, careless
        self._given: dict[str, list[Callable[[], None]]] = {stream: [] for stream in STREAMS}
        self._done = dict.fromkeys(STREAMS, 0)

    def reach(self, stream: str, count: int) -> None:
        while self._done[stream] < count:
            work = self._given[stream][self._done[stream]]
            self._done[stream] += 1
            work()

    def give(self, stream: str, work: Callable[[], None]) -> Point:
        self._given[stream].append(work)
        count = len(self._given[stream])
        if stream in self._eager:
            self.reach(stream, count)
        return Point(self, stream, count)

    def _wait(self, stream: str, event: Any, method: str) -> None:
        if method not in self._careless:
            self.give(stream, event.synchronize)

    def send(self, host: np.ndarray, array: np.ndarray) -> None:
        self.give("kernels", partial(self._device.send, host, array))

    def fetch(self, array: np.ndarray, host: np.ndarray) -> None:
        self.give("kernels", partial(self._device.fetch, array, host))

    def upload(self, copies: Copies, after: Any) -> Point:
        self._wait("up", after, "upload")
        return self.give("up", lambda: [self._device.send(*copy) for copy in copies] and None)

    def download(self, copies: Copies, after: Any) -> Point:
        self._wait("down", after, "download")
        return self.give("down", lambda: [self._device.fetch(*copy) for copy in copies] and None)

    def adopt(self, copies: Copies, after: Any) -> Point:
        self._wait("up", after, "adopt")
        return self.give("up", lambda: self._device.adopt(copies, after) and None)

    def keep(self, copies: Copies, after: Any) -> Point:
        self._wait("down", after, "keep")
        return self.give("down", lambda: self._device.keep(copies, after) and None)

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None:
        self.give("kernels", partial(self._device.launch, kernel, grid, block, *given))

    def mark(self) -> Point:
        return Point(self, "kernels", len(self._given["kernels"]))

    def follow(self, event: Any) -> None:
        self._wait("kernels", event, "follow")

    def together(self, works: Sequence[Callable[[], None]]) -> None:
        for work in reversed(works):
            work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        return work

    def left(self) -> dict[str, int]:
        """How many things each stream has been given and not yet done."""
        return {stream: len(self._given[stream]) - self._done[stream] for stream in STREAMS}
