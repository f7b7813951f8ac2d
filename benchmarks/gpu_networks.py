"""The networks that could paint on this GPU, for `benchmarks.gpu`: each as the engine would open it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from engine.stylizers.on_device import Engine
from kernels.device import Cuda
from models.export import Painter
from models.shared import Weights

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that could paint: what runs it, with the weights of one style."""

    name: str
    engine: Engine
    weights: Weights


def candidates(painter: Painter, grid: tuple[int, int], say: Say) -> list[Candidate]:
    """All that run here; for the others the reason is said."""
    found = []
    for name, make in (
        ("tensorrt int8", partial(_tensorrt, "int8")),
        ("tensorrt fp16", partial(_tensorrt, "fp16")),
        ("cuda int8", _cuda),
        ("torch-cuda fp16", _torch),
    ):
        try:
            engine, weights = make(painter, grid)
            engine.network(Cuda()).load(weights)
            found.append(Candidate(name, engine, weights))
        except Exception as error:  # of a library, in any way of its own
            say(f"{name} does not run here: {words(error)}")
    return found


def words(error: Exception) -> str:
    """Its kind and what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _tensorrt(precision: str, painter: Painter, grid: tuple[int, int]) -> tuple[Engine, Weights]:
    from engine.stylizers.measured import describe_device
    from engine.stylizers.tensorrt import TensorRtEngine
    from models.shared import open_weights, to_open_onnx

    def model(count: int) -> bytes:
        return to_open_onnx(painter, grid, precision, count).SerializeToString()

    weights = open_weights(painter, precision)
    return TensorRtEngine(model, precision, weights, describe_device()), weights


def _cuda(painter: Painter, grid: tuple[int, int]) -> tuple[Engine, Weights]:
    import cupy

    from engine.stylizers.cuda import CudaEngine, weights_of

    return CudaEngine(painter, grid, cupy.__version__, "GPU"), weights_of(painter)


def _torch(painter: Painter, grid: tuple[int, int]) -> tuple[Engine, Weights]:
    from engine.stylizers.torch_cuda import TorchEngine, weights_of

    weights = weights_of(painter)
    return TorchEngine(painter, weights), weights
