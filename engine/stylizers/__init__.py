"""The networks that paint a frame. One file per backend; `open_stylizer` chooses, and says why it did not take the first.

All run the same network (`models.export`, `models.shared`): tiles of bytes in, tiles of bytes out.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np

from engine.controls import AUTO
from engine.errors import StylizerError, UsageError
from engine.report import Facts
from engine.stylizers.morphing import Made, MorphingStylizer, Mould, Wish
from kernels import device
from kernels.layout import tile_grid
from models.colour import Encoding
from models.export import Painter, fold_colour
from models.library import Library, LibraryError
from models.pliable import PliableNetwork


class Stylizer(Protocol):
    """Paints tiles of one size in one style, first in, first out, up to `facts.depth` frames in flight.

    `input` is where the next frame's tiles with their texture go, uint8 [h, w, 40] (`engine.seeing`); `submit` begins to
    paint them; `collect` waits for the oldest frame submitted and returns its painted tiles uint8 [h, w, 24], valid until
    `depth` + 1 more frames are submitted. Constructed from a painter in the stream's own colours, the grid (h, w) of tiles,
    and the depth; raises ImportError where the backend is not installed and any error of its own where it cannot run.
    """

    version: str
    device: str
    precision: str
    depth: int

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int): ...

    def input(self) -> np.ndarray: ...

    def submit(self) -> None: ...

    def collect(self) -> np.ndarray: ...


@dataclass(slots=True)
class Painting:
    """A stylizer at work, and the facts about it."""

    stylizer: MorphingStylizer
    facts: Facts


CHEAPEST = "fast"  # of the networks that are shipped

# name: (module:class, what brings it), the best first
BACKENDS = {
    "tensorrt": ("tensorrt:TensorRtStylizer", "allaprima[tensorrt]"),
    "cuda": ("cuda:CudaStylizer", "allaprima[gpu]"),
    "torch-cuda": ("torch_cuda:TorchCudaStylizer", "allaprima[cuda]"),
    "openvino": ("openvino:OpenVinoStylizer", "openvino"),
    "onnxruntime": ("onnxruntime:OnnxRuntimeStylizer", "allaprima[onnxruntime]"),
    "torch": ("torch:TorchStylizer", "allaprima[torch]"),
}
ON_GPU = ("tensorrt", "cuda", "torch-cuda")  # those that nobody misses where there is no GPU
_PACKAGES = {  # any of which runs it
    "tensorrt": ("tensorrt", "tensorrt_rtx"),
    "cuda": ("cupy-cuda13x", "cupy-cuda12x"),
    "torch-cuda": ("torch",),
}


def installed(backend: str) -> str:
    """The package that runs a backend, with its version; empty where there is none."""
    for package in _PACKAGES.get(backend, (backend,)):
        with contextlib.suppress(PackageNotFoundError):
            return f"{package} {version(package)}"
    return ""


def beginning(asked: str, library: Library) -> Library:
    """The library of the network to begin with where `asked` is one or AUTO. Raises UsageError where there is none such."""
    try:
        return library.of(CHEAPEST if asked == AUTO else asked)
    except LibraryError as error:
        raise UsageError(str(error)) from error


def open_stylizer(
    look: str,
    size: tuple[int, int],
    encoding: Encoding,
    backend: str = "auto",
    depth: int = 1,
    library: Library | None = None,
    strength: float = 1.0,
    changing: bool = False,
) -> Painting:
    """The library's network for `look` (see `Library.conditioning`) at `strength` in [0, 1] and pictures of `size` (width,
    height) in `encoding`, on the best backend that runs. Where the style will be `changing` it is made ready for that.

    With `backend` named, that one or an error. Raises UsageError for a look or a backend that there is not, StylizerError if
    the model is damaged or nothing runs it.
    """
    library = library or Library()
    if backend != "auto" and backend not in BACKENDS:
        raise UsageError(f"no backend '{backend}'; there are auto, {', '.join(BACKENDS)}")
    try:
        vector = library.conditioning(look, strength)
    except LibraryError as error:
        raise (UsageError if _is_sound(library) else StylizerError)(str(error)) from error
    width, height = size
    grid = tile_grid(width, height)
    first = partial(_first_that_runs, library, encoding, grid, depth, changing)
    backends = [backend]
    if backend == "auto":

        def make(name: str) -> Any:
            return _make(_kind(name), library, encoding, grid, 1, vector, library.network)

        backends = _fastest_first(fitting(), make, library.network, grid)
    made = first(backends, vector, library.network)
    stylizer = made.stylizer
    what = (stylizer.version, stylizer.device, stylizer.precision)
    networks = {each: round(library.of(each).macs(width, height) / 1e9, 2) for each in library.networks}
    facts = Facts(
        made.backend, *what, width, height, look, strength, stylizer.depth, made.refused, library.network, networks
    )

    def conditioning(wish: Wish) -> np.ndarray:
        return library.of(wish.network).conditioning(wish.look, wish.strength)

    instead = partial(first, [name for name in BACKENDS if name not in ON_GPU]) if made.backend in ON_GPU else None
    return Painting(MorphingStylizer(stylizer, vector, facts, conditioning, made.make, instead, made.knead), facts)


def fitting() -> list[str]:
    """The backends that this machine has the hardware for, the best first."""
    return [name for name in BACKENDS if name not in ON_GPU or device.present()]


def _fastest_first(backends: list[str], make: Callable[[str], Any], network: str, grid: tuple[int, int]) -> list[str]:
    """`backends`, but those on a GPU in the order of what `network` takes there, as measured when it was first used.

    Where none of them runs they stay, since asking each says why it does not.
    """
    on_gpu = [name for name in backends if name in ON_GPU]
    if not on_gpu:
        return backends
    from engine.stylizers import measured

    def measure(name: str) -> float:
        stylizer = make(name)
        opened = stylizer.open_device()
        ready = stylizer.engine.network(opened)
        ready.load(stylizer.weights)
        return measured.milliseconds(ready, opened, grid)

    with contextlib.suppress(Exception):  # no CuPy, no driver that it knows, or nothing that runs
        versions = map(installed, ("allaprima", *on_gpu))
        key = measured.cache_key(measured.describe_device(), network, str(grid), *versions)
        order = measured.fastest(measured.cache_folder() / f"{key}.json", on_gpu, measure)
        return [*order, *(name for name in backends if name not in ON_GPU)]
    return backends


def _kind(backend: str) -> type[Stylizer]:
    """Raises ImportError where the backend is not installed."""
    module, kind = BACKENDS[backend][0].split(":")
    return getattr(import_module(f"engine.stylizers.{module}"), kind)


def _first_that_runs(
    library: Library,
    encoding: Encoding,
    grid: tuple[int, int],
    depth: int,
    changing: bool,
    backends: Iterable[str],
    vector: np.ndarray,
    network: str,
) -> Made:
    """The first of `backends` that paints `vector` by `network`. Raises StylizerError if it is damaged or none does."""
    refused: list[str] = []
    for name in backends:
        try:
            kind = _kind(name)
            make = partial(_make, kind, library, encoding, grid, depth)
            pliable = getattr(kind, "pliable", None) if changing else None
            knead = partial(_knead, pliable, library, encoding, grid, depth) if pliable else None
            return Made(name, make(vector, network), make, refused, knead)
        except LibraryError as error:
            raise StylizerError(str(error)) from error
        except ImportError:
            refused.append(f"{name} is not installed (pip install '{BACKENDS[name][1]}')")
        except Exception as error:  # a backend may fail in any way of its own; the next one is asked, and the reason is kept
            refused.append(f"{name} does not run here: {' '.join(str(error).split())[:200]}")
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
    return kind(fold_colour(library.of(network).painter(vector), encoding), grid, depth)


def _knead(
    pliable: Callable, library: Library, encoding: Encoding, grid: tuple[int, int], depth: int, network: str
) -> Mould:
    return pliable(PliableNetwork(library.of(network).unstyled, encoding), grid, depth).styled


def _is_sound(library: Library) -> bool:
    """Whether all that was shipped can be read, so that it must be the look that is wrong."""
    try:
        for style in library.styles:
            if not style.own:
                library.conditioning(style.name)
    except LibraryError:
        return False
    return True


def new_tiles(grid: tuple[int, int], channels: int) -> np.ndarray:
    """Room for one frame's tiles, with the batch axis that networks want: uint8 [1, h, w, `channels`]."""
    return np.zeros((1, *grid, channels), np.uint8)
