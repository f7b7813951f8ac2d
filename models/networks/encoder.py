"""The style encoder: from a picture to the vector that makes the generator paint like it (Ghiasi et al. 2017).

It has two halves, which learn one after the other. The first describes a picture: from the mean and the standard deviation
of every channel (Huang & Belongie 2017) at five depths of a small network of its own it estimates what VGG-19 sees in it,
whose Gram matrices are what style is judged by (`models.training.description`). The second makes a vector of that. Learning
both at once from paintings, the way through the generator is too long: the features then hardly become any good.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 48, 64, 96, 128)
DESCRIPTION = 250  # numbers that describe a picture
HIDDEN, CODE = 256, 128


class StyleEncoder(nn.Module):
    """R'G'B' float [N, 3, SIDE, SIDE] in [0, 1] to conditioning float [N, D]; `models.encoder` runs it without PyTorch."""

    usual_mean: Tensor
    usual_variance: Tensor

    def __init__(self, conditioning: int):
        super().__init__()
        layers = [nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairwise((3, *WIDTHS))]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)
        self.convolutions = nn.ModuleList(layers)
        count = 2 * sum(WIDTHS)
        self.register_buffer("usual_mean", torch.zeros(count))  # of each statistic over many pictures
        self.register_buffer("usual_variance", torch.ones(count))
        self.description = nn.Linear(count, DESCRIPTION)
        self.hidden = nn.Linear(DESCRIPTION, HIDDEN)
        self.code = nn.Linear(HIDDEN, CODE)
        self.head = nn.Linear(CODE, conditioning)
        for linear in (self.hidden, self.code):
            nn.init.kaiming_normal_(linear.weight)
        nn.init.normal_(self.head.weight, std=1e-2)

    def eye(self) -> Iterator[nn.Parameter]:
        """The parameters of the first half, which is done with learning when the second begins."""
        yield from self.convolutions.parameters()
        yield from self.description.parameters()

    def statistics(self, rgb: Tensor) -> Tensor:
        """Mean and standard deviation of every channel at every depth, float [N, 2 * sum(WIDTHS)]."""
        x, found = rgb * 2 - 1, []
        for layer in self.convolutions:
            x = F.relu(layer(x))
            found += _Statistics.apply(x)
        return torch.cat(found, 1)

    def describe(self, rgb: Tensor, among_themselves: bool = False) -> Tensor:
        """Float [N, DESCRIPTION]. Statistics vary little beside what they are, so that they are compared with the usual
        ones; or, which is how to learn them, with those of the other pictures (Ioffe & Szegedy 2015)."""
        mean, variance = (None, None) if among_themselves else (self.usual_mean, self.usual_variance)
        return self.description(F.batch_norm(self.statistics(rgb), mean, variance, training=among_themselves))

    def forward(self, rgb: Tensor) -> Tensor:
        code = F.relu(self.code(F.relu(self.hidden(self.describe(rgb)))))
        return self.head(code / CODE**0.5)


class _Statistics(torch.autograd.Function):
    """Mean and standard deviation [N, C] of features [N, C, H, W], whose gradient is one multiplication and addition per
    feature; written as a formula it took twice as long."""

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        mean = x.mean((2, 3))
        deviation = (x.var((2, 3), correction=0) + 1e-4).sqrt()
        ctx.save_for_backward(x, mean, deviation)
        return mean, deviation

    @staticmethod
    def backward(ctx, of_mean: Tensor, of_deviation: Tensor) -> Tensor:  # type: ignore[override]
        x, mean, deviation = ctx.saved_tensors
        slope = of_deviation / deviation
        start = of_mean - slope * mean
        count = x.shape[2] * x.shape[3]
        return torch.addcmul((start / count)[..., None, None], x, (slope / count)[..., None, None])
