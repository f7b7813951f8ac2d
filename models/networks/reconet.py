"""ReCoNet: the well-known feed-forward painter of one style that learns to hold still, to measure against.

Gao, Gu, Zhang & Yu 2018, "ReCoNet: Real-time Coherent Video Style Transfer Network": Johnson's layers, wider, with one block
less, and tanh at the end. Its loss compares the encoder's features of two frames, which are what `encode` gives.

    3 -> 48 (9x9) -> 96 @1/2 -> 192 @1/4 -> 4 residual blocks -> 96 @1/2 -> 48 -> 3 (9x9), tanh
"""

import torch
from torch import Tensor

from models.networks.johnson import Johnson

_REACH = 150 / 255  # as in the authors' code: a little past black and white, which tanh would else never reach


class ReCoNet(Johnson):
    """R'G'B' float [N, 3, H, W] in [0, 1], H and W multiples of 4, to the same, not clipped: within 0.5 +- 0.59."""

    widths, blocks = (48, 96, 192), 4

    def decode(self, features: Tensor) -> Tensor:
        """The painting [N, 3, H, W] that the features [N, C, H/4, W/4] stand for."""
        return 0.5 + _REACH * torch.tanh(self.decoder(features))
