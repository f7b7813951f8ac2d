"""What draws pictures into a window: SDL, which gets its planes from the CPU. By OpenGL: `engine.sinks.opengl`."""

import ctypes
from typing import Any, Protocol

import av

from engine.errors import SinkError
from engine.frame import StreamInfo, on_host, plane_views

_YUV_JPEG, _YUV_BT601, _YUV_BT709 = 0, 1, 2  # SDL_YUV_CONVERSION_MODE; full range is there in BT.601 only


class Canvas(Protocol):
    """Made for a window of SDL's and for pictures of one size and colour.

    `draw` shows a picture in the middle, as large as fits, and in its left half `left` where that is given.
    """

    def draw(self, picture: av.VideoFrame, left: av.VideoFrame | None = None) -> None: ...

    def close(self) -> None: ...


def shape_on_screen(info: StreamInfo) -> tuple[int, int]:
    """Width and height of the stream in square pixels."""
    return max(1, round(info.width * info.sample_aspect_ratio)), info.height


class SdlCanvas:
    """See `Canvas`. The planes go to the graphics card as they are, which converts and scales them; those of a picture on a
    GPU are downloaded first. Raises SinkError where SDL cannot draw."""

    def __init__(self, sdl: Any, window: Any, info: StreamInfo):
        self._sdl = sdl
        colour = info.colour
        sdl.SDL_SetYUVConversionMode(
            _YUV_JPEG if colour.full_range else _YUV_BT709 if colour.luma_weights(info.height)[0] < 0.28 else _YUV_BT601
        )
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        self._renderer, self._texture = sdl.SDL_CreateRenderer(window, -1, 0), None
        if self._renderer:
            # keeps the shape, with bars, in a window of any other
            sdl.SDL_RenderSetLogicalSize(self._renderer, *shape_on_screen(info))
            self._texture = sdl.SDL_CreateTexture(
                self._renderer, sdl.SDL_PIXELFORMAT_IYUV, sdl.SDL_TEXTUREACCESS_STREAMING, info.width, info.height
            )
        if not self._texture:
            raise SinkError(f"no window can be opened ({sdl.SDL_GetError().decode()})")

    def draw(self, picture: av.VideoFrame, left: av.VideoFrame | None = None) -> None:
        """Raises av.FFmpegError where a download fails."""
        sdl = self._sdl
        self._upload(picture)
        if left is not None:
            self._upload(left, picture.width // 4 * 2)
        sdl.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255)
        sdl.SDL_RenderClear(self._renderer)
        sdl.SDL_RenderCopy(self._renderer, self._texture, None, None)
        sdl.SDL_RenderPresent(self._renderer)

    def _upload(self, picture: av.VideoFrame, width: int | None = None) -> None:
        """All of it, or what is left of `width` pixels, an even number."""
        rect = None if width is None else self._sdl.SDL_Rect(0, 0, width, picture.height)
        planes = plane_views(on_host(picture))
        pointers = (item for plane in planes for item in (_pointer(plane), plane.strides[0]))
        self._sdl.SDL_UpdateYUVTexture(self._texture, rect, *pointers)

    def close(self) -> None:
        self._sdl.SDL_DestroyTexture(self._texture)
        self._sdl.SDL_DestroyRenderer(self._renderer)


def _pointer(plane: Any) -> Any:
    return ctypes.cast(plane.ctypes.data, ctypes.POINTER(ctypes.c_ubyte))
