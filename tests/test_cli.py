"""The program as a user meets it: right results, one clear line where it cannot, nothing left under a final name."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import onnx
import pytest
from clips import write_clip
from scenes import texture

from engine.cli import main


@pytest.fixture(autouse=True)
def _nobody_s_styles(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "My Garden.png"
    cv2.imwrite(str(path), texture(90, 70, smooth=4))
    return path


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
        (["--style", "starry-night:0,great-wave:0"], 2, "shares"),
        (["--style", __file__], 2, "not a picture"),
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


@pytest.mark.parametrize("look", ["a picture", "great-wave:0.5,starry-night:0.5"])
def test_any_picture_and_any_mixture_is_a_style(clip, picture, tmp_path, look):
    painted, report = tmp_path / "painted.mp4", tmp_path / "report.json"
    look = str(picture) if look == "a picture" else look
    assert main(["render", str(clip), str(painted), "--style", look, "--strength", "0.7", "--report", str(report)]) == 0
    found = json.loads(report.read_text())["backend"]
    assert (found["style"], found["strength"]) == (look, 0.7)


def test_styles_are_listed_and_shown(capsys):
    assert main(["styles", "list"]) == 0
    listed = capsys.readouterr().out
    assert "starry-night" in listed
    assert "your own" not in listed
    assert main(["styles", "show", "starry-night"]) == 0
    assert "Vincent van Gogh" in capsys.readouterr().out
    assert main(["styles", "show", "mona-lisa"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main(["styles", "show"])


def test_a_picture_is_kept_as_a_style_painted_with_and_forgotten(clip, picture, tmp_path, capsys):
    assert main(["styles", "add", str(picture), "--title", "The Garden", "--artist", "Me"]) == 0
    said = capsys.readouterr().out
    assert "--style my-garden" in said
    assert len(said.splitlines()) == 1
    assert main(["styles", "list"]) == 0
    assert "The Garden, Me (your own)" in capsys.readouterr().out
    picture.unlink()
    assert main(["render", str(clip), str(tmp_path / "painted.mp4"), "--style", "my-garden"]) == 0
    assert main(["styles", "remove", "my-garden"]) == 0
    capsys.readouterr()
    assert main(["styles", "show", "my-garden"]) == 2


def test_refining_asks_for_photographs_before_anything_is_kept(picture, capsys):
    assert main(["styles", "add", str(picture), "--refine", "3"]) == 2
    assert "--content" in capsys.readouterr().err
    assert main(["styles", "show", "my-garden"]) == 2


def test_the_network_of_a_mixture_is_exported_as_a_valid_model(tmp_path, capsys):
    path = tmp_path / "mixed.onnx"
    assert main(["export", str(path), "--style", "starry-night,great-wave", "--strength", "0.8"]) == 0
    onnx.checker.check_model(str(path), full_check=True)
    assert main(["export", str(path), "--style", "mona-lisa"]) == 2


def test_quantizing_what_is_no_checkpoint_is_one_line(tmp_path, capsys):
    pytest.importorskip("torch")
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    words = ["--styles", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["quantize", str(tmp_path / "x.safetensors"), *words]) == 2
    complaint = capsys.readouterr().err.strip()
    assert "not a checkpoint" in complaint
    assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["add", "nowhere.jpg"], ["add", __file__], ["remove", "starry-night"]])
def test_misuse_of_styles_is_one_line(capsys, arguments):
    assert main(["styles", *arguments]) == 2
    complaint = capsys.readouterr().err.strip()
    assert arguments[1] in complaint
    assert len(complaint.splitlines()) == 1


def test_training_without_pytorch_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "models.training.train", raising=False)
    assert main(["train", "--styles", "paintings"]) == 1
    assert capsys.readouterr().err == "allaprima: this needs torch; install it with: pip install 'allaprima[train]'\n"


def test_training_on_nothing_is_one_line(tmp_path, capsys):
    pytest.importorskip("torch")
    folder = str(tmp_path)
    assert main(["train", "--styles", folder, "--content", folder, "--out", str(tmp_path / "out.safetensors")]) == 2
    complaint = capsys.readouterr().err.strip()
    assert folder in complaint
    assert len(complaint.splitlines()) == 1


def test_evaluation_has_its_own_options_and_status(monkeypatch):
    def add_arguments(parser) -> None:
        parser.add_argument("films", nargs=2)
        parser.add_argument("--exact", action="store_true")

    def evaluate(options) -> int:
        return 7 if (options.films, options.exact) == (["a.mp4", "b.mp4"], True) else 1

    module = SimpleNamespace(add_arguments=add_arguments, evaluate=evaluate)
    monkeypatch.setitem(sys.modules, "benchmarks.evaluate", module)
    assert main(["evaluate", "a.mp4", "b.mp4", "--exact"]) == 7
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "a.mp4", "b.mp4", "--inexact"])


def test_painting_does_not_wait_for_pytorch():
    program = "import sys; from engine.cli import main; main(['render', 'nowhere.mp4', 'null']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert "nowhere.mp4" in done.stderr
    assert "'torch'" not in done.stdout
    assert "'engine.run'" in done.stdout


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
