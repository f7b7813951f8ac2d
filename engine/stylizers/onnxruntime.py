"""ONNX Runtime on the CPU: the portable one, in 8 bits as well."""

from collections import deque

import numpy as np
import onnxruntime as ort

from engine.stylizers import new_tiles


class OnnxRuntimeStylizer:
    """See `engine.stylizers.Stylizer`. Paints in `collect`, one frame at a time."""

    def __init__(self, model: bytes, grid: tuple[int, int], depth: int):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.version, self.device, self.precision, self.depth = ort.__version__, "CPU", "int8", depth
        self._inputs = [new_tiles(grid) for _ in range(depth + 1)]
        self._waiting: deque[np.ndarray] = deque()
        self._submitted = 0

    def input(self) -> np.ndarray:
        return self._inputs[self._submitted % len(self._inputs)][0]

    def submit(self) -> None:
        self._waiting.append(self._inputs[self._submitted % len(self._inputs)])
        self._submitted += 1

    def collect(self) -> np.ndarray:
        return self._session.run(None, {"tiles": self._waiting.popleft()})[0][0]
