"""The program as a user meets it: right results, one clear line where it cannot, nothing left under a final name."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from clips import write_clip

from engine.cli import main


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", sound=True)


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_a_film_is_painted_with_every_frame_and_its_sound(clip, tmp_path):
    painted, report = tmp_path / "painted.mp4", tmp_path / "report.json"
    assert main(["render", str(clip), str(painted), "--report", str(report)]) == 0
    before, after = frames_of(clip), frames_of(painted)
    assert [frame.time for frame in after] == pytest.approx([frame.time for frame in before])
    assert sound_of(painted) == sound_of(clip)
    found = json.loads(report.read_text())
    assert found["frames"]["written"] == found["frames"]["read"] == len(before)
    assert found["backend"]["backend"] == "openvino"
    assert found["fallbacks"] == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["painted.mp4", "report.json"]


def test_at_strength_nought_the_picture_is_the_camera_s(clip, tmp_path):
    painted = tmp_path / "painted.mkv"
    assert main(["render", str(clip), str(painted), "--strength", "0", "--codec", "ffv1"]) == 0
    for before, after in zip(frames_of(clip), frames_of(painted), strict=True):
        assert (before.to_ndarray() == after.to_ndarray()).all()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--style", "mona-lisa"], 2, "starry-night"),
        (["--strength", "1.5"], 2, "strength"),
        (["--consistency", "-1"], 2, "consistency"),
        (["--size", "big"], 2, "1280x720"),
        (["--backend", "abacus"], 2, "openvino"),
        (["--codec", "no-such-codec"], 1, "no-such-codec"),
    ],
)
def test_misuse_is_one_line_and_leaves_nothing(clip, tmp_path, capsys, arguments, status, says):
    assert main(["render", str(clip), str(tmp_path / "painted.mp4"), *arguments]) == status
    complaint = capsys.readouterr().err.strip()
    assert says in complaint
    assert len(complaint.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["missing", "empty", "text", "truncated", "sound only"])
def test_a_broken_input_is_one_line_and_leaves_nothing(clip, tmp_path, capsys, content):
    broken, folder = tmp_path / "broken.mp4", tmp_path / "out"
    folder.mkdir()
    if content == "empty":
        broken.write_bytes(b"")
    elif content == "text":
        broken.write_text("this is not a film\n" * 100)
    elif content == "truncated":
        broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    elif content == "sound only":
        from clips import sound_only

        broken = sound_only(tmp_path / "sound.mp4")
    assert main(["render", str(broken), str(folder / "painted.mp4")]) == 1
    complaint = capsys.readouterr().err.strip()
    assert broken.name in complaint
    assert len(complaint.splitlines()) == 1
    assert list(folder.iterdir()) == []


def test_the_input_is_never_overwritten(clip, capsys):
    before = clip.read_bytes()
    assert main(["render", str(clip), str(clip)]) == 2
    assert "input itself" in capsys.readouterr().err
    assert main(["render", str(clip), str(clip.parent / "." / clip.name)]) == 2
    assert clip.read_bytes() == before


def test_an_output_folder_that_is_not_there_is_one_line(clip, tmp_path, capsys):
    assert main(["render", str(clip), str(tmp_path / "nowhere" / "painted.mp4")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_when_painting_fails_half_way_an_older_painting_of_that_name_survives(clip, tmp_path, monkeypatch, capsys):
    painted = tmp_path / "painted.mp4"
    painted.write_bytes(b"an older painting")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.temporal.step", fail)
    assert main(["render", str(clip), str(painted)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert painted.read_bytes() == b"an older painting"
    assert [path.name for path in tmp_path.iterdir()] == ["painted.mp4"]


def test_styles_are_listed_and_shown(capsys):
    assert main(["styles", "list"]) == 0
    listed = capsys.readouterr().out
    assert "starry-night" in listed
    assert main(["styles", "show", "starry-night"]) == 0
    assert "Vincent van Gogh" in capsys.readouterr().out
    assert main(["styles", "show", "mona-lisa"]) == 2
    assert main(["styles", "show"]) == 2


def test_the_doctor_says_what_is_there_and_what_to_install(capsys):
    assert main(["doctor"]) == 0
    found = capsys.readouterr().out
    assert "openvino 20" in found
    assert "styles" in found


def test_live_plays_a_file_in_real_time_into_several_sinks(clip, tmp_path):
    painted, report = tmp_path / "painted.mp4", tmp_path / "report.json"
    arguments = ["live", "--source", str(clip), "--sink", str(painted), "--sink", "null", "--report", str(report)]
    assert main(arguments) == 0
    found = json.loads(report.read_text())
    assert found["frames"]["written"] + found["frames"]["dropped"] == found["frames"]["read"] == len(frames_of(clip))
    last = frames_of(clip)[-1].time
    assert found["seconds"] > 0.8 * last


@pytest.mark.parametrize(
    ("arguments", "status", "left"),
    [
        (["-m", "engine.cli", "render", "lavfi:testsrc2=size=320x240:rate=25"], 130, "painted.partial.mp4"),
        (["run_live.py", "--source", "lavfi:testsrc2=size=320x240:rate=25,realtime", "--sink"], 0, "painted.mp4"),
    ],
)
def test_control_c_ends_with_a_file_that_plays(tmp_path, arguments, status, left):
    painted = tmp_path / "painted.mp4"
    process = subprocess.Popen(
        [sys.executable, *arguments, str(painted)],
        cwd=Path(__file__).parent.parent,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": "."},
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(path.stat().st_size > 50_000 for path in tmp_path.iterdir()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == status, complaint
    assert "Traceback" not in complaint
    assert [path.name for path in tmp_path.iterdir()] == [left]
    assert len(frames_of(tmp_path / left)) > 1
