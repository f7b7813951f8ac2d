"""The style encoder: from a picture to the vector that makes the generator paint like it (Ghiasi et al. 2017).

A picture's style is in the statistics of its features (Huang & Belongie 2017: mean and standard deviation of each channel),
taken here at five depths of a small network of its own. A code of a few dozen numbers between them and the vector keeps
what it learned from few paintings general.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 48, 64, 96, 128)
CODE = 96


class StyleEncoder(nn.Module):
    """R'G'B' float [N, 3, SIDE, SIDE] in [0, 1] to conditioning float [N, D]; `models.encoder` runs it without PyTorch."""

    def __init__(self, conditioning: int):
        super().__init__()
        layers = [nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairwise((3, *WIDTHS))]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)
        self.convolutions = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(2 * sum(WIDTHS))
        self.code = nn.Linear(2 * sum(WIDTHS), CODE)
        self.head = nn.Linear(CODE, conditioning)
        nn.init.normal_(self.head.weight, std=1e-3)

    def statistics(self, rgb: Tensor) -> Tensor:
        """Mean and standard deviation of every channel at every depth, float [N, 2 * sum(WIDTHS)]."""
        x, found = rgb * 2 - 1, []
        for layer in self.convolutions:
            x = F.relu(layer(x))
            mean = x.mean((2, 3))
            found += [mean, ((x - mean[:, :, None, None]).square().mean((2, 3)) + 1e-4).sqrt()]
        return torch.cat(found, 1)

    def codes(self, rgb: Tensor) -> Tensor:
        """Float [N, CODE]."""
        return torch.tanh(self.code(self.norm(self.statistics(rgb))))

    def forward(self, rgb: Tensor) -> Tensor:
        return self.head(self.codes(rgb))
