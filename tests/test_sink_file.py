"""Files: complete or partial, exact in time, true in colour, with everything that travels beside the picture."""

import errno
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import flat, write_clip

from engine.errors import AllaPrimaError, SinkError, UsageError
from engine.frame import Colour, Frame, StreamInfo, plane_view
from engine.sinks import Encoding, open_sink
from engine.sinks.file import FileSink

BT601, BT709 = Colour(6, 1, 6, 6), Colour(1, 1, 1, 1)
FULL709 = Colour(1, 2, 1, 1)
INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25))


def painted(
    level: int,
    pts: int,
    info: StreamInfo = INFO,
    duration: int = 0,
    alpha: np.ndarray | None = None,
) -> Frame:
    picture = flat(info.width, info.height, (level, 128, 128))
    picture.colorspace, picture.color_range = info.colour.matrix, info.colour.range
    picture.color_primaries, picture.color_trc = info.colour.primaries, info.colour.transfer
    return Frame(picture, pts, info.time_base, pts, 0.0, duration, alpha)


def deliver(
    path: Path, info: StreamInfo = INFO, levels: Sequence[int] = (40, 90, 140), codec: str | None = None
) -> FileSink:
    sink = FileSink(str(path), info, Encoding(codec))
    for index, level in enumerate(levels):
        sink.write(painted(level, index, info))
    sink.close()
    return sink


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(path) as container:
        return list(container.decode(video=0))


