"""Our own INT8 convolutions on an NVIDIA GPU's tensor cores (`kernels.convolution`): bytes in, bytes out, one launch for a
layer, nothing to build and nothing to install but CuPy."""

from typing import Any

import numpy as np

from engine.stylizers.on_device import Arena, DeviceStylizer
from kernels.convolution import Step, arranged, launch, padded_to_group
from kernels.device import Cuda, Device
from models.export import Painter, quantise
from models.shared import Weights

_PICTURE = "tiles"
_GREY, _WHITE = 128, 255


class CudaStylizer(DeviceStylizer):
    """See `engine.stylizers.Stylizer`."""

    _engines: dict[tuple, "CudaEngine"] = {}  # noqa: RUF012 - of the whole process, by what makes them different

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        import cupy

        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        key = (name, grid, *steps_of(painter))
        if key not in self._engines:
            self._engines[key] = CudaEngine(painter, grid, cupy.__version__, name)
        super().__init__(self._engines[key], weights_of(painter), grid, depth, Cuda)


def steps_of(painter: Painter) -> list[Step]:
    """The network's layers from front to back. Equal for all styles and colours of one network."""

    def step(name: str, input: str, skip: str = "", **how: Any) -> Step:
        added = painter.ranges[skip] / painter.ranges[name] if skip else 0.0
        return Step(name, input, len(painter.layers[name].bias), skip=skip, skip_scale=added, **how)

    steps = [step("enter", _PICTURE, outside=_GREY), step("down", "enter", halving=True)]
    for i in range(painter.blocks):
        before = steps[-1].name
        steps += [step(f"block{i}a", before), step(f"block{i}b", f"block{i}a", skip=before)]
    steps += [step("up", steps[-1].name, skip="enter", doubled=True), step("refine", "up"), step("leave", "refine")]
    return steps


def weights_of(painter: Painter) -> Weights:
    """Kernels, scales and biases of all layers for one style, as `kernels.convolution` takes them."""
    found: Weights = {}
    for step in steps_of(painter):
        layer = painter.layers[step.name]
        codes, weight_step = quantise(layer.weight)
        in_step = painter.ranges[step.input] / _WHITE if step.input != _PICTURE else 1 / _WHITE
        out_step = painter.ranges[step.name] / _WHITE if step.name in painter.ranges else 1 / _WHITE
        scale = weight_step * (in_step / out_step)
        bias = layer.bias / out_step - scale * (step.outside * codes.sum((1, 2, 3), dtype=np.int64))
        if step.name not in painter.ranges:  # the picture again, whose grey is no zero
            bias = bias + _GREY
        found[f"{step.name}.kernel"] = arranged(codes)
        found[f"{step.name}.scale"], found[f"{step.name}.bias"] = padded_to_group(scale), padded_to_group(bias)
    return found


class CudaEngine:
    """See `engine.stylizers.on_device.Engine`."""

    precision = "int8"

    def __init__(self, painter: Painter, grid: tuple[int, int], version: str, device: str):
        self.version, self.device = version, device
        self._steps, self._grid, self._like = steps_of(painter), grid, weights_of(painter)

    def network(self, device: Device, count: int = 1) -> "CudaNetwork":
        return CudaNetwork(device, self._steps, count, self._grid, self._like)


class CudaNetwork:
    """See `engine.stylizers.on_device.Network`."""

    def __init__(self, device: Device, steps: list[Step], count: int, grid: tuple[int, int], like: Weights):
        self._device, self._steps = device, steps
        arena = Arena(device, like)
        self.load = arena.load
        self._weights = {
            step.name: tuple(arena.arrays[f"{step.name}.{what}"] for what in ("kernel", "scale", "bias")) for step in steps
        }
        self._activations: dict[str, Any] = {}
        rows, columns = grid
        for step in steps[:-1]:
            if step.halving:
                rows, columns = rows // 2, columns // 2
            elif step.doubled:
                rows, columns = rows * 2, columns * 2
            self._activations[step.name] = device.zeros((count, rows, columns, step.outputs), np.uint8)

    def run(self, tiles: Any, painted: Any) -> None:
        places = self._activations | {_PICTURE: tiles, self._steps[-1].name: painted}
        for step in self._steps:
            skip = places[step.skip] if step.skip else None
            launch(self._device, step, places[step.input], self._weights[step.name], skip, places[step.name])
