"""Video files: every frame once, in its time, with its own colours, whatever the container and however damaged."""

import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import (
    RAMP,
    corners,
    failure,
    flat,
    frames_of,
    joined,
    levels,
    lumas,
    ramp,
    read_all,
    restamped,
    sound_only,
    write_clip,
)

from engine.frame import BT601, BT709, FULL, LIMITED, UNSPECIFIED, Colour, Frame
from engine.sources import open_source
from engine.sources.decoding import Decoded, Decoder
from engine.sources.file import FileSource

LOSSLESS = {"qp": "0"}  # libx264
RED = (200, 30, 60)  # R'G'B'
RED_709 = (75, 124, 201)  # the same in BT.709, limited range
MILLISECOND = Fraction(1, 1000)


def near(frame: Frame, wanted: tuple[int, ...], tolerance: int = 1) -> bool:
    """Whether all samples of each plane are close to its value; bringing down 10 bits to 8 dithers by one step."""
    return all((abs(plane.astype(int) - want) <= tolerance).all() for plane, want in zip(frame.planes, wanted, strict=True))


class TestTime:
    def test_every_frame_comes_once_and_in_order(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv", ramp(20))))
        frames, _ = read_all(source)
        assert lumas(frames) == list(RAMP[:20])
        assert [frame.pts for frame in frames] == [40 * i for i in range(20)]
        assert {frame.time_base for frame in frames} == {MILLISECOND}
        assert [frame.index for frame in frames] == list(range(20))
        assert source.info.frames == 20
        assert not source.info.live
        assert source.notes == []

    def test_reordered_frames_come_in_the_order_they_are_shown(self, tmp_path: Path):
        options = LOSSLESS | {"bf": "3", "b-adapt": "0"}
        frames = frames_of(write_clip(tmp_path / "a.mp4", ramp(20), options=options))
        assert lumas(frames) == list(RAMP[:20])
        assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in range(20)]

    def test_a_broken_rate_stays_a_fraction(self, tmp_path: Path):
        rate = Fraction(30000, 1001)
        source = FileSource(str(write_clip(tmp_path / "a.mp4", rate=rate)))
        frames, _ = read_all(source)
        assert source.info.rate == rate
        assert source.info.time_base == Fraction(1, 30000)
        assert [frame.pts for frame in frames] == [1001 * i for i in range(10)]
        assert {frame.duration for frame in frames} == {1001}

    def test_a_rate_that_varies_is_kept_exactly(self, tmp_path: Path):
        times = [0, 7, 100, 101, 350, 1000]
        clip = write_clip(tmp_path / "a.mkv", ramp(6), pts=times, time_base=MILLISECOND)
        source = FileSource(str(clip))
        assert [frame.pts for frame in read_all(source)[0]] == times
        assert source.notes == []

    def test_a_first_timestamp_other_than_zero_is_kept(self, tmp_path: Path):
        clip = restamped(write_clip(tmp_path / "a.mkv", ramp(3)), tmp_path / "b.mkv", [500, 540, 580])
        assert [frame.pts for frame in frames_of(clip)] == [500, 540, 580]

    def test_frames_say_when_they_arrived(self, tmp_path: Path):
        before = time.perf_counter()
        arrivals = [frame.captured for frame in frames_of(write_clip(tmp_path / "a.mkv"))]
        assert before < arrivals[0]
        assert arrivals == sorted(arrivals)
        assert arrivals[-1] < time.perf_counter()

    def test_missing_timestamps_are_set_from_the_rate(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.h264", ramp(8), options=LOSSLESS | {"bf": "0"})))
        frames, _ = read_all(source)
        assert source.info.rate == 25
        times = [frame.pts * frame.time_base for frame in frames]
        assert [later - earlier for earlier, later in pairwise(times)] == [Fraction(1, 25)] * 7
        assert len(source.notes) == 1
        assert "timestamps were missing" in source.notes[0]

    @pytest.mark.parametrize(
        ("given", "wanted", "repaired"),
        [
            ([0, 0, 0, 0, 0], [0, 40, 80, 120, 160], "4 timestamps were"),
            ([0, 40, 20, 120, 160], [0, 40, 80, 120, 160], "1 timestamp was"),
            ([0, 40, 40, 120, 120], [0, 40, 80, 120, 160], "2 timestamps were"),
            ([1000, 1040, 0, 40, 80], [1000, 1040, 1080, 1120, 1160], "1 timestamp was"),
        ],
        ids=["zero", "one backward", "repeated", "clock starts again"],
    )
    def test_timestamps_that_do_not_rise_are_repaired_with_one_note(self, tmp_path, given, wanted, repaired):
        clip = write_clip(tmp_path / "a.mkv", ramp(5), rate=25)
        source = FileSource(str(restamped(clip, tmp_path / "b.mkv", given)))
        frames, _ = read_all(source)
        assert lumas(frames) == list(RAMP[:5])
        assert [frame.pts for frame in frames] == wanted
        assert len(source.notes) == 1
        assert source.notes[0].startswith(repaired)

    def test_joined_recordings_follow_each_other_in_time_with_their_sound(self, tmp_path: Path):
        part = write_clip(tmp_path / "a.ts", ramp(10), sound=True, options={"bf": "0"})
        frames, packets = read_all(FileSource(str(joined(tmp_path / "b.ts", part, part))))
        assert len(frames) == 20
        times = [frame.pts for frame in frames]
        assert all(earlier < later for earlier, later in pairwise(times))
        sounds = [packet.dts for packet in packets]
        assert sounds == sorted(sounds)
        assert len(packets) >= 30  # of 40: what comes before the first frames of the new clock has no place yet
        assert abs(times[-1] * frames[-1].time_base - sounds[-1] * packets[-1].time_base) < Fraction(1, 20)


class TestPixels:
    @pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p"])
    def test_8_bit_420_is_not_copied(self, tmp_path: Path, monkeypatch, pix_fmt: str):
        decoded = []
        read = Decoder.read

        def recording(self):
            items = read(self)
            decoded.extend(item.picture.planes[0].buffer_ptr for item in items or () if isinstance(item, Decoded))
            return items

        monkeypatch.setattr(Decoder, "read", recording)
        pictures = [flat(64, 48, (50, 60, 70), pix_fmt)] * 3
        frames = frames_of(write_clip(tmp_path / "a.mkv", pictures, codec="mjpeg" if "j" in pix_fmt else "ffv1"))
        assert [frame.picture.planes[0].buffer_ptr for frame in frames] == decoded
        for plane, view in zip(frames[0].picture.planes, frames[0].planes, strict=True):
            assert view.__array_interface__["data"][0] == plane.buffer_ptr

    @pytest.mark.parametrize(
        ("pix_fmt", "stored", "wanted"),
        [
            ("yuv420p10le", (400, 480, 600), (100, 120, 150)),
            ("yuv422p10le", (64, 512, 940), (16, 128, 235)),
            ("yuv420p16le", (100 << 8, 120 << 8, 150 << 8), (100, 120, 150)),
            ("yuv444p", (100, 60, 200), (100, 60, 200)),
            ("yuv422p", (30, 90, 220), (30, 90, 220)),
            ("yuv410p", (30, 90, 220), (30, 90, 220)),
        ],
    )
    def test_other_depths_and_samplings_keep_their_values(self, tmp_path: Path, pix_fmt, stored, wanted):
        frame, *_ = frames_of(write_clip(tmp_path / "a.mkv", [flat(64, 48, stored, pix_fmt)]))
        assert frame.picture.format.name == "yuv420p"
        assert near(frame, wanted)

    def test_grey_is_full_range_with_its_values(self, tmp_path: Path):
        frame, *_ = frames_of(write_clip(tmp_path / "a.mkv", [flat(64, 48, (7,), "gray")]))
        assert levels(frame) == (7, 128, 128)
        assert frame.picture.color_range == FULL

    @pytest.mark.parametrize("span", [LIMITED, FULL])
    def test_grey_of_a_known_range_keeps_both(self, tmp_path: Path, span: int):
        clip = write_clip(tmp_path / "a.mkv", [flat(64, 48, (235,), "gray")], colour=Colour(range=span))
        frame, *_ = frames_of(clip)
        assert levels(frame) == (235, 128, 128)
        assert frame.picture.color_range == span

    @pytest.mark.parametrize("matrix", [8, 10, 14], ids=["YCgCo", "bt2020c", "ICtCp"])
    def test_a_matrix_that_the_scaler_does_not_know_is_kept(self, tmp_path: Path, matrix: int):
        clip = write_clip(tmp_path / "a.mkv", [flat(64, 48, (60, 90, 200), "yuv444p")], colour=Colour(matrix, LIMITED))
        source = FileSource(str(clip))
        (frame,), _ = read_all(source)
        assert levels(frame) == (60, 90, 200)
        assert frame.picture.colorspace == source.info.colour.matrix == matrix

    @pytest.mark.parametrize(("pix_fmt", "codec"), [("yuvj420p", "mjpeg"), ("yuvj422p", "mjpeg"), ("yuvj444p", "mjpeg")])
    def test_full_range_stays_full_range(self, tmp_path: Path, pix_fmt: str, codec: str):
        clip = write_clip(tmp_path / "a.mkv", [flat(64, 48, (250, 100, 160), pix_fmt)], codec=codec)
        source = FileSource(str(clip))
        (frame,), _ = read_all(source)
        assert near(frame, (250, 100, 160))
        assert frame.picture.color_range == source.info.colour.range == FULL

    @pytest.mark.parametrize(
        "colour",
        [Colour(BT709, LIMITED, 1, 1), Colour(BT601, LIMITED, 6, 6), Colour(BT709, FULL, 1, 13), Colour(9, LIMITED, 9, 16)],
        ids=["bt709", "bt601", "full", "bt2020"],
    )
    @pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
    @pytest.mark.parametrize("size", [None, (32, 24)])
    def test_colour_tags_are_kept_with_the_values(self, tmp_path: Path, colour, pix_fmt, size):
        factor = 4 if "10" in pix_fmt else 1
        picture = flat(64, 48, tuple(factor * level for level in (60, 90, 200)), pix_fmt)
        source = FileSource(str(write_clip(tmp_path / "a.mkv", [picture], colour=colour)), size)
        (frame,), _ = read_all(source)
        shown = frame.picture
        assert near(frame, (60, 90, 200))
        assert source.info.colour == colour
        assert Colour(shown.colorspace, shown.color_range, shown.color_primaries, shown.color_trc) == colour

    def test_colours_of_which_nothing_is_said_stay_unspecified(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv")))
        assert source.info.colour == Colour(UNSPECIFIED, 0, UNSPECIFIED, UNSPECIFIED)

    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt", "stored"),
        [("a.mkv", "ffv1", "bgr0", (*RED[::-1], 0)), ("a.mov", "png", "rgb24", RED), ("a.mov", "qtrle", "rgb24", RED)],
    )
    def test_rgb_becomes_limited_bt709(self, tmp_path: Path, name, codec, pix_fmt, stored):
        source = FileSource(str(write_clip(tmp_path / name, [flat(64, 48, stored, pix_fmt)], codec=codec)))
        (frame,), _ = read_all(source)
        assert near(frame, RED_709)
        assert source.info.colour.matrix == frame.picture.colorspace == BT709
        assert source.info.colour.range == frame.picture.color_range == LIMITED
        assert not source.info.has_alpha
        assert frame.alpha is None

    @pytest.mark.parametrize("size", [None, (32, 24)])
    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt", "stored", "wanted"),
        [
            ("a.mov", "png", "rgba", (*RED, 77), RED_709),
            ("a.mov", "qtrle", "argb", (77, *RED), RED_709),
            ("a.mkv", "ffv1", "yuva420p", (60, 90, 200, 77), (60, 90, 200)),
            ("a.mkv", "ffv1", "yuva444p10le", (240, 360, 800, 308), (60, 90, 200)),
            ("a.webm", "libvpx-vp9", "yuva420p", (60, 90, 200, 77), (60, 90, 200)),
        ],
    )
    def test_alpha_is_read_apart(self, tmp_path: Path, name, codec, pix_fmt, stored, wanted, size):
        source = FileSource(str(write_clip(tmp_path / name, [flat(64, 48, stored, pix_fmt)] * 2, codec=codec)), size)
        frames, _ = read_all(source)
        assert source.info.has_alpha
        assert len(frames) == 2
        for frame in frames:
            assert near(frame, wanted, 2)
            assert frame.alpha is not None
            assert frame.alpha.dtype == np.uint8
            assert frame.alpha.shape == (frame.height, frame.width) == ((24, 32) if size else (48, 64))
            assert (abs(frame.alpha.astype(int) - 77) <= 1).all()


