"""One graph for all styles, which paints what the shipped network paints, and which TensorRT takes and builds.

Building needs no GPU with TensorRT-RTX; running does. What is around it is tested with stand-ins.
"""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from scenes import texture

from engine.errors import StylizerError
from engine.seeing import Seeing
from engine.stylizers import open_stylizer, tensorrt
from engine.stylizers.tensorrt import TensorRtEngine, TensorRtNetwork
from kernels import device
from kernels.layout import tile_grid
from models.colour import Encoding
from models.export import Painter, fold_colour, to_onnx
from models.library import Library
from models.shared import FORMS, open_weights, to_open_onnx

SIZE = (128, 96)
GRID = tile_grid(*SIZE)
BT601_LIMITED = Encoding((0.299, 0.114), full_range=False)
DEVICE = {"name": "NVIDIA Test", "capability": "8.9", "driver": "13000"}
LEAST_PSNR = {"int8": 45, "fp16": 50}  # to the shipped form in dB; all 28 styles have 47.0 and 51.8 or more


def painter_of(style: str = "starry-night", encoding: Encoding = BT601_LIMITED) -> Painter:
    library = Library()
    return fold_colour(library.painter(library.conditioning(style)), encoding)


def graph_of(precision: str, style: str = "starry-night", encoding: Encoding = BT601_LIMITED) -> bytes:
    return to_open_onnx(painter_of(style, encoding), GRID, precision).SerializeToString()


def run(model: bytes, feeds: dict[str, np.ndarray]) -> np.ndarray:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