def luma(picture: av.VideoFrame) -> int:
    return int(plane_view(picture.planes[0])[picture.height // 2, picture.width // 2])


def refusal(path: Path | str, info: StreamInfo = INFO, encoding: Encoding = Encoding()) -> AllaPrimaError:
    with pytest.raises(AllaPrimaError) as caught:
        open_sink(str(path), info, encoding)
    assert "\n" not in str(caught.value)
    return caught.value


class TestName:
    def test_the_final_name_appears_only_when_the_file_is_complete(self, tmp_path: Path) -> None:
        sink = FileSink(str(tmp_path / "film.mp4"), INFO)
        sink.write(painted(90, 0))
        assert [path.name for path in tmp_path.iterdir()] == ["film.partial.mp4"]
        sink.close()
        assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_an_interrupted_file_keeps_its_partial_name_and_plays(self, tmp_path: Path, suffix: str) -> None:
        sink = FileSink(str(tmp_path / f"film{suffix}"), INFO)
        for index in range(3):
            sink.write(painted(90, index))
        sink.close(complete=False)
        assert [path.name for path in tmp_path.iterdir()] == [f"film.partial{suffix}"]
        assert len(decoded(tmp_path / f"film.partial{suffix}")) == 3

    @pytest.mark.parametrize("complete", [True, False])
    def test_without_a_frame_nothing_is_left(self, tmp_path: Path, complete: bool) -> None:
        FileSink(str(tmp_path / "film.mp4"), INFO).close(complete)
        assert list(tmp_path.iterdir()) == []

    def test_discarding_leaves_nothing(self, tmp_path: Path) -> None:
        sink = FileSink(str(tmp_path / "film.mp4"), INFO)
        sink.write(painted(90, 0))
        sink.discard()
        assert list(tmp_path.iterdir()) == []

    def test_discarding_after_the_end_keeps_the_complete_file(self, tmp_path: Path) -> None:
        sink = deliver(tmp_path / "film.mp4")
        sink.discard()
        assert (tmp_path / "film.mp4").exists()

    def test_an_older_file_survives_a_discarded_run(self, tmp_path: Path) -> None:
        older = tmp_path / "film.mp4"
        older.write_bytes(b"older")
        sink = FileSink(str(older), INFO)
        sink.write(painted(90, 0))
        sink.discard()
        assert older.read_bytes() == b"older"

    def test_an_older_file_is_replaced_by_a_complete_one(self, tmp_path: Path) -> None:
        older = tmp_path / "film.mp4"
        older.write_bytes(b"older")
        deliver(older)
        assert len(decoded(older)) == 3

    def test_closing_twice_is_closing_once(self, tmp_path: Path) -> None:
        deliver(tmp_path / "film.mp4").close()
        assert len(decoded(tmp_path / "film.mp4")) == 3

    def test_a_colon_or_percent_in_the_name_is_no_protocol_and_no_pattern(self, tmp_path: Path) -> None:
        deliver(tmp_path / "take: 50%d.mkv")
        assert (tmp_path / "take: 50%d.mkv").is_file()


class TestRefusal:
    @pytest.mark.parametrize(
        ("name", "words"),
        [("film.xyz", ".xyz"), ("film", "extension"), ("nowhere/film.mp4", "does not exist"), ("film.wav", "no video")],
    )
    def test_a_name_that_cannot_be_written_is_refused(self, tmp_path: Path, name: str, words: str) -> None:
        assert words in str(refusal(tmp_path / name))
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_called_like_a_film_is_not_written_over(self, tmp_path: Path) -> None:
        (tmp_path / "film.mp4").mkdir()
        with pytest.raises(SinkError, match="folder"):
            FileSink(str(tmp_path / "film.mp4"), INFO)
        assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_is_read_only_is_named(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        assert "cannot be written" in str(refusal(tmp_path / "film.mp4"))

    @pytest.mark.parametrize(
        ("name", "encoding", "words"),
        [
            ("film.mp4", Encoding("smoke"), "smoke"),
            ("film.mp4", Encoding("aac"), "not video"),
            ("film.webm", Encoding("h264"), "does not hold h264"),
            ("film.mp4", Encoding(preset="smoke"), "preset 'smoke'"),
            ("film.mp4", Encoding(quality=99), "quality from 0 to 51"),
            ("film.mkv", Encoding("ffv1", preset="fast"), "no presets"),
        ],
    )
    def test_what_the_encoder_cannot_do_is_refused_and_leaves_nothing(
        self, tmp_path: Path, name: str, encoding: Encoding, words: str
    ) -> None:
        assert words in str(refusal(tmp_path / name, INFO, encoding))
        assert list(tmp_path.iterdir()) == []

    def test_a_quality_out_of_range_is_a_misuse(self, tmp_path: Path) -> None:
        assert isinstance(refusal(tmp_path / "film.mp4", INFO, Encoding(quality=-1)), UsageError)

    def test_an_older_file_survives_a_refusal(self, tmp_path: Path) -> None:
        (tmp_path / "film.mp4").write_bytes(b"older")
        refusal(tmp_path / "film.mp4", INFO, Encoding("smoke"))
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"]


class TestFullDisk:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
    def test_a_full_disk_is_called_full(self, tmp_path: Path) -> None:
        (tmp_path / "film.partial.mkv").symlink_to("/dev/full")
        noise = np.random.default_rng(1)
        with pytest.raises(SinkError, match=r"disk of .* is full"):  # noqa: PT012 - sooner or later, as buffers fill
            sink = FileSink(str(tmp_path / "film.mkv"), INFO, Encoding("ffv1"))
            for index in range(30):
                frame = painted(40, index)
                frame.planes[0][:] = noise.integers(0, 255, (48, 64), np.uint8)
                sink.write(frame)
            sink.close()
        assert not (tmp_path / "film.mkv").exists()

    def test_a_disk_that_fills_up_while_it_is_written_is_called_full(self, tmp_path: Path) -> None:
        class Full:
            def mux(self, packets: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        sink = FileSink(str(tmp_path / "film.mkv"), INFO)
        whole, sink._container = sink._container, Full()  # type: ignore[assignment]
        with pytest.raises(SinkError, match="is full; free some space"):
            sink.write(painted(40, 0))
        sink._container = whole
        sink.discard()
        assert list(tmp_path.iterdir()) == []


class TestTime:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    @pytest.mark.parametrize(
        ("time_base", "rate", "pts"),
        [
            (Fraction(1, 1000), None, [0, 7, 50, 51, 400]),
            (Fraction(1, 1000), Fraction(25), [3_600_000, 3_600_040, 3_600_080]),
            (Fraction(1, 90000), None, [900_000, 903_600, 990_000]),
        ],
        ids=["variable", "an hour late", "transport clock"],
    )
    def test_every_frame_keeps_its_instant(
        self, tmp_path: Path, suffix: str, time_base: Fraction, rate: Fraction | None, pts: list[int]
    ) -> None:
        info = StreamInfo(64, 48, time_base, rate)
        path = tmp_path / f"film{suffix}"
        sink = FileSink(str(path), info)
        for number in pts:
            sink.write(painted(90, number, info))
        sink.close()
        tolerance = Fraction(1, 2000) if suffix == ".mkv" else 0  # Matroska counts in milliseconds
        instants = [picture.pts * picture.time_base for picture in decoded(path) if picture.pts is not None]
        assert len(instants) == len(pts)
        assert all(abs(got - number * time_base) <= tolerance for got, number in zip(instants, pts, strict=True))

    def test_thirty_thousand_over_a_thousand_and_one_stays_exact(self, tmp_path: Path) -> None:
        rate = Fraction(30000, 1001)
        info = StreamInfo(64, 48, 1 / rate, rate)
        deliver(tmp_path / "film.mp4", info, [40] * 30)
        assert [picture.pts * picture.time_base for picture in decoded(tmp_path / "film.mp4")] == [
            i / rate for i in range(30)
        ]
        with av.open(tmp_path / "film.mp4") as container:
            assert container.streams.video[0].average_rate == rate

    def test_the_last_frame_is_shown_as_long_as_it_is_to_be(self, tmp_path: Path) -> None:
        info = StreamInfo(64, 48, Fraction(1, 1000))
        sink = FileSink(str(tmp_path / "film.mp4"), info)
        sink.write(painted(40, 0, info, duration=40))
        sink.write(painted(90, 40, info, duration=700))
        sink.close()
        with av.open(tmp_path / "film.mp4") as container:
            stream = container.streams.video[0]
            assert stream.duration is not None
            assert stream.duration * stream.time_base == Fraction(74, 100)


class TestColour:
    # codec, extension, how far a lossy codec may be off, does it state the full range
    CODECS = (
        ("h264", ".mp4", 1, True),
        ("hevc", ".mp4", 1, True),
        ("vp9", ".webm", 1, True),
        ("av1", ".mkv", 1, True),
        ("ffv1", ".mkv", 0, True),
    )

    @pytest.fixture(params=CODECS, ids=lambda case: case[0])
    def case(self, request: pytest.FixtureRequest) -> tuple[str, str, int, bool]:
        try:
            av.Codec(
                {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}.get(
                    request.param[0], "ffv1"
                ),
                "w",
            )
        except av.codec.codec.UnknownCodecError:
            pytest.skip("this build of FFmpeg lacks it")
        return request.param

    @pytest.mark.parametrize("colour", [BT601, BT709, FULL709], ids=["601", "709", "full"])
    def test_tags_come_back_and_black_and_white_are_not_washed_out(
        self, tmp_path: Path, case: tuple[str, str, int, bool], colour: Colour
    ) -> None:
        codec, suffix, off, _ = case
        info = StreamInfo(64, 64, Fraction(1, 25), Fraction(25), colour)
        black, white = (0, 255) if colour.full_range else (16, 235)
        deliver(tmp_path / f"film{suffix}", info, [black, white], codec)
        first, second = decoded(tmp_path / f"film{suffix}")
        assert (first.colorspace, first.color_range, first.color_primaries, first.color_trc) == (
            colour.matrix,
            colour.range,
            colour.primaries,
            colour.transfer,
        )
        assert luma(first) == pytest.approx(black, abs=off)
        assert luma(second) == pytest.approx(white, abs=off)

    @pytest.mark.parametrize("colour", [BT709, FULL709], ids=["limited", "full"])
    def test_prores_is_limited_range_whatever_came(self, tmp_path: Path, colour: Colour) -> None:
        info = StreamInfo(64, 64, Fraction(1, 25), Fraction(25), colour)
        black, white = (0, 255) if colour.full_range else (16, 235)
        deliver(tmp_path / "film.mov", info, [black, white], "prores")
        tops = [int(picture.to_ndarray().flat[0]) for picture in decoded(tmp_path / "film.mov")]
        assert tops == [pytest.approx(64, abs=4), pytest.approx(940, abs=4)]

    def test_what_is_not_said_is_not_made_up(self, tmp_path: Path) -> None:
        deliver(tmp_path / "film.mp4")
        picture = decoded(tmp_path / "film.mp4")[0]
        assert (picture.colorspace, picture.color_primaries, picture.color_trc) == (2, 2, 2)


class TestShape:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_oblong_pixels_stay_oblong(self, tmp_path: Path, suffix: str) -> None:
        info = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), sample_aspect_ratio=Fraction(64, 45))
        deliver(tmp_path / f"film{suffix}", info)
        with av.open(tmp_path / f"film{suffix}") as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(64, 45)

    @pytest.mark.parametrize("codec", ["h264", "hevc", "prores", "ffv1"])
    @pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48)])
    def test_an_odd_size_grows_to_an_even_one_by_its_last_line(
        self, tmp_path: Path, codec: str, size: tuple[int, int]
    ) -> None:
        info = StreamInfo(*size, Fraction(1, 25), Fraction(25))
        sink = deliver(tmp_path / "film.mov" if codec == "prores" else tmp_path / "film.mkv", info, [140], codec)
        (path,) = tmp_path.iterdir()
        (picture,) = decoded(path)
        assert (picture.width, picture.height) == (64, 48)
        rows = plane_view(picture.reformat(format="yuv420p").planes[0])
        assert rows[47, 63] == pytest.approx(140, abs=2)
        assert any("64x48" in note for note in sink.notes)

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
    def test_a_single_pixel_is_a_film_too(self, tmp_path: Path, suffix: str) -> None:
        deliver(tmp_path / f"film{suffix}", StreamInfo(1, 1, Fraction(1, 25), Fraction(25)))
        assert luma(decoded(tmp_path / f"film{suffix}")[0]) == pytest.approx(40, abs=3)

    def test_opacity_grows_along(self, tmp_path: Path) -> None:
        info = StreamInfo(63, 47, Fraction(1, 25), Fraction(25), has_alpha=True)
        sink = FileSink(str(tmp_path / "film.mkv"), info, Encoding("ffv1"))
        sink.write(painted(140, 0, info, alpha=np.full((47, 63), 77, np.uint8)))
        sink.close()
        assert (plane_view(decoded(tmp_path / "film.mkv")[0].planes[3]) == 77).all()

    @pytest.mark.parametrize("size", [(63, 47), (1, 1)])
    def test_webm_takes_odd_sizes(self, tmp_path: Path, size: tuple[int, int]) -> None:
        deliver(tmp_path / "film.webm", StreamInfo(*size, Fraction(1, 25), Fraction(25)))
        picture = decoded(tmp_path / "film.webm")[0]
        assert (picture.width, picture.height) == size


