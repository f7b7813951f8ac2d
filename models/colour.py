"""The colour matrix of a stream, folded into the network's first and last convolution: right colours at no cost."""

from dataclasses import dataclass

import numpy as np

CANONICAL_WEIGHTS = (0.2126, 0.0722)
_TILE, _LUMA, _CHANNELS = 4, 16, 24


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a stream's 8-bit Y'CbCr codes are to be read: luma weights (Kr, Kb) and whether luma spans 0..255 or 16..235."""

    luma_weights: tuple[float, float] = CANONICAL_WEIGHTS
    full_range: bool = True


def _rgb_from_ycbcr(kr: float, kb: float) -> np.ndarray:
    """3x3 from (Y', Cb, Cr), Y' in [0, 1] and chroma in [-0.5, 0.5], to R'G'B' (ITU-T H.273, equations 38 to 40)."""
    kg = 1 - kr - kb
    return np.array(
        [[1, 0, 2 * (1 - kr)], [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg], [1, 2 * (1 - kb), 0]], np.float64
    )


def tile_transform(encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """(A, t) float64 [24, 24] and [24]: canonical = A @ ((code - 128) / 255) + t for the channels of one tile.

    Canonical is full-range BT.709 as in `models.tiles`. Grey stays grey under any matrix, so luma never leaks into chroma
    and the map is invertible tile by tile.
    """
    between = np.linalg.inv(_rgb_from_ycbcr(*CANONICAL_WEIGHTS)) @ _rgb_from_ycbcr(*encoding.luma_weights)
    luma_gain, chroma_gain = (1.0, 1.0) if encoding.full_range else (255 / 219, 255 / 224)
    matrix = np.zeros((_CHANNELS, _CHANNELS))
    for pixel in range(_LUMA):
        y, x = divmod(pixel, _TILE)
        block = y // 2 * 2 + x // 2
        matrix[pixel, pixel] = luma_gain
        for plane in range(2):
            matrix[pixel, _LUMA + 4 * plane + block] = between[0, 1 + plane] * chroma_gain
    for plane in range(2):
        for other in range(2):
            for block in range(4):
                matrix[_LUMA + 4 * plane + block, _LUMA + 4 * other + block] = between[1 + plane, 1 + other] * chroma_gain
    offset = np.zeros(_CHANNELS)
    if not encoding.full_range:
        offset[:_LUMA] = 128 * (luma_gain - 1) / 255 - 16 * luma_gain / 255
    return matrix, offset
