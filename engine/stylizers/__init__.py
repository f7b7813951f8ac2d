"""The networks that paint a frame. One file per backend; `open_stylizer` chooses, and says why it did not take the first.

All run the same exported model (`models.export.to_onnx`): tiles of bytes in, tiles of bytes out.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

from engine.errors import StylizerError, UsageError
from engine.report import Facts
from kernels.layout import CHANNELS, tile_grid
from models.colour import Encoding
from models.export import to_onnx
from models.library import Library, LibraryError, shipped


class Stylizer(Protocol):
    """Paints tiles uint8 [h, w, 24] of one size in one style, first in, first out, up to `facts.depth` frames in flight.

    `input` is where the next frame's tiles go; `submit` begins to paint them; `collect` waits for the oldest frame
    submitted and returns its painted tiles, valid until `depth` + 1 more frames are submitted. Constructed from the bytes
    of an ONNX model, the grid (h, w) of tiles, and the depth; raises ImportError where the backend is not installed and
    any error of its own where it cannot run.
    """

    version: str
    device: str
    precision: str
    depth: int

    def __init__(self, model: bytes, grid: tuple[int, int], depth: int): ...

    def input(self) -> np.ndarray: ...

    def submit(self) -> None: ...

    def collect(self) -> np.ndarray: ...


@dataclass(slots=True)
class Painting:
    """A stylizer at work, and the facts about it."""

    stylizer: Stylizer
    facts: Facts


# name: (module:class, what brings it), the best first
BACKENDS = {
    "openvino": ("openvino:OpenVinoStylizer", "openvino"),
    "onnxruntime": ("onnxruntime:OnnxRuntimeStylizer", "allaprima[onnxruntime]"),
    "torch": ("torch:TorchStylizer", "allaprima[torch]"),
}


def open_stylizer(
    style: str,
    size: tuple[int, int],
    encoding: Encoding,
    backend: str = "auto",
    depth: int = 1,
    library: Library | None = None,
) -> Painting:
    """The network for `style` and pictures of `size` (width, height) in `encoding`, on the best backend that runs.

    With `backend` named, that one or an error. Raises UsageError for an unknown style or backend, StylizerError if the
    model is damaged or nothing runs it.
    """
    library = library or Library(shipped())
    if backend != "auto" and backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'; there are auto, {', '.join(BACKENDS)}")
    names = [entry.name for entry in _manifest(library)]
    if style not in names:
        raise UsageError(f"no style '{style}'; there are {', '.join(names)}")
    try:
        model = to_onnx(library.painter(style), encoding).SerializeToString()
    except LibraryError as error:
        raise StylizerError(str(error)) from error
    width, height = size
    grid = tile_grid(width, height)
    refused = []
    for name in [backend] if backend != "auto" else BACKENDS:
        module, package = BACKENDS[name]
        try:
            module_name, kind = module.split(":")
            stylizer = getattr(import_module(f"engine.stylizers.{module_name}"), kind)(model, grid, depth)
        except ImportError:
            refused.append(f"{name} is not installed (pip install '{package}')")
            continue
        except Exception as error:  # a backend may fail in any way of its own; the next one is asked, and the reason is kept
            refused.append(f"{name} does not run here: {' '.join(str(error).split())[:200]}")
            continue
        facts = Facts(
            name, stylizer.version, stylizer.device, stylizer.precision, width, height, style, stylizer.depth, refused
        )
        return Painting(stylizer, facts)
    raise StylizerError("; ".join(refused))


def _manifest(library: Library):
    try:
        return library.styles
    except LibraryError as error:
        raise StylizerError(str(error)) from error


def new_tiles(grid: tuple[int, int]) -> np.ndarray:
    """Room for one frame's tiles, with the batch axis that networks want: uint8 [1, h, w, 24]."""
    return np.zeros((1, *grid, CHANNELS), np.uint8)
