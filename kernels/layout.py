"""Numbers that all forms of the kernels agree on.

They are compiled into `kernels.cpu` and `kernels.cpu_motion`, whose caches look at their own files only: empty them
(`kernels/__pycache__`) after a change here. What might be tuned is therefore an argument of a kernel.
"""

TILE = 4  # luma samples on a tile's side
CHANNELS = 24  # 16 luma, 4 Cb, 4 Cr
SEEN = 40  # what the network is given: these and 16 of texture
FAINT, STRONGEST = 1.0, 3.0  # of texture: codes of detail that count half, and how many times the usual is the most
MARGIN = 16  # luma samples of repeated border that the network sees around the picture; 8 showed as a frame in dark styles
BORDER = 2  # samples of repeated border around a wet plane, so that a cubic never reads outside

PATCH = 8  # pixels on the side of the patches that motion is found by
PATCH_ROOM = PATCH + 2  # of repeated border around the picture they are looked for in

BLOCK = 32  # luma pixels on the side of the blocks in which detail is measured and restored


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of tiles for a picture: margin on every side, both even, as the network's stride needs."""
    rows, columns = (-(-(side + 2 * MARGIN) // (2 * TILE)) * 2 for side in (height, width))
    return rows, columns


def patch_count(pixels: int, stride: int) -> int:
    """How many patches, `stride` pixels apart, lie along a side of PATCH pixels or more; the last one ends with it."""
    return -(-(pixels - PATCH) // stride) + 1
