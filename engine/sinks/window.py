"""Frames in a window on this machine's display."""

import os
import sys
from collections import deque
from contextlib import suppress
from typing import Any

import av

from engine.errors import SinkClosed, SinkError
from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding, opengl
from engine.sinks.canvas import Canvas, SdlCanvas, shape_on_screen
from engine.sinks.conversion import Flatten

_TITLE = "Alla Prima"
_MOST_KEYS = 64  # that wait to be asked for; of more, the oldest are lost
_INVISIBLE = (b"offscreen", b"dummy", b"evdev")  # what SDL draws into where nothing else works


class WindowSink:
    """`window`: the planes go to the graphics card as they are, which converts and scales them; those that are on it stay
    there where OpenGL can have them (`engine.sinks.opengl`).

    Esc, q or closing the window raise SinkClosed from `write`; f switches the full screen, space between the painting and
    what was painted, b to both, side by side. Other keys wait for `poll_key`; `title` is shown over the picture. The window
    is made by the first `write` and belongs to its thread, which on macOS must be the main one.
    """

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []
        self._sdl = _library()
        self._info = info
        self._flatten = Flatten(info.colour)
        self._window: Any = None
        self._canvas: Canvas | None = None
        self.on_device = encoding.on_device and not opengl.missing()
        self.title = ""
        self._titled = ""
        self._unpainted = self._split = False
        self._keys: deque[str] = deque(maxlen=_MOST_KEYS)
        self._start_video()
        # Whoever pumps events must be who started the video; until the first frame nobody has
        self._sdl.SDL_QuitSubSystem(self._sdl.SDL_INIT_VIDEO)

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "window"

    def write(self, frame: Frame) -> None:
        """Show the frame now. Raises SinkClosed when the user has closed the window."""
        if self._window is None:
            self._start_video()
            self._open()
        picture = frame.picture if frame.alpha is None else self._flatten(frame)
        before = frame.before or frame.picture
        if self._unpainted:
            self._draw(before, None)
        else:
            self._draw(picture, before if self._split else None)
        if self.title != self._titled:
            self._titled = self.title
            self._sdl.SDL_SetWindowTitle(self._window, f"{_TITLE}: {self._titled}".encode())
        self._handle_events()

    def _draw(self, picture: av.VideoFrame, left: av.VideoFrame | None) -> None:
        assert self._canvas is not None
        try:
            self._canvas.draw(picture, left)
        except Exception as error:  # a GPU may fail in any way of its own
            if not self.on_device:
                raise
            self._leave_device(error)
            # what is on a GPU that is lost cannot be shown; the next is painted on the CPU
            with suppress(av.FFmpegError):
                self._canvas.draw(picture, left)

    def poll_key(self) -> str | None:
        """The oldest key pressed since, by SDL's name in small letters ('a', '[', 'left'), or None. On any thread."""
        return self._keys.popleft() if self._keys else None

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        if self._window:
            self._close()
            self._sdl.SDL_QuitSubSystem(self._sdl.SDL_INIT_VIDEO)

    def discard(self) -> None:
        self.close(False)

    def _start_video(self) -> None:
        sdl = self._sdl
        advice = "run it on a desktop, or choose another sink"
        asked = "SDL_VIDEODRIVER" in os.environ
        if sys.platform == "linux" and not (asked or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SinkError(f"no window can be opened: there is no display; {advice}")
        if sdl.SDL_InitSubSystem(sdl.SDL_INIT_VIDEO) != 0:
            raise SinkError(f"no window can be opened ({sdl.SDL_GetError().decode()}); {advice}")
        if not asked and sdl.SDL_GetCurrentVideoDriver() in _INVISIBLE:
            sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)
            raise SinkError(f"no window can be opened: the display does not answer; {advice}")

    def _open(self) -> None:
        """The window, and what draws into it. Raises SinkError."""
        sdl = self._sdl
        sdl.SDL_SetHint(sdl.SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, b"0")
        if not self.on_device:
            self._open_window(0)
            self._canvas = SdlCanvas(sdl, self._window, self._info)
            return
        try:
            opengl.GlCanvas.prepare(sdl)
            self._open_window(sdl.SDL_WINDOW_OPENGL)
            self._canvas = opengl.GlCanvas(sdl, self._window, self._info)
        except Exception as error:  # a GPU may fail in any way of its own
            self._leave_device(error)

    def _open_window(self, flags: int) -> None:
        sdl, centred = self._sdl, self._sdl.SDL_WINDOWPOS_CENTERED
        flags |= sdl.SDL_WINDOW_RESIZABLE | sdl.SDL_WINDOW_ALLOW_HIGHDPI
        shape = self._on_screen(shape_on_screen(self._info))
        self._window = sdl.SDL_CreateWindow(_TITLE.encode(), centred, centred, *shape, flags)
        if not self._window:
            raise SinkError(f"no window can be opened ({sdl.SDL_GetError().decode()})")

    def _leave_device(self, error: Exception) -> None:
        """Open the window again, for pictures from the CPU."""
        self.notes.append(f"the window gets its pictures from the CPU, not the GPU: {' '.join(str(error).split())}")
        self.on_device = False
        self._close()
        self._open()

    def _close(self) -> None:
        if self._canvas:
            self._canvas.close()
        if self._window:
            self._sdl.SDL_DestroyWindow(self._window)
        self._canvas = self._window = None

    def _on_screen(self, shape: tuple[int, int]) -> tuple[int, int]:
        bounds = self._sdl.SDL_Rect()
        if self._sdl.SDL_GetDisplayUsableBounds(0, bounds) != 0 or not (bounds.w and bounds.h):
            return shape
        scale = min(1, bounds.w / shape[0], bounds.h / shape[1])
        return round(shape[0] * scale), round(shape[1] * scale)

    def _handle_events(self) -> None:
        sdl, event = self._sdl, self._sdl.SDL_Event()
        held = sdl.KMOD_CTRL | sdl.KMOD_ALT | sdl.KMOD_GUI | sdl.KMOD_MODE
        while sdl.SDL_PollEvent(event):
            if event.type == sdl.SDL_QUIT:
                raise SinkClosed("the window was closed")
            if event.type == sdl.SDL_KEYDOWN and not event.key.keysym.mod & held:
                name = sdl.SDL_GetKeyName(event.key.keysym.sym).decode().lower()
                self._press(name, repeated=bool(event.key.repeat))

    def _press(self, key: str, repeated: bool) -> None:
        sdl = self._sdl
        if key in ("escape", "q"):
            raise SinkClosed("the window was closed")
        if key not in ("f", "space", "b"):
            self._keys.append(key)
        elif repeated:
            return
        elif key == "space":
            self._unpainted = not self._unpainted
        elif key == "b":
            self._split = not self._split
        else:
            whole = sdl.SDL_WINDOW_FULLSCREEN_DESKTOP
            sdl.SDL_SetWindowFullscreen(self._window, 0 if sdl.SDL_GetWindowFlags(self._window) & whole else whole)


def _library() -> Any:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells where it has found SDL
            import sdl2
    except ImportError:
        raise SinkError("a window needs SDL; install it with: pip install pysdl2 pysdl2-dll") from None
    return sdl2
