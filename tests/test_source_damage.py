"""Damaged video files: painted as far as they go and counted, or refused in one line."""

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from clips import (
    cut_off,
    damage,
    failure,
    flat,
    frames_of,
    ramp,
    read_all,
    sound_only,
    write_clip,
)

from engine.errors import SourceError
from engine.sources.file import FileSource


class TestDamage:
    @pytest.mark.parametrize(
        ("wrong", "note"),
        [([4], "1 corrupt packet skipped"), ([2, 5, 6], "3 corrupt packets skipped")],
        ids=["one", "three"],
    )
    def test_corrupt_packets_are_passed_over_and_counted(self, tmp_path: Path, wrong: list[int], note: str):
        clip = write_clip(tmp_path / "a.mov", codec="png", pictures=[flat(64, 48, (9, 9, i), "rgb24") for i in range(10)])
        source = FileSource(str(damage(clip, tmp_path / "b.mov", wrong)))
        frames, _ = read_all(source)
        assert [frame.pts * frame.time_base * 25 for frame in frames] == [i for i in range(10) if i not in wrong]
        assert [frame.index for frame in frames] == list(range(10 - len(wrong)))
        assert source.notes == [note]

    def test_a_first_packet_that_is_corrupt_is_passed_over(self, tmp_path: Path):
        clip = write_clip(tmp_path / "a.mov", codec="png", pictures=[flat(64, 48, (9, 9, i), "rgb24") for i in range(4)])
        frames = frames_of(damage(clip, tmp_path / "b.mov", [0]))
        assert [frame.pts * frame.time_base * 25 for frame in frames] == [1, 2, 3]

    def test_nothing_but_corrupt_packets_is_an_error(self, tmp_path: Path):
        clip = write_clip(tmp_path / "a.mov", codec="png", pictures=[flat(64, 48, (9, 9, 9), "rgb24")] * 3)
        message = failure(str(damage(clip, tmp_path / "b.mov", range(3))))
        assert "b.mov" in message
        assert "damaged" in message

    @pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
    def test_a_recording_cut_off_is_read_as_far_as_it_goes(self, tmp_path: Path, name: str):
        noise = np.random.default_rng(0)
        pictures = [av.VideoFrame.from_ndarray(noise.integers(0, 255, (72, 64), np.uint8), "yuv420p") for _ in range(20)]
        clip = write_clip(tmp_path / name, pictures, options={"bf": "0"} if name == "a.ts" else {})
        frames = frames_of(cut_off(clip, tmp_path / f"cut-{name}", 0.5))
        assert 5 <= len(frames) <= 14
        assert np.array_equal(frames[3].planes[0][:48, :64], frames_of(clip)[3].planes[0])

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
    def test_an_mp4_without_its_whole_index_is_an_error_that_says_cut_off(self, tmp_path: Path, share: float):
        message = failure(str(cut_off(write_clip(tmp_path / "a.mp4", ramp(40)), tmp_path / "cut.mp4", share)))
        assert "cut.mp4" in message
        assert "cut off" in message
        assert "record it again" in message

    @pytest.mark.parametrize("share", [0.6, 0.9])
    def test_an_mp4_that_ends_before_its_index_says_so(self, tmp_path: Path, share: float):
        options = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container_options": {"movflags": "faststart"}}
        whole = write_clip(tmp_path / "a.mov", ramp(40), **options)
        source = FileSource(str(cut_off(whole, tmp_path / "cut.mov", share)))
        frames, _ = read_all(source)
        assert 5 < len(frames) < 38
        assert source.info.frames == 40
        missing = int(source.notes[-1].split("is cut off: ")[1].split(" frames at its end are missing")[0])
        assert len(frames) + missing in (39, 40)  # the one that was cut in two is corrupt

    def test_an_mp4_that_is_whole_misses_nothing(self, tmp_path: Path):
        source = FileSource(str(write_clip(tmp_path / "a.mp4", ramp(40), options={"bf": "3"})))
        assert len(read_all(source)[0]) == 40
        assert source.notes == []

    def test_an_empty_file_is_an_error(self, tmp_path: Path):
        (tmp_path / "none.mp4").touch()
        assert "none.mp4' is empty; copy or record it again" in failure(str(tmp_path / "none.mp4"))

    def test_text_by_the_name_of_a_video_is_an_error(self, tmp_path: Path):
        (tmp_path / "text.mp4").write_text("Dear diary, today I painted.\n" * 50)
        message = failure(str(tmp_path / "text.mp4"))
        assert "text.mp4' is not a video" in message
        assert "choose another file" in message

    def test_a_file_without_video_is_an_error(self, tmp_path: Path):
        message = failure(str(sound_only(tmp_path / "sound.mkv")))
        assert "sound.mkv" in message
        assert "no video in it, only audio; choose" in message

    def test_a_missing_file_is_an_error(self, tmp_path: Path):
        assert "gone.mp4' does not exist; check the name" in failure(str(tmp_path / "gone.mp4"))

    def test_a_folder_named_like_a_video_is_an_error(self, tmp_path: Path):
        (tmp_path / "folder.mp4").mkdir()
        with pytest.raises(SourceError, match=r"folder.mp4' is a folder; name a video file"):
            FileSource(str(tmp_path / "folder.mp4"))

    def test_a_folder_without_pictures_is_an_error(self, tmp_path: Path):
        message = failure(str(tmp_path))
        assert f"no picture in the folder '{tmp_path}'" in message
        assert "png" in message

    def test_a_file_that_may_not_be_read_is_an_error(self, tmp_path: Path):
        clip = write_clip(tmp_path / "locked.mkv")
        clip.chmod(0)
        if os.access(clip, os.R_OK):
            pytest.skip("this user may read everything")
        assert "locked.mkv' may not be read; change its permissions" in failure(str(clip))

    def test_a_pipe_that_brings_no_video_is_an_error(self, tmp_path: Path):
        pipe = tmp_path / "pipe.mp4"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=("no video" * 99,), daemon=True)
        writer.start()
        caught: list[str] = []
        reader = threading.Thread(target=lambda: caught.append(failure(str(pipe))), daemon=True)
        reader.start()
        reader.join(5)
        assert caught
        assert "pipe.mp4" in caught[0]
