"""OpenVINO on the CPU: the default. Reads the Q/DQ model as it is and runs it in 8 bits, channels last throughout."""

import os

import numpy as np
import openvino as ov

from engine.stylizers import new_tiles
from models.export import Painter, to_onnx


class OpenVinoStylizer:
    """See `engine.stylizers.Stylizer`. One frame in flight runs on all cores; of several, each runs on a single core."""

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        core = ov.Core()
        network = core.read_model(to_onnx(painter).SerializeToString())
        network.reshape([1, *grid, 24])
        hints = {"PERFORMANCE_HINT": "LATENCY"} if depth == 1 else {"NUM_STREAMS": min(depth, os.cpu_count() or 1)}
        # threads pinned to cores would fight with the decoder's and the encoder's
        compiled = core.compile_model(network, "CPU", hints | {"ENABLE_CPU_PINNING": False})
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
