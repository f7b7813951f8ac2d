"""Numbers that all forms of the kernels agree on.

They are compiled into `kernels.cpu`, whose cache looks at its own file only: empty it (`kernels/__pycache__`) after a change
here. What might be tuned is therefore an argument of a kernel.
"""

TILE = 4  # luma samples on a tile's side
CHANNELS = 24  # 16 luma, 4 Cb, 4 Cr
MARGIN = 8  # luma samples of repeated border that the network sees around the picture
BORDER = 2  # samples of repeated border around a wet plane, so that a cubic never reads outside

BLOCK = 32  # luma pixels on the side of the blocks in which detail is measured and restored


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of tiles for a picture: margin on every side, both even, as the network's stride needs."""
    rows, columns = (-(-(side + 2 * MARGIN) // (2 * TILE)) * 2 for side in (height, width))
    return rows, columns
