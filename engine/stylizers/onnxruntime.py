"""ONNX Runtime on the CPU: the portable one, in 8 bits as well."""

import numpy as np
import onnxruntime as ort

from engine.stylizers.deferred import Deferred
from models.export import Painter, to_onnx


class OnnxRuntimeStylizer(Deferred):
    """See `engine.stylizers.Stylizer`."""

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        super().__init__(grid, depth)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        model = to_onnx(painter).SerializeToString()
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.version, self.device, self.precision = ort.__version__, "CPU", "int8"

    def collect(self) -> np.ndarray:
        return self._session.run(None, {"tiles": self.take()})[0][0]
