"""The CUDA sources, what they are compiled with, and what their kernels take.

The meaning of each kernel is in `kernels.reference`, `kernels.dis` or `kernels.convolution`; the sources only say how it is
made fast. Planes lie in memory with a pitch, a multiple of PITCH samples, and need no border: kernels repeat the edge by
clamping.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kernels import dis, layout

FOLDER = Path(__file__).parent
SOURCES = ("paint", "texture", "motion", "search", "convolution")
PITCH = 128  # samples; rows then begin where any vector load may

# places of what may change from frame to frame, in the array of settings
CONSISTENCY, KEEP_COLOR, BEGUN = range(3)
SETTINGS = 3

_C_TYPES = {"int": np.int32, "float": np.float32}


def source(name: str) -> str:
    """The CUDA C++ of one of SOURCES, whole: a compiler's cache of it cannot miss a change in what it includes."""
    common, own = ((FOLDER / file).read_text(encoding="utf-8") for file in ("common.cuh", f"{name}.cu"))
    own = own.replace('#include "common.cuh"', "")
    return f'#line 1 "common.cuh"\n{common}#line 1 "{name}.cu"\n{own}'


def options(wet_half: bool = False) -> list[str]:
    """Arguments for any C++ compiler, with all constants: Python's are the only ones.

    `wet_half` keeps wet planes in half precision: half the traffic, and steps of 1/8 code in the bright half of the range.
    """
    numbers = {name: getattr(layout, name) for name in ("TILE", "CHANNELS", "SEEN", "MARGIN", "BLOCK", "PATCH")}
    numbers |= {name: getattr(layout, name) for name in ("FAINT", "STRONGEST")}
    numbers |= {name: getattr(dis, name) for name in ("STRIDE", "LEVELS", "FIRST", "AGAIN")}
    numbers |= {name: getattr(dis, name) for name in ("RIDGE", "SMOOTHNESS", "FIDELITY", "OVER_RELAXATION", "FLAT", "ROUGH")}
    numbers |= {"NEAR": dis.REACHES[0], "FAR": dis.REACHES[1]}
    numbers |= {"CONSISTENCY": CONSISTENCY, "KEEP_COLOR": KEEP_COLOR, "BEGUN": BEGUN}
    defines = [f"-D{name}={value}{'f' if isinstance(value, float) else ''}" for name, value in numbers.items()]
    return ["-std=c++17", *defines, *(["-DWET_HALF"] if wet_half else [])]


@cache
def signatures() -> dict[str, list[str]]:
    """The C types of what each kernel takes, such as "float*" and "int"."""
    found = {}
    for name in SOURCES:
        for kernel, parameters in re.findall(r'extern "C" __global__ void[^;{]*?(\w+)\(([^)]*)\) \{', source(name)):
            words = (re.sub(r"\b(const|__restrict__)\b", "", parameter).split() for parameter in parameters.split(","))
            found[kernel] = [" ".join(word[:-1]) for word in words]
    return found


def arguments(kernel: str, given: tuple[Any, ...]) -> list[Any]:
    """What a kernel takes, with Python's numbers in the types of C. Raises TypeError if it is not what it takes."""
    types = signatures()[kernel]
    fits = {"int": (int,), "float": (int, float)}
    if len(types) != len(given) or any(
        isinstance(value, (int, float)) != (kind in fits) or not isinstance(value, fits.get(kind, object))
        for kind, value in zip(types, given, strict=True)
    ):
        raise TypeError(f"{kernel} takes {', '.join(types)}; not {', '.join(type(value).__name__ for value in given)}")
    return [_C_TYPES[kind](value) if kind in _C_TYPES else value for kind, value in zip(types, given, strict=True)]


def rounding(deep: Any, plane: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[Any, ...]]:
    """How to launch `round_p010` from a plane of P010, uint16 [h, w] or [h, w / 2, 2], into uint8 [h, at least w]: grid,
    block and what it takes."""
    rows, width = deep.shape[0], deep.size // deep.shape[0]
    return (-(-width // 128), -(-rows // 8)), (32, 8), (deep, deep.strides[0] // 2, width, rows, plane, plane.shape[1])