class TestTheGraph:
    @pytest.mark.parametrize("precision", FORMS)
    @pytest.mark.parametrize("style", ["starry-night", "edtaonisl"])
    def test_it_paints_what_the_shipped_one_paints(self, precision, style):
        painter = painter_of(style)
        tiles = np.zeros((1, *GRID, 40), np.uint8)
        planes = [texture(SIZE[0] // side, SIZE[1] // side, seed, smooth=4) for side, seed in ((1, 0), (2, 1), (2, 2))]
        Seeing.for_size(*SIZE).show(planes, tiles[0])
        expected = run(to_onnx(painter).SerializeToString(), {"tiles": tiles})
        found = run(graph_of(precision, style), {"tiles": tiles} | open_weights(painter, precision))
        error = np.square(found.astype(float) - expected).mean()
        assert 10 * np.log10(255**2 / error) > LEAST_PSNR[precision]

    @pytest.mark.parametrize("precision", FORMS)
    def test_several_pictures_at_once_are_painted_like_each_alone(self, precision):
        painter = painter_of()
        tiles = np.random.default_rng(0).integers(0, 256, (3, *GRID, 40), np.uint8)
        weights = open_weights(painter, precision)
        together = run(to_open_onnx(painter, GRID, precision, 3).SerializeToString(), {"tiles": tiles} | weights)
        alone = [run(graph_of(precision), {"tiles": tiles[i : i + 1]} | weights)[0] for i in range(3)]
        np.testing.assert_array_equal(together, alone)

    @pytest.mark.parametrize("precision", FORMS)
    def test_it_is_the_same_for_every_style_and_colour(self, precision):
        assert graph_of(precision) == graph_of(precision, "great-wave", Encoding())

    @pytest.mark.parametrize("precision", FORMS)
    def test_it_is_valid_and_holds_no_weights(self, precision):
        model = onnx.load_from_string(graph_of(precision))
        onnx.checker.check_model(model, full_check=True)
        assert max(np.prod(constant.dims) for constant in model.graph.initializer) < 200
        weights = open_weights(painter_of(), precision)
        shapes = {i.name: tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in model.graph.input}
        assert shapes == {"tiles": (1, *GRID, 40)} | {name: array.shape for name, array in weights.items()}


class TestBuilding:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("tensorrt_rtx")

    @pytest.mark.parametrize("precision", FORMS)
    def test_tensorrt_takes_bytes_and_gives_bytes(self, precision):
        trt = tensorrt.library()
        _, network = tensorrt.parsed(graph_of(precision))
        inputs = {t.name: t for t in (network.get_input(i) for i in range(network.num_inputs))}
        output = network.get_output(0)
        for tensor, channels in ((inputs["tiles"], 40), (output, 24)):
            assert tensor.dtype == trt.uint8
            assert tuple(tensor.shape) == (1, *GRID, channels)
        assert network.num_outputs == 1
        assert inputs["refine.kernel"].dtype == {"int8": trt.int8, "fp16": trt.float16}[precision]
        assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    @pytest.mark.parametrize("precision", FORMS)
    @pytest.mark.parametrize("capability", ["SM80", "SM86", "SM89", "SM120"])
    def test_it_builds_for_every_generation(self, precision, capability):
        plan = tensorrt.build(graph_of(precision), capability)
        assert 100_000 < len(plan) < 10_000_000

    @pytest.mark.parametrize(("precision", "kind"), [("int8", "Int8"), ("fp16", "Half")])
    def test_every_convolution_runs_in_that_precision(self, precision, kind, monkeypatch):
        """By what the builder says of the engine's layers."""
        trt, lines = tensorrt.library(), []
        monkeypatch.setattr(tensorrt.logger(), "log", lambda severity, message: lines.append(message), raising=False)
        builder, network = tensorrt.parsed(graph_of(precision))
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        assert builder.build_serialized_network(network, config) is not None
        layers = re.findall(r"LayerType: correlation, Inputs: \[ \{.*?Datatype: (\w+)", "\n".join(lines))
        assert layers == [kind] * len(painter_of().layers)

    def test_what_tensorrt_refuses_is_one_line(self):
        with pytest.raises(StylizerError, match="does not take the network") as refused:
            tensorrt.build(b"no model")
        assert "\n" not in str(refused.value)
        # bytes with a zero point, as the CPU has them
        with pytest.raises(StylizerError, match="TensorRT"):
            tensorrt.build(to_onnx(painter_of()).SerializeToString())


def test_an_engine_is_of_one_graph_library_and_device(monkeypatch):
    def key(model: bytes = b"graph", version: str = "10.9", name: str = "tensorrt", **other: str) -> str:
        monkeypatch.setattr(tensorrt, "library", lambda: SimpleNamespace(__name__=name, __version__=version))
        return tensorrt._key(model, DEVICE | other)

    assert key() == key()
    others = [key(b"other"), key(version="11.0"), key(name="tensorrt_rtx"), key(driver="13010"), key(capability="12.0")]
    assert len({key(), *others}) == 6


class FakeRuntime:
    """Loads what begins with `good`, into an engine of classic TensorRT."""

    def __init__(self, log: object):
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> object:
        contexts = SimpleNamespace(create_execution_context=FakeContext)
        return contexts if plan.startswith(b"good") else None


@pytest.fixture
def built(monkeypatch, tmp_path) -> list[bytes]:
    """What was built; a stand-in for TensorRT builds it."""
    plans: list[bytes] = []
    fake = SimpleNamespace(__name__="tensorrt", __version__="10.9", Runtime=FakeRuntime)
    monkeypatch.setattr(tensorrt, "library", lambda: fake)
    monkeypatch.setattr(tensorrt, "logger", lambda: SimpleNamespace(last="out of memory"))
    monkeypatch.setattr(tensorrt, "cache_folder", lambda: tmp_path / "tensorrt")
    monkeypatch.setattr(tensorrt, "build", lambda model: plans.append(b"good " + model) or plans[-1])
    return plans


def graph(count: int) -> bytes:
    return b"graph" if count == 1 else b"graph of %d" % count


class TestTheEngine:
    def test_it_is_built_once(self, built, tmp_path):
        for _ in range(2):
            engine = TensorRtEngine(graph, "int8", {}, DEVICE)
        assert built == [b"good graph"]
        assert (engine.version, engine.device, engine.precision) == ("10.9", "NVIDIA Test", "int8")
        assert len(list((tmp_path / "tensorrt").iterdir())) == 1  # and nothing half-written

    def test_for_several_pictures_it_has_a_plan_of_its_own(self, built):
        engine = TensorRtEngine(graph, "int8", {"bias": np.zeros(3, np.float16)}, DEVICE)
        for _ in range(2):
            engine.network(FakeDevice(), 4)  # type: ignore[arg-type]
        assert built == [b"good graph", b"good graph of 4"]

    def test_a_damaged_one_is_built_again(self, built, tmp_path):
        TensorRtEngine(graph, "int8", {}, DEVICE)
        (kept,) = (tmp_path / "tensorrt").iterdir()
        kept.write_bytes(b"bad")
        TensorRtEngine(graph, "int8", {}, DEVICE)
        assert len(built) == 2
        assert kept.read_bytes() == b"good graph"

    def test_one_that_never_loads_is_a_clear_error(self, built, monkeypatch):
        monkeypatch.setattr(tensorrt, "build", lambda model: b"bad")
        with pytest.raises(StylizerError, match="does not load what it built: out of memory"):
            TensorRtEngine(graph, "int8", {}, DEVICE)


class Pointed(np.ndarray):
    """An array that says where it is as CuPy's do."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)


class FakeDevice:
    stream = SimpleNamespace(ptr=77)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.zeros(shape, dtype).view(Pointed)

    def staging(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.zeros(shape, dtype)

    def send(self, host: np.ndarray, array: np.ndarray) -> None:
        array[:] = host

    def mark(self) -> Any:
        return SimpleNamespace(synchronize=lambda: None)


class FakeContext:
    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.streams: list[int] = []
        self.works = True

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.streams.append(stream)
        return self.works


class TestTheNetwork:
    def test_every_input_of_the_graph_is_given_its_place(self):
        context, weights = FakeContext(), open_weights(painter_of(), "int8")
        network = TensorRtNetwork(context, FakeDevice(), weights)  # type: ignore[arg-type]
        tiles, painted = (FakeDevice().zeros((1, *GRID, channels), np.uint8) for channels in (40, 24))
        network.run(tiles, painted)
        named = {i.name for i in onnx.load_from_string(graph_of("int8")).graph.input} | {"painted"}
        assert set(context.addresses) == named
        assert context.addresses["painted"] == painted.ctypes.data
        assert context.streams == [77]

    def test_weights_lie_apart_aligned_and_as_they_were_given(self):
        network = TensorRtNetwork(FakeContext(), FakeDevice(), open_weights(painter_of(), "fp16"))  # type: ignore[arg-type]
        for style in ("scream", "great-wave", "scream"):
            weights = open_weights(painter_of(style), "fp16")
            network.load(weights)
            for name, array in network._arena.arrays.items():
                np.testing.assert_array_equal(array, weights[name])
        ordinary = network._arena._memory.ctypes.data
        assert all((array.ctypes.data - ordinary) % 256 == 0 for array in network._arena.arrays.values())

    def test_what_does_not_run_is_an_error(self):
        context = FakeContext()
        context.works = False
        network = TensorRtNetwork(context, FakeDevice(), {"bias": np.zeros(3, np.float16)})  # type: ignore[arg-type]
        with pytest.raises(StylizerError, match="does not run"):
            network.run(*(FakeDevice().zeros((1, 2, 2, 24), np.uint8) for _ in range(2)))


class TestTheChoice:
    def test_without_a_gpu_nobody_misses_tensorrt(self, monkeypatch):
        monkeypatch.setattr(device, "present", lambda: False)
        facts = open_stylizer("starry-night", SIZE, Encoding()).facts
        assert (facts.backend, facts.fallbacks) == ("openvino", [])

    def test_with_a_gpu_it_comes_first_and_what_it_lacks_is_said(self, monkeypatch):
        monkeypatch.setattr(device, "present", lambda: True)
        monkeypatch.setattr(
            tensorrt, "describe_device", lambda: (_ for _ in ()).throw(RuntimeError("the driver is too old"))
        )
        facts = open_stylizer("starry-night", SIZE, Encoding()).facts
        assert facts.backend == "openvino"
        assert facts.fallbacks[0] == "tensorrt does not run here: the driver is too old"

    def test_by_name_it_is_that_one_or_an_error(self, monkeypatch):
        monkeypatch.setattr(tensorrt, "describe_device", lambda: (_ for _ in ()).throw(RuntimeError("no CUDA device")))
        with pytest.raises(StylizerError, match="tensorrt does not run here: no CUDA device"):
            open_stylizer("starry-night", SIZE, Encoding(), backend="tensorrt")
