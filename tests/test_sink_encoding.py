"""Encoders: the usual one, the ones asked for, and that one frame may go to several of them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from clips import flat, write_clip
from nvdec import CudaPicture

from engine.errors import SinkError
from engine.frame import Colour, Frame, StreamInfo, plane_view
from engine.sinks import Encoding, encoding
from engine.sinks.companions import Companions
from engine.sinks.conversion import Conversion
from engine.sinks.encoding import _refused, find_encoder
from engine.sinks.file import FileSink
from kernels.device import present

BT709 = Colour(1, 1, 1, 1)
INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), BT709)
HARDWARE = ("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox")


def grain(index: int, info: StreamInfo = INFO) -> Frame:
    """Noise that is the same for the same index, so that no codec can make it small."""
    frame = Frame(flat(info.width, info.height, (90, 110, 140)), index, info.time_base, index, 0.0)
    frame.planes[0][:] = np.random.default_rng(index).integers(16, 235, frame.planes[0].shape, np.uint8)
    return frame


def encode(path: Path, encoding: Encoding = Encoding(), count: int = 8, info: StreamInfo = INFO) -> FileSink:
    sink = FileSink(str(path), info, encoding)
    for index in range(count):
        sink.write(grain(index, info))
    sink.close()
    return sink


def packets(path: Path) -> list[av.Packet]:
    with av.open(path) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv", ".avi", ".webm", ".gif", ".apng"])
def test_the_extension_chooses_the_codec(tmp_path: Path, suffix: str) -> None:
    codec = {".webm": "vp9", ".gif": "gif", ".apng": "apng"}.get(suffix, "h264")
    encode(tmp_path / f"film{suffix}")
    with av.open(tmp_path / f"film{suffix}") as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        assert len(list(container.decode(video=0))) == 8


@pytest.mark.parametrize("name", ["h265", "hevc", "HEVC", "libx265"])
def test_people_and_ffmpeg_may_name_a_codec_as_they_do(name: str) -> None:
    assert find_encoder(name).name == "libx265"


def test_hardware_that_does_not_open_is_refused_with_what_runs_everywhere(tmp_path: Path) -> None:
    refusals = {}
    for name in HARDWARE:
        if name in av.codecs_available:
            try:
                FileSink(str(tmp_path / "film.mp4"), StreamInfo(320, 240, Fraction(1, 25)), Encoding(name)).discard()
            except SinkError as error:
                refusals[name] = str(error)
    if not refusals:
        pytest.skip("every hardware encoder of this build opens here")
    assert all(name in words and "use codec h264" in words for name, words in refusals.items())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("codec", "better", "worse"), [("h264", 10, 40), ("hevc", 10, 40), ("vp9", 5, 60), ("mpeg4", 2, 31)]
)
def test_a_lower_quality_number_is_a_better_picture(tmp_path: Path, codec: str, better: int, worse: int) -> None:
    sizes = []
    for quality in (better, worse):
        encode(tmp_path / f"{quality}.mkv", Encoding(codec, quality))
        sizes.append((tmp_path / f"{quality}.mkv").stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]


def test_the_preset_reaches_the_encoder(tmp_path: Path) -> None:
    for preset in ("ultrafast", "slow"):
        encode(tmp_path / f"{preset}.mkv", Encoding(preset=preset))
    assert packets(tmp_path / "ultrafast.mkv")[0].size != packets(tmp_path / "slow.mkv")[0].size


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_nothing_is_reordered_and_a_keyframe_comes_every_two_seconds(tmp_path: Path, codec: str) -> None:
    sink = FileSink(str(tmp_path / "film.mp4"), INFO, Encoding(codec))
    for index in range(110):
        still = grain(0)
        sink.write(Frame(still.picture, index, INFO.time_base, index, 0.0))
    sink.close()
    found = packets(tmp_path / "film.mp4")
    assert [packet.pts for packet in found] == [packet.dts for packet in found]
    keys = [number for number, packet in enumerate(found) if packet.is_keyframe]
    assert keys == [0, 50, 100]


def test_how_the_source_coded_a_frame_is_no_order_to_the_encoder(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "film.mp4"), INFO)
    for index in range(6):
        frame = Frame(flat(64, 48, (90, 128, 128)), index, INFO.time_base, index, 0.0)
        frame.picture.pict_type = 1  # a keyframe, where it came from
        sink.write(frame)
    sink.close()
    assert [packet.is_keyframe for packet in packets(tmp_path / "film.mp4")] == [True] + 5 * [False]


def test_one_frame_may_go_to_several_sinks(tmp_path: Path) -> None:
    info = StreamInfo(64, 48, Fraction(1, 1000), Fraction(25), BT709)
    sinks = [FileSink(str(tmp_path / name), info) for name in ("film.avi", "film.gif", "film.mov", "film.mp4")]
    for index in range(5):
        frame = Frame(flat(64, 48, (90, 128, 128)), 37 * index, info.time_base, index, 0.0)
        for sink in sinks:
            sink.write(frame)
        assert (frame.picture.pts, frame.picture.time_base) == (37 * index, info.time_base)
    for sink in sinks:
        sink.close()
    times = [packet.pts * packet.time_base for packet in packets(tmp_path / "film.mp4") if packet.pts is not None]
    assert times == [Fraction(37 * index, 1000) for index in range(5)]


def test_what_falls_between_the_ticks_of_avi_is_left_out_and_counted(tmp_path: Path) -> None:
    info = StreamInfo(64, 48, Fraction(1, 1000), Fraction(25))
    sink = FileSink(str(tmp_path / "film.avi"), info)
    for pts in (0, 10, 40, 45, 120):
        sink.write(Frame(flat(64, 48, (90, 128, 128)), pts, info.time_base, 0, 0.0))
    assert any(note.startswith("2 frames") for note in sink.notes)
    sink.close()
    assert [packet.dts for packet in packets(tmp_path / "film.avi")] == [0, 1, 3]


@pytest.mark.parametrize("full", [False, True])
def test_a_picture_that_needs_no_conversion_is_not_copied(full: bool) -> None:
    colour = Colour(1, 2 if full else 1, 1, 1)
    frame = Frame(flat(64, 48, (90, 128, 128), "yuvj420p" if full else "yuv420p"), 0, Fraction(1, 25), 0, 0.0)
    assert Conversion(colour, colour, 48, "yuv420p", alpha=False)(frame) is frame.picture


def test_gif_keeps_the_colours(tmp_path: Path) -> None:
    info = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), BT709)
    sink = FileSink(str(tmp_path / "film.gif"), info)
    sink.write(Frame(flat(64, 48, (63, 102, 240)), 0, info.time_base, 0, 0.0))  # the red of BT.709
    sink.write(Frame(flat(64, 48, (173, 42, 26)), 1, info.time_base, 1, 0.0))  # its green
    sink.close()
    with av.open(tmp_path / "film.gif") as container:
        red, green = (picture.to_ndarray(format="rgb24")[24, 32].astype(int) for picture in container.decode(video=0))
    assert red == pytest.approx([255, 0, 0], abs=3)
    assert green == pytest.approx([0, 255, 0], abs=3)


def test_jpeg_pictures_are_turned_to_the_colours_jpeg_is_read_with(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "film.mkv"), INFO, Encoding("mjpeg"))
    sink.write(Frame(flat(64, 48, (63, 102, 240)), 0, INFO.time_base, 0, 0.0))
    sink.close()
    with av.open(tmp_path / "film.mkv") as container:
        picture = next(container.decode(video=0))
    samples = [int(plane_view(plane)[10, 10]) for plane in picture.planes]
    assert samples == [pytest.approx(76, abs=3), pytest.approx(85, abs=3), pytest.approx(255, abs=3)]  # red in JFIF


def test_webm_carries_opacity(tmp_path: Path) -> None:
    info = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), BT709, has_alpha=True)
    sink = FileSink(str(tmp_path / "film.webm"), info)
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, :32] = 0
    for index in range(2):
        sink.write(Frame(flat(64, 48, (200, 128, 128)), index, info.time_base, index, 0.0, alpha=alpha))
    sink.close()
    decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own leaves opacity out
    (picture, *_) = (picture for packet in packets(tmp_path / "film.webm") for picture in decoder.decode(packet))
    opacity = plane_view(picture.planes[3])
    assert opacity[24, 8] <= 2
    assert opacity[24, 56] >= 253


def test_a_shape_of_pixels_that_is_lost_is_said(tmp_path: Path) -> None:
    info = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), sample_aspect_ratio=Fraction(4, 3))
    assert any("not square" in note for note in encode(tmp_path / "film.webm", info=info).notes)
    assert encode(tmp_path / "film.mkv", info=info).notes == []


def test_the_usual_film_needs_no_note(tmp_path: Path) -> None:
    assert encode(tmp_path / "film.mp4").notes == []


class TestTextOfMp4:
    """Timed text, which MP4 holds and Matroska does not."""

    LINES = (b"\0\5wet  ", b"\0\6on wet")

    @pytest.fixture
    def clip(self, tmp_path: Path) -> Path:
        with av.open(write_clip(tmp_path / "bare.mp4")) as bare, av.open(tmp_path / "clip.mp4", "w") as container:
            video = container.add_stream_from_template(bare.streams.video[0], opaque=True)
            text = container.add_mux_stream("mov_text", time_base=Fraction(1, 1000))
            for packet in bare.demux(video=0):
                if packet.size:
                    packet.stream = video
                    container.mux(packet)
            for index, line in enumerate(self.LINES):
                packet = av.Packet(line)
                packet.stream, packet.time_base, packet.duration = text, Fraction(1, 1000), 100
                packet.pts = packet.dts = 100 * index
                container.mux(packet)
        return tmp_path / "clip.mp4"

    def copied(self, clip: Path, target: Path) -> FileSink:
        with av.open(clip) as source:
            sink = FileSink(
                str(target), StreamInfo(64, 48, Fraction(1, 25), Fraction(25), companions=source.streams.subtitles)
            )
            sink.write(grain(0))
            for packet in source.demux(subtitles=0):
                sink.copy(packet)
            sink.close()
        return sink

    def test_mp4_keeps_it(self, tmp_path: Path, clip: Path) -> None:
        assert self.copied(clip, tmp_path / "film.mp4").notes == []
        with av.open(tmp_path / "film.mp4") as container:
            assert [bytes(p) for p in container.demux(subtitles=0) if p.size > 2] == list(self.LINES)

    def test_matroska_leaves_it_out_and_says_what_holds_it(self, tmp_path: Path, clip: Path) -> None:
        (note,) = self.copied(clip, tmp_path / "film.mkv").notes
        assert "subtitle stream 1 (mov_text)" in note
        assert ".mov" in note or ".mp4" in note
        with av.open(tmp_path / "film.mkv") as container:
            assert [stream.type for stream in container.streams] == ["video"]


def test_a_copied_packet_shares_its_bytes_and_leaves_the_original_alone(tmp_path: Path) -> None:
    with av.open(write_clip(tmp_path / "clip.mp4", sound=True)) as source, av.open(tmp_path / "film.mkv", "w") as target:
        notes: list[str] = []
        companions = Companions(target, source.streams.audio, notes)
        originals = [packet for packet in source.demux(audio=0) if packet.size]
        copies = [companions.packet(packet) for packet in originals]
        assert len(copies) > 5
        for original, copy in zip(originals, copies, strict=True):
            assert copy is not None
            assert copy.buffer_ptr == original.buffer_ptr
            assert (copy.pts, copy.dts, copy.duration, copy.time_base) == (
                original.pts,
                original.dts,
                original.duration,
                original.time_base,
            )
            assert [bytes(data) for data in copy.iter_sidedata()] == [bytes(data) for data in original.iter_sidedata()]
            assert original.stream is source.streams.audio[0]
            assert copy.stream.container is target
        assert notes == []


class TestOnTheGpu:
    """Frames that are on the GPU that paints go to NVENC as they are; here is neither, but for what refuses."""

    @pytest.mark.skipif(present(), reason="there is a GPU here")
    def test_what_the_driver_refuses_is_the_reason(self) -> None:
        """For real."""
        codec = find_encoder("h264_nvenc")
        assert _refused(codec, INFO) == "the driver refuses (Operation not permitted)"
        assert _refused(codec, replace(INFO, has_alpha=True)) == "they have alpha"

    def test_other_encoders_take_frames_on_the_cpu_and_nothing_is_noted(self, tmp_path: Path) -> None:
        sink = encode(tmp_path / "film.mp4", Encoding("h264", on_device=True))
        assert not sink.on_device
        assert sink.notes == []

    @pytest.mark.parametrize("refused", ["", "the driver refuses"])
    def test_nvenc_is_opened_for_nv12_in_the_memory_of_the_gpu_or_else_as_ever(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
    ) -> None:
        """By an encoder on the CPU that goes by its name."""
        asked = []
        codec = SimpleNamespace(name="h264_nvenc", canonical_name="h264", video_formats=find_encoder("h264").video_formats)
        container = av.open(tmp_path / "film.mp4", "w")

        def add(name: str, rate: Fraction, hwaccel: HWAccel | None) -> av.VideoStream:
            asked.append(hwaccel)
            return container.add_stream("libx264", rate=rate)

        monkeypatch.setattr(encoding, "_refused", lambda codec, info: refused)
        monkeypatch.setattr(encoding, "_options", lambda *what: {})
        stand_in: Any = SimpleNamespace(add_stream=add, format=container.format)
        encoder = encoding.Encoder(stand_in, codec, INFO, Encoding("h264_nvenc", on_device=True))  # type: ignore[arg-type]
        assert encoder.on_device == (not refused)
        assert encoder.refused == refused
        assert encoder.stream.codec_context.pix_fmt == ("yuv420p" if refused else "nv12")
        (hwaccel,) = asked
        assert (hwaccel is None) == bool(refused)
        assert hwaccel is None or hwaccel.options == {"primary_ctx": "0", "current_ctx": "1"}
        assert len(encoder.encode(grain(0)) + encoder.flush()) == 1  # one on the CPU is taken as well

    def test_a_picture_on_the_gpu_reaches_the_encoder_itself(self) -> None:
        given = []
        encoder = object.__new__(encoding.Encoder)
        encoder.stream = SimpleNamespace(encode=lambda picture: given.append(picture) or [])  # type: ignore[assignment]
        encoder._even = encoder._convert = None  # type: ignore[assignment]
        encoder._durations, encoder._nominal = {}, 1
        picture: Any = CudaPicture(grain(0).picture, None)  # type: ignore[arg-type]
        encoder.encode(grain(3).like(picture))
        assert given == [picture]
        assert (picture.pts, picture.time_base, picture.pict_type) == (3, INFO.time_base, 0)
