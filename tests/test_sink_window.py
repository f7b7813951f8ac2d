"""The window where there is no display, and SDL's invisible one where it is asked for."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from clips import flat

from engine.errors import SinkClosed
from engine.frame import Frame, StreamInfo
from engine.sinks.window import WindowSink

pytest.importorskip("sdl2")


def test_without_a_display_it_says_so_and_does_not_abort() -> None:
    program = (
        "from fractions import Fraction as F\n"
        "from engine.errors import SinkError\n"
        "from engine.frame import StreamInfo\n"
        "from engine.sinks import open_sink\n"
        "try: open_sink('window', StreamInfo(64, 48, F(1, 25)))\n"
        "except SinkError as error: print(error)\n"
    )
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=30)
    if sys.platform != "linux":
        pytest.skip("a display is always there")
    assert done.returncode == 0
    assert "no display" in done.stdout
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


class TestInvisible:
    INFO = StreamInfo(64, 48, Fraction(1, 25), Fraction(25), sample_aspect_ratio=Fraction(16, 15))

    @pytest.fixture(autouse=True)
    def _driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
        monkeypatch.setenv("SDL_RENDER_DRIVER", "software")

    @staticmethod
    def painted() -> Frame:
        return Frame(flat(64, 48, (90, 128, 128)), 0, Fraction(1, 25), 0, 0.0)

    @staticmethod
    def press(key: int) -> None:
        import sdl2

        event = sdl2.SDL_Event()
        event.type = sdl2.SDL_KEYDOWN
        event.key.keysym.sym = key
        sdl2.SDL_PushEvent(event)

    def test_frames_are_taken_and_other_keys_wait_to_be_asked_for(self) -> None:
        import sdl2

        sink = WindowSink("window", self.INFO)
        sink.write(self.painted())
        self.press(sdl2.SDLK_s)
        sink.write(self.painted())
        assert sink.poll_key() == "s"
        assert sink.poll_key() is None
        sink.close()
        sink.close()

    @pytest.mark.parametrize("key", ["SDLK_ESCAPE", "SDLK_q"])
    def test_escape_and_q_end_it(self, key: str) -> None:
        import sdl2

        sink = WindowSink("window", self.INFO)
        sink.write(self.painted())
        self.press(getattr(sdl2, key))
        with pytest.raises(SinkClosed):
            sink.write(self.painted())
        sink.close()
