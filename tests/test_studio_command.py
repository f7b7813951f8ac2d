"""`allaprima studio` as it is typed: what it refuses at once, and the whole program."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path

import av
import pytest

from engine.cli import main


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--style", "none"], 2, "no style and no picture 'none'"),
        (["--backend", "magic"], 2, "no backend 'magic'"),
        (["--size", "huge"], 2, "'huge' is not a size"),
        (["--strength", "2"], 2, "strength is 2.0"),
        (["--source", "/no/such/film.mp4"], 1, "/no/such/film.mp4"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_listens(arguments, status, said, capsys):
    assert main(["studio", *arguments]) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    def refuse(name: str):
        if name == "engine.studio.command":
            raise ModuleNotFoundError("no", name="aiortc")
        return import_module(name)

    monkeypatch.setattr("engine.cli.import_module", refuse)
    assert main(["studio"]) == 1
    assert "this needs aiortc; install it with: pip install 'allaprima[studio]'" in capsys.readouterr().err


def test_the_page_may_choose_among_all_sources_and_sees_no_password():
    from engine.studio.command import sources_of

    sources = sources_of(["rtsp://me:secret@door/1", "browser", "film.mp4"])
    assert list(sources) == ["browser", "rtsp://door/1", "film.mp4"]
    assert [name for name, open in sources.items() if open is None] == ["browser"]


@pytest.mark.slow
def test_it_can_be_interrupted_while_everything_is_compiled_for_the_first_time(tmp_path: Path):
    command = [sys.executable, "-m", "engine.cli", "studio", "--port", str(free_port())]
    program = subprocess.Popen(
        command,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert "the studio is at" in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        assert program.wait(8) == 0
        assert program.stderr is not None
        assert program.stderr.read() == ""
    finally:
        program.kill()


@pytest.mark.slow
def test_the_whole_program_paints_a_source_beside_the_page_until_it_is_interrupted(tmp_path: Path):
    port, film = free_port(), tmp_path / "painted.mp4"
    command = [sys.executable, "-m", "engine.cli", "studio", "--port", str(port), "--sink", str(film), "--token", "hm"]
    command += ["--source", "lavfi:testsrc2=size=160x120:rate=15,realtime"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == f"allaprima: the studio is at http://127.0.0.1:{port}/?token=hm\n"
        address = f"http://127.0.0.1:{port}/api/status"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address)
        deadline, status = time.monotonic() + 60, {"fps": 0}
        while status["fps"] < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
            status = json.load(urllib.request.urlopen(f"{address}?token=hm"))
        assert status["failing"] is None
        assert status["size"] == [160, 120]
        program.send_signal(signal.SIGINT)
        assert program.wait(20) == 0
    finally:
        program.kill()
    with av.open(film) as painted:
        assert sum(1 for _ in painted.decode(video=0)) > 2
