"""TensorRT 10 and 11, and TensorRT-RTX: one strongly typed path, in which the precision is that of the graph.

An engine is built once for a graph, a library and a device, and kept in the user's cache. It holds no weights: every style
and every colour encoding runs on the same one. Of INT8 and FP16 the faster is taken (`engine.stylizers.measured`).
"""

import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from engine.errors import StylizerError
from engine.stylizers.measured import cache_folder, cache_key, describe_device, fastest, milliseconds, write
from engine.stylizers.on_device import Arena, DeviceStylizer
from kernels.device import Cuda
from models.export import Painter
from models.shared import FORMS, Weights, open_weights, to_open_onnx

_LIBRARIES = ("tensorrt", "tensorrt_rtx")  # the first measures kernels while it builds, the second builds in a moment
_building = threading.Lock()  # one engine at a time: a second thread that needs the same one finds it in the cache
_engines: dict[str, "TensorRtEngine"] = {}


@cache
def library() -> Any:
    """The TensorRT that is installed. Raises ImportError."""
    for name in _LIBRARIES:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ImportError("neither tensorrt nor tensorrt_rtx is installed")


@cache
def logger() -> Any:
    """The one of the whole process, as TensorRT wants it. `last` is the newest error."""
    trt = library()

    class Log(trt.ILogger):  # type: ignore[name-defined]
        last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = " ".join(message.split())

    return Log()


def parsed(model: bytes) -> tuple[Any, Any]:
    """A builder and the strongly typed network of an ONNX model. Raises StylizerError for what TensorRT refuses."""
    trt = library()
    builder = trt.Builder(logger())
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger())
    if not parser.parse(model):
        raise StylizerError(f"TensorRT does not take the network: {parser.get_error(0).desc()}")
    return builder, network


def build(model: bytes, capability: str | None = None) -> bytes:
    """The engine of an ONNX model, for this machine's device or, with TensorRT-RTX, for a compute capability such as "SM86".

    Shows its progress on a terminal. Raises StylizerError.
    """
    trt = library()
    builder, network = parsed(model)
    config = builder.create_builder_config()
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    if sys.stderr.isatty():
        config.progress_monitor = _progress()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise StylizerError(f"TensorRT builds no engine: {logger().last or 'it does not say why'}")
    return bytes(plan)


@cache
def _progress() -> Any:
    trt = library()

    class Progress(trt.IProgressMonitor):  # type: ignore[name-defined]
        """A line that is written again with every step of the outermost phase."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.outermost, self.steps = "", 1

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.outermost, self.steps = name, max(steps, 1)

        def step_complete(self, name: str, step: int) -> bool:
            if name == self.outermost:
                done = 100 * (step + 1) // self.steps
                print(f"\rallaprima: building for this GPU, once: {done} %\x1b[K", end="", file=sys.stderr, flush=True)
            return True

        def phase_finish(self, name: str) -> None:
            if name == self.outermost:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    return Progress()


class TensorRtEngine:
    """See `engine.stylizers.on_device.Engine`. `model` gives the graph for so many pictures at once; the plan of each
    is kept. Raises StylizerError."""

    def __init__(self, model: Callable[[int], bytes], precision: str, like: Weights, device: dict[str, str]):
        trt = library()
        self.version = f"{'RTX ' if trt.__name__.endswith('rtx') else ''}{trt.__version__}"
        self.device, self.precision = device["name"], precision
        self._model, self._like, self._describing = model, like, device
        self._plans = {1: _Plan(model(1), device)}

    def network(self, device: Cuda, count: int = 1) -> "TensorRtNetwork":
        if count not in self._plans:  # 1 always is
            with _building:
                self._plans[count] = _Plan(self._model(count), self._describing)
        return TensorRtNetwork(self._plans[count].context(), device, self._like)


class _Plan:
    """What TensorRT made of one graph, read from the cache or built. Raises StylizerError."""

    def __init__(self, model: bytes, device: dict[str, str]):
        self._path = cache_folder() / f"{_key(model, device)}.engine"
        self._runtime = library().Runtime(logger())
        try:
            self._engine = self._runtime.deserialize_cuda_engine(self._path.read_bytes())
        except OSError:
            self._engine = None
        if self._engine is None:  # never built, or damaged
            plan = build(model)
            write(self._path, plan)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise StylizerError(f"TensorRT does not load what it built: {logger().last or 'it does not say why'}")

    def context(self) -> Any:
        if not hasattr(self._engine, "create_runtime_config"):
            context = self._engine.create_execution_context()
        else:
            # TensorRT-RTX compiles its kernels only now, unless it finds them in a cache of its own
            kernels = self._path.with_suffix(".kernels")
            config = self._engine.create_runtime_config()
            found = config.create_runtime_cache()
            if kernels.exists():
                found.deserialize(kernels.read_bytes())
            config.set_runtime_cache(found)
            context = self._engine.create_execution_context(config)
            if not kernels.exists() and (compiled := found.serialize()) is not None:
                write(kernels, bytes(compiled))
        if context is None:
            raise StylizerError(f"TensorRT does not start: {logger().last or 'it does not say why'}")
        return context


class TensorRtNetwork:
    """See `engine.stylizers.on_device.Network`."""

    def __init__(self, context: Any, device: Cuda, like: Weights):
        self._context, self._stream = context, device.stream.ptr
        self._arena = Arena(device, like)
        self.load = self._arena.load
        for name, array in self._arena.arrays.items():
            context.set_tensor_address(name, array.data.ptr)

    def run(self, tiles: Any, painted: Any) -> None:
        self._context.set_tensor_address("tiles", tiles.data.ptr)
        self._context.set_tensor_address("painted", painted.data.ptr)
        if not self._context.execute_async_v3(self._stream):
            raise StylizerError(f"TensorRT does not run: {logger().last or 'it does not say why'}")


class TensorRtStylizer(DeviceStylizer):
    """See `engine.stylizers.Stylizer`."""

    def __init__(self, painter: Painter, grid: tuple[int, int], depth: int):
        library()
        with _building:
            engine = _fastest(painter, grid, describe_device())
        super().__init__(engine, open_weights(painter, engine.precision), grid, depth, Cuda)


def _fastest(painter: Painter, grid: tuple[int, int], device: dict[str, str]) -> TensorRtEngine:
    """The engine of the precision that was measured to be the fastest here; measured now if it never was."""

    def model(precision: str, count: int) -> bytes:
        return to_open_onnx(painter, grid, precision, count).SerializeToString()

    def engine(precision: str) -> TensorRtEngine:
        if (key := _key(models[precision], device)) not in _engines:
            like = open_weights(painter, precision)
            _engines[key] = TensorRtEngine(partial(model, precision), precision, like, device)
        return _engines[key]

    def measure(precision: str) -> float:
        opened = Cuda()
        network = engine(precision).network(opened)
        network.load(open_weights(painter, precision))
        return milliseconds(network, opened, grid)

    models = {precision: model(precision, 1) for precision in FORMS}
    record = cache_folder() / f"{_key(b''.join(models.values()), device)}.json"
    return engine(fastest(record, FORMS, measure)[0])


def _key(model: bytes, device: dict[str, str]) -> str:
    trt = library()
    return cache_key(device, model, trt.__name__, trt.__version__)
