"""PyTorch on an NVIDIA GPU, in half precision, channels last: the way without TensorRT. Recorded as a CUDA graph by whoever
runs it (`kernels.device.Cuda.record`)."""

import contextlib
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import StylizerError
from engine.stylizers.on_device import Arena, DeviceStylizer
from kernels.device import Cuda, Device
from models.export import Painter
from models.shared import Weights, open_weights

_GREY, _WHITE = 128.0, 255.0


class TorchCudaStylizer(DeviceStylizer):
    """See `engine.stylizers.Stylizer`."""

    _engines: dict[tuple, "TorchEngine"] = {}  # noqa: RUF012 - of the whole process, by what makes them different

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        import cupy  # noqa: F401 - an ImportError before anything is begun

        if not torch.cuda.is_available():
            raise StylizerError(f"PyTorch {torch.__version__} finds no GPU that it can use")
        weights = weights_of(painter)
        shapes = tuple((name, array.shape) for name, array in weights.items())
        engine = self._engines.setdefault((shapes, *painter.ranges.items()), TorchEngine(painter, weights))
        super().__init__(engine, weights, grid, depth, Cuda)


def weights_of(painter: Painter) -> Weights:
    """As `models.shared.open_weights` gives them, but kernels [O, 3, 3, I], as convolutions with channels last read them."""
    weights = open_weights(painter, "fp16")
    return {n: np.ascontiguousarray(w.transpose(0, 2, 3, 1)) if w.ndim == 4 else w for n, w in weights.items()}


class TorchEngine:
    """See `engine.stylizers.on_device.Engine`."""

    precision = "fp16"

    def __init__(self, painter: Painter, like: Weights):
        self.version = str(torch.__version__)
        self.device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        self._ranges, self._blocks, self._like = painter.ranges, painter.blocks, like

    def network(self, device: Device, count: int = 1) -> "TorchNetwork":
        return TorchNetwork(device, self._ranges, self._blocks, self._like)


class TorchNetwork:
    """See `engine.stylizers.on_device.Network`. Runs on the CPU where the device's arrays are NumPy's."""

    def __init__(self, device: Device, ranges: dict[str, float], blocks: int, like: Weights):
        self._ranges, self._blocks = ranges, blocks
        self._arena = Arena(device, like)
        self.load = self._arena.load
        # said, because PyTorch before 2.6 would bring CuPy's arrays to the CPU
        self._where = torch.device("cuda" if isinstance(device, Cuda) else "cpu")
        self._weights = {name: self._tensor(array) for name, array in self._arena.arrays.items()}
        self._stream: Any = None
        if isinstance(device, Cuda):
            self._stream = torch.cuda.ExternalStream(device.stream.ptr)
            torch.backends.cudnn.benchmark = True  # sizes never change
            # memory of its own: what a recorded graph writes to must never be given to anyone else
            self._pool = torch.cuda.MemPool()

    @torch.inference_mode()
    def run(self, tiles: Any, painted: Any) -> None:
        with contextlib.ExitStack() as stack:
            if self._stream is not None:
                stack.enter_context(torch.cuda.stream(self._stream))
                stack.enter_context(torch.cuda.use_mem_pool(self._pool))
            self._paint(self._tensor(tiles), self._tensor(painted))

    def _tensor(self, array: Any) -> Tensor:
        """The same memory."""
        return torch.as_tensor(array, device=self._where)

    def _paint(self, tiles: Tensor, painted: Tensor) -> None:
        x = ((tiles.half() - _GREY) * (1 / _WHITE)).permute(0, 3, 1, 2)  # the layout in memory stays: channels last
        entered = self._activation("enter", x)
        x = self._activation("down", entered, stride=2)
        for i in range(self._blocks):
            x = self._activation(f"block{i}b", self._activation(f"block{i}a", x), skip=x)
        x = self._activation("up", F.interpolate(x, scale_factor=2, mode="nearest"), skip=entered)
        y = self._convolution("leave", self._activation("refine", x))
        painted.copy_((y * _WHITE + _GREY).round_().clamp_(0, _WHITE).permute(0, 2, 3, 1))

    def _convolution(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel, bias = self._weights[f"{name}.kernel"].permute(0, 3, 1, 2), self._weights[f"{name}.bias"]
        return F.conv2d(x, kernel, bias, stride, padding=1)

    def _activation(self, name: str, x: Tensor, stride: int = 1, skip: Tensor | None = None) -> Tensor:
        total = self._convolution(name, x, stride)
        if skip is not None:
            total += skip
        return total.clamp_(0, self._ranges[name])
