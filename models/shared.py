"""The network with its weights left open: one graph for every style and every colour encoding.

What is compiled for a GPU takes its time, and a style is only numbers; so the weights are inputs of the graph, to be filled
from a `Painter` whenever the style changes. TensorRT-RTX fuses such a convolution as it fuses one with constants, but for
one small copy of the kernel a layer.

Two forms, both with the pictures as bytes, uint8 [count, h, w, 40] in and [count, h, w, 24] out:

- `int8`: Q/DQ as TensorRT takes it, which knows neither uint8 nor zero points. Activations are at least 0, so their codes
  are 0..127, one step per tensor; kernels int8 codes, with a float32 scale and a bias per channel behind the convolution.
- `fp16`: half precision throughout, activations clipped where codes would be.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.export import Graph, Layer, Painter, quantise, written

Weights = dict[str, np.ndarray]  # by the names of the graph's inputs

_GREY = 128
_half = np.float16


class _Open(Graph):
    """What both forms share."""

    def input(self, name: str, kind: int, shape: tuple[int, ...]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def convolved(self, inputs: list[str], name: str, stride: int) -> str:
        return self.node("Conv", inputs, f"{name}.conv", kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)

    def centred(self, number: type[np.floating], kind: int) -> str:
        """The picture's codes as floats of one kind, [count, 40, h, w], grey at 0."""
        codes = self.node("Cast", ["tiles"], "tiles.float", to=kind)
        centred = self.node("Sub", [codes, self.constant("grey", number(_GREY))], "tiles.centred")
        return self.node("Transpose", [centred], "planes", perm=[0, 3, 1, 2])


class _Int8(_Open):
    def quantised(self, x: str, name: str, step: float, zero: int = 0, back: float | None = None) -> str:
        """As codes, and back as floats with another step where one is given."""
        zero_name = self.constant(f"{name}.zero", np.int8(zero))
        codes = self.node("QuantizeLinear", [x, self.constant(f"{name}.step", np.float32(step)), zero_name], f"{name}.codes")
        there = f"{name}.step" if back is None else self.constant(f"{name}.back", np.float32(back))
        return self.node("DequantizeLinear", [codes, there, zero_name], f"{name}.value")

    def convolution(self, x: str, name: str, stride: int = 1) -> str:
        shape = self.painter.layers[name].weight.shape
        ones, zeros = np.ones(shape[0], np.float32), np.zeros(shape[0], np.int8)
        parameters = [self.constant(f"{name}.kernel.step", ones), self.constant(f"{name}.kernel.zero", zeros)]
        codes = self.input(f"{name}.kernel", TensorProto.INT8, shape)
        kernel = self.node("DequantizeLinear", [codes, *parameters], f"{name}.kernel.value", axis=0)
        scale, bias = (self.input(f"{name}.{what}", TensorProto.FLOAT, (1, shape[0], 1, 1)) for what in ("scale", "bias"))
        scaled = self.node("Mul", [self.convolved([x, kernel], name, stride), scale], f"{name}.scaled")
        return self.node("Add", [scaled, bias], f"{name}.sum")

    def activation(self, x: str, name: str) -> str:
        return self.quantised(self.node("Relu", [x], f"{name}.relu"), name, self.painter.ranges[name] / 127)

    def enter(self) -> str:
        return self.quantised(self.centred(np.float32, TensorProto.FLOAT), "picture", 1.0, back=1 / 255)

    def doubled(self, x: str, name: str) -> str:
        # quantised again, which changes nothing, because it is the tensor before a convolution that must be
        return self.quantised(super().doubled(x, name), "upsampled.again", self.painter.ranges[name] / 127)

    def leave(self, x: str) -> None:
        rows = self.node(
            "Transpose", [self.quantised(x, "painted.planes", 1 / 255, back=1.0)], "painted.rows", perm=[0, 2, 3, 1]
        )
        self.node("Cast", [self.node("Add", [rows, "grey"], "painted.float")], "painted", to=TensorProto.UINT8)

    @staticmethod
    def weights(name: str, layer: Layer) -> Weights:
        codes, step = quantise(layer.weight)
        one_each = (1, -1, 1, 1)
        return {
            f"{name}.kernel": codes,
            f"{name}.scale": step.reshape(one_each),
            f"{name}.bias": layer.bias.astype(np.float32).reshape(one_each),
        }


class _Half(_Open):
    def convolution(self, x: str, name: str, stride: int = 1) -> str:
        shape = self.painter.layers[name].weight.shape
        kernel = self.input(f"{name}.kernel", TensorProto.FLOAT16, shape)
        return self.convolved([x, kernel, self.input(f"{name}.bias", TensorProto.FLOAT16, shape[:1])], name, stride)

    def activation(self, x: str, name: str) -> str:
        limits = [self.constant(f"{name}.least", _half(0)), self.constant(f"{name}.most", _half(self.painter.ranges[name]))]
        return self.node("Clip", [x, *limits], f"{name}.value")

    def enter(self) -> str:
        planes = self.centred(_half, TensorProto.FLOAT16)
        return self.node("Mul", [planes, self.constant("pixel.step", _half(1 / 255))], "pixels")

    def leave(self, x: str) -> None:
        rows = self.node("Transpose", [x], "painted.rows", perm=[0, 2, 3, 1])
        scaled = self.node("Mul", [rows, self.constant("white", _half(255))], "painted.scaled")
        codes = self.node("Round", [self.node("Add", [scaled, "grey"], "painted.float")], "painted.codes")
        clipped = self.node("Clip", [codes, self.constant("black", _half(0)), "white"], "painted.clipped")
        self.node("Cast", [clipped], "painted", to=TensorProto.UINT8)

    @staticmethod
    def weights(name: str, layer: Layer) -> Weights:
        return {f"{name}.kernel": layer.weight.astype(_half), f"{name}.bias": layer.bias.astype(_half)}


@dataclass(frozen=True, slots=True)
class Form:
    """How the graph is written down, and a layer's weights with it."""

    graph: type[_Open]
    weights: Callable[[str, Layer], Weights]


FORMS = {"int8": Form(_Int8, _Int8.weights), "fp16": Form(_Half, _Half.weights)}


def to_open_onnx(painter: Painter, grid: tuple[int, int], precision: str, count: int = 1) -> onnx.ModelProto:
    """The graph for all painters of this shape and these ranges, for `count` pictures of `grid` (h, w) tiles, both even."""
    return written(FORMS[precision].graph(painter), grid, count)


def open_weights(painter: Painter, precision: str) -> Weights:
    """What to fill the graph's inputs with, besides `tiles`, to paint as `painter` does."""
    return {
        key: value for name, layer in painter.layers.items() for key, value in FORMS[precision].weights(name, layer).items()
    }
