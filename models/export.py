"""The trained network, for one style and one colour encoding, as an ONNX model of plain 8-bit convolutions.

The graph is in Q/DQ form: weights int8, symmetric, one step per output channel; activations uint8 with zero point 0 (they
follow a ReLU), one step per tensor; biases float. The picture goes in and out as bytes in tiles, `tiles`
uint8 [1, h, w, 40] and `painted` uint8 [1, h, w, 24] (`models.tiles`), h and w even, so that no layout or type is ever
converted outside of it.
"""

from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kernels.layout import CHANNELS, SEEN
from models.colour import Encoding, tile_transform


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution of the network: 3x3, `weight` float32 [O, I, 3, 3], `bias` float32 [O]."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, slots=True)
class Painter:
    """The network for one style: its layers by name, and for each activation by name the value that code 255 stands for.

    `lasting` is one that will be asked for again, so that what takes long to make of it is worth keeping.
    """

    layers: dict[str, Layer]
    ranges: dict[str, float]
    lasting: bool = False

    @property
    def blocks(self) -> int:
        return sum(name.startswith("block") for name in self.layers) // 2


def fold_colour(painter: Painter, encoding: Encoding) -> Painter:
    """The same painter for pictures in another colour encoding: codes in, codes out, canonical colours within."""
    matrix, offset = tile_transform(encoding)
    enter, leave = painter.layers["enter"], painter.layers["leave"]
    colours, texture = np.split(enter.weight, [CHANNELS], 1)  # which is alike in any encoding
    inverse = np.linalg.inv(matrix)
    folded = dict(painter.layers)
    folded["enter"] = Layer(
        np.concatenate([np.einsum("oikl,ij->ojkl", colours, matrix), texture], 1).astype(np.float32),
        (enter.bias + np.einsum("oikl,i->o", colours, offset)).astype(np.float32),
    )
    folded["leave"] = Layer(
        np.einsum("po,oikl->pikl", inverse, leave.weight).astype(np.float32),
        (inverse @ (leave.bias - offset)).astype(np.float32),
    )
    return replace(painter, layers=folded)


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 in [-127, 127] and the step float32 [O] of each output channel; weight = codes * step."""
    step = np.maximum(np.abs(weight).reshape(len(weight), -1).max(1) / 127, 1e-12).astype(np.float32)
    return np.rint(weight / step[:, None, None, None]).astype(np.int8), step


class Graph:
    """Collects nodes and constants while the network is written down from front to back (`written`).

    The form of its numbers is that of the module's docstring; `models.shared` has others.
    """

    opset = 17

    def __init__(self, painter: Painter):
        self.painter = painter
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []  # besides the picture

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def quantised(self, x: str, name: str, step: float, zero: int = 0) -> str:
        """The float tensor `x` as bytes and back as float: what TensorRT, OpenVINO and ONNX Runtime take for INT8."""
        parameters = [self.constant(f"{name}.step", np.float32(step)), self.constant(f"{name}.zero", np.uint8(zero))]
        codes = self.node("QuantizeLinear", [x, *parameters], f"{name}.codes")
        return self.node("DequantizeLinear", [codes, *parameters], f"{name}.value")

    def dequantised(self, name: str, codes: np.ndarray, step: np.ndarray, axis: int = 0) -> str:
        """The kernel of a layer, int8 with a step for each output channel, which are along `axis`."""
        parameters = [
            self.constant(f"{name}.weight.codes", codes),
            self.constant(f"{name}.weight.step", step),
            self.constant(f"{name}.weight.zero", np.zeros(len(step), np.int8)),
        ]
        return self.node("DequantizeLinear", parameters, f"{name}.weight", axis=axis)

    def convolution(self, x: str, name: str, stride: int = 1) -> str:
        layer = self.painter.layers[name]
        inputs = [x, self.dequantised(name, *quantise(layer.weight)), self.constant(f"{name}.bias", layer.bias)]
        return self.node("Conv", inputs, f"{name}.sum", kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)

    def activation(self, x: str, name: str) -> str:
        return self.quantised(self.node("Relu", [x], f"{name}.relu"), name, self.painter.ranges[name] / 255)

    def enter(self) -> str:
        """The picture as the first layer takes it, [1, 40, h, w]: (code - 128) / 255, so that zero padding is grey."""
        step, zero = self.constant("pixel.step", np.float32(1 / 255)), self.constant("pixel.zero", np.uint8(128))
        pixels = self.node("DequantizeLinear", ["tiles", step, zero], "pixels")
        return self.node("Transpose", [pixels], "planes", perm=[0, 3, 1, 2])

    def risen(self, x: str, name: str) -> str:
        """What the layer "up" gives of the activation `x` called `name`, twice as high and wide."""
        return self.convolution(self.doubled(x, name), "up")

    def doubled(self, x: str, name: str) -> str:
        """The activation `x` called `name`, twice as high and wide."""
        scales = self.constant("scales", np.array([1, 1, 2, 2], np.float32))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", [x, "", scales], "upsampled", **how)

    def leave(self, x: str) -> None:
        """The last layer's output as the painted picture."""
        codes = self.node("QuantizeLinear", [x, "pixel.step", "pixel.zero"], "painted.planes")
        self.node("Transpose", [codes], "painted", perm=[0, 2, 3, 1])


def to_onnx(painter: Painter) -> onnx.ModelProto:
    """Write the network down, in the colours of `painter`; h and w are left open."""
    return written(Graph(painter), ("h", "w"))


def written(graph: Graph, grid: tuple[int | str, int | str], count: int = 1) -> onnx.ModelProto:
    """The network for `count` pictures of `grid` (h, w) tiles, in the form of `graph`, which is used up."""
    painter = graph.painter
    entered = graph.activation(graph.convolution(graph.enter(), "enter"), "enter")
    x = graph.activation(graph.convolution(entered, "down", stride=2), "down")
    for i in range(painter.blocks):
        inner = graph.activation(graph.convolution(x, f"block{i}a"), f"block{i}a")
        total = graph.node("Add", [graph.convolution(inner, f"block{i}b"), x], f"block{i}.total")
        x = graph.activation(total, f"block{i}b")
    x = graph.risen(x, f"block{painter.blocks - 1}b")
    x = graph.activation(graph.node("Add", [x, entered], "up.total"), "up")
    x = graph.activation(graph.convolution(x, "refine"), "refine")
    graph.leave(graph.convolution(x, "leave"))

    def picture(name: str, channels: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.UINT8, [count, *grid, channels])

    inputs = [picture("tiles", SEEN), *graph.inputs]
    return helper.make_model(
        helper.make_graph(graph.nodes, "allaprima", inputs, [picture("painted", CHANNELS)], graph.constants),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=8 if graph.opset < 19 else 9,
        producer_name="allaprima",
    )
