"""What the GPU has decoded (`nvdec`) it paints as what the CPU has decoded, it stays there for sinks that take it, and no
frame is lost when it breaks."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from cuda_on_cpu import open_device
from nvdec import CudaPicture, Nvdec
from tint import Tint, stylizer_of

from engine.controls import Controls
from engine.device_chain import chain_for
from engine.frame import Frame
from engine.lending import Lending
from engine.pipeline import Pipeline
from engine.report import Report
from engine.run import decode_where_painted, encoding_of
from engine.sinks.null import NullSink
from engine.sources.file import FileSource
from engine.sources.scene import SceneSource
from engine.stylizers import Painting

SIZE, COUNT = (48, 32), 8


class Kept(list):
    """A sink."""

    notes = ()

    def __init__(self, on_device: bool = False):
        super().__init__()
        self.on_device = on_device

    def write(self, frame: Frame) -> None:
        self.append(frame)

    def copy(self, packet: object) -> None: ...


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device("cpu", tmp_path_factory)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = [frame.picture for frame in SceneSource(f"scene:{SIZE[0]}x{SIZE[1]},{COUNT / 25:g},25,cut")]
    return write_clip(tmp_path_factory.mktemp("films") / "a.mp4", pictures, codec="libx264", options={"bf": "2"})


class Counting:
    """The stand-in of a device, which counts the bytes that go to it and come back."""

    def __init__(self, device: Any):
        self._device, self.up, self.down = device, list[int](), list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def upload(self, copies: Any, after: Any) -> Any:
        self.up.append(sum(host.nbytes for host, _ in copies))
        return self._device.upload(copies, after)

    def download(self, copies: Any, after: Any) -> Any:
        self.down.append(sum(host.nbytes for _, host in copies))
        return self._device.download(copies, after)


def painted(
    film: Path,
    device: Any,
    engine: Tint | None,
    each: Callable[[Report], None] = lambda report: None,
    sinks: tuple[Any, ...] = (),
    **how: Any,
) -> tuple[Kept, Report]:
    """The whole way from the file on, decoded where it is painted, into a sink that keeps it or those given."""
    source, stylizer = FileSource(str(film)), stylizer_of(device, SIZE, engine)
    decode_where_painted(source, Painting(stylizer, stylizer.facts))
    kept, report = Kept(), Report(facts=stylizer.facts)
    # what the report sees of the frame before is what the next one meets
    controls: dict[str, Any] = {"style": "200", "network": "fast", "consistency": 0.8} | how
    pipeline = Pipeline(source, stylizer, sinks or [kept], report, lambda: each(report) or Controls(**controls))  # type: ignore
    pipeline.run()
    source.close()
    return kept, report


def assert_same(found: list[Frame], wanted: list[Frame]) -> None:
    assert [frame.pts for frame in found] == [frame.pts for frame in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.picture.format.name == other.picture.format.name == "yuv420p"
        for plane, expected in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("how", [{}, {"keep_color": True}])
def test_frames_that_stay_on_the_gpu_are_painted_value_for_value_as_those_that_were_sent_there(
    device, film, monkeypatch, how
):
    wanted, before = painted(film, device, Tint(), **how)
    gpu = Nvdec(monkeypatch)
    found, report = painted(film, device, Tint(), **how)
    assert gpu.decoded == COUNT
    assert gpu.downloads == 0
    assert_same(found, wanted)
    assert report.cuts == before.cuts == 1
    assert report.notes == []
    assert any("decoded on the CPU" in note for note in before.notes)  # which is what there is here


def test_frames_of_ten_bits_are_rounded_on_the_gpu_to_what_the_cpu_makes_of_them(device, tmp_path, monkeypatch):
    deep = []
    for frame in SceneSource(f"scene:{SIZE[0]}x{SIZE[1]},0.2,25"):
        deep.append(av.VideoFrame(*SIZE, "yuv420p10le"))
        for plane, samples in zip(deep[-1].planes, frame.planes, strict=True):
            rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]  # type: ignore[call-overload]
            rows[:] = samples.astype(np.uint16) * 4 + np.arange(plane.width) % 4
    film = write_clip(tmp_path / "a.mkv", deep, codec="libx264", pix_fmt="yuv420p10le")
    wanted, _ = painted(film, device, Tint())
    gpu = Nvdec(monkeypatch)
    found, report = painted(film, device, Tint())
    assert (gpu.decoded, gpu.downloads, report.notes) == (len(deep), 0, [])
    for one, other in zip(found, wanted, strict=True):
        for plane, expected in zip(one.planes, other.planes, strict=True):
            apart = np.abs(plane.astype(int) - expected)  # a code more or less of the camera's, and what paint makes of that
            assert apart.mean() < 0.5
            assert apart.max() <= 3


def test_where_the_cpu_paints_it_decodes_too_and_nobody_asks_why(device, film, monkeypatch):
    gpu = Nvdec(monkeypatch)
    _, report = painted(film, device, None)
    assert gpu.decoded == 0
    assert report.notes == []


@pytest.mark.parametrize("lost", [False, True], ids=["the network breaks", "with all its memory"])
def test_a_gpu_that_breaks_in_mid_stream_loses_no_frame(device, film, monkeypatch, lost):
    def breaking(engine: Tint, gpu: Nvdec | None) -> Callable[[Report], None]:
        def each(report: Report) -> None:
            if report.written == 2:
                engine.breaks = True
                if gpu is not None and lost:
                    gpu.lost, gpu.breaks_after = True, gpu.decoded

        return each

    engine = Tint()
    wanted, _ = painted(film, device, engine, breaking(engine, None))
    gpu, engine = Nvdec(monkeypatch), Tint()
    found, report = painted(film, device, engine, breaking(engine, gpu))
    assert_same(found, wanted)
    assert any("cpu paints on" in note for note in report.notes)
    assert (gpu.downloads == 0) == lost


def test_without_room_for_a_chain_the_cpu_paints_what_the_gpu_decodes(device, film, monkeypatch):
    class Full(Tint):
        def network(self, device: Any, count: int = 1) -> Tint:
            raise MemoryError("out of memory")

    wanted, _ = painted(film, device, None)
    gpu = Nvdec(monkeypatch)
    found, _ = painted(film, device, Full())
    assert_same(found, wanted)
    assert gpu.downloads == COUNT


@pytest.mark.parametrize("lost", [False, True])
def test_frames_that_are_let_through_come_to_the_cpu_as_they_are(device, film, monkeypatch, lost):
    wanted = [item for item in FileSource(str(film)) if isinstance(item, Frame)]
    gpu = Nvdec(monkeypatch)
    source, stylizer = FileSource(str(film)), stylizer_of(device, SIZE, Tint())
    decode_where_painted(source, Painting(stylizer, stylizer.facts))
    chain = chain_for(*SIZE, stylizer, Report(), source.info.on_device)
    frames = [item for item in source if isinstance(item, Frame)]
    gpu.lost = lost
    for frame in frames:
        chain.let_through(frame)
    assert_same([chain.finish() for _ in frames], wanted)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Nvdec:
    """Its pictures are those of NVDEC and those that have been painted."""
    gpu = Nvdec(monkeypatch)
    from_dlpack = Lending.picture
    monkeypatch.setattr(Lending, "picture", lambda self, planes: CudaPicture(from_dlpack(self, planes), gpu))
    return gpu


def test_for_the_null_sink_no_sample_leaves_the_gpu(device, film, gpu):
    counting = Counting(device)
    _, report = painted(film, counting, Tint(), sinks=(NullSink("null", FileSource(str(film)).info),))
    assert report.written == COUNT
    assert report.notes == []
    assert gpu.downloads == 0
    assert set(counting.down) == {3 * 4}  # what was found of the motion
    assert max(counting.up) < 100  # what the user has set


def test_sinks_that_take_frames_on_the_gpu_get_those_that_others_get(device, film, gpu):
    wanted, _ = painted(film, device, Tint())
    sinks = (Kept(on_device=True), Kept(on_device=True))
    painted(film, device, Tint(), sinks=sinks)
    for sink in sinks:
        assert all(frame.on_device for frame in sink)
        assert all(frame.before is not None for frame in sink)
        assert_same([frame.on_host() for frame in sink], wanted)


def test_one_sink_that_does_not_take_them_has_them_brought_to_the_cpu_for_all(device, film, gpu):
    sinks = (Kept(on_device=True), Kept())
    painted(film, device, Tint(), sinks=sinks)
    assert not any(frame.on_device for sink in sinks for frame in sink)


def test_after_a_break_sinks_that_take_frames_on_the_gpu_get_them_from_the_cpu(device, film, gpu):
    engine, sink = Tint(), Kept(on_device=True)

    def each(report: Report) -> None:
        engine.breaks = report.written == 2 or engine.breaks

    painted(film, device, engine, each, (sink,))
    assert [frame.pts for frame in sink] == sorted(frame.pts for frame in sink)
    assert len(sink) == COUNT
    assert [frame.on_device for frame in sink][::7] == [True, False]


def test_sinks_are_told_that_a_gpu_paints_and_may_share_its_memory(device):
    entered = []
    on_gpu = Counting(device)
    on_gpu.enter = lambda: entered.append(True)
    options = argparse.Namespace(codec="h264_nvenc", quality=None, preset=None)
    for engine in (Tint(), None):
        stylizer = stylizer_of(on_gpu, SIZE, engine)
        assert encoding_of(options, Painting(stylizer, stylizer.facts)).on_device == (engine is not None)
    assert entered == [True]


def test_room_is_lent_again_when_nobody_holds_the_picture_any_more(device):
    lending = Lending(device, 48, 32)
    held = [lending.picture(lending.planes()) for _ in range(3)]
    assert len(lending._rooms) == 3
    del held[1]
    luma, chroma = lending.planes()
    assert len(lending._rooms) == 3
    assert (luma.shape, chroma.shape) == ((32, 48), (16, 48))
    # as NVENC asks: rows as long, one plane right behind the other
    assert luma.strides == chroma.strides == (256, 1)
    assert chroma.ctypes.data - luma.ctypes.data == 32 * 256
    again = lending.planes()
    assert len(lending._rooms) == 4
    assert not any(np.shares_memory(one, other) for one in again for other in (luma, chroma))
    picture = lending.picture((luma, chroma))
    luma[:] = 77
    assert np.from_dlpack(picture.planes[0]).max() == 77  # no copy
