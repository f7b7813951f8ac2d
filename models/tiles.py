"""The picture as the network sees it: 4:2:0 planes folded into tiles of 4x4 luma samples.

A tile has 24 channels: 0-15 the luma samples row by row, 16-19 the 2x2 Cb samples, 20-23 the 2x2 Cr samples.
Decoders deliver 4:2:0 and encoders want it, so the network reads and writes it, and no RGB picture exists on the way.

The canonical space of training is full-range BT.709 Y'CbCr (ITU-R BT.709-6, section 3) as (code - 128) / 255, so that the
zeros with which convolutions pad are a neutral grey.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
CHANNELS = 24
MARGIN = 8  # pixels of repeated border around the picture, which hide the zero padding of the convolutions
KR, KB = 0.2126, 0.0722
GREY = 128 / 255


def rgb_to_tiles(rgb: Tensor) -> Tensor:
    """Fold R'G'B' float [N, 3, H, W] in [0, 1] (H and W multiples of 4) into tiles [N, 24, H/4, W/4]."""
    red, green, blue = rgb.unbind(1)
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    chroma = torch.stack([(blue - luma) / (2 * (1 - KB)), (red - luma) / (2 * (1 - KR))], 1)
    chroma = F.avg_pool2d(chroma, 2)
    return torch.cat([F.pixel_unshuffle(luma[:, None] - GREY, TILE), F.pixel_unshuffle(chroma, TILE // 2)], 1)


def tiles_to_rgb(tiles: Tensor) -> Tensor:
    """Unfold tiles [N, 24, h, w] into R'G'B' [N, 3, 4h, 4w], chroma interpolated bilinearly; not clipped."""
    luma = F.pixel_shuffle(tiles[:, :16], TILE) + GREY
    chroma = F.pixel_shuffle(tiles[:, 16:], TILE // 2)
    blue_difference, red_difference = F.interpolate(chroma, scale_factor=2, mode="bilinear").split(1, 1)
    red = luma + 2 * (1 - KR) * red_difference
    blue = luma + 2 * (1 - KB) * blue_difference
    green = (luma - KR * red - KB * blue) / (1 - KR - KB)
    return torch.cat([red, green, blue], 1)
