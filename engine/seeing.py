"""What the network sees of a frame: its 4:2:0 planes folded into tiles, and the texture of its luma."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernels import cpu, cpu_texture
from kernels.layout import TILE, tile_grid


@dataclass(slots=True)
class Seeing:
    """Room to find the texture of pictures of one size in: see `kernels.cpu_texture.texture`."""

    detail: np.ndarray
    energy: np.ndarray

    @classmethod
    def for_size(cls, width: int, height: int) -> "Seeing":
        rows, columns = tile_grid(width, height)
        kept = cpu_texture.KEPT, TILE, columns * TILE
        return cls(np.empty(kept, np.float32), np.empty((rows, columns), np.float32))

    def show(self, planes: Sequence[np.ndarray], tiles: np.ndarray) -> None:
        """Fill tiles uint8 [h, w, 40] from planes uint8 [H, W] and [H / 2, W / 2] twice, rounded up."""
        cpu.pack_tiles(*planes, tiles)
        cpu_texture.texture(planes[0], tiles, self.detail, self.energy)
