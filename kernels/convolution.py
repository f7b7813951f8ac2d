"""Convolutions of bytes with bytes on a GPU's tensor cores: the light generator without a library.

Sums are integers, so they are exact; what follows them is one multiplication and addition for each output channel. A layer's
output codes are (Jacob et al. 2018, integer-arithmetic-only inference)

    clip(rint(scale * sum(kernel * (code - zero)) + bias + skip_scale * skip), 0, 255)

in which the clipping at 0 is the ReLU and that at 255 the reach of the activation. A style is `kernel`, `scale` and `bias`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK = GROUP = 32  # input channels that are multiplied at once; outputs of one block
_ACROSS, _DOWN, _DOWN_HALVING, _THREADS = 16, 16, 8, 128  # pixels of a block, and its threads


@dataclass(frozen=True, slots=True)
class Step:
    """What a layer does with its input, besides its numbers. `outside` is the code of what lies around the picture; `skip`
    the activation that is added, by name, and `skip_scale` what one of its codes counts."""

    name: str
    input: str
    outputs: int
    halving: bool = False
    doubled: bool = False
    outside: int = 0
    skip: str = ""
    skip_scale: float = 0.0


def convolve(
    codes: np.ndarray,
    kernel: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    step: Step,
    skip: np.ndarray | None = None,
) -> np.ndarray:
    """The definition: uint8 [N, h, w, I], int8 [O, I, 3, 3], float32 [O] to uint8 [N, h', w', O], by the formula above."""
    if step.doubled:
        codes = codes.repeat(2, 1).repeat(2, 2)
    padded = np.pad(codes.astype(np.int64) - step.outside, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = codes.shape[1:3]
    views = [(padded[:, y : y + height, x : x + width], kernel[:, :, y, x].T) for y in range(3) for x in range(3)]
    pace = 1 + step.halving
    total = np.sum([view @ taps.astype(np.int64) for view, taps in views], 0)[:, ::pace, ::pace]
    value = total.astype(np.float32) * scale + bias
    if skip is not None:
        value += skip * np.float32(step.skip_scale)
    return np.rint(np.clip(value, 0, 255)).astype(np.uint8)


def arranged(kernel: np.ndarray) -> np.ndarray:
    """A kernel int8 [O, I, 3, 3] in the order in which lanes of a warp take it, uint32 [groups, chunks, 9, 4, 32, 2].

    Lane l of part p of a group holds output 8 p + l / 4, and of it the input channels 4 (l % 4) to 4 (l % 4) + 3, then
    those 16 further on (PTX ISA, matrix fragments for mma.m16n8k32). Missing outputs and channels are 0.
    """
    outputs, inputs = kernel.shape[:2]
    groups, chunks = -(-outputs // GROUP), -(-inputs // CHUNK)
    padded = np.zeros((groups * GROUP, chunks * CHUNK, 9), np.int8)
    padded[:outputs, :inputs] = kernel.reshape(outputs, inputs, 9)
    # group, part, lane / 4, chunk, half, lane % 4, byte, tap
    split = padded.reshape(groups, 4, 8, chunks, 2, 4, 4, 9).transpose(0, 3, 7, 1, 2, 5, 4, 6)
    return np.ascontiguousarray(split).view(np.uint32).reshape(groups, chunks, 9, 4, 32, 2)


def padded_to_group(values: np.ndarray) -> np.ndarray:
    """float32 [O], with zeros up to a multiple of GROUP."""
    return np.pad(values.astype(np.float32), (0, -len(values) % GROUP))


def launch(device: Any, step: Step, source: Any, weights: tuple[Any, Any, Any], skip: Any, target: Any) -> None:
    """Run one layer on a `kernels.device.Device`: `weights` are `arranged`, scale and bias; arrays as for `convolve`."""
    pictures, rows, columns, channels = source.shape
    _, out_rows, out_columns, outputs = target.shape
    down = _DOWN_HALVING if step.halving else _DOWN
    grid = (-(-out_columns // _ACROSS), -(-out_rows // down), -(-outputs // GROUP) * pictures)
    given = (source, rows, columns, channels, int(step.doubled), step.outside, *weights)
    added = (source, 0.0) if skip is None else (skip, step.skip_scale)
    name = "convolve_halving" if step.halving else "convolve"
    device.launch(name, grid, (_THREADS,), *given, *added, target, out_rows, out_columns, outputs)
