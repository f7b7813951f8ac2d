"""A network that is written down here, on a device and on the CPU, and a stylizer that paints with it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.report import Facts
from engine.stylizers.deferred import Deferred
from engine.stylizers.morphing import Made, MorphingStylizer, Wish
from engine.stylizers.on_device import Arena, DeviceStylizer
from kernels.layout import tile_grid

DEPTH = 2


class Tint:
    """A network whose one weight is a shade, to which it takes every sample half-way."""

    version = device = precision = "test"

    def __init__(self) -> None:
        self.breaks = False
        self.loaded: list[int] = []

    def network(self, device: Any, count: int = 1) -> "Tint":
        self.arena = Arena(device, {"shade": np.zeros(1, np.uint8)})
        return self

    def load(self, weights: dict[str, np.ndarray]) -> None:
        self.loaded.append(int(weights["shade"][0]))
        self.arena.load(weights)

    def run(self, tiles: np.ndarray, painted: np.ndarray) -> None:
        if self.breaks:
            raise RuntimeError("an illegal memory access\nwas encountered")
        painted[:] = tiles[..., :24] // 2 + self.arena.arrays["shade"] // 2


class TintOnCpu(Deferred):
    version = device = precision = "cpu test"

    def __init__(self, shade: int, grid: tuple[int, int], depth: int):
        super().__init__(grid, depth)
        self.shade = shade

    def collect(self) -> np.ndarray:
        return self.take()[0] // 2 + self.shade // 2


def stylizer_of(device: Any, size: tuple[int, int], engine: Tint | None, shade: int = 200) -> MorphingStylizer:
    """On the device where there is an `engine`, with the CPU to fall back to; else on the CPU. A style is its shade."""
    grid = tile_grid(*size)

    def on_gpu(vector: np.ndarray, network: str) -> DeviceStylizer:
        return DeviceStylizer(engine, {"shade": vector.astype(np.uint8)}, grid, DEPTH, lambda: device)  # type: ignore[arg-type]

    def on_cpu(vector: np.ndarray, network: str) -> TintOnCpu:
        return TintOnCpu(int(vector[0]), grid, DEPTH)

    make: Callable = on_gpu if engine else on_cpu
    vector = np.array([shade], np.float32)
    facts = Facts("gpu" if engine else "cpu", "test", "test", "test", *size, str(shade), 1.0, DEPTH, [], "fast")

    def instead(vector: np.ndarray, network: str) -> Made:
        return Made("cpu", on_cpu(vector, network), on_cpu, [])

    def conditioning(wish: Wish) -> np.ndarray:
        return np.array([float(wish.look)], np.float32)

    return MorphingStylizer(make(vector, "fast"), vector, facts, conditioning, make, instead)
