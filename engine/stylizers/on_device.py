"""What stylizers share whose network runs on a GPU.

What was compiled for the GPU (an `Engine`) knows no weights: it serves every style. A `Network` is one that is ready to run
on a device, with room for the weights of one style, which change between two frames. A chain on the device
(`engine.device_chain`) runs it among its own kernels; for any other chain `DeviceStylizer` takes tiles there and back.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from kernels.device import Device, Event
from kernels.layout import CHANNELS, SEEN
from models.shared import Weights

_ALIGNED = 256  # bytes, as TensorRT wants its tensors to begin


class Network(Protocol):
    """A network on a device, in its stream. `load` gives it the weights of what is run later; `run` reads tiles and writes
    the painted ones, device arrays uint8 [count, h, w, 40] and [count, h, w, 24], and neither allocates nor waits."""

    def load(self, weights: Weights) -> None: ...

    def run(self, tiles: Any, painted: Any) -> None: ...


class Engine(Protocol):
    """What was compiled, and what it is. `network` makes one for `count` pictures at once; it may compile what it needs."""

    version: str
    device: str
    precision: str

    def network(self, device: Any, count: int = 1) -> Network: ...


class Arena:
    """Weights on a device: `arrays` by name, of the shapes and dtypes of `like`, in one piece of memory."""

    def __init__(self, device: Device, like: Mapping[str, np.ndarray]):
        ends = np.cumsum([-(-array.nbytes // _ALIGNED) * _ALIGNED for array in like.values()]).tolist()
        self._device, self._memory = device, device.zeros((ends[-1],), np.uint8)
        self._places = {
            name: slice(start, start + array.nbytes)
            for (name, array), start in zip(like.items(), [0, *ends[:-1]], strict=True)
        }
        self.arrays = {
            name: self._memory[p].view(like[name].dtype).reshape(like[name].shape) for name, p in self._places.items()
        }
        # two, because the device may still be copying one of them
        self._staged = [device.staging((ends[-1],), np.uint8) for _ in range(2)]
        self._copied: list[Event] = [device.mark() for _ in range(2)]
        self._turn = 0

    def load(self, weights: Weights) -> None:
        """Copy them there, after everything that the device was given before."""
        self._copied[self._turn].synchronize()
        staged = self._staged[self._turn]
        for name, place in self._places.items():
            staged[place] = np.ascontiguousarray(weights[name]).reshape(-1).view(np.uint8)
        self._device.send(staged, self._memory)
        self._copied[self._turn] = self._device.mark()
        self._turn = 1 - self._turn


class DeviceStylizer:
    """See `engine.stylizers.Stylizer`. Memory on the device is taken when the first frame is given: a chain that drives
    `engine` by itself needs none of it."""

    def __init__(
        self, engine: Engine, weights: Weights, grid: tuple[int, int], depth: int, open_device: Callable[[], Device]
    ):
        self.version, self.device, self.precision, self.depth = engine.version, engine.device, engine.precision, depth
        self.engine, self.weights, self.open_device = engine, weights, open_device
        self._grid = grid
        self._lane: _Lane | None = None

    def _opened(self) -> "_Lane":
        if self._lane is None:
            self._lane = _Lane(self.open_device(), self.engine, self._grid, self.depth)
            self._lane.network.load(self.weights)
        return self._lane

    def input(self) -> np.ndarray:
        return self._opened().input()

    def submit(self) -> None:
        self._opened().submit()

    def collect(self) -> np.ndarray:
        return self._opened().collect()


class _Lane:
    """The way of tiles from the host to the device, through the network, and back."""

    def __init__(self, device: Device, engine: Engine, grid: tuple[int, int], depth: int):
        seen, painted = ((1, *grid, channels) for channels in (SEEN, CHANNELS))
        self.network = engine.network(device)
        self._device = device
        self._tiles, self._painted = device.zeros(seen, np.uint8), device.zeros(painted, np.uint8)
        self._run = device.record(lambda: self.network.run(self._tiles, self._painted))
        # one more than in flight: the last result stays valid while the next frames are painted
        self._inputs = [device.staging(seen, np.uint8) for _ in range(depth + 1)]
        self._outputs = [device.staging(painted, np.uint8) for _ in range(depth + 1)]
        self._submitted = self._collected = 0
        self._waits: deque[Event] = deque()

    def input(self) -> np.ndarray:
        return self._inputs[self._submitted % len(self._inputs)][0]

    def submit(self) -> None:
        index = self._submitted % len(self._inputs)
        self._device.send(self._inputs[index], self._tiles)
        self._run()
        self._device.fetch(self._painted, self._outputs[index])
        self._waits.append(self._device.mark())
        self._submitted += 1

    def collect(self) -> np.ndarray:
        self._waits.popleft().synchronize()
        painted = self._outputs[self._collected % len(self._outputs)]
        self._collected += 1
        return painted[0]
