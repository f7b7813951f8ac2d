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
        return Frame(flat(64, 48, (200, 128, 128)), 0, Fraction(1, 25), 0, 0.0).like(flat(64, 48, (90, 128, 128)))

    @staticmethod
    def press(key: int, held: int = 0) -> None:
        import sdl2

        event = sdl2.SDL_Event()
        event.type = sdl2.SDL_KEYDOWN
        event.key.keysym.sym, event.key.keysym.mod = key, held
        sdl2.SDL_PushEvent(event)

    @staticmethod
    def light(sink: WindowSink, x: int) -> int:
        """What is shown in the middle of column `x`, 0 to 255."""
        import ctypes

        import sdl2

        pixel, place = (ctypes.c_ubyte * 4)(), sdl2.SDL_Rect(x, 24, 1, 1)
        sdl2.SDL_RenderReadPixels(sink._canvas._renderer, place, sdl2.SDL_PIXELFORMAT_ARGB8888, pixel, 4)
        return pixel[1]

    def test_frames_are_taken_and_other_keys_wait_to_be_asked_for(self) -> None:
        import sdl2

        sink = WindowSink("window", self.INFO)
        sink.write(self.painted())
        self.press(sdl2.SDLK_s)
        self.press(sdl2.SDLK_LEFT)
        self.press(sdl2.SDLK_8, sdl2.KMOD_MODE)  # a bracket, where it takes AltGr
        sink.write(self.painted())
        assert [sink.poll_key() for _ in range(3)] == ["s", "left", None]
        sink.close()
        sink.close()

    def test_space_shows_what_was_painted_and_b_both_side_by_side(self) -> None:
        import sdl2

        sink = WindowSink("window", self.INFO)

        def after(*keys: int) -> tuple[int, int]:
            """The light at the left and at the right, when `keys` were pressed one frame before."""
            sink.write(self.painted())
            for key in keys:
                self.press(key)
            for _ in range(2):
                sink.write(self.painted())
            return self.light(sink, 5), self.light(sink, 60)

        paint, camera = after()[0], after(sdl2.SDLK_SPACE)[0]
        assert camera > paint + 50
        assert after() == (camera, camera)
        assert after(sdl2.SDLK_SPACE) == (paint, paint)
        assert after(sdl2.SDLK_b) == (camera, paint)
        assert after(sdl2.SDLK_b) == (paint, paint)
        assert sink.poll_key() is None
        sink.close()

    def test_the_title_is_what_it_was_set_to(self) -> None:
        import sdl2

        sink = WindowSink("window", self.INFO)
        sink.write(self.painted())
        sink.title = "great-wave"
        sink.write(self.painted())
        assert sdl2.SDL_GetWindowTitle(sink._window) == b"Alla Prima: great-wave"
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
