"""The light generator: a feed-forward painter for any style, INT8-friendly by construction.

Johnson et al. 2016 (feed-forward style transfer) with three changes:

- *Conditional gains.* A style is one vector: for every layer a gain and a bias per channel (Dumoulin et al. 2017). They fold
  into the convolution, so that a style costs nothing at run time, and vectors can be mixed like colours. Mixing whole
  kernels as well (Yang et al. 2019, CondConv) was tried: four of them grew into one another but for their gains.
- *No normalisation.* `balance` sets the gains once from data (Salimans & Kingma 2016); nothing in a picture depends on
  what is elsewhere in it, so nothing flickers as a whole, and there are no bubbles of instance normalisation.
- *Bytes between layers.* Every tensor between convolutions is behind a ReLU that is clipped at a fixed reach, the same for
  all styles: it quantises to unsigned bytes with zero point 0. It reads and writes tiles of 4:2:0 samples (`models.tiles`):
  no transposed convolution, no 9x9, no RGB.

    40 @1/4 -> wide @1/4 -> deep @1/8 -> residual blocks -> nearest x2 -> wide @1/4 (+ skip) -> wide @1/4 -> 24 @1/4
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.layout import CHANNELS, SEEN


@dataclass(frozen=True, slots=True)
class Shape:
    """Widths at 1/4 and 1/8 of the picture's size, and residual blocks."""

    wide: int
    deep: int
    blocks: int

    def layers(self) -> list[tuple[str, int, int, int]]:
        """(name, input channels, output channels, stride) of every convolution, in order."""
        trunk = [(f"block{i}{part}", self.deep, self.deep, 1) for i in range(self.blocks) for part in "ab"]
        return [
            ("enter", SEEN, self.wide, 1),
            ("down", self.wide, self.deep, 2),
            *trunk,
            ("up", self.deep, self.wide, 1),
            ("refine", self.wide, self.wide, 1),
            ("leave", self.wide, CHANNELS, 1),
        ]

    def fields(self) -> Iterator[tuple[str, slice, slice]]:
        """Of every layer, where in a style's vector its gain [O] and bias [O] are."""
        start = 0
        for name, _, outputs, _ in self.layers():
            gain = slice(start, start + outputs)
            bias = slice(gain.stop, gain.stop + outputs)
            start = bias.stop
            yield name, gain, bias

    @property
    def conditioning(self) -> int:
        """Length of a style's vector."""
        return sum(2 * outputs for _, _, outputs, _ in self.layers())

    def macs(self, width: int, height: int) -> int:
        """Multiplications and additions for one picture, without its margin."""
        total = 0
        for name, inputs, outputs, _ in self.layers():
            side = 8 if name == "down" or name.startswith("block") else 4
            total += 9 * inputs * outputs * (-(-width // side)) * (-(-height // side))
        return total


SHAPES = {"fast": Shape(48, 96, 3), "fine": Shape(96, 160, 5)}

Watch = Callable[[str, Tensor], None]


class Generator(nn.Module):
    """Paints tiles float [N, 24, h, w], not clipped, from tiles with their texture [N, 40, h, w] (h and w even), under
    conditioning float [S, D].

    N is a multiple of S: the first N / S tiles are painted in the first style, the next in the second.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        sizes = {name: (outputs, inputs, 3, 3) for name, inputs, outputs, _ in shape.layers()}
        self.kernels = nn.ParameterDict({name: nn.init.kaiming_normal_(torch.empty(size)) for name, size in sizes.items()})
        self.strides = {name: stride for name, _, _, stride in shape.layers()}
        activations = [name for name in self.strides if name != "leave"]
        self.order = {name: index for index, name in enumerate(activations)}
        self.register_buffer("reach", torch.full((len(activations),), torch.inf))
        self.places = {name: (gain, bias) for name, gain, bias in shape.fields()}
        self.settled = False  # the reach of every activation is known

    reach: Tensor

    def settle(self, reach: Tensor) -> None:
        """From now on clip every activation at its `reach` [activations, in order]."""
        self.reach.copy_(reach)
        self.settled = True

    def neutral(self) -> Tensor:
        """The vector [D] from which styles begin: gain 1, bias 0."""
        vector = torch.zeros(self.shape.conditioning)
        for gain, _ in self.places.values():
            vector[gain] = 1
        return vector

    def convolve(self, name: str, x: Tensor, conditioning: Tensor) -> Tensor:
        """One layer without its activation."""
        y = F.conv2d(x, self.kernels[name], stride=self.strides[name], padding=1)
        each = conditioning.to(y.dtype).repeat_interleave(len(x) // len(conditioning), 0)[..., None, None]
        gain, bias = self.places[name]
        return torch.addcmul(each[:, bias], y, each[:, gain])

    def forward(self, tiles: Tensor, conditioning: Tensor, watch: Watch | None = None) -> Tensor:
        """`watch` is shown every activation with its name, before it is clipped."""

        def activate(name: str, total: Tensor) -> Tensor:
            activation = F.relu(total)
            if watch is not None:
                watch(name, activation)
            return self.bounded(name, activation)

        entered = activate("enter", self.convolve("enter", tiles, conditioning))
        x = activate("down", self.convolve("down", entered, conditioning))
        for i in range(self.shape.blocks):
            inner = activate(f"block{i}a", self.convolve(f"block{i}a", x, conditioning))
            x = activate(f"block{i}b", x + self.convolve(f"block{i}b", inner, conditioning))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = activate("up", entered + self.convolve("up", x, conditioning))
        x = activate("refine", self.convolve("refine", x, conditioning))
        with torch.autocast(x.device.type, enabled=False):  # half the precision would show as noise
            return self.convolve("leave", x.float(), conditioning)

    def bounded(self, name: str, activation: Tensor) -> Tensor:
        """Clipped at the layer's reach."""
        if not self.settled:
            return activation
        return torch.minimum(activation, self.reach[self.order[name]].to(activation.dtype))

    @torch.no_grad()
    def balance(self, tiles: Tensor) -> Tensor:
        """The neutral vector [D] with gains and biases that make every layer's output mean 0 and variance 1 over `tiles`.

        The second convolution of a residual block gets a quarter of that variance, so that the sum does not grow; the last
        layer a hundredth, so that painting begins near grey.
        """
        vector = self.neutral()
        totals = {f"block{i}b": 0.5 for i in range(self.shape.blocks)} | {"leave": 0.1}
        convolve = self.convolve

        def balanced(name: str, x: Tensor, conditioning: Tensor) -> Tensor:
            gain, bias = self.places[name]
            y = convolve(name, x, vector[None])
            factor = totals.get(name, 1.0) * torch.rsqrt(y.float().var((0, 2, 3)) + 1e-5)
            vector[gain], vector[bias] = factor, -y.float().mean((0, 2, 3)) * factor
            return convolve(name, x, vector[None])

        self.convolve = balanced  # type: ignore[method-assign]
        try:
            self(tiles, vector[None])
        finally:
            self.convolve = convolve  # type: ignore[method-assign]
        return vector
