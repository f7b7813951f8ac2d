"""Standard input, patterns and the network: what is read comes whole, what stops comes back or ends with one line."""

import http.server
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import RAMP, levels, ramp, read_all, write_clip

from engine.errors import SourceError
from engine.frame import Frame
from engine.sources import open_source
from engine.sources.network import NetworkSource
from engine.sources.pattern import PatternSource
from engine.sources.y4m import Y4mSource


def failure(uri: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Stdin:
    """What `sys.stdin` is to a source: a descriptor that brings `data`; its writer leaves unless told to stay."""

    def __init__(self, data: bytes, stays: bool = False) -> None:
        self.reading, self.writing = os.pipe()
        self.stays = stays
        threading.Thread(target=self._feed, args=(data,), daemon=True).start()

    def _feed(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.writing, view) :]
        if not self.stays:
            os.close(self.writing)

    def fileno(self) -> int:
        return self.reading

    def isatty(self) -> bool:
        return False


class TestStandardInput:
    def test_every_frame_is_read(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(sys, "stdin", Stdin(write_clip(tmp_path / "a.y4m", ramp(10)).read_bytes()))
        source = open_source("-")
        frames, packets = read_all(source)
        assert isinstance(source, Y4mSource)
        assert (source.info.width, source.info.height, source.info.rate) == (64, 48, 25)
        assert not source.info.live
        assert [levels(frame)[0] for frame in frames] == list(RAMP[:10])
        assert [frame.pts * frame.time_base * 25 for frame in frames] == list(range(10))
        assert packets == []

    @pytest.mark.parametrize("data", [b"", b"this is no video\n" * 99], ids=["nothing", "text"])
    def test_what_is_no_yuv4mpeg2_is_an_error(self, monkeypatch, data: bytes):
        monkeypatch.setattr(sys, "stdin", Stdin(data))
        assert "standard input is not YUV4MPEG2; write it with" in failure("-")

    def test_a_stream_cut_off_in_a_frame_gives_the_whole_ones(self, tmp_path: Path, monkeypatch):
        data = write_clip(tmp_path / "a.y4m", ramp(4)).read_bytes()
        monkeypatch.setattr(sys, "stdin", Stdin(data[:-1000]))
        frames, _ = read_all(open_source("-"))
        assert [levels(frame)[0] for frame in frames[:3]] == list(RAMP[:3])
        assert len(frames) == 3

    def test_a_terminal_is_an_error(self, monkeypatch):
        class Terminal(Stdin):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(b""))
        assert "is a terminal; pipe a video into it" in failure("-")

    def test_closing_does_not_wait_for_a_writer_that_is_silent(self, tmp_path: Path, monkeypatch):
        stdin = Stdin(write_clip(tmp_path / "a.y4m", ramp(3)).read_bytes(), stays=True)
        monkeypatch.setattr(sys, "stdin", stdin)
        source = open_source("-")
        reader = threading.Thread(target=lambda: list(source), daemon=True)
        reader.start()
        started = time.perf_counter()
        source.close()
        assert time.perf_counter() - started < 1
        os.close(stdin.writing)
        reader.join(5)
        assert not reader.is_alive()


class TestPattern:
    def test_a_pattern_is_read_offline(self):
        source = open_source("lavfi:testsrc2=size=64x48:rate=30000/1001:duration=0.2")
        frames, _ = read_all(source)
        assert isinstance(source, PatternSource)
        assert not source.info.live
        assert source.info.rate is not None
        assert (source.info.rate.numerator, source.info.rate.denominator) == (30000, 1001)
        assert [frame.index for frame in frames] == list(range(6))
        assert [frame.pts * frame.time_base * source.info.rate for frame in frames] == list(range(6))

    def test_a_paced_pattern_is_live_and_starts_at_zero(self):
        source = open_source("lavfi:testsrc2=size=64x48:rate=50:duration=0.3,setpts=PTS+500,realtime")
        started = time.perf_counter()
        frames, _ = read_all(source)
        assert source.info.live
        assert source.info.frames is None
        assert frames[0].pts == 0
        assert len(frames) == 15
        assert time.perf_counter() - started > 0.1  # the first frames are read while it opens

    @pytest.mark.parametrize(
        ("graph", "live"),
        [
            ("testsrc2,realtime=speed=2", True),
            ("testsrc2[a];[a]realtime", True),
            ("testsrc2,realtime@x", True),
            ("color=c=red:size=64x48", False),
        ],
    )
    def test_only_a_realtime_filter_makes_it_live(self, graph: str, live: bool):
        source = open_source(f"lavfi:{graph}")
        source.close()
        assert source.info.live is live

    @pytest.mark.parametrize("graph", ["nosuchfilter", "testsrc2=size=banana", "", "testsrc2,,"])
    def test_a_bad_graph_is_an_error(self, graph: str):
        message = failure(f"lavfi:{graph}")
        assert f"'lavfi:{graph}'" in message
        assert "write one as lavfi:testsrc2" in message

    def test_closing_ends_an_endless_pattern(self):
        source = open_source("lavfi:testsrc2=size=64x48,realtime")
        reader = threading.Thread(target=lambda: list(source), daemon=True)
        reader.start()
        source.close()
        reader.join(5)
        assert not reader.is_alive()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in `tmp_path`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class Reopened(NetworkSource):
    """Each opening gives the next of `parts`: a graph, or an error to raise; after the last, nobody answers."""

    waits = (0.01,)
    parts: tuple[str | Exception, ...] = ()

    def __init__(self, *parts: str | Exception) -> None:
        self._left = list(parts)
        self.tried = threading.Event()  # to open it when there was nothing more
        super().__init__("rtsp://user:secret@host/stream")

    def _open_container(self) -> av.container.InputContainer:
        self.live, self._ends_well = True, False
        if not self._left:
            self.tried.set()
            raise ConnectionRefusedError
        part = self._left.pop(0)
        if isinstance(part, Exception):
            raise part
        return av.open(part, format="lavfi")


