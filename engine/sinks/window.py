"""Frames in a window on this machine's display."""

import ctypes
import os
import sys
from collections import deque
from typing import Any

import av

from engine.errors import SinkClosed, SinkError
from engine.frame import Frame, Planes, StreamInfo, on_host
from engine.sinks import Encoding
from engine.sinks.conversion import Flatten, plane_views

_TITLE = "Alla Prima"
_MOST_KEYS = 64  # that wait to be asked for; of more, the oldest are lost
_INVISIBLE = (b"offscreen", b"dummy", b"evdev")  # what SDL draws into where nothing else works
_YUV_JPEG, _YUV_BT601, _YUV_BT709 = 0, 1, 2  # SDL_YUV_CONVERSION_MODE; full range is there in BT.601 only


class WindowSink:
    """`window`: the planes go to the graphics card as they are, which converts and scales them.

    Esc, q or closing the window raise SinkClosed from `write`; f switches the full screen, space between the painting and
    what was painted, b to both, side by side. Other keys wait for `poll_key`; `title` is shown over the picture. The window
    is made by the first `write` and belongs to its thread, which on macOS must be the main one.
    """

    on_device = False

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []
        self._sdl = _library()
        self._info = info
        self._flatten = Flatten(info.colour)
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
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
            self._open_window()
        sdl = self._sdl
        planes = frame.planes if frame.alpha is None else plane_views(self._flatten(frame))
        before = planes
        if self._unpainted or self._split:
            before = plane_views(on_host(frame.before or frame.picture))
        self._upload(before if self._unpainted else planes)
        sdl.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255)
        sdl.SDL_RenderClear(self._renderer)
        if self._split:
            self._upload(before, frame.width // 4 * 2)
        sdl.SDL_RenderCopy(self._renderer, self._texture, None, None)
        sdl.SDL_RenderPresent(self._renderer)
        if self.title != self._titled:
            self._titled = self.title
            sdl.SDL_SetWindowTitle(self._window, f"{_TITLE}: {self._titled}".encode())
        self._handle_events()

    def _upload(self, planes: Planes, width: int | None = None) -> None:
        """All of it, or what is left of `width` pixels, an even number."""
        rect = None if width is None else self._sdl.SDL_Rect(0, 0, width, planes[0].shape[0])
        pointers = (item for plane in planes for item in (_pointer(plane), plane.strides[0]))
        self._sdl.SDL_UpdateYUVTexture(self._texture, rect, *pointers)

    def poll_key(self) -> str | None:
        """The oldest key pressed since, by SDL's name in small letters ('a', '[', 'left'), or None. On any thread."""
        return self._keys.popleft() if self._keys else None

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        if self._window is not None:
            self._sdl.SDL_DestroyTexture(self._texture)
            self._sdl.SDL_DestroyRenderer(self._renderer)
            self._sdl.SDL_DestroyWindow(self._window)
            self._sdl.SDL_QuitSubSystem(self._sdl.SDL_INIT_VIDEO)
            self._window = None

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

    def _open_window(self) -> None:
        sdl, info, colour = self._sdl, self._info, self._info.colour
        shape = max(1, round(info.width * info.sample_aspect_ratio)), info.height
        sdl.SDL_SetYUVConversionMode(
            _YUV_JPEG if colour.full_range else _YUV_BT709 if colour.luma_weights(info.height)[0] < 0.28 else _YUV_BT601
        )
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        sdl.SDL_SetHint(sdl.SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, b"0")
        centred = sdl.SDL_WINDOWPOS_CENTERED
        flags = sdl.SDL_WINDOW_RESIZABLE | sdl.SDL_WINDOW_ALLOW_HIGHDPI
        self._window = sdl.SDL_CreateWindow(_TITLE.encode(), centred, centred, *self._on_screen(shape), flags)
        if self._window:
            self._renderer = sdl.SDL_CreateRenderer(self._window, -1, 0)
        if self._renderer:
            sdl.SDL_RenderSetLogicalSize(self._renderer, *shape)  # keeps the shape, with bars, in a window of any other
            self._texture = sdl.SDL_CreateTexture(
                self._renderer, sdl.SDL_PIXELFORMAT_IYUV, sdl.SDL_TEXTUREACCESS_STREAMING, info.width, info.height
            )
        if not self._texture:
            raise SinkError(f"no window can be opened ({sdl.SDL_GetError().decode()})")

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


def _pointer(plane: Any) -> Any:
    return ctypes.cast(plane.ctypes.data, ctypes.POINTER(ctypes.c_ubyte))


def _library() -> Any:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells where it has found SDL
            import sdl2
    except ImportError:
        raise SinkError("a window needs SDL; install it with: pip install pysdl2 pysdl2-dll") from None
    return sdl2
