"""PyTorch in float32: the reference. It walks the same exported graph, with the weights' codes turned back into floats and
the activations left unrounded, so that what 8 bits cost can be measured against it."""

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor

from engine.stylizers.deferred import Deferred
from models.export import Painter, to_onnx


class TorchStylizer(Deferred):
    """See `engine.stylizers.Stylizer`."""

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        super().__init__(grid, depth)
        graph = to_onnx(painter).graph
        self._nodes = list(graph.node)
        self._constants = {c.name: torch.from_numpy(numpy_helper.to_array(c).copy()) for c in graph.initializer}
        self.version, self.device, self.precision = torch.__version__, "CPU", "float32"

    @torch.inference_mode()
    def collect(self) -> np.ndarray:
        values = self._constants | {"tiles": torch.from_numpy(self.take())}
        for node in self._nodes:
            inputs = [values[name] if name else None for name in node.input]
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            values[node.output[0]] = _OPERATIONS[node.op_type](*inputs, **attributes)
        return values["painted"][0].numpy()


def _dequantise(codes: Tensor, step: Tensor, zero: Tensor, axis: int = 0) -> Tensor:
    if codes.is_floating_point():  # an activation, which was not rounded
        return codes
    shape = [-1, *[1] * (codes.dim() - 1)] if step.dim() else []
    return (codes.float() - zero.float().reshape(shape)) * step.reshape(shape)


def _quantise(x: Tensor, step: Tensor, zero: Tensor) -> Tensor:
    """The picture itself, which has a zero point, is turned into bytes; activations are only clipped as bytes would be."""
    return (x / step + zero).round().clamp(0, 255).byte() if int(zero) else x.clamp(max=float(step) * 255)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, strides: list[int], pads: list[int], **_: object) -> Tensor:
    return F.conv2d(x.contiguous(memory_format=torch.channels_last), weight, bias, strides, pads[0])


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Transpose": lambda x, perm: x.permute(perm),
    "DequantizeLinear": _dequantise,
    "QuantizeLinear": _quantise,
    "Conv": _convolve,
    "Relu": F.relu,
    "Add": torch.add,
    "Resize": lambda x, _, scales, **__: F.interpolate(x, scale_factor=float(scales[-1]), mode="nearest"),
}