class TestShape:
    @pytest.mark.parametrize("rotation", [90, 180, 270])
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_rotation_is_applied_to_pixels_and_size(self, tmp_path: Path, rotation: int, mirrored: bool):
        stored = corners(64, 48)
        luma = np.frombuffer(stored.planes[0], np.uint8).reshape(48, -1)[:, :64].copy()
        upright = np.rot90(luma, rotation // 90)[:, :: -1 if mirrored else 1]
        clip = write_clip(tmp_path / "a.mp4", [stored], rotation=rotation, mirrored=mirrored, options=LOSSLESS)
        source = FileSource(str(clip))
        (frame,), _ = read_all(source)
        assert (source.info.width, source.info.height) == (frame.width, frame.height) == upright.shape[::-1]
        assert np.array_equal(frame.planes[0], upright)

    def test_rotated_alpha_turns_with_the_picture(self, tmp_path: Path):
        picture = flat(64, 48, (255, *RED), "argb")
        np.frombuffer(picture.planes[0], np.uint8).reshape(48, -1)[:24, :256:4] = 0  # the upper half is clear
        frame, *_ = frames_of(write_clip(tmp_path / "a.mov", [picture], rotation=90))
        assert frame.alpha is not None
        assert frame.alpha.shape == (64, 48)
        assert (frame.alpha[:, :24] == 0).all()
        assert (frame.alpha[:, 24:] == 255).all()

    def test_a_rotated_clip_is_rescaled_to_the_size_as_shown(self, tmp_path: Path):
        clip = write_clip(tmp_path / "a.mp4", [corners(64, 48)], rotation=90, options=LOSSLESS)
        source = FileSource(str(clip), (24, 32))
        (frame,), _ = read_all(source)
        assert (source.info.width, source.info.height) == (frame.width, frame.height) == (24, 32)
        assert source.info.sample_aspect_ratio == 1
        assert [int(frame.planes[0][y, x]) for y, x in [(2, 2), (2, 20), (28, 2), (28, 20)]] == [90, 190, 40, 140]

    @pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 3), (63, 47), (64, 1)])
    def test_odd_sizes_are_read_whole(self, tmp_path: Path, size):
        frame, *_ = frames_of(write_clip(tmp_path / "a.y4m", [flat(*size, (60, 90, 200))]))
        assert (frame.width, frame.height) == size
        assert [plane.shape for plane in frame.planes] == [size[::-1], *[(-(-size[1] // 2), -(-size[0] // 2))] * 2]
        assert levels(frame) == (60, 90, 200)

    def test_another_size_is_rescaled_to_and_keeps_the_shape_of_the_picture(self, tmp_path: Path):
        clip = write_clip(tmp_path / "a.mkv", [corners(64, 48)])
        source = FileSource(str(clip), (32, 48))
        (frame,), _ = read_all(source)
        assert (source.info.width, source.info.height) == (frame.width, frame.height) == (32, 48)
        assert source.info.sample_aspect_ratio == 2
        assert [int(frame.planes[0][y, x]) for y, x in [(4, 4), (4, 28), (44, 4), (44, 28)]] == [40, 90, 140, 190]

    @pytest.mark.parametrize(("rotation", "wanted"), [(0, Fraction(4, 3)), (90, Fraction(3, 4))])
    def test_the_aspect_of_the_pixels_is_known_upright(self, tmp_path: Path, rotation: int, wanted: Fraction):
        clip = write_clip(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3), rotation=rotation)
        assert FileSource(str(clip)).info.sample_aspect_ratio == wanted

    def test_a_size_that_changes_on_the_way_is_rescaled_with_a_note(self, tmp_path: Path):
        small = write_clip(tmp_path / "a.ts", ramp(5), options={"bf": "0"})
        large = write_clip(tmp_path / "b.ts", ramp(5, (128, 96)), options={"bf": "0"})
        source = FileSource(str(joined(tmp_path / "c.ts", small, large)))
        frames, _ = read_all(source)
        assert len(frames) == 10
        assert {(frame.width, frame.height) for frame in frames} == {(64, 48)}
        assert "the picture changes from 64x48 to 128x96 at frame 5; it is rescaled to 64x48" in source.notes


class TestCompanions:
    def test_metadata_and_chapters_are_known(self, tmp_path: Path):
        chapters = [
            {"id": 1, "start": 0, "end": 200, "time_base": MILLISECOND, "metadata": {"title": "ground"}},
            {"id": 2, "start": 200, "end": 400, "time_base": MILLISECOND, "metadata": {"title": "glaze"}},
        ]
        info = FileSource(str(write_clip(tmp_path / "a.mkv", metadata={"title": "Still life"}, chapters=chapters))).info
        assert info.metadata["title"] == "Still life"
        spans = [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"]) for c in info.chapters]
        assert spans == [(0, Fraction(1, 5), "ground"), (Fraction(1, 5), Fraction(2, 5), "glaze")]

    @pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.avi", "a.mov"])
    def test_sound_is_passed_on_byte_for_byte(self, tmp_path: Path, name: str):
        kind = {"codec": "mpeg4"} if name in ("a.avi", "a.mov") else {}
        clip = write_clip(tmp_path / name, sound=True, **kind)
        with av.open(clip) as container:
            stored = [(p.pts, p.dts, bytes(p)) for p in container.demux(audio=0) if p.dts is not None]
        source = FileSource(str(clip))
        frames, packets = read_all(source)
        assert [stream.type for stream in source.info.companions] == ["audio"]
        assert len(frames) == 10
        assert {packet.stream_index for packet in packets} == {source.info.companions[0].index}
        assert [(p.pts, p.dts, bytes(p)) for p in packets] == stored

    def test_subtitles_and_attachments_are_companions(self, tmp_path: Path):
        clip = write_clip(tmp_path / "a.mkv", sound=True, subtitles=True, attachment=b"a font")
        source = FileSource(str(clip))
        _, packets = read_all(source)
        kinds = {stream.index: stream.type for stream in source.info.companions}
        assert sorted(kinds.values()) == ["attachment", "audio", "subtitle"]
        assert [bytes(p) for p in packets if kinds[p.stream_index] == "subtitle"] == [b"wet on wet"]

    def test_packets_may_be_used_after_the_source_is_closed(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv", sound=True)))
        _, packets = read_all(source)
        source.close()
        assert sum(packet.size for packet in packets) == int(0.4 * 48_000) * 2
        assert source.info.companions[0].codec_context.sample_rate == 48_000

    def test_a_cover_picture_is_not_taken_for_the_video(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mp4", cover=True, sound=True, options=LOSSLESS)))
        frames, packets = read_all(source)
        assert (source.info.width, source.info.height) == (64, 48)
        assert lumas(frames) == list(RAMP[:10])
        assert [stream.type for stream in source.info.companions] == ["audio"]
        assert {packet.stream_index for packet in packets} == {source.info.companions[0].index}

    def test_sound_with_nothing_but_a_cover_picture_has_no_video(self, tmp_path: Path):
        with av.open(sound_only(tmp_path / "song.mp4", cover=True)) as song:
            assert len(song.streams.video) == 1
        assert "song.mp4': there is no video in it, only audio" in failure(str(tmp_path / "song.mp4"))


class TestNamesAndClosing:
    @pytest.mark.parametrize("name", ["a b.mkv", "100%d.mkv", "a:b.mkv", "it's.mkv", "日本.mkv", "a?b#c.mkv", "[1]*.mkv"])
    def test_names_with_odd_characters_are_read(self, tmp_path: Path, name: str):
        assert len(read_all(open_source(str(write_clip(tmp_path / "a.mkv").rename(tmp_path / name))))[0]) == 10

    def test_a_file_url_is_a_file(self, tmp_path: Path):
        assert len(read_all(open_source(write_clip(tmp_path / "a b.mkv").as_uri().replace("%20", " ")))[0]) == 10

    def test_closing_from_another_thread_ends_the_iteration(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv", ramp(30))))
        seen = 0
        for _ in source:
            seen += 1
            if seen == 3:
                closer = threading.Thread(target=source.close)
                closer.start()
                closer.join(5)
                assert not closer.is_alive()
        assert seen == 3

    def test_closing_early_and_twice_is_harmless(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv")))
        source.close()
        source.close()
        assert list(source) == []

    def test_frames_outlive_their_source(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mkv")))
        frames, _ = read_all(source)
        source.close()
        del source
        assert lumas(frames) == list(RAMP[:10])