def until_lost(source: Reopened) -> list[Frame]:
    """All frames, until nothing more comes back."""
    closer = threading.Thread(target=lambda: (source.tried.wait(10), source.close()), daemon=True)
    closer.start()
    frames, _ = read_all(source)
    closer.join(5)
    return frames


class TestNetwork:
    def test_a_file_over_http_is_read_whole_and_is_not_live(self, tmp_path: Path, server: str):
        write_clip(tmp_path / "a.mkv", ramp(10), sound=True)
        source = open_source(f"{server}/a.mkv")
        frames, packets = read_all(source)
        assert isinstance(source, NetworkSource)
        assert not source.info.live
        assert [levels(frame)[0] for frame in frames] == list(RAMP[:10])
        assert [frame.pts for frame in frames] == [40 * i for i in range(10)]
        assert packets
        assert source.notes == []

    def test_a_missing_file_on_a_server_is_an_error(self, server: str):
        message = failure(f"{server}/gone.mp4")
        assert "gone.mp4' cannot be opened: the server has no such thing; check the address" in message

    def test_an_address_where_nobody_answers_is_an_error(self):
        message = failure("tcp://127.0.0.1:9")
        assert "nobody answers at that address; check" in message

    def test_an_unknown_protocol_is_an_error(self):
        assert "does not speak that protocol" in failure("nosuch://host/stream")

    def test_text_on_a_server_is_an_error(self, tmp_path: Path, server: str):
        (tmp_path / "text.mp4").write_text("Dear diary\n" * 99)
        assert "text.mp4' cannot be opened: it holds nothing that can be read as video" in failure(f"{server}/text.mp4")

    def test_a_password_is_not_shown(self):
        message = failure("tcp://user:secret@127.0.0.1:9")
        assert "secret" not in message
        assert "127.0.0.1" in message

    def test_a_server_that_is_silent_is_given_up(self, monkeypatch):
        monkeypatch.setattr(NetworkSource, "timeouts", (0.3, 0.3))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            started = time.perf_counter()
            message = failure(f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4")
        assert "no data came in time" in message
        assert time.perf_counter() - started < 5

    def test_a_live_stream_that_ends_is_opened_again_with_rising_times(self):
        pattern = "testsrc2=size=64x48:rate=50:duration=0.1"
        source = Reopened(pattern, TimeoutError(), pattern)
        frames = until_lost(source)
        times = [frame.pts for frame in frames]
        assert len(frames) == 10
        assert times[0] == 0
        assert all(earlier < later for earlier, later in pairwise(times))
        assert [frame.index for frame in frames] == list(range(10))
        assert "lost after 5 frames (it ended); trying to open it again" in source.notes[0]
        assert "is back after" in source.notes[1]
        assert "secret" not in "".join(source.notes)

    def test_a_stream_that_comes_back_in_another_size_keeps_the_first(self):
        shape = "testsrc2=rate=50:duration=0.1:size="
        source = Reopened(shape + "64x48", shape + "32x24")
        assert {(frame.width, frame.height) for frame in until_lost(source)} == {(64, 48)}
        assert any("changes from 64x48 to 32x24" in note for note in source.notes)

    def test_a_stream_with_another_clock_keeps_the_first_clock(self):
        source = Reopened("testsrc2=rate=50:duration=0.1:size=64x48", "testsrc2=rate=25:duration=0.2:size=64x48")
        frames = until_lost(source)
        assert {frame.time_base for frame in frames} == {source.info.time_base}
        again = [frame.pts * frame.time_base for frame in frames[5:]]
        assert [round(float(later - earlier), 3) for earlier, later in pairwise(again)] == [0.04] * 4

    def test_closing_ends_the_waiting(self):
        source = Reopened("testsrc2=size=64x48:rate=50:duration=0.1")
        source.waits = (60.0,)
        reader = threading.Thread(target=lambda: list(source), daemon=True)
        reader.start()
        deadline = time.perf_counter() + 5
        while not source.notes and time.perf_counter() < deadline:
            time.sleep(0.005)
        source.close()
        reader.join(5)
        assert not reader.is_alive()

    def test_a_file_that_breaks_off_is_an_error(self, tmp_path: Path, server: str):
        class Broken(NetworkSource):
            def _goes_on(self, error):
                return super()._goes_on(error or av.error.TimeoutError(110, "timed out"))

        write_clip(tmp_path / "a.mkv")
        with pytest.raises(SourceError, match=r"a.mkv' stopped coming after 10 frames: no data came in time; try again"):
            list(Broken(f"{server}/a.mkv"))