class TestAlpha:
    @staticmethod
    def half() -> np.ndarray:
        alpha = np.full((48, 64), 255, np.uint8)
        alpha[:, :32] = 0
        return alpha

    def deliver(self, path: Path, codec: str | None) -> av.VideoFrame:
        info = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), BT709, has_alpha=True)
        sink = FileSink(str(path), info, Encoding(codec))
        sink.write(painted(200, 0, info, alpha=self.half()))
        sink.write(painted(200, 1, info))
        sink.close()
        return decoded(path)[0]

    @pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("prores", ".mov")])
    def test_opacity_goes_where_it_fits(self, tmp_path: Path, codec: str, suffix: str) -> None:
        opacity = self.deliver(tmp_path / f"film{suffix}", codec).reformat(format="yuva444p").planes[3]
        rows = plane_view(opacity)
        assert rows[24, 8] <= 1
        assert rows[24, 56] >= 254

    def test_elsewhere_the_painting_stands_before_black(self, tmp_path: Path) -> None:
        rows = plane_view(self.deliver(tmp_path / "film.mp4", "h264").planes[0])
        assert rows[24, 8] == pytest.approx(16, abs=2)
        assert rows[24, 56] == pytest.approx(200, abs=2)


class TestBeside:
    @pytest.fixture
    def clip(self, tmp_path: Path) -> Iterator[av.container.InputContainer]:
        chapters = [{"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "alla prima"}}]
        metadata = {"title": "Wheat"}
        path = write_clip(tmp_path / "source.mkv", sound=True, subtitles=True, metadata=metadata, chapters=chapters)
        with av.open(path) as container:
            yield container

    @staticmethod
    def info(clip: av.container.InputContainer) -> StreamInfo:
        companions = (*clip.streams.audio, *clip.streams.subtitles)
        return StreamInfo(
            64,
            48,
            Fraction(1, 25),
            Fraction(25),
            metadata=dict(clip.metadata),
            chapters=clip.chapters(),
            companions=companions,
        )

    @staticmethod
    def pour(clip: av.container.InputContainer, sinks: Sequence[FileSink]) -> None:
        count = 0
        for packet in clip.demux():
            if packet.stream.type != "video":
                for sink in sinks:
                    sink.copy(packet)
            elif packet.pts is not None:
                for sink in sinks:
                    sink.write(painted(90, count))
                count += 1
        for sink in sinks:
            sink.close()

    @staticmethod
    def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
        with av.open(path) as container:
            streams = [stream for stream in container.streams if stream.type == kind]
            return [(p.pts * p.time_base, bytes(p)) for p in container.demux(streams) if p.pts is not None and p.size]

    def test_sound_and_subtitles_are_copied_byte_for_byte_at_their_instants(
        self, tmp_path: Path, clip: av.container.InputContainer
    ) -> None:
        self.pour(clip, [FileSink(str(tmp_path / "film.mkv"), self.info(clip))])
        for kind in ("audio", "subtitle"):
            assert self.packets(tmp_path / "film.mkv", kind) == self.packets(tmp_path / "source.mkv", kind) != []

    def test_two_sinks_fed_the_same_things_are_both_right(self, tmp_path: Path, clip: av.container.InputContainer) -> None:
        info = self.info(clip)
        self.pour(clip, [FileSink(str(tmp_path / name), info) for name in ("a.mkv", "b.mov")])
        sound = self.packets(tmp_path / "source.mkv", "audio")
        assert self.packets(tmp_path / "a.mkv", "audio") == sound
        assert b"".join(data for _, data in self.packets(tmp_path / "b.mov", "audio")) == b"".join(data for _, data in sound)
        assert [len(decoded(tmp_path / name)) for name in ("a.mkv", "b.mov")] == [10, 10]

    def test_aac_stays_in_sync_in_mp4(self, tmp_path: Path) -> None:
        with av.open(write_clip(tmp_path / "source.mp4", sound=True)) as clip:
            self.pour(clip, [FileSink(str(tmp_path / "film.mp4"), self.info(clip))])
        assert self.packets(tmp_path / "film.mp4", "audio") == self.packets(tmp_path / "source.mp4", "audio") != []

    def test_what_the_container_cannot_hold_is_named_with_one_that_can(
        self, tmp_path: Path, clip: av.container.InputContainer
    ) -> None:
        sink = FileSink(str(tmp_path / "film.webm"), self.info(clip))
        sink.discard()
        assert any("audio" in note and "pcm_s16le" in note and ".mkv" in note for note in sink.notes)

    def test_title_and_chapters_come_along(self, tmp_path: Path, clip: av.container.InputContainer) -> None:
        for suffix in (".mkv", ".mp4"):
            path = tmp_path / f"film{suffix}"
            sink = FileSink(str(path), self.info(clip))
            sink.write(painted(90, 0))
            sink.close()
            with av.open(path) as container:
                assert container.metadata.get("title") == "Wheat"
                (chapter,) = container.chapters()
                assert chapter["metadata"]["title"] == "alla prima"
                assert (chapter["start"] * chapter["time_base"], chapter["end"] * chapter["time_base"]) == (
                    0,
                    Fraction(1, 5),
                )
