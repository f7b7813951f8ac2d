"""OpenVINO on the CPU: the default. Runs the Q/DQ model, a little rearranged, in 8 bits, channels last throughout.

Compiling takes 0.1 s, loading what was compiled a fifth of that; so what is compiled of a lasting painter is kept.
"""

import hashlib
import os
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from platformdirs import user_cache_path

from engine.stylizers import new_tiles
from engine.stylizers.measured import write
from kernels.layout import CHANNELS, SEEN
from models.export import Painter
from models.merged import to_merged_onnx
from models.pliable import PliableNetwork

MOST_KEPT = 64  # compiled networks, 1 to 5 MB each
# OpenVINO's generator of code takes additions, and what follows them, before a convolution can. Without it skips are added
# where the sums are, and bytes are written instead of floats: 5 % faster. Networks whose scales are inputs gain by it.
_WHOLE = {"SNIPPETS_MODE": "DISABLE"}


def kept_folder() -> Path:
    """Where compiled networks lie; they may be deleted at any time."""
    return user_cache_path("allaprima", appauthor=False) / "openvino"


class _Lane:
    """Frames through a compiled network, first in, first out: with one in flight on all cores, of several each on a single
    core. `submit` may set other inputs than the picture, float32 by their names, which must not change later."""

    precision = "int8"

    def __init__(self, compiled: ov.CompiledModel, grid: tuple[int, int], depth: int):
        self.version = ov.__version__.split("-")[0]
        self.device = _device()
        self.depth = depth
        # one more than in flight: the last result stays valid while the next frames are painted
        self._requests = [compiled.create_infer_request() for _ in range(depth + 1)]
        self._inputs = [new_tiles(grid, SEEN) for _ in self._requests]
        self._outputs = [new_tiles(grid, CHANNELS) for _ in self._requests]
        for request, source, target in zip(self._requests, self._inputs, self._outputs, strict=True):
            request.set_tensor("tiles", ov.Tensor(source, shared_memory=True))
            request.set_output_tensor(ov.Tensor(target, shared_memory=True))
        self._rows: list[dict[str, ov.Tensor] | None] = [None for _ in self._requests]  # that are set
        self._submitted = self._collected = 0

    def input(self) -> np.ndarray:
        return self._inputs[self._submitted % len(self._requests)][0]

    def submit(self, rows: dict[str, ov.Tensor] | None = None) -> None:
        index = self._submitted % len(self._requests)
        if rows is not self._rows[index]:
            for name, row in (rows or {}).items():
                self._requests[index].set_tensor(name, row)
            self._rows[index] = rows
        self._requests[index].start_async()
        self._submitted += 1

    def collect(self) -> np.ndarray:
        index = self._collected % len(self._requests)
        self._requests[index].wait()
        self._collected += 1
        return self._outputs[index][0]


class OpenVinoPliable:
    """A pliable network at work: `styled` gives at once what paints in the style of a vector float32 [D]."""

    def __init__(self, network: PliableNetwork, grid: tuple[int, int], depth: int):
        self._network = network
        self._lane = _Lane(_compiled(network.to_onnx().SerializeToString(), grid, _config(depth)), grid, depth)

    def styled(self, conditioning: np.ndarray) -> "_Styled":
        rows = {name: ov.Tensor(row, shared_memory=False) for name, row in self._network.rows(conditioning).items()}
        return _Styled(self._lane, rows)


class _Styled:
    """See `engine.stylizers.Stylizer`: one style of a pliable network, whose others go through the same lane."""

    def __init__(self, lane: _Lane, rows: dict[str, ov.Tensor]):
        self.version, self.device, self.precision, self.depth = lane.version, lane.device, lane.precision, lane.depth
        self.input, self.collect = lane.input, lane.collect
        self.submit = partial(lane.submit, rows)


class OpenVinoStylizer(_Lane):
    """See `engine.stylizers.Stylizer`. `pliable` is what makes a network that paints any style."""

    pliable = OpenVinoPliable

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        super().__init__(_kept(painter, grid, _config(depth) | _WHOLE), grid, depth)


def _config(depth: int) -> dict[str, Any]:
    hints = {"PERFORMANCE_HINT": "LATENCY"} if depth == 1 else {"NUM_STREAMS": min(depth, os.cpu_count() or 1)}
    # threads pinned to cores would fight with the decoder's and the encoder's
    return hints | {"ENABLE_CPU_PINNING": False}


@cache
def _core() -> ov.Core:
    return ov.Core()


def _device() -> str:
    return _core().get_property("CPU", "FULL_DEVICE_NAME")


def _compiled(model: bytes, grid: tuple[int, int], config: dict[str, Any]) -> ov.CompiledModel:
    network = _core().read_model(model)
    network.reshape({"tiles": [1, *grid, SEEN]})
    try:
        return _core().compile_model(network, "CPU", config)
    except RuntimeError:  # a version that knows nothing of _WHOLE
        return _core().compile_model(network, "CPU", {name: value for name, value in config.items() if name not in _WHOLE})


def _kept(painter: Painter, grid: tuple[int, int], config: dict[str, Any]) -> ov.CompiledModel:
    """Compiled, or if it is lasting and was compiled before, loaded."""
    model = to_merged_onnx(painter)
    made_for = (ov.__version__, _device(), grid, sorted(config.items()))
    path = kept_folder() / f"{hashlib.sha256(model + repr(made_for).encode()).hexdigest()[:24]}.blob"
    if painter.lasting and path.exists():
        try:
            compiled = _core().import_model(path.read_bytes(), "CPU", config)
            os.utime(path)
            return compiled
        except (OSError, RuntimeError):
            pass  # damaged: it is made again
    compiled = _compiled(model, grid, config)
    if painter.lasting:
        write(path, compiled.export_model().getvalue())
        _forget_oldest()
    return compiled


def _forget_oldest() -> None:
    kept = sorted(kept_folder().glob("*.blob"), key=os.path.getmtime)
    for path in kept[:-MOST_KEPT]:
        path.unlink(missing_ok=True)
