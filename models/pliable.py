"""The network with its style left open, for backends that compile constants: what paints while a style changes.

A style's gains and biases work on what a convolution gives, channel by channel (`models.networks.generator`), so the codes
of the kernels are the same for all styles. Here they are constants, and the scale and the bias behind each are inputs of
the graph: two short rows a layer, where a network for one style alone has to be compiled. It runs a tenth slower.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper

from models.colour import Encoding, tile_transform
from models.export import Graph, Painter, fold_colour, quantise, written

Rows = dict[str, np.ndarray]  # float32 [1, O, 1, 1] by the names of the graph's inputs


class PliableNetwork:
    """One network for every style, in the colours of `encoding`. `unstyled` is that with gains of 1 (`Library.unstyled`)."""

    def __init__(self, unstyled: Painter, encoding: Encoding):
        # colours of what comes in are folded into the first layer; those of what goes out would mix the last one's channels
        layers = unstyled.layers | {"enter": fold_colour(unstyled, encoding).layers["enter"]}
        self._painter, self._encoding = Painter(layers, unstyled.ranges), encoding
        self._steps = {name: quantise(layer.weight)[1] for name, layer in layers.items()}

    def rows(self, conditioning: np.ndarray) -> Rows:
        """What to fill the graph's inputs with, besides `tiles`, to paint in the style of a vector float32 [D]."""
        found, start = Rows(), 0
        for name, step in self._steps.items():
            gain, bias = conditioning[start : start + 2 * len(step)].reshape(2, -1)
            start += 2 * len(step)
            shift = self._painter.layers[name].bias  # of the unstyled network, which has that of folded colours alone
            for what, row in (("scale", step * gain), ("bias", bias + shift * gain)):
                found[f"{name}.{what}"] = row.astype(np.float32).reshape(1, -1, 1, 1)
        return found

    def to_onnx(self) -> ModelProto:
        """Write the network down; h and w are left open."""
        return written(_Pliable(self._painter, self._encoding), ("h", "w"))


class _Pliable(Graph):
    def __init__(self, painter: Painter, encoding: Encoding):
        super().__init__(painter)
        self._encoding = encoding

    def convolution(self, x: str, name: str, stride: int = 1) -> str:
        codes, _ = quantise(self.painter.layers[name].weight)
        weight = self.dequantised(name, codes, np.ones(len(codes), np.float32))
        total = self.node("Conv", [x, weight], f"{name}.conv", kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)
        for kind, what, result in (("Mul", "scale", "scaled"), ("Add", "bias", "sum")):
            row = helper.make_tensor_value_info(f"{name}.{what}", TensorProto.FLOAT, (1, len(codes), 1, 1))
            self.inputs.append(row)
            total = self.node(kind, [total, row.name], f"{name}.{result}")
        return total

    def leave(self, x: str) -> None:
        matrix, offset = tile_transform(self._encoding)
        if not (np.array_equal(matrix, np.eye(len(matrix))) and not offset.any()):
            inverse = np.linalg.inv(matrix)
            weight = self.constant("colours.weight", inverse.astype(np.float32)[..., None, None])
            bias = self.constant("colours.bias", (-inverse @ offset).astype(np.float32))
            x = self.node("Conv", [x, weight, bias], "colours", kernel_shape=[1, 1])
        super().leave(x)
