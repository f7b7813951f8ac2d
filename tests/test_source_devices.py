"""Cameras and screens, without any: what is said where there is none, and how a camera comes back."""

import sys
import threading
import time
from itertools import pairwise

import av
import pytest

from engine.errors import SourceError
from engine.frame import Frame
from engine.sources import camera, open_source
from engine.sources.camera import CameraSource
from engine.sources.screen import ScreenSource


def failure(uri: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def present(monkeypatch) -> dict[int, str]:
    """The cameras that are there, to be filled; none of them opens."""
    found: dict[int, str] = {}
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(camera, "cameras", lambda: found)
    return found


class Opener:
    """Stands for `av.open` of devices: the answers in turn, of which the last stays; keeps what it was asked."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.exhausted = threading.Event()

    def __call__(self, device: str, format: str, options: dict[str, str]) -> av.container.InputContainer:
        self.asked.append((device, format, options))
        if len(self.answers) == 1:
            self.exhausted.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return OPEN(answer, format="lavfi")


OPEN = av.open
GONE = FileNotFoundError(2, "gone")
PATTERN = "testsrc2=size=64x48:rate=50:duration=0.1"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(CameraSource, "waits", (0.05,))


class TestNoCamera:
    def test_where_there_is_none_it_is_said(self, present):
        assert "there is no camera; connect one, or try a file" in failure("camera")

    @pytest.mark.parametrize("uri", ["camera:7", "camera:Nonesuch"])
    def test_one_that_is_not_there_lists_what_is(self, present, monkeypatch, uri: str):
        present.update({0: "Easel Cam", 2: "Studio Cam"})
        monkeypatch.setattr(av, "open", Opener(GONE))
        message = failure(uri)
        assert f"camera {uri[7:]} cannot be opened" in message
        assert "camera:0 is Easel Cam; camera:2 is Studio Cam" in message

    def test_one_in_use_says_so(self, present, monkeypatch):
        present[0] = "Easel Cam"
        monkeypatch.setattr(av, "open", Opener(OSError(16, "busy")))
        assert "another program is using it" in failure("camera")

    def test_one_that_may_not_be_used_says_so(self, present, monkeypatch):
        present[0] = "Easel Cam"
        opener = Opener(PermissionError(13, "denied"))
        monkeypatch.setattr(av, "open", opener)
        assert "may not be used; allow it" in failure("camera")
        assert len(opener.asked) == 1


class TestCamera:
    @pytest.mark.parametrize(
        ("uri", "device"),
        [
            ("camera", "/dev/video0"),
            ("camera:2", "/dev/video2"),
            ("camera:studio", "/dev/video2"),
            ("camera:/dev/x", "/dev/x"),
        ],
    )
    def test_it_is_found_by_number_name_and_path(self, present, monkeypatch, uri: str, device: str):
        present.update({0: "Easel Cam", 2: "Studio Cam"})
        opener = Opener(PATTERN)
        monkeypatch.setattr(av, "open", opener)
        source = open_source(uri)
        source.close()
        assert source.info.live
        assert opener.asked == [
            (device, "v4l2", {"framerate": "30", "video_size": "1280x720", "input_format": "mjpeg"}),
        ]

    def test_it_is_asked_for_less_where_more_is_refused(self, present, monkeypatch):
        present[0] = "Easel Cam"
        refused = av.error.ArgumentError(22, "no such mode")
        opener = Opener(refused, refused, refused, PATTERN)
        monkeypatch.setattr(av, "open", opener)
        source = open_source("camera", (320, 240))
        source.close()
        assert [options for _, _, options in opener.asked] == [
            {"framerate": "30", "video_size": "320x240", "input_format": "mjpeg"},
            {"framerate": "30", "video_size": "320x240"},
            {"framerate": "30"},
            {},
        ]
        assert (source.info.width, source.info.height) == (320, 240)

    @pytest.mark.usefixtures("quick")
    def test_unplugged_it_is_looked_for_until_it_is_back(self, present, monkeypatch):
        present[0] = "Easel Cam"
        opener = Opener(PATTERN, GONE, GONE, PATTERN, GONE)
        monkeypatch.setattr(av, "open", opener)
        source = open_source("camera")
        closer = threading.Thread(target=lambda: (opener.exhausted.wait(10), source.close()), daemon=True)
        closer.start()
        frames = [item for item in source if isinstance(item, Frame)]
        closer.join(5)
        times = [frame.pts for frame in frames]
        assert len(frames) == 10
        assert all(earlier < later for earlier, later in pairwise(times))
        gap = (times[5] - times[4]) * frames[0].time_base
        assert abs(float(gap) - (frames[5].captured - frames[4].captured)) <= float(frames[0].time_base)
        assert "camera 0 was lost after 5 frames (it ended); trying to open it again" in source.notes[0]
        assert source.notes[1].startswith("camera 0 is back after")

    @pytest.mark.usefixtures("present")
    def test_closing_ends_the_waiting_for_it(self, monkeypatch):
        monkeypatch.setattr(av, "open", Opener(PATTERN, GONE))
        source = open_source("camera")
        source.waits = (60.0,)  # type: ignore[attr-defined]
        reader = threading.Thread(target=lambda: list(source), daemon=True)
        reader.start()
        deadline = time.perf_counter() + 5
        while not source.notes and time.perf_counter() < deadline:
            time.sleep(0.005)
        source.close()
        reader.join(5)
        assert not reader.is_alive()


class TestScreen:
    @pytest.fixture(autouse=True)
    def linux(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def test_without_a_display_it_says_so(self):
        assert "there is no screen to read; start this on a desktop, or set DISPLAY" in failure("screen")

    def test_wayland_is_named(self, monkeypatch):
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
        assert "Wayland lets no program read it" in failure("screen")

    def test_a_display_that_does_not_answer_is_an_error(self, monkeypatch):
        monkeypatch.setenv("DISPLAY", ":99")
        assert "the screen cannot be read" in failure("screen")

    def test_it_is_live(self, monkeypatch):
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(av, "open", Opener(PATTERN))
        source = ScreenSource("screen")
        source.close()
        assert source.info.live
