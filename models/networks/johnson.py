"""Johnson et al. 2016 with instance normalisation: the well-known feed-forward painter of one style, to measure against.

The image transformation network of "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" as it is usually
built today: instance instead of batch normalisation (Ulyanov et al. 2016), reflection padding, and nearest upsampling before
a convolution instead of a transposed one. These are the layers of PyTorch's `fast_neural_style` example.

    3 -> 32 (9x9) -> 64 @1/2 -> 128 @1/4 -> 5 residual blocks -> 64 @1/2 -> 32 -> 3 (9x9)
"""

import torch
from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """`nn.InstanceNorm2d(channels, affine=True)` (Ulyanov et al. 2016), but one that leaves channels last in memory.

    A step of training on CPU takes about two thirds of the time so. Statistics are float32 whatever comes in.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        variance = centred.square().mean((2, 3), keepdim=True, dtype=torch.float32)
        gain = self.weight[:, None, None] * torch.rsqrt(variance + 1e-5)
        return torch.addcmul(self.bias[:, None, None].to(x.dtype), centred, gain.to(x.dtype))


def padded(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution over the picture continued as in a mirror."""
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride))


def normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """The same with instance normalisation and ReLU."""
    return nn.Sequential(padded(inputs, outputs, kernel, stride), InstanceNorm(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions beside a shortcut, without a ReLU after the sum (Gross & Wilber 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        last = (padded(channels, channels, 3), InstanceNorm(channels))
        self.branch = nn.Sequential(normed(channels, channels, 3), *last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Johnson(nn.Module):
    """R'G'B' float [N, 3, H, W] in [0, 1], H and W multiples of 4, to the same, not clipped.

    The last convolution gives the difference from mid-grey in units of full scale: painting = 0.5 + last layer.
    """

    widths, blocks = (32, 64, 128), 5

    def __init__(self) -> None:
        super().__init__()
        wide, middle, deep = self.widths
        self.encoder = nn.Sequential(
            normed(3, wide, 9),
            normed(wide, middle, 3, stride=2),
            normed(middle, deep, 3, stride=2),
            *(Residual(deep) for _ in range(self.blocks)),
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            normed(deep, middle, 3),
            nn.Upsample(scale_factor=2),
            normed(middle, wide, 3),
            padded(wide, 3, 9),
        )

    def encode(self, rgb: Tensor) -> Tensor:
        """Features [N, C, H/4, W/4] after the residual blocks."""
        return self.encoder(rgb)

    def decode(self, features: Tensor) -> Tensor:
        """The painting [N, 3, H, W] that the features [N, C, H/4, W/4] stand for."""
        return 0.5 + self.decoder(features)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.decode(self.encode(rgb))
