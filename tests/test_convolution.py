"""Convolutions on tensor cores give the codes that their definition gives, to the last one.

The kernels run on the CPU here (`cuda_on_cpu`), and on a GPU where there is one.
"""

from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import CpuDevice, open_device

from engine.stylizers.cuda import CudaEngine, weights_of
from kernels import convolution
from kernels.convolution import Step
from kernels.layout import tile_grid
from models.colour import Encoding
from models.export import fold_colour, to_onnx
from models.library import Library


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device(request.param, tmp_path_factory)


def on(device: Any, array: np.ndarray) -> Any:
    room = device.zeros(array.shape, array.dtype)
    device.send(np.ascontiguousarray(array), room)
    return room


def back(device: Any, array: Any) -> np.ndarray:
    return array if isinstance(device, CpuDevice) else array.get()


@pytest.mark.parametrize(
    ("size", "inputs", "outputs", "more"),
    [
        ((19, 21), 32, 32, {}),  # a part of a block at the right and below
        ((16, 16), 40, 32, {"outside": 128}),  # the picture: grey around it, a chunk and a quarter
        ((5, 3), 96, 24, {}),  # the last layer, of a picture smaller than a block
        ((18, 34), 32, 96, {"halving": True}),
        ((9, 10), 96, 32, {"doubled": True, "skip": "x", "skip_scale": 0.7}),
        ((8, 17), 160, 160, {"skip": "x", "skip_scale": 1.3}),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_every_code_is_that_of_the_definition(device, count, size, inputs, outputs, more):
    random = np.random.default_rng(1)
    step = Step("layer", "x", outputs, **more)
    codes = random.integers(0, 256, (count, *size, inputs), np.uint8)
    kernel = random.integers(-127, 128, (outputs, inputs, 3, 3), np.int8)
    scale = random.uniform(-1, 1, outputs).astype(np.float32) * np.float32(120 / (127 * 128 * np.sqrt(9 * inputs)))
    bias = random.uniform(-20, 200, outputs).astype(np.float32)
    out = [(side << step.doubled) + step.halving >> step.halving for side in size]
    skip = random.integers(0, 100, (count, *out, outputs), np.uint8) if step.skip else None
    expected = convolution.convolve(codes, kernel, scale, bias, step, skip)

    # what is taken from every sum because codes begin at `outside` is constant, so it belongs to the bias
    shifted = bias - scale * (step.outside * kernel.astype(np.int64).sum((1, 2, 3)))
    weights = convolution.arranged(kernel), *map(convolution.padded_to_group, (scale, shifted))
    painted = device.zeros((count, *out, outputs), np.uint8)
    added = None if skip is None else on(device, skip)
    convolution.launch(device, step, on(device, codes), tuple(on(device, w) for w in weights), added, painted)
    device.mark().synchronize()
    difference = np.abs(back(device, painted).astype(int) - expected)
    assert difference.max() <= 1  # where float32 rounds a half the other way
    assert (difference > 0).mean() < 1e-3
    assert ((expected > 0) & (expected < 255)).mean() > 0.2  # it was not all clipped


def test_the_network_paints_the_codes_of_the_shipped_one(device):
    """Frame after frame in the style loaded last; where float32 rounds one half the other way, a code or two apart."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # to the letter; it rounds twice otherwise
    library, grid = Library(), tile_grid(64, 40)
    random = np.random.default_rng(0).integers(60, 200, (-(-grid[0] // 4), -(-grid[1] // 4), 40), np.uint8)
    tiles = random.repeat(4, 0).repeat(4, 1)[: grid[0], : grid[1]].copy()
    network = None
    for style in ("starry-night", "great-wave"):
        painter = fold_colour(library.painter(library.conditioning(style)), Encoding((0.299, 0.114), False))
        network = network or CudaEngine(painter, grid, "test", "test").network(device)
        painted = device.zeros((1, *grid, 24), np.uint8)
        network.load(weights_of(painter))
        network.run(on(device, tiles[None]), painted)
        device.mark().synchronize()
        session = ort.InferenceSession(to_onnx(painter).SerializeToString(), options, providers=["CPUExecutionProvider"])
        expected = session.run(None, {"tiles": tiles[None]})[0]
        difference = np.abs(back(device, painted).astype(int) - expected)
        assert difference.max() <= 3  # layer after layer, what one code has moved moves more, but none of it far
        assert difference.mean() < 0.25
        assert expected.std() > 10


@pytest.mark.parametrize("engine", ["cuda", "torch"])
def test_several_pictures_at_once_are_painted_like_each_alone(device, engine):
    library, grid = Library(), tile_grid(33, 25)
    painter = library.painter(library.conditioning("great-wave"))
    if engine == "cuda":
        made, weights = CudaEngine(painter, grid, "test", "test"), weights_of(painter)
    else:
        torch_cuda = pytest.importorskip("engine.stylizers.torch_cuda", reason="needs PyTorch")
        weights = torch_cuda.weights_of(painter)
        made = torch_cuda.TorchEngine(painter, weights)
    tiles = on(device, np.random.default_rng(0).integers(0, 256, (3, *grid, 40), np.uint8))
    together, alone = (device.zeros((3, *grid, 24), np.uint8) for _ in range(2))
    networks = made.network(device, 3), made.network(device)
    for network in networks:
        network.load(weights)
    networks[0].run(tiles, together)
    for index in range(3):
        networks[1].run(tiles[index : index + 1], alone[index : index + 1])
    device.mark().synchronize()
    together, alone = (back(device, array).astype(int) for array in (together, alone))
    # a library may choose another algorithm, which adds half-precision numbers in another order
    assert np.abs(together - alone).max() <= (engine == "torch")
    assert len({picture.tobytes() for picture in together}) == 3
