"""Uncompressed video on standard output."""

import io
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import flat

from engine.errors import SinkClosed, SinkError
from engine.frame import Colour, Frame, StreamInfo, plane_views
from engine.sinks import Sink, open_sink


class Piped:
    """Standard output as a pipe, which a thread empties."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, writing = os.pipe()
        self.stdout = os.fdopen(writing, "w")
        monkeypatch.setattr(sys, "stdout", self.stdout)
        self.data = b""
        self.thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while block := os.read(self.reading, 1 << 16):
            self.data += block

    def finish(self, sink: Sink) -> bytes:
        sink.close()
        self.stdout.close()
        self.thread.join(5)
        return self.data


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1)])
def test_samples_come_out_as_they_went_in(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    piped = Piped(monkeypatch)
    piped.thread.start()
    info = StreamInfo(*size, Fraction(1001, 30000), Fraction(30000, 1001), sample_aspect_ratio=Fraction(16, 15))
    sink = open_sink("-", info)
    noise = np.random.default_rng(1)
    frames = [Frame(flat(*size, (0, 0, 0)), index, info.time_base, index, 0.0) for index in range(3)]
    for frame in frames:
        for plane in frame.planes:
            plane[:] = noise.integers(0, 255, plane.shape, np.uint8)
        sink.write(frame)
    with av.open(io.BytesIO(piped.finish(sink)), format="yuv4mpegpipe") as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.sample_aspect_ratio == Fraction(16, 15)
        pictures = list(container.decode(stream))
    assert len(pictures) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, plane_views(picture), strict=True))


def test_full_range_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Piped(monkeypatch)
    piped.thread.start()
    sink = open_sink("-", StreamInfo(16, 16, Fraction(1, 25), Fraction(25), Colour(1, 2)))
    sink.write(Frame(flat(16, 16, (255, 128, 128)), 0, Fraction(1, 25), 0, 0.0))
    with av.open(io.BytesIO(piped.finish(sink)), format="yuv4mpegpipe") as container:
        assert next(container.decode(video=0)).color_range == 2


def test_opacity_becomes_black(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Piped(monkeypatch)
    piped.thread.start()
    sink = open_sink("-", StreamInfo(16, 16, Fraction(1, 25), Fraction(25), has_alpha=True))
    sink.write(Frame(flat(16, 16, (200, 90, 90)), 0, Fraction(1, 25), 0, 0.0, alpha=np.zeros((16, 16), np.uint8)))
    frame = piped.finish(sink).partition(b"FRAME\n")[2]
    assert set(frame[:256]) == {16}
    assert set(frame[256:]) == {128}


def test_an_unknown_rate_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Piped(monkeypatch)
    piped.thread.start()
    sink = open_sink("-", StreamInfo(16, 16, Fraction(1, 1000)))
    assert any("rate is unknown" in note for note in sink.notes)
    assert b"F30:1" in piped.finish(sink)


def test_a_reader_that_ends_is_a_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Piped(monkeypatch)
    sink = open_sink("-", StreamInfo(64, 48, Fraction(1, 25), Fraction(25)))
    os.close(piped.reading)
    with pytest.raises(SinkClosed):
        sink.write(Frame(flat(64, 48, (90, 128, 128)), 0, Fraction(1, 25), 0, 0.0))
    sink.close()


def test_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(SinkError, match="is a terminal"):
        open_sink("-", StreamInfo(16, 16, Fraction(1, 25)))


def test_another_process_receives_nothing_but_video() -> None:
    program = (
        "from fractions import Fraction as F\n"
        "from clips import ramp\n"
        "from engine.frame import Frame, StreamInfo\n"
        "from engine.sinks import open_sink\n"
        "sink = open_sink('-', StreamInfo(64, 48, F(1, 25), F(25)))\n"
        "for i, picture in enumerate(ramp(3)): sink.write(Frame(picture, i, F(1, 25), i, 0.0))\n"
        "sink.close()\n"
    )
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment, timeout=30)
    with av.open(io.BytesIO(done.stdout), format="yuv4mpegpipe") as container:
        assert [int(picture.to_ndarray()[0, 0]) for picture in container.decode(video=0)] == [40, 44, 48]
