"""The picture as the network sees it: 4:2:0 planes folded into tiles of 4x4 luma samples.

A tile has 24 channels: 0-15 the luma samples row by row, 16-19 the 2x2 Cb samples, 20-23 the 2x2 Cr samples.
Decoders deliver 4:2:0 and encoders want it, so the network reads and writes it, and no RGB picture exists on the way.
Behind these it is given 16 channels of texture (`kernels.reference.texture`): faint detail made as strong everywhere, of
which it can make paint that moves with the picture.

The canonical space of training is full-range BT.709 Y'CbCr (ITU-R BT.709-6, section 3) as (code - 128) / 255, so that the
zeros with which convolutions pad are a neutral grey.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.layout import FAINT, STRONGEST, TILE

KR, KB = 0.2126, 0.0722
GREY = 128 / 255
_NARROW, _BROAD = torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 3, 4, 5, 4, 3, 2, 1])
_AROUND = torch.tensor([1.0, 8, 28, 56, 70, 56, 28, 8, 1])


def rgb_to_tiles(rgb: Tensor) -> Tensor:
    """Fold R'G'B' float [N, 3, H, W] in [0, 1] (H and W multiples of 4) into tiles [N, 24, H/4, W/4]."""
    red, green, blue = rgb.unbind(1)
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    chroma = torch.stack([(blue - luma) / (2 * (1 - KB)), (red - luma) / (2 * (1 - KR))], 1)
    chroma = F.avg_pool2d(chroma, 2)
    return torch.cat([F.pixel_unshuffle(luma[:, None] - GREY, TILE), F.pixel_unshuffle(chroma, TILE // 2)], 1)


def seen(rgb: Tensor) -> Tensor:
    """Pictures as the network sees them: tiles with their texture, [N, 40, H/4, W/4]."""
    tiles = rgb_to_tiles(rgb)
    return torch.cat([tiles, texture(tiles).to(tiles.dtype)], 1)


@torch.no_grad()
def texture(tiles: Tensor) -> Tensor:
    """`kernels.reference.texture` of tiles float [N, 24, h, w], not rounded, in the space of training: float32 [N, 16, h, w]
    in [-126, 126] / 255. No gradient goes through it."""
    luma = F.pixel_shuffle(tiles[:, : TILE**2].float(), TILE) * 255
    detail = _blurred(luma, _NARROW) - _blurred(luma, _BROAD)
    energy = _blurred(F.avg_pool2d(detail.square(), TILE), _AROUND)
    gain = F.interpolate(torch.rsqrt(energy + FAINT**2), scale_factor=TILE, mode="bilinear")
    codes = (detail * gain).clamp(-STRONGEST, STRONGEST) * (126 / STRONGEST)
    return F.pixel_unshuffle(codes / 255, TILE)


def _blurred(planes: Tensor, taps: Tensor) -> Tensor:
    """[N, 1, H, W] blurred both ways by `taps` over their sum; beyond the edge, the edge."""
    taps, reach = (taps / taps.sum()).to(planes), len(taps) // 2
    across = F.conv2d(F.pad(planes, (reach, reach, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))


def tiles_to_rgb(tiles: Tensor) -> Tensor:
    """Unfold tiles [N, 24, h, w] into R'G'B' [N, 3, 4h, 4w], chroma interpolated bilinearly; not clipped."""
    luma = F.pixel_shuffle(tiles[:, :16], TILE) + GREY
    chroma = F.pixel_shuffle(tiles[:, 16:], TILE // 2)
    blue_difference, red_difference = F.interpolate(chroma, scale_factor=2, mode="bilinear").split(1, 1)
    red = luma + 2 * (1 - KR) * red_difference
    blue = luma + 2 * (1 - KB) * blue_difference
    green = (luma - KR * red - KB * blue) / (1 - KR - KB)
    return torch.cat([red, green, blue], 1)
