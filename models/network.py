"""The light generator: a feed-forward painter for many styles, INT8-friendly by construction.

Johnson et al. 2016 (feed-forward style transfer) with conditional normalisation (Dumoulin et al. 2017) and a residual
trunk whose activations are all behind a ReLU, so that every tensor between convolutions quantises to unsigned bytes with
zero point 0. It reads and writes tiles of 4:2:0 samples (`models.tiles`): no transposed convolution, no 9x9, no RGB.

    24 @1/4 -> 32 @1/4 -> 96 @1/8 -> 4 residual blocks -> nearest x2 -> 32 @1/4 (+ skip) -> 32 @1/4 -> 24 @1/4
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.tiles import CHANNELS


@dataclass(frozen=True)
class Shape:
    """Widths at 1/4 and 1/8 of the picture's size, and the number of residual blocks."""

    wide: int = 32
    deep: int = 96
    blocks: int = 4

    def layers(self) -> list[tuple[str, int, int, int]]:
        """(name, input channels, output channels, stride) of every styled convolution, in order."""
        trunk = [(f"block{i}{part}", self.deep, self.deep, 1) for i in range(self.blocks) for part in "ab"]
        return [
            ("enter", CHANNELS, self.wide, 1),
            ("down", self.wide, self.deep, 2),
            *trunk,
            ("up", self.deep, self.wide, 1),
            ("refine", self.wide, self.wide, 1),
            ("leave", self.wide, CHANNELS, 1),
        ]


FAST = Shape()


class StyledConvolution(nn.Module):
    """3x3 convolution, normalisation, then the scale and shift of each sample's style.

    While `fixed` is false the statistics are the picture's own (instance normalisation) and a running mean of them is kept
    for each style. Once `fixed`, those are used: nothing depends on the rest of the picture any more, which removes the
    flicker that global statistics cause, and the whole layer folds into one convolution.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, inputs: int, outputs: int, stride: int, styles: int, normalised: bool = True):
        super().__init__()
        self.weight = nn.Parameter(nn.init.kaiming_normal_(torch.empty(outputs, inputs, 3, 3)))
        self.scale = nn.Parameter(torch.ones(styles, outputs))
        self.shift = nn.Parameter(torch.zeros(styles, outputs))
        self.register_buffer("mean", torch.zeros(styles, outputs))
        self.register_buffer("variance", torch.ones(styles, outputs))
        self.stride, self.fixed = stride, not normalised

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = F.conv2d(x, self.weight, stride=self.stride, padding=1)
        if self.fixed:
            mean, variance = self.mean[style], self.variance[style]
        else:
            values = y.float()
            mean, variance = values.mean((2, 3)), values.var((2, 3), correction=0)
            if self.training:
                with torch.no_grad():
                    for sample, index in enumerate(style.tolist()):
                        self.mean[index].lerp_(mean[sample], 0.02)
                        self.variance[index].lerp_(variance[sample], 0.02)
        factor = self.scale[style] * torch.rsqrt(variance + 1e-5)
        offset = self.shift[style] - mean * factor
        return y * factor[..., None, None].to(y.dtype) + offset[..., None, None].to(y.dtype)

    @torch.no_grad()
    def folded(self) -> tuple[Tensor, Tensor]:
        """Gain and bias float32 [S, O] that turn `weight` into the one convolution this layer is for each style."""
        gain = self.scale * torch.rsqrt(self.variance + 1e-5)
        return gain, self.shift - self.mean * gain


class Generator(nn.Module):
    """Paints tiles float [N, 24, h, w] (h and w even) in the styles given as int64 [N]; returns tiles, not clipped."""

    def __init__(self, styles: int, shape: Shape = FAST):
        super().__init__()
        self.shape = shape
        self.styled = {n: StyledConvolution(i, o, s, styles, normalised=n != "leave") for n, i, o, s in shape.layers()}
        self.layers = nn.ModuleDict(self.styled)
        with torch.no_grad():
            self.styled["leave"].weight.mul_(0.1)  # begin near grey

    def fix_statistics(self) -> None:
        """Stop normalising by the picture's own statistics; from now on use each style's running ones."""
        for layer in self.styled.values():
            layer.fixed = True

    def forward(self, tiles: Tensor, style: Tensor, watch: Callable[[str, Tensor], None] | None = None) -> Tensor:
        """`watch` is shown every activation with its name."""

        def activate(name: str, total: Tensor) -> Tensor:
            activation = F.relu(total)
            if watch is not None:
                watch(name, activation)
            return activation

        layers = self.styled
        entered = activate("enter", layers["enter"](tiles, style))
        x = activate("down", layers["down"](entered, style))
        for i in range(self.shape.blocks):
            inner = activate(f"block{i}a", layers[f"block{i}a"](x, style))
            x = activate(f"block{i}b", x + layers[f"block{i}b"](inner, style))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = activate("up", entered + layers["up"](x, style))
        x = activate("refine", layers["refine"](x, style))
        return layers["leave"](x, style)
