"""The networks that paint a frame. One file per backend; `open_stylizer` chooses, and says why it did not take the first.

All run the same exported model (`models.export.to_onnx`): tiles of bytes in, tiles of bytes out.
"""

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Protocol

import numpy as np

from engine.controls import AUTO
from engine.errors import StylizerError, UsageError
from engine.report import Facts
from engine.stylizers.morphing import MorphingStylizer, Wish
from kernels.layout import CHANNELS, tile_grid
from models.colour import Encoding
from models.export import to_onnx
from models.library import Library, LibraryError


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

    stylizer: MorphingStylizer
    facts: Facts


# name: (module:class, what brings it), the best first
BACKENDS = {
    "openvino": ("openvino:OpenVinoStylizer", "openvino"),
    "onnxruntime": ("onnxruntime:OnnxRuntimeStylizer", "allaprima[onnxruntime]"),
    "torch": ("torch:TorchStylizer", "allaprima[torch]"),
}


CHEAPEST, FINEST = "fast", "fine"  # of the networks that are shipped


def first_network(asked: str, live: bool, library: Library) -> str:
    """The network to begin with where `asked` is one or AUTO: offline there is time for the finest that there is."""
    if asked != AUTO:
        return asked
    return FINEST if not live and FINEST in library.networks else CHEAPEST


def open_stylizer(
    look: str,
    size: tuple[int, int],
    encoding: Encoding,
    backend: str = "auto",
    depth: int = 1,
    library: Library | None = None,
    strength: float = 1.0,
    network: str = CHEAPEST,
) -> Painting:
    """The `network` for `look` (see `Library.conditioning`) at `strength` in [0, 1] and pictures of `size` (width, height)
    in `encoding`, on the best backend that runs.

    With `backend` named, that one or an error. Raises UsageError for a look, a backend or a network that there is not,
    StylizerError if the model is damaged or nothing runs it.
    """
    library = library or Library()
    if backend != "auto" and backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'; there are auto, {', '.join(BACKENDS)}")
    try:
        vector = library.of(network).conditioning(look, strength)
    except LibraryError as error:
        raise (UsageError if _is_sound(library) else StylizerError)(str(error)) from error
    width, height = size
    refused = []
    for name in [backend] if backend != "auto" else BACKENDS:
        module, package = BACKENDS[name]
        try:
            module_name, kind = module.split(":")
            backend_kind = getattr(import_module(f"engine.stylizers.{module_name}"), kind)
            make = partial(_make, backend_kind, library, encoding, tile_grid(width, height), depth)
            stylizer = make(vector, network)
        except LibraryError as error:
            raise StylizerError(str(error)) from error
        except ImportError:
            refused.append(f"{name} is not installed (pip install '{package}')")
            continue
        except Exception as error:  # a backend may fail in any way of its own; the next one is asked, and the reason is kept
            refused.append(f"{name} does not run here: {' '.join(str(error).split())[:200]}")
            continue
        made = (stylizer.version, stylizer.device, stylizer.precision)
        networks = {each: round(library.of(each).macs(width, height) / 1e9, 2) for each in library.networks}
        facts = Facts(name, *made, width, height, look, strength, stylizer.depth, refused, network, networks)

        def conditioning(wish: Wish) -> np.ndarray:
            return library.of(wish.network).conditioning(wish.look, wish.strength)

        return Painting(MorphingStylizer(stylizer, vector, facts, conditioning, make), facts)
    raise StylizerError("; ".join(refused))


def _make(
    kind: type[Stylizer],
    library: Library,
    encoding: Encoding,
    grid: tuple[int, int],
    depth: int,
    vector: np.ndarray,
    network: str,
) -> Stylizer:
    return kind(to_onnx(library.of(network).painter(vector), encoding).SerializeToString(), grid, depth)


def _is_sound(library: Library) -> bool:
    """Whether all that was shipped can be read, so that it must be the look that is wrong."""
    try:
        for style in library.styles:
            if not style.own:
                library.conditioning(style.name)
    except LibraryError:
        return False
    return True


def new_tiles(grid: tuple[int, int]) -> np.ndarray:
    """Room for one frame's tiles, with the batch axis that networks want: uint8 [1, h, w, 24]."""
    return np.zeros((1, *grid, CHANNELS), np.uint8)
