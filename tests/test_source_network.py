"""Streams over the network from servers that fall silent, hang up or end; `test_source_streams` has the plain cases."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import RAMP, levels, ramp, read_all, write_clip

from engine.errors import SourceError
from engine.frame import Frame
from engine.sources.network import NetworkSource

PIECE = 16 * 188  # bytes, a few packets of an MPEG transport stream
Answer = Callable[[BaseHTTPRequestHandler], None]


class Hasty(NetworkSource):
    """Does not wait as long as a person would."""

    waits = (0.01,)
    timeouts = (1.0, 0.4)


class Server:
    """Answers each path by its function; how often it was asked is counted. `silence` lasts until the test is over."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.silence = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                with suppress(BrokenPipeError, ConnectionResetError):  # the source had enough
                    server.answers[self.path](self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{path}"

    def stop(self) -> None:
        self.silence.set()
        self._http.shutdown()
        self._http.server_close()

    def file(self, path: str, content: bytes, stall_at: int | None = None) -> str:
        """Serve a file of known length; past `stall_at` bytes nothing comes any more."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[:stall_at])
            if stall_at is not None:
                handler.wfile.flush()
                self.silence.wait()

        self.answers[path] = answer
        return self.address(path)

    def stream(self, path: str, content: bytes, kind: str, stalls: bool = False, hush: threading.Event | None = None) -> str:
        """Serve something whose length nobody knows, which then ends or falls silent; at `hush` it does so on the way.

        It is sent in chunks: a connection that is merely closed FFmpeg takes for a broken one.
        """

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.protocol_version = "HTTP/1.1"
            handler.send_response(200)
            handler.send_header("Content-Type", kind)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for start in range(0, len(content), PIECE):
                piece = content[start : start + PIECE]
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                handler.wfile.flush()
                if hush is not None and hush.wait(0.001):
                    break
            if stalls:
                self.silence.wait()
            handler.wfile.write(b"0\r\n\r\n")
            handler.close_connection = True

        self.answers[path] = answer
        return self.address(path)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "a.ts"
    return write_clip(path, ramp(20), sound=True, options={"qp": "0", "bf": "0", "g": "5"}).read_bytes()


def motion_jpeg(tmp_path: Path, count: int) -> bytes:
    """As cameras with an address of their own send it."""
    parts = []
    for index in range(count):
        picture = write_clip(tmp_path / f"{index}.mjpeg", ramp(1), codec="mjpeg", pix_fmt="yuvj420p").read_bytes()
        parts.append(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(picture), picture))
    return b"".join(parts)


class TestFiles:
    def test_a_playlist_with_an_end_is_not_live(self, server: Server, transport: bytes):
        server.file("/1.ts", transport)
        playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.8,\n1.ts\n#EXT-X-ENDLIST\n"
        source = NetworkSource(server.file("/a.m3u8", playlist.encode()))
        frames, packets = read_all(source)
        assert not source.info.live
        assert [levels(frame)[0] for frame in frames] == list(RAMP[:20])
        assert [stream.type for stream in source.info.companions] == ["audio"]
        assert packets

    def test_a_file_that_stalls_is_an_error_that_says_how_far_it_came(self, server: Server, tmp_path: Path):
        noise = np.random.default_rng(3)
        pictures = ramp(20)
        for picture in pictures:
            for plane in picture.planes:
                plane.update(noise.bytes(plane.buffer_size))
        whole = write_clip(tmp_path / "a.mkv", pictures).read_bytes()
        assert len(whole) > 60_000
        source = Hasty(server.file("/a.mkv", whole, stall_at=len(whole) // 2))
        frames: list[Frame] = []
        with pytest.raises(SourceError, match=r"a.mkv' stopped coming after \d+ frames: no data came in time; try again"):
            frames.extend(item for item in source if isinstance(item, Frame))
        assert 3 <= len(frames) < 20


class TestStreams:
    def test_a_stream_over_http_is_live_and_may_end(self, server: Server, transport: bytes):
        source = NetworkSource(server.stream("/live", transport, "video/mp2t"))
        frames, _ = read_all(source)
        assert source.info.live
        assert source.info.frames is None
        assert [levels(frame)[0] for frame in frames] == list(RAMP[:20])
        assert frames[0].pts == 0  # its clock starts elsewhere
        assert source.notes == []

    def test_a_stream_that_stalls_is_opened_again(self, server: Server, transport: bytes):
        address = server.stream("/live", transport, "video/mp2t", stalls=True)
        source = Hasty(address)
        frames = []
        for item in source:
            if isinstance(item, Frame):
                frames.append(item)
            if len(frames) == 30:
                source.close()
        assert server.asked == ["/live"] * 2
        assert all(earlier.pts < later.pts for earlier, later in pairwise(frames))
        assert "(no data came in time); trying to open it again" in source.notes[0]
        assert "is back after" in source.notes[1]

    def test_a_camera_that_ends_its_stream_is_opened_again(self, server: Server, tmp_path: Path):
        address = server.stream("/video", motion_jpeg(tmp_path, 6), "multipart/x-mixed-replace; boundary=next")
        source = Hasty(address)
        assert source.info.live
        for frame in source:
            if frame.index == 8:
                source.close()
        assert len(server.asked) > 1
        assert "(it ended); trying to open it again" in source.notes[0]

    def test_a_sender_that_hangs_up_is_called_again(self, transport: bytes):
        listener = socket.create_server(("127.0.0.1", 0))
        calls = []

        def send() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                calls.append(caller)
                with closing(caller):
                    caller.sendall(transport)

        threading.Thread(target=send, daemon=True).start()
        with closing(listener):
            source = Hasty(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            frames, sounds = [], []
            for item in source:
                (frames if isinstance(item, Frame) else sounds).append(item)
                if len(frames) == 50:
                    source.close()
        assert len(calls) == 3
        assert all(earlier.pts < later.pts for earlier, later in pairwise(frames))
        times = [packet.dts for packet in sounds]
        assert times
        assert times == sorted(times)
        assert {packet.stream for packet in sounds} == set(source.info.companions)

    def test_closing_ends_a_stream_that_stalls(self, server: Server, transport: bytes):
        hush = threading.Event()
        source = Hasty(server.stream("/live", transport * 40, "video/mp2t", stalls=True, hush=hush))
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(source), daemon=True)
        reader.start()
        while not seen:
            time.sleep(0.005)
        hush.set()
        source.close()
        reader.join(5)
        assert not reader.is_alive()
        assert server.asked == ["/live"]
        assert not any("lost" in note for note in source.notes)
