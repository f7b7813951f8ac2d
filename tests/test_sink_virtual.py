"""A camera for other programs, against a backend made here."""

import sys
import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from clips import flat

from engine.errors import SinkError
from engine.frame import Colour, Frame, StreamInfo
from engine.sinks import open_sink

INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), Colour(1, 1))


def painted(level: int = 90, alpha: np.ndarray | None = None) -> Frame:
    return Frame(flat(64, 48, (level, 100, 150)), 0, Fraction(1, 25), 0, 0.0, alpha=alpha)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match=r"pip install 'allaprima\[camera\]'"):
        open_sink("virtual", INFO)


class TestBackend:
    sent: list[bytes]
    twice: threading.Event
    broken: bool

    @pytest.fixture(autouse=True)
    def _backend(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pyvirtualcam = pytest.importorskip("pyvirtualcam")
        camera = pytest.importorskip("pyvirtualcam.camera")
        self.sent, self.twice, self.broken = [], threading.Event(), False
        test = self

        class Backend:
            def __init__(self, width: int, height: int, fps: float, fourcc: int, device: str | None, **more: Any) -> None:
                if device == "absent":
                    raise RuntimeError("no such\ndevice")

            def close(self) -> None:
                pass

            def send(self, frame: np.ndarray) -> None:
                if test.broken:
                    raise RuntimeError("unplugged")
                test.sent.append(np.array(frame).tobytes())
                if len(test.sent) > 1:
                    test.twice.set()

            def device(self) -> str:
                return "/dev/fake"

            def native_fourcc(self) -> int | None:
                return None

        monkeypatch.setattr(camera, "BACKENDS", {})
        pyvirtualcam.register_backend("fake", Backend)

    def test_the_camera_gets_the_three_planes_one_after_another(self) -> None:
        sink = open_sink("virtual", INFO)
        sink.write(painted())
        sink.close()
        assert self.sent[0] == bytes([90]) * (64 * 48) + bytes([100]) * (32 * 24) + bytes([150]) * (32 * 24)
        assert any("/dev/fake" in note for note in sink.notes)

    def test_the_last_frame_is_sent_again_while_the_next_is_late(self) -> None:
        sink = open_sink("virtual", INFO)
        sink.write(painted())
        assert self.twice.wait(5)
        sink.close()
        assert len(set(self.sent)) == 1

    def test_nothing_is_sent_before_the_first_frame_or_after_the_end(self) -> None:
        sink = open_sink("virtual", INFO)
        assert not self.twice.wait(0.2)
        assert self.sent == []
        sink.close()
        sink.close()
        assert self.sent == []

    def test_opacity_becomes_black(self) -> None:
        sink = open_sink("virtual", INFO)
        sink.write(painted(alpha=np.zeros((48, 64), np.uint8)))
        sink.close()
        assert set(self.sent[0][: 64 * 48]) == {16}

    def test_a_device_that_goes_away_is_said(self) -> None:
        sink = open_sink("virtual", INFO)
        self.broken = True
        with pytest.raises(SinkError, match="unplugged"):
            sink.write(painted())
        sink.close()

    def test_a_device_that_is_not_there_is_a_line_of_advice(self) -> None:
        with pytest.raises(SinkError, match=r"no virtual camera \(.*no such device.*\); ") as caught:
            open_sink("virtual:absent", INFO)
        assert "\n" not in str(caught.value)

    def test_an_odd_size_is_refused_with_one_that_fits(self) -> None:
        with pytest.raises(SinkError, match="--size 62x46"):
            open_sink("virtual", StreamInfo(63, 47, Fraction(1, 25)))
