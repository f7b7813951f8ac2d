"""Several files are painted into a folder: one after another, or together on a GPU (the stand-in of `cuda_on_cpu`)."""

import io
import json
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from cuda_on_cpu import open_device
from nvdec import Nvdec
from tint import Tint, stylizer_of

from engine import run, several
from engine.cli import main
from engine.errors import SinkError
from engine.progress import progress_of_several
from engine.report import Report
from engine.sinks.file import FileSink
from engine.sources.scene import SceneSource
from engine.stylizers import Painting
from kernels.gpu_group import GpuGroup

SIZE = (64, 48)


def film(path: Path, seconds: float = 0.2, **more: Any) -> Path:
    """A moving scene, cut half-way, lossless and with sound."""
    pictures = [frame.picture for frame in SceneSource(f"scene:{SIZE[0]}x{SIZE[1]},{seconds:g},25,cut")]
    return write_clip(path, pictures, sound=True, **more)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of 8, 5 and 11 frames."""
    folder = tmp_path_factory.mktemp("films")
    return [film(folder / f"{name}.mkv", count / 25) for name, count in (("one", 8), ("two", 5), ("three", 11))]


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def sound_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0) if packet.size)


def render(*words: object) -> int:
    return main(["render", *map(str, words)])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestOneAfterAnother:
    def test_each_keeps_its_name_its_frames_and_its_sound(self, films, tmp_path, capsys):
        folder, report = tmp_path / "all" / "painted", tmp_path / "report.json"
        assert render(films[0], films[1], "--report", report, f"{folder}/") == 0  # a word behind an option is one too
        assert names_in(folder) == ["one.mkv", "two.mkv"]
        for path in films[:2]:
            before, after = frames_of(path), frames_of(folder / path.name)
            assert len(after) == len(before)
            assert not np.array_equal(before, after)
            assert sound_of(folder / path.name) == sound_of(path)
        found = json.loads(report.read_text())["files"]
        assert {name: each["frames"]["written"] for name, each in found.items()} == {"one.mkv": 8, "two.mkv": 5}
        said = capsys.readouterr().err
        assert "one.mkv (1 of 2)" in said
        assert "two.mkv (2 of 2)" in said

    @pytest.mark.parametrize("broken", ["missing", "text", "a folder"])
    def test_one_that_fails_does_not_stop_the_others(self, films, tmp_path, capsys, broken):
        bad = tmp_path / "broken.mkv"
        if broken == "text":
            bad.write_text("this is not a film\n" * 100)
        elif broken == "a folder":
            bad.mkdir()
        folder = tmp_path / "painted"
        folder.mkdir()
        assert render(bad, films[1], folder) == 1
        assert names_in(folder) == ["two.mkv"]
        complaints = [line for line in capsys.readouterr().err.splitlines() if "broken.mkv" in line]
        assert len(complaints) == 2  # which it is, and what is wrong with it

    @pytest.mark.parametrize(
        ("outputs", "says"),
        [
            (["films/one.mkv", "other/one.mkv", "painted/"], "two inputs are called"),
            (["films/one.mkv", "other/one.mkv"], ""),
        ],
    )
    def test_the_same_name_twice_is_refused_before_anything_is_made(self, tmp_path, monkeypatch, capsys, outputs, says):
        monkeypatch.chdir(tmp_path)
        for name in ("films", "other"):
            (tmp_path / name).mkdir()
            film(tmp_path / name / "one.mkv", 0.04)
        if says:
            assert render(*outputs) == 2
            complaint = capsys.readouterr().err.strip()
            assert says in complaint
            assert len(complaint.splitlines()) == 1
            assert not (tmp_path / "painted").exists()
        else:  # two words are an input and an output, as ever
            assert render(*outputs) == 0

    def test_no_input_is_painted_over(self, films, tmp_path, capsys):
        copies = [film(tmp_path / path.name, 0.04) for path in films[:2]]
        before = [path.read_bytes() for path in copies]
        assert render(*copies, f"{tmp_path}/") == 2
        assert "an input itself" in capsys.readouterr().err
        assert [path.read_bytes() for path in copies] == before
        assert names_in(tmp_path) == ["one.mkv", "two.mkv"]

    @pytest.mark.parametrize("folder", ["nowhere", "file.mkv", "file.mkv/"])
    def test_what_is_no_folder_is_one_line(self, films, tmp_path, capsys, folder):
        (tmp_path / "file.mkv").write_bytes(b"")
        assert main(["render", *map(str, films), f"{tmp_path}/{folder}"]) == 2
        complaint = capsys.readouterr().err.strip()
        assert "go into a folder" in complaint
        assert len(complaint.splitlines()) == 1
        assert names_in(tmp_path) == ["file.mkv"]

    def test_an_unknown_style_is_said_once(self, films, tmp_path, capsys):
        assert render(*films, f"{tmp_path}/", "--style", "mona-lisa") == 2
        assert capsys.readouterr().err.count("mona-lisa") == 1

    def test_control_c_keeps_what_is_painted_and_begins_no_other(self, films, tmp_path, monkeypatch):
        @contextmanager
        def pressing(info: Any) -> Any:
            yield lambda report: signal.raise_signal(signal.SIGINT) if report.written == 3 else None

        monkeypatch.setattr(run, "progress_of", pressing)
        assert render(films[2], films[0], f"{tmp_path}/") == 130
        assert names_in(tmp_path) == ["three.partial.mkv"]
        assert 3 <= len(frames_of(tmp_path / "three.partial.mkv")) < 11


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device("cpu", tmp_path_factory)


class Engine(Tint):
    """That of `tint`, which breaks once it has painted so many pictures, or has no room for as many as it should."""

    def __init__(self, lasts: int = 10**9, room: int = 10**9):
        super().__init__()
        self.lasts, self.room = lasts, room
        self.sizes: list[int] = []

    def network(self, device: Any, count: int = 1) -> Tint:
        if count > self.room:
            raise MemoryError("out of memory")
        return super().network(device, count)

    def run(self, tiles: np.ndarray, painted: np.ndarray) -> None:
        self.sizes.append(len(tiles))
        self.breaks = sum(self.sizes) > self.lasts
        super().run(tiles, painted)


@pytest.fixture
def on_a_gpu(device, monkeypatch) -> Callable[[Engine], None]:
    """Lets the stand-in paint, two films at once."""

    def begin(engine: Engine) -> None:
        def opened(options: Any, info: Any, library: Any, controls: Any) -> Painting:
            stylizer = stylizer_of(device, (info.width, info.height), engine, int(controls.style))
            return Painting(stylizer, stylizer.facts)

        monkeypatch.setattr(several, "fitting", lambda: ["cuda", "openvino"])
        monkeypatch.setattr(several, "TOGETHER", 2)
        for module in (run, several):
            monkeypatch.setattr(module, "open_painting", opened)

    return begin


def render_tinted(*words: object) -> int:
    return render(*words, "--style", "200")


def test_each_of_several_has_a_bar_until_it_has_ended(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    one, two = Report(started=0.0, written=3), Report(started=0.0, written=4)
    with progress_of_several() as bar:
        shows = [bar("one.mkv", 8), bar("two.mkv", None)]
        for show, report in zip(shows, (one, two), strict=True):
            show(report)
        one.ended = 1.0
        shows[0](one)
        shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    last = sys.stderr.getvalue()[len(shown) :]  # type: ignore[attr-defined]
    assert "one.mkv" not in last
    assert "two.mkv" in last


class TestTogetherOnAGpu:
    def test_each_is_painted_as_alone_and_the_next_takes_the_place_of_one_that_ends(self, films, tmp_path, on_a_gpu):
        engine, report = Engine(), tmp_path / "report.json"
        on_a_gpu(engine)
        assert render_tinted(*films, f"{tmp_path}/together/", "--report", report) == 0
        sizes = list(engine.sizes)
        for path in films:
            assert render_tinted(path, tmp_path / path.name) == 0
            expected, found = (frames_of(folder / path.name) for folder in (tmp_path, tmp_path / "together"))
            np.testing.assert_array_equal(found, expected)
            assert sound_of(tmp_path / "together" / path.name) == sound_of(path)
        # 8 and 5 frames begin; the 11 follow on the 5; 3 are with the last of the 8, and 8 by themselves
        assert sizes == [2] * 8 + [1] * 8
        files = json.loads(report.read_text())["files"]
        assert {name: each["frames"]["written"] for name, each in files.items()} == {
            "one.mkv": 8,
            "two.mkv": 5,
            "three.mkv": 11,
        }
        assert [each["frames"]["cuts"] for each in files.values()] == [1] * 3
        assert [each["fallbacks"] for each in files.values()] == [[]] * 3

    def test_one_that_fails_does_not_stop_the_others(self, films, tmp_path, on_a_gpu, capsys):
        on_a_gpu(Engine())
        bad = tmp_path / "broken.mkv"
        bad.write_text("this is not a film\n" * 100)
        odd = film(tmp_path / "odd.mkv", 0.08)
        odd = odd.rename(tmp_path / "odd.txt")  # can be read, but no such file can be written
        assert render_tinted(films[0], bad, odd, films[1], f"{tmp_path}/painted/") == 1
        assert names_in(tmp_path / "painted") == ["one.mkv", "two.mkv"]
        assert [len(frames_of(tmp_path / "painted" / path.name)) for path in films[:2]] == [8, 5]
        said = capsys.readouterr().err
        assert "broken.mkv" in said
        assert ".txt" in said

    def test_a_file_that_cannot_be_written_to_its_end_fails_alone(self, films, tmp_path, on_a_gpu, monkeypatch, capsys):
        on_a_gpu(Engine())
        write = FileSink.write

        def full(self: FileSink, frame: Any) -> None:
            if self._final.name == "one.mkv" and frame.index == 3:
                raise SinkError("the disk is full")
            write(self, frame)

        monkeypatch.setattr(FileSink, "write", full)
        assert render_tinted(*films, f"{tmp_path}/") == 1
        assert names_in(tmp_path) == ["three.mkv", "two.mkv"]
        assert [len(frames_of(tmp_path / name)) for name in ("three.mkv", "two.mkv")] == [11, 5]
        assert "one.mkv: the disk is full" in capsys.readouterr().err

    def test_a_device_that_breaks_loses_no_frame_and_is_named(self, films, tmp_path, on_a_gpu):
        on_a_gpu(Engine(lasts=12))
        assert render_tinted(*films, f"{tmp_path}/", "--report", tmp_path / "report.json") == 0
        counts = [len(frames_of(tmp_path / path.name)) for path in films]
        assert counts == [8, 5, 11]
        for path in films:
            assert not any(map(np.array_equal, frames_of(tmp_path / path.name), frames_of(path)))
        files = json.loads((tmp_path / "report.json").read_text())["files"]
        reason = "gpu broke (an illegal memory access was encountered)"
        assert all(each["fallbacks"] == [reason] for each in files.values())
        assert all(f"{reason}; cpu paints on" in each["notes"] for each in files.values())

    def test_without_room_for_all_at_once_they_are_painted_in_turn(self, films, tmp_path, on_a_gpu):
        engine = Engine(room=1)
        on_a_gpu(engine)
        assert render_tinted(*films, f"{tmp_path}/", "--report", tmp_path / "report.json") == 0
        assert engine.sizes == [1] * 24
        files = json.loads((tmp_path / "report.json").read_text())["files"]
        assert all(any("out of memory" in note for note in each["notes"]) for each in files.values())

    def test_control_c_keeps_what_is_painted_and_begins_no_other(self, films, tmp_path, on_a_gpu, monkeypatch):
        on_a_gpu(Engine())
        submit, rounds = GpuGroup.submit, []

        def pressing(self: GpuGroup, *given: Any) -> None:
            submit(self, *given)
            rounds.append(given)
            if len(rounds) == 4:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(GpuGroup, "submit", pressing)
        assert render_tinted(*films, f"{tmp_path}/") == 130
        assert names_in(tmp_path) == ["one.partial.mkv", "two.partial.mkv"]
        assert [len(frames_of(tmp_path / name)) for name in names_in(tmp_path)] == [4, 4]

    def test_files_of_other_sizes_are_painted_by_themselves(self, films, tmp_path, on_a_gpu):
        engine = Engine()
        on_a_gpu(engine)
        pictures = [frame.picture for frame in SceneSource("scene:32x48,0.2,25")]
        small = write_clip(tmp_path / "small.mkv", pictures, sound=True)
        assert render_tinted(films[0], small, films[1], f"{tmp_path}/painted/") == 0
        assert names_in(tmp_path / "painted") == ["one.mkv", "small.mkv", "two.mkv"]
        assert engine.sizes == [2] * 5 + [1] * 3 + [1] * 5

    @pytest.mark.parametrize("lasts", [10**9, 5], ids=["whole", "broken"])
    def test_what_the_gpu_decodes_it_paints_as_what_the_cpu_decodes(self, tmp_path, on_a_gpu, monkeypatch, lasts):
        films = [film(tmp_path / f"{count}.mp4", count / 25, codec="libx264") for count in (2, 4)]
        on_a_gpu(Engine(lasts))
        assert render_tinted(*films, f"{tmp_path}/cpu/") == 0
        gpu = Nvdec(monkeypatch)
        on_a_gpu(Engine(lasts))
        assert render_tinted(*films, f"{tmp_path}/gpu/", "--report", tmp_path / "report.json") == 0
        assert gpu.decoded >= 6
        assert (gpu.downloads == 0) == (lasts > 5)
        for path in films:
            found, expected = (frames_of(tmp_path / folder / path.name) for folder in ("gpu", "cpu"))
            np.testing.assert_array_equal(found, expected)
            assert sound_of(tmp_path / "gpu" / path.name) == sound_of(path)
        files = json.loads((tmp_path / "report.json").read_text())["files"]
        assert not any("decoded on the CPU" in note for each in files.values() for note in each["notes"])
