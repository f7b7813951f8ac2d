"""Streams to a receiver on this machine, which is another process, and to servers that are not there or go away."""

import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction

import pytest
from clips import flat

from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding, Sink, open_sink

INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), live=True)
_RECEIVER = """
import sys, av
url, options = sys.argv[1], dict(pair.split("=") for pair in sys.argv[2:])
print("ready", flush=True)
with av.open(url, options=options, timeout=(10, 5)) as container:
    for number, picture in enumerate(container.decode(video=0)):
        print(picture.width, picture.height, int(picture.to_ndarray()[24, 32]), flush=True)
        if number == 2:
            break
"""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def painted(index: int, level: int = 90) -> Frame:
    return Frame(flat(64, 48, (level, 128, 128)), index, Fraction(1, 25), index, 0.0)


def opened(uri: str) -> Sink:
    """The sink, once the receiver listens."""
    for _ in range(50):
        try:
            return open_sink(uri, INFO)
        except SinkError:
            time.sleep(0.1)
    return open_sink(uri, INFO)


@pytest.mark.parametrize("scheme", ["udp", "rtmp"])
def test_a_receiver_sees_the_painting(scheme: str) -> None:
    port = free_port(socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
    uri = f"{scheme}://127.0.0.1:{port}" + ("/live/key" if scheme == "rtmp" else "")
    options = ["listen=1"] if scheme == "rtmp" else ["probesize=20000", "analyzeduration=200000"]
    command = [sys.executable, "-c", _RECEIVER, uri, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "ready\n"
            sink = opened(uri)
            for index in range(400):
                sink.write(painted(index))
                time.sleep(0.01)
                if receiver.poll() is not None:
                    break
            sink.close()
            lines = [list(map(int, line.split())) for line in receiver.stdout.read().splitlines()]
        finally:
            receiver.kill()
    assert lines == [[64, 48, pytest.approx(90, abs=2)]] * 3


@pytest.mark.parametrize("uri", ["rtmp://127.0.0.1:{}/live/secret", "rtsp://me:secret@127.0.0.1:{}/live"])
def test_a_refused_connection_is_a_line_without_the_key(uri: str) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(uri.format(free_port(socket.SOCK_STREAM)), INFO)
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["srt://127.0.0.1:9", "gopher://127.0.0.1", "udp://127.0.0.1", "rtmp:///live"])
def test_what_cannot_be_sent_to_is_refused_in_a_line(uri: str) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(uri, INFO)
    assert "\n" not in str(caught.value)


def test_a_codec_that_is_not_there_is_refused() -> None:
    with pytest.raises(SinkError, match="smoke"):
        open_sink("udp://127.0.0.1:9", INFO, Encoding("smoke"))


def test_a_lost_connection_does_not_hold_the_painter_back() -> None:
    port = free_port(socket.SOCK_STREAM)
    command = [sys.executable, "-c", _RECEIVER, f"rtmp://127.0.0.1:{port}/live/key", "listen=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "ready\n"
            sink = opened(f"rtmp://127.0.0.1:{port}/live/key")
        finally:
            receiver.kill()
    longest = 0.0
    for index in range(300):
        before = time.perf_counter()
        sink.write(painted(index))
        longest = max(longest, time.perf_counter() - before)
        time.sleep(0.005)
        if any("lost" in note for note in sink.notes) and any("did not reach" in note for note in sink.notes):
            break
    before = time.perf_counter()
    sink.close()
    assert any("lost" in note for note in sink.notes), sink.notes
    assert any("did not reach" in note for note in sink.notes), sink.notes
    assert longest < 0.5
    assert time.perf_counter() - before < 6


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    sink = open_sink("udp://127.0.0.1:9", INFO)
    sink.write(painted(0))
    sink.close()
    sink.close()
    assert threading.active_count() == before
