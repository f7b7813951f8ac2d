"""OpenVINO on the CPU: the default. Reads the Q/DQ model as it is and runs it in 8 bits, channels last throughout.

Compiling takes 0.1 s, loading what was compiled a fifth of that; so what is compiled of a lasting painter is kept.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from platformdirs import user_cache_path

from engine.stylizers import new_tiles
from engine.stylizers.measured import write
from models.export import Painter, to_onnx

MOST_KEPT = 64  # compiled networks, 1 to 5 MB each


def kept_folder() -> Path:
    """Where compiled networks lie; they may be deleted at any time."""
    return user_cache_path("allaprima", appauthor=False) / "openvino"


class OpenVinoStylizer:
    """See `engine.stylizers.Stylizer`. One frame in flight runs on all cores; of several, each runs on a single core."""

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        core = ov.Core()
        hints = {"PERFORMANCE_HINT": "LATENCY"} if depth == 1 else {"NUM_STREAMS": min(depth, os.cpu_count() or 1)}
        # threads pinned to cores would fight with the decoder's and the encoder's
        compiled = _compiled(core, painter, grid, hints | {"ENABLE_CPU_PINNING": False})
        self.version = ov.__version__.split("-")[0]
        self.device = core.get_property("CPU", "FULL_DEVICE_NAME")
        self.precision = "int8"
        self.depth = depth
        # one more than in flight: the last result stays valid while the next frames are painted
        self._requests = [compiled.create_infer_request() for _ in range(depth + 1)]
        self._inputs = [new_tiles(grid) for _ in self._requests]
        self._outputs = [new_tiles(grid) for _ in self._requests]
        for request, source, target in zip(self._requests, self._inputs, self._outputs, strict=True):
            request.set_input_tensor(ov.Tensor(source, shared_memory=True))
            request.set_output_tensor(ov.Tensor(target, shared_memory=True))
        self._submitted = self._collected = 0

    def input(self) -> np.ndarray:
        return self._inputs[self._submitted % len(self._requests)][0]

    def submit(self) -> None:
        self._requests[self._submitted % len(self._requests)].start_async()
        self._submitted += 1

    def collect(self) -> np.ndarray:
        index = self._collected % len(self._requests)
        self._requests[index].wait()
        self._collected += 1
        return self._outputs[index][0]


def _compiled(core: ov.Core, painter: Painter, grid: tuple[int, int], config: dict[str, Any]) -> ov.CompiledModel:
    model = to_onnx(painter).SerializeToString()
    made_for = (ov.__version__, core.get_property("CPU", "FULL_DEVICE_NAME"), grid, sorted(config.items()))
    path = kept_folder() / f"{hashlib.sha256(model + repr(made_for).encode()).hexdigest()[:24]}.blob"
    if painter.lasting and path.exists():
        try:
            compiled = core.import_model(path.read_bytes(), "CPU", config)
            os.utime(path)
            return compiled
        except (OSError, RuntimeError):
            pass  # damaged: it is made again
    network = core.read_model(model)
    network.reshape([1, *grid, 24])
    compiled = core.compile_model(network, "CPU", config)
    if painter.lasting:
        write(path, compiled.export_model().getvalue())
        _forget_oldest()
    return compiled


def _forget_oldest() -> None:
    kept = sorted(kept_folder().glob("*.blob"), key=os.path.getmtime)
    for path in kept[:-MOST_KEPT]:
        path.unlink(missing_ok=True)
