"""The engine paints on a GPU what it paints on the CPU, and goes on there when the GPU breaks.

The device is the stand-in of `cuda_on_cpu`, its network one that is written down here.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import open_device
from scenes import frame_of, texture
from tint import DEPTH, Tint, TintOnCpu, stylizer_of

from engine.chain import Chain
from engine.controls import Controls
from engine.device_chain import DeviceChain, SafeChain, chain_for
from engine.frame import Frame
from engine.pipeline import Pipeline
from engine.report import Facts, Report
from engine.sources.scene import SceneSource
from engine.studio.guard import Guard
from engine.stylizers import Painting
from engine.stylizers.morphing import MorphingStylizer, Wish
from engine.stylizers.on_device import DeviceStylizer
from kernels.layout import tile_grid
from models.colour import Encoding
from models.export import to_onnx
from models.library import Library


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device("cpu", tmp_path_factory)


def painted(chain: Any, frames: list[Frame], fresh: Callable[[int], bool] = lambda index: True) -> list[Frame]:
    """What comes out of a chain, one or two frames behind as offline."""
    found = []
    for index, frame in enumerate(frames):
        chain.begin(frame, fresh(index), Controls(style="", consistency=0.9))
        if chain.full:
            found.append(chain.finish())
    while chain.waiting:
        found.append(chain.finish())
    return found


def difference(one: Frame, other: Frame) -> float:
    """Mean absolute, in codes, over all planes."""
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(one.planes, other.planes, strict=True)]))


def scene(width: int = 160, height: int = 96, count: int = 8) -> list[Frame]:
    """With a cut half-way."""
    return list(SceneSource(f"scene:{width}x{height},{count / 25:g},25,cut"))


def test_a_clip_is_painted_as_on_the_cpu(device):
    """Though the two search for motion in different ways."""
    frames, reports = scene(), (Report(), Report())
    chains = [chain_for(160, 96, stylizer_of(device, (160, 96), e), r) for e, r in zip((Tint(), None), reports, strict=True)]
    assert [type(chain) for chain in chains] == [SafeChain, Chain]
    on_gpu, on_cpu = (painted(chain, frames, lambda index: index % 3 != 1) for chain in chains)
    assert [frame.pts for frame in on_gpu] == [frame.pts for frame in on_cpu] == [frame.pts for frame in frames]
    differences = [difference(*pair) for pair in zip(on_gpu, on_cpu, strict=True)]
    assert max(differences) < 1
    assert np.mean([difference(*pair) for pair in zip(on_gpu, frames, strict=True)]) > 5  # it was painted at all
    for report in reports:
        assert (report.carried, report.cuts) == (2, 1)


@pytest.mark.parametrize(("kind", "size", "count"), [("cpu", (64, 48), 4), ("gpu", (640, 360), 30)])
def test_a_clip_is_painted_by_our_own_network_as_on_the_cpu(kind, size, count, tmp_path_factory):
    """The whole way, twice: kernels and network on the device, and the engine on the CPU."""
    pytest.importorskip("onnxruntime")
    from engine.stylizers.cuda import CudaEngine, weights_of
    from engine.stylizers.onnxruntime import OnnxRuntimeStylizer

    device, library, grid = open_device(kind, tmp_path_factory), Library(), tile_grid(*size)
    vector = library.conditioning("great-wave")
    painter = library.painter(vector)
    engine = CudaEngine(painter, grid, "test", "test")
    stylizers = (
        DeviceStylizer(engine, weights_of(painter), grid, DEPTH, lambda: device),
        OnnxRuntimeStylizer(painter, grid, DEPTH),
    )
    frames, found = scene(*size, count), []
    for stylizer in stylizers:
        facts = Facts("test", "test", "test", "test", *size, "great-wave", 1.0, DEPTH)
        morphing = MorphingStylizer(stylizer, vector, facts, lambda wish: vector, lambda *what: stylizer)  # noqa: B023
        found.append(painted(chain_for(*size, morphing, Report()), frames))
        assert facts.fallbacks == []
    assert max(difference(*pair) for pair in zip(*found, strict=True)) < 1


def test_a_frame_that_is_let_through_keeps_its_place_and_ends_the_scene(device):
    frames, report = scene(count=4), Report()
    chain = chain_for(160, 96, stylizer_of(device, (160, 96), Tint()), report)
    chain.begin(frames[0], True, Controls())
    chain.let_through(frames[1])
    first, second = chain.finish(), chain.finish()
    assert difference(first, frames[0]) > 5
    assert difference(second, frames[1]) == 0
    chain.begin(frames[2], False, Controls())  # painted though nobody asked: no paint is wet
    assert difference(chain.finish(), frames[2]) > 5
    assert (report.carried, report.cuts) == (0, 0)


def test_a_style_changes_by_its_weights_alone(device):
    engine = Tint()
    stylizer = stylizer_of(device, (64, 48), engine)
    chain = chain_for(64, 48, stylizer, Report())
    frame = frame_of(texture(64, 48))
    before = chain_painted(chain, frame)
    stylizer.wish(Wish("40", 1.0, "fast"))
    until(lambda: stylizer.wish(Wish("40", 1.0, "fast")) or stylizer.facts.style == "40")
    for _ in range(8):
        after = chain_painted(chain, frame)
    stylizer.close()
    assert before.planes[0].mean() - after.planes[0].mean() == pytest.approx(80, abs=2)
    assert engine.loaded[0] == 200
    assert engine.loaded[-1] == 40
    assert stylizer.settled


def test_another_network_is_taken_over_between_two_frames_and_none_is_lost(device):
    first, second = Tint(), Tint()
    stylizer = stylizer_of(device, (64, 48), first)
    chain = chain_for(64, 48, stylizer, Report())
    frames = [frame_of(texture(64, 48, seed=1), index) for index in range(3)]
    chain.begin(frames[0], True, Controls())
    other = DeviceStylizer(second, {"shade": np.array([0], np.uint8)}, tile_grid(64, 48), DEPTH, lambda: device)
    stylizer._warm_up(other)  # as the thread does that made it
    stylizer._painting = other
    chain.begin(frames[1], True, Controls())
    one, two = chain.finish(), chain.finish()
    assert (one.pts, two.pts) == (0, 1)
    assert one.planes[0].mean() - two.planes[0].mean() == pytest.approx(100, abs=2)
    assert (first.loaded, second.loaded) == ([200], [0])


def test_a_device_that_breaks_in_mid_stream_is_named_and_loses_no_frame(device):
    frames, engine, report = scene(), Tint(), Report()
    stylizer = stylizer_of(device, (160, 96), engine)
    report.facts = stylizer.facts
    chain = chain_for(160, 96, stylizer, report)
    expected = painted(chain_for(160, 96, stylizer_of(device, (160, 96), None), Report()), frames)
    found = []
    for index, frame in enumerate(frames):
        engine.breaks = index >= 3
        chain.begin(frame, True, Controls())
        if chain.full:
            found.append(chain.finish())
    while chain.waiting:
        found.append(chain.finish())
    assert [frame.pts for frame in found] == [frame.pts for frame in frames]
    assert max(difference(*pair) for pair in zip(found[4:], expected[4:], strict=True)) < 1
    assert report.as_dict()["fallbacks"] == ["gpu broke (an illegal memory access was encountered)"]
    assert stylizer.notes == ["gpu broke (an illegal memory access was encountered); cpu paints on"]
    assert (stylizer.facts.backend, stylizer.facts.version) == ("cpu", "cpu test")


def test_after_a_break_the_style_still_changes(device):
    engine = Tint()
    stylizer = stylizer_of(device, (64, 48), engine)
    chain = chain_for(64, 48, stylizer, Report())
    frame = frame_of(texture(64, 48))
    chain_painted(chain, frame)
    engine.breaks = True
    before = chain_painted(chain, frame)
    until(lambda: stylizer.wish(Wish("40", 1.0, "fast")) or stylizer.facts.style == "40")
    for _ in range(8):
        after = chain_painted(chain, frame)
    stylizer.close()
    assert before.planes[0].mean() - after.planes[0].mean() == pytest.approx(80, abs=2)
    assert stylizer.facts.refused == ""


def test_a_device_without_room_is_not_begun_with(device):
    class Full(Tint):
        def network(self, device: Any, count: int = 1) -> Tint:
            raise MemoryError("out of memory")

    stylizer = stylizer_of(device, (64, 48), Full())
    chain = chain_for(64, 48, stylizer, Report())
    assert difference(chain_painted(chain, frame_of(texture(64, 48))), frame_of(texture(64, 48))) > 5
    assert stylizer.facts.fallbacks == ["gpu broke (out of memory)"]


def test_what_the_cpu_cannot_do_either_is_an_error(device, monkeypatch):
    engine = Tint()
    chain = chain_for(64, 48, stylizer_of(device, (64, 48), engine), Report())
    engine.breaks = True
    monkeypatch.setattr(TintOnCpu, "collect", lambda self: (_ for _ in ()).throw(RuntimeError("nor here")))
    chain.begin(frame_of(texture(64, 48)), True, Controls())
    with pytest.raises(RuntimeError, match="nor here"):
        chain.finish()


def test_the_pipeline_runs_a_file_through_the_device_and_its_fall_back(device):
    class Kept(list):
        on_device = False
        notes = ()

        def write(self, frame: Frame) -> None:
            self.append(frame)

        def copy(self, packet: object) -> None: ...

    engine, report, kept = Tint(), Report(), Kept()
    stylizer = stylizer_of(device, (64, 48), engine)

    def controls() -> Controls:
        engine.breaks = report.written > 4
        return Controls(style="200", network="fast")

    source = SceneSource("scene:64x48,0.4,25")
    Pipeline(source, stylizer, [kept], report, controls).run()
    assert [frame.pts for frame in kept] == list(range(10))
    assert len(report.notes) == 1
    assert "cpu paints on" in report.notes[0]


def test_tiles_take_the_way_there_and_back_in_order(device):
    """Of a network on the device, in a chain on the CPU."""
    stylizer = DeviceStylizer(Tint(), {"shade": np.array([100], np.uint8)}, (4, 6), DEPTH, lambda: device)
    found = []
    for value in (10, 20, 30):
        stylizer.input()[:] = value
        stylizer.submit()
        if value > 10:
            found.append(int(stylizer.collect().max()))
    found.append(int(stylizer.collect().min()))
    assert found == [55, 60, 65]


def test_the_real_library_falls_back_to_a_real_network(device):
    """As `open_stylizer` arranges it, but for the GPU."""
    from engine.stylizers import BACKENDS, ON_GPU, _first_that_runs

    library, grid = Library(), tile_grid(64, 48)
    names = [name for name in BACKENDS if name not in ON_GPU]
    vector = library.conditioning("great-wave")
    stylizer = stylizer_of(device, (64, 48), Tint())
    stylizer._vector = vector
    stylizer._instead = partial(_first_that_runs, library, Encoding(), grid, 1, False, names)
    stylizer.fall_back("it melted")
    assert stylizer.facts.backend == "openvino"
    assert stylizer.facts.precision == "int8"
    stylizer.submit()
    assert stylizer.collect().shape == (*grid, 24)


def test_pytorch_paints_what_the_shipped_network_paints(device):
    """Half precision, in the very code that runs on a GPU; frame after frame in the style that was loaded last."""
    pytest.importorskip("torch")
    ort = pytest.importorskip("onnxruntime")
    from engine.stylizers.torch_cuda import TorchEngine, weights_of

    library, grid = Library(), tile_grid(64, 48)
    tiles = np.random.default_rng(0).integers(60, 200, (*grid, 40), np.uint8)
    tiles = np.repeat(np.repeat(tiles[::4, ::4], 4, 0), 4, 1)[: grid[0], : grid[1]].copy()
    network = None
    for style in ("starry-night", "great-wave"):
        painter = library.painter(library.conditioning(style))
        if network is None:
            network = TorchEngine(painter, weights_of(painter)).network(device)
        painted = np.zeros((*grid, 24), np.uint8)
        network.load(weights_of(painter))
        network.run(tiles[None], painted[None])
        session = ort.InferenceSession(to_onnx(painter).SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, {"tiles": tiles[None]})[0][0]
        assert 10 * np.log10(255**2 / np.square(painted.astype(float) - expected).mean()) > 45


def test_the_studio_paints_on_the_device_and_falls_back_as_well(device):
    engine = Tint()
    stylizer = stylizer_of(device, (64, 48), engine)
    guard = Guard(lambda: pytest.fail("nothing is to be mended"), tile_grid(64, 48), Painting(stylizer, stylizer.facts))
    chain = chain_for(64, 48, guard, Report())  # type: ignore[arg-type]
    frame = frame_of(texture(64, 48))
    before = chain_painted(chain, frame)
    engine.breaks = True
    after = chain_painted(chain, frame)
    guard.close()
    assert difference(before, after) < 1
    assert guard.facts is not None
    assert guard.facts.fallbacks == ["gpu broke (an illegal memory access was encountered)"]
    assert guard.failing is None


def chain_painted(chain: Any, frame: Frame) -> Frame:
    chain.begin(frame, True, Controls())
    return chain.finish()


def until(done: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def test_only_the_device_chain_knows_the_device(device):
    stylizer = stylizer_of(device, (64, 48), Tint())
    assert isinstance(chain_for(64, 48, stylizer, Report())._chain, DeviceChain)  # type: ignore[union-attr]
