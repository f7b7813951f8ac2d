"""Files are decoded by the GPU that paints them, where it can: by the stand-in of `nvdec`, and for real as far as FFmpeg
goes without a GPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from clips import flat, ramp, write_clip
from cuda_on_cpu import open_device
from nvdec import CudaPicture, Nvdec

from engine.errors import SourceError
from engine.frame import Colour, Frame
from engine.sources.file import FileSource
from engine.sources.hardware import Again, nvdec
from kernels.device import present

DEVICE = SimpleNamespace(enter=lambda: None)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Nvdec:
    return Nvdec(monkeypatch)


def film(path: Path, count: int = 10, size: tuple[int, int] = (64, 48), **more: Any) -> Path:
    """H.264 that differs from frame to frame and from place to place."""
    pictures = ramp(count, size)
    for index, picture in enumerate(pictures):
        for plane in picture.planes:
            samples = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
            samples[index : index + 20, 5:25] = 40 * index % 200 + 20
    return write_clip(path, pictures, codec="libx264", **more)


def opened_on_gpu(path: Path, size: tuple[int, int] | None = None) -> FileSource:
    source = FileSource(str(path), size)
    source.decode_on(lambda: DEVICE)  # type: ignore[arg-type,return-value]
    return source


def frames_of(source: FileSource) -> list[Frame]:
    return [item for item in source if isinstance(item, Frame)]


def same(found: Frame, wanted: Frame) -> bool:
    """In all that a frame is, brought to the CPU."""
    said = [(f.pts, f.time_base, f.index, f.duration, f.picture.colorspace, f.picture.color_range) for f in (found, wanted)]
    samples = zip(found.on_host().planes, wanted.planes, strict=True)
    return said[0] == said[1] and all(np.array_equal(*pair) for pair in samples)


@pytest.mark.parametrize("colour", [None, Colour(1, 1, 1, 1), Colour(5, 2, 5, 6)], ids=["none", "BT.709", "full"])
def test_frames_stay_on_the_gpu_and_are_those_of_the_cpu(gpu, tmp_path, colour):
    path = film(tmp_path / "a.mp4", colour=colour)
    found, wanted = frames_of(opened_on_gpu(path)), frames_of(FileSource(str(path)))
    assert all(frame.on_device for frame in found)
    assert len(found) == 10
    assert gpu.downloads == 0
    assert all(same(*pair) for pair in zip(found, wanted, strict=True))


def test_what_is_known_of_the_stream_stays_but_where_its_frames_are(gpu, tmp_path):
    path = film(tmp_path / "a.mp4", sound=True, metadata={"title": "t"})
    before, after = FileSource(str(path)).info, opened_on_gpu(path).info
    assert (before.on_device, after.on_device) == (False, True)
    for name in ("width", "height", "time_base", "rate", "colour", "frames", "metadata", "has_alpha"):
        assert getattr(after, name) == getattr(before, name)
    assert [stream.type for stream in after.companions] == ["audio"]


def test_the_sound_is_the_same_and_of_the_streams_that_are_stated(gpu, tmp_path):
    path = film(tmp_path / "a.mp4", sound=True)
    sources = (FileSource(str(path)), opened_on_gpu(path))
    runs = [[item for item in source if not isinstance(item, Frame)] for source in sources]
    assert [bytes(item) for item in runs[0]] == [bytes(item) for item in runs[1]]
    assert all(item.stream in sources[1].info.companions for item in runs[1])


REFUSALS = {
    "alpha": ("a.mov", {"pictures": [flat(64, 48, (9, 9, 9, 128), "argb")] * 2}, None, "alpha"),
    "12 bits": ("a.mkv", {"pictures": [flat(64, 48, (256, 2048, 2048), "yuv420p12le")] * 2}, None, "yuv420p12le"),
    "4:4:4": ("a.mkv", {"pictures": [flat(64, 48, (64, 128, 128), "yuv444p")] * 2}, None, "yuv444p"),
    "rotation": ("a.mp4", {"rotation": 90}, None, "upright"),
    "rescaling": ("a.mp4", {}, (32, 24), "rescaled"),
    "odd": ("a.mkv", {"pictures": ramp(2, (63, 47))}, None, "odd"),
    "codec": ("a.mkv", {}, None, "NVDEC does not know ffv1"),
}


@pytest.mark.parametrize(("name", "more", "size", "why"), REFUSALS.values(), ids=REFUSALS)
def test_what_the_gpu_is_not_to_decode_stays_with_the_cpu_and_is_noted(tmp_path, name, more, size, why):
    path = write_clip(tmp_path / name, **more)
    source = opened_on_gpu(path, size)
    assert not source.info.on_device
    (note,) = source.notes
    assert note.startswith(f"'{path}' is decoded on the CPU, not the GPU: ")
    assert why in note
    frames = frames_of(source)
    assert [frame.pts for frame in frames] == [frame.pts for frame in frames_of(FileSource(str(path), size))]
    assert not any(frame.on_device for frame in frames)


@pytest.mark.skipif(present(), reason="there is a GPU here")
def test_without_a_driver_ffmpeg_itself_refuses_and_that_is_noted(tmp_path):
    """For real."""
    path = film(tmp_path / "a.mp4")
    with pytest.raises(av.error.PermissionError):
        av.open(str(path), hwaccel=HWAccel("cuda", is_hw_owned=True))
    with pytest.raises(av.error.PermissionError):
        av.open(str(path), hwaccel=nvdec())
    source = opened_on_gpu(path)
    assert source.notes == [f"'{path}' is decoded on the CPU, not the GPU: the driver refuses (Operation not permitted)"]
    assert len(frames_of(source)) == 10


def test_a_device_that_does_not_open_is_noted(gpu, tmp_path):
    def fails() -> Any:
        raise RuntimeError("cudaErrorInsufficientDriver:\n too old")

    source = FileSource(str(film(tmp_path / "a.mp4")))
    source.decode_on(fails)
    assert "the driver refuses (cudaErrorInsufficientDriver: too old)" in source.notes[0]
    assert len(frames_of(source)) == 10


def test_a_decoder_that_gives_pictures_of_the_cpu_is_let_go(gpu, tmp_path):
    gpu.takes = lambda picture: False
    source = opened_on_gpu(film(tmp_path / "a.mp4"))
    assert "NVDEC does not take its h264" in source.notes[0]
    assert not source.info.on_device
    assert len(frames_of(source)) == 10


def test_a_picture_that_the_gpu_gives_in_another_size_stays_with_the_cpu(gpu, tmp_path, monkeypatch):
    """As where the stream cuts off its left or top, which FFmpeg leaves there."""
    monkeypatch.setattr(CudaPicture, "height", property(lambda self: 56, lambda self, height: None), raising=False)
    source = opened_on_gpu(film(tmp_path / "a.mp4"))
    assert "or gives another form of it" in source.notes[0]
    assert not any(frame.on_device for frame in frames_of(source))


def test_pictures_that_the_gpu_does_not_take_in_mid_stream_come_from_the_cpu(gpu, tmp_path):
    path = film(tmp_path / "a.mp4")
    gpu.takes = lambda picture: gpu.decoded < 5
    found = frames_of(opened_on_gpu(path))
    assert [frame.on_device for frame in found] == [True] * 4 + [False] * 6
    assert all(same(*pair) for pair in zip(found, frames_of(FileSource(str(path))), strict=True))


@pytest.mark.parametrize("after", [1, 4, 9])
def test_when_the_gpus_decoder_breaks_the_cpu_goes_on_and_nothing_is_lost_or_twice(gpu, tmp_path, after):
    path = film(tmp_path / "a.mp4", sound=True, options={"bf": "2"})
    gpu.breaks_after = after
    source, wanted = opened_on_gpu(path), list(FileSource(str(path)))
    found = list(source)
    frames = [item for item in found if isinstance(item, Frame)]
    before = sum(frame.on_device for frame in frames)
    assert 0 < before <= after  # with what one packet brought, some of it may be gone
    assert [frame.on_device for frame in frames] == [True] * before + [False] * (10 - before)
    assert all(same(*pair) for pair in zip(frames, (item for item in wanted if isinstance(item, Frame)), strict=True))
    sound = [[bytes(item) for item in run if not isinstance(item, Frame)] for run in (found, wanted)]
    assert sound[0] == sound[1]
    assert all(isinstance(item, Frame) or item.stream in source.info.companions for item in found)
    (note,) = source.notes
    assert f"the GPU's decoder broke after {before} frames" in note


def test_frames_that_the_gpu_has_lost_are_decoded_again(gpu, tmp_path):
    path = film(tmp_path / "a.mp4", options={"bf": "2"})
    found, wanted = frames_of(opened_on_gpu(path)), frames_of(FileSource(str(path)))
    gpu.lost = True
    for index in (3, 4, 7, 2):  # mostly in order
        assert same(found[index], wanted[index])
    assert gpu.downloads == 0


def test_a_frame_that_does_not_come_again_is_an_error(tmp_path):
    again = Again(lambda: iter(FileSource(str(film(tmp_path / "a.mp4", 3)))))
    with pytest.raises(SourceError, match="frame 3, which the GPU has lost"):
        again(3)


def test_a_picture_of_another_size_is_brought_to_the_cpu_and_rescaled(gpu, tmp_path):
    source = opened_on_gpu(film(tmp_path / "a.mp4"))
    other: Any = CudaPicture(flat(32, 24, (80, 100, 120)), gpu)
    picture, alpha = source._converter.convert(other)
    assert (picture.format.name, picture.width, picture.height, alpha) == ("yuv420p", 64, 48, None)
    assert gpu.downloads == 1


def test_a_real_gpu_decodes_what_the_cpu_decodes(tmp_path, tmp_path_factory):
    """For real, and on into the arrays of our device, where there is one."""
    device = open_device("gpu", tmp_path_factory)
    path = film(tmp_path / "a.mp4", 10, (640, 360), options={"bf": "2"})
    source = FileSource(str(path))
    source.decode_on(lambda: device)
    assert source.notes == []
    for found, wanted in zip(frames_of(source), frames_of(FileSource(str(path))), strict=True):
        rooms = [device.zeros((rows, 640), np.uint8) for rows in (360, 180)]
        device.adopt(list(zip(found.planes, rooms, strict=True)), device.mark()).synchronize()
        luma, chroma = (room.get() for room in rooms)
        assert same(found, wanted)
        for plane, samples in zip(wanted.planes, (luma, chroma[:, ::2], chroma[:, 1::2]), strict=True):
            np.testing.assert_array_equal(samples, plane)
