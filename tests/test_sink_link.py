"""The connection of a network sink: its own process, silent servers, coming back, sound beside the picture."""

import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from clips import flat, write_clip

from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.sinks import link, network
from engine.sinks.link import Link
from engine.sinks.network import NetworkSink

INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), live=True)
_SERVER = """
import json, sys, zlib, av
url, count = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
seen = {"video": [], "audio": []}
with av.open(url, options={"listen": "1"}, timeout=(20, 10)) as container:
    for packet in container.demux():
        if packet.size:
            facts = [float(packet.pts * packet.time_base), zlib.crc32(bytes(packet)), packet.is_keyframe]
            seen[packet.stream.type].append(facts)
        if len(seen["video"]) >= count:
            break
print(json.dumps(seen))
"""


@dataclass
class Server:
    process: subprocess.Popen[str]

    def ended(self) -> bool:
        return self.process.poll() is not None

    def seen(self) -> dict[str, list]:
        """By kind of stream, for every packet: [seconds, CRC, keyframe]. Waits for the end."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.read())


@contextmanager
def server(uri: str, count: int) -> Iterator[Server]:
    """One that takes `count` pictures and hangs up."""
    command = [sys.executable, "-c", _SERVER, uri, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield Server(process)
        finally:
            process.kill()


def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"rtmp://127.0.0.1:{probe.getsockname()[1]}/live/key"


def painted(index: int) -> Frame:
    return Frame(flat(64, 48, (40 + index % 180, 128, 128)), 1_000_000 + index, Fraction(1, 25), index, 0.0)


def connected(uri: str, info: StreamInfo = INFO) -> NetworkSink:
    for _ in range(50):
        try:
            return NetworkSink(uri, info)
        except SinkError:
            time.sleep(0.05)
    return NetworkSink(uri, info)


def test_a_server_that_says_nothing_does_not_stop_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_CONNECT", 1.0)
    ticks = [time.perf_counter()]
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.01):
            ticks.append(time.perf_counter())

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ticker = threading.Thread(target=tick)
        ticker.start()
        with pytest.raises(SinkError, match="does not answer"):
            NetworkSink(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live", INFO)
        done.set()
        ticker.join()
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.5
    assert multiprocessing.active_children() == []


def test_sound_goes_along_byte_for_byte_and_the_clock_starts_at_nought(tmp_path: Path) -> None:
    uri = address()
    with av.open(write_clip(tmp_path / "clip.mp4", sound=True)) as clip, server(uri, 10) as receiver:
        rest = [packet for packet in clip.demux(audio=0) if packet.size]
        sink = connected(uri, StreamInfo(64, 48, Fraction(1, 25), Fraction(25), companions=clip.streams.audio))
        for index in range(10):
            sink.write(Frame(flat(64, 48, (90, 128, 128)), index, Fraction(1, 25), index, 0.0))
            while rest and rest[0].pts is not None and rest[0].pts * rest[0].time_base <= Fraction(index, 25):
                sink.copy(rest.pop(0))
        sink.close()
        got = receiver.seen()
        assert sink.notes == []
    with av.open(tmp_path / "clip.mp4") as clip:
        sent = [zlib.crc32(bytes(packet)) for packet in clip.demux(audio=0) if packet.size]
    heard = [crc for _, crc, _ in got["audio"]]
    assert len(heard) > 5
    assert heard == sent[: len(heard)]
    start = min(got["video"][0][0], got["audio"][0][0])
    assert start == pytest.approx(0, abs=0.002)
    steps = [later[0] - earlier[0] for earlier, later in pairwise(got["video"])]
    assert steps == [pytest.approx(0.04, abs=0.0011)] * len(steps)


def test_a_lost_connection_comes_back_with_a_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_WAITS", (0.1,))
    uri = address()
    with server(uri, 3) as first:
        sink = connected(uri)
        index = _feed(sink, 0, lambda: any("was lost" in note for note in sink.notes))
        assert len(first.seen()["video"]) == 3
    with server(uri, 3) as second:
        index = _feed(sink, index, lambda: any("is back" in note for note in sink.notes))
        _feed(sink, index, second.ended)
        seen = second.seen()["video"]
    sink.close()
    assert seen[0][2]
    assert seen[0][0] == pytest.approx(0, abs=0.002)
    assert [note for note in sink.notes if "did not reach" in note] != []
    assert multiprocessing.active_children() == []


def _feed(sink: NetworkSink, index: int, enough: Callable[[], bool], most: int = 1000) -> int:
    for number in range(index, index + most):
        sink.write(painted(number))
        if enough():
            return number
        time.sleep(0.01)
    return index + most


class TestCrowded:
    """A sink with a connection that takes nothing, made of wood."""

    @staticmethod
    def sink(monkeypatch: pytest.MonkeyPatch, live: bool) -> tuple[NetworkSink, Any]:
        wooden = SimpleNamespace(congested=True, error=None, sent=[], waited=[])
        wooden.send = wooden.sent.append
        wooden.wait_for_room = wooden.waited.append
        wooden.close = lambda patience: None
        monkeypatch.setattr(network, "Link", lambda *arguments: wooden)
        return NetworkSink("udp://127.0.0.1:9", StreamInfo(64, 48, Fraction(1, 25), live=live)), wooden

    @pytest.mark.parametrize("live", [True, False])
    def test_what_the_network_cannot_take_is_counted_not_encoded(self, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
        sink, wooden = self.sink(monkeypatch, live)
        sink.write(painted(0))
        sink.write(painted(1))
        assert wooden.sent == []
        assert [note for note in sink.notes if note.startswith("2 frames did not reach")] != []
        wooden.congested = False
        sink.write(painted(2))
        assert [frame.index for frame in wooden.sent] == [2]

    def test_only_where_frames_wait_does_the_network_hold_them_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for live in (True, False):
            sink, wooden = self.sink(monkeypatch, live)
            sink.write(painted(0))
            assert bool(wooden.waited) != live


def test_a_connection_that_makes_no_progress_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = NetworkSink("udp://127.0.0.1:9", INFO)
    held = sink._link
    assert isinstance(held, Link)
    assert held.error is None
    monkeypatch.setattr(Link, "congested", True)
    assert held.error is None
    monkeypatch.setattr(link, "_STALLED", -1.0)
    assert held.error == "the server takes nothing any more"
    sink.discard()
    assert multiprocessing.active_children() == []
