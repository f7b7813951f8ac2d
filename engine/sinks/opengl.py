"""Drawing by OpenGL, where pictures on the GPU that paints are shown without a download.

CUDA copies their planes into buffers of OpenGL's, which OpenGL makes textures of. CuPy cannot reach those buffers, PyCUDA
can; both work in the device's primary context.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, cast

import av
import numpy as np

from engine.errors import SinkError
from engine.frame import LIMITED, ON_DEVICE, StreamInfo
from engine.sinks.canvas import shape_on_screen

_VERTICES = """
#version 330
out vec2 place;
void main() {
    // a triangle that covers everything; pictures begin at the top
    vec2 corner = vec2(gl_VertexID == 1, gl_VertexID == 2) * 2.0;
    place = vec2(corner.x, 1.0 - corner.y);
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}
"""
_COLOURS = """
#version 330
in vec2 place;
out vec4 colour;
uniform sampler2D luma, chroma;
uniform mat3 to_rgb;
uniform vec3 zero;
void main() {
    colour = vec4(to_rgb * (vec3(texture(luma, place).r, texture(chroma, place).rg) - zero), 1.0);
}
"""


def missing() -> str | None:
    """Why pictures on a GPU cannot be shown without a download, or None where they can: as far as packages go."""
    if find_spec("pycuda") is None or find_spec("moderngl") is None:
        return "pip install allaprima[preview]"
    try:
        import pycuda.gl  # noqa: F401
    except Exception as error:  # without a driver it fails in ways of its own
        return " ".join(str(error).split())
    return None


def to_rgb(info: StreamInfo) -> tuple[np.ndarray, np.ndarray]:
    """(M, z), float32 [3, 3] and [3]: R'G'B' = M (Y'CbCr - z), all in [0, 1] (ITU-R BT.709-6, section 3; H.273, 8.3)."""
    red, blue = info.colour.luma_weights(info.height)
    green = 1 - red - blue
    cb, cr = 2 * (1 - blue), 2 * (1 - red)
    matrix = np.array([[1, 0, cr], [1, -cb * blue / green, -cr * red / green], [1, cb, 0]])
    black, luma, chroma = (0, 255, 255) if info.colour.full_range else (16, 219, 224)
    codes = np.array([255 / luma, 255 / chroma, 255 / chroma])
    return (matrix * codes).astype(np.float32), np.array([black, 128, 128], np.float32) / 255


class GlCanvas:
    """See `engine.sinks.canvas.Canvas`; of even sizes only. Raises SinkError where OpenGL 3.3 or its way to CUDA is missing.

    `prepare` comes before the window is made, which must have the flag SDL_WINDOW_OPENGL.
    """

    def __init__(self, sdl: Any, window: Any, info: StreamInfo):
        self._sdl, self._window, self._shape = sdl, window, shape_on_screen(info)
        self._own = sdl.SDL_GL_CreateContext(window)
        if not self._own:
            raise SinkError(f"no OpenGL ({sdl.SDL_GetError().decode()})")
        try:
            with self._current():
                self._start(info)
        except BaseException:
            sdl.SDL_GL_DeleteContext(self._own)
            raise

    @staticmethod
    def prepare(sdl: Any) -> None:
        """Ask SDL for the OpenGL that is needed."""
        sdl.SDL_GL_SetAttribute(sdl.SDL_GL_CONTEXT_MAJOR_VERSION, 3)
        sdl.SDL_GL_SetAttribute(sdl.SDL_GL_CONTEXT_MINOR_VERSION, 3)
        sdl.SDL_GL_SetAttribute(sdl.SDL_GL_CONTEXT_PROFILE_MASK, sdl.SDL_GL_CONTEXT_PROFILE_CORE)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """OpenGL's context is this thread's, and afterwards nobody's: it may be another that closes than that which drew."""
        self._sdl.SDL_GL_MakeCurrent(self._window, self._own)
        try:
            yield
        finally:
            self._sdl.SDL_GL_MakeCurrent(self._window, None)

    def _start(self, info: StreamInfo) -> None:
        import moderngl

        self._sdl.SDL_GL_SetSwapInterval(0)  # who paints sets the pace
        functions: Any = _Functions(self._sdl)
        self._gl = gl = cast(Any, moderngl.create_context(context=functions))
        size, half = (info.width, info.height), (info.width // 2, info.height // 2)
        self._textures = [gl.texture(size, 1, alignment=1), gl.texture(half, 2, alignment=1)]
        self._buffers = [gl.buffer(reserve=size[0] * rows, dynamic=True) for rows in (size[1], half[1])]
        self._program = gl.program(vertex_shader=_VERTICES, fragment_shader=_COLOURS)
        matrix, zero = to_rgb(info)
        self._program["to_rgb"].write(matrix.T.tobytes())  # OpenGL stores columns
        self._program["zero"].write(zero.tobytes())
        for unit, (name, texture) in enumerate(zip(("luma", "chroma"), self._textures, strict=True)):
            texture.repeat_x = texture.repeat_y = False
            self._program[name].value = unit
            texture.use(unit)
        self._triangle = gl.vertex_array(self._program, [])
        self._interop = Interop([buffer.glo for buffer in self._buffers])

    def draw(self, picture: av.VideoFrame, left: av.VideoFrame | None = None) -> None:
        """Raises what PyCUDA raises where the GPU was lost."""
        with self._current():
            self._draw(picture, left)

    def _draw(self, picture: av.VideoFrame, left: av.VideoFrame | None) -> None:
        x, y, width, height = self._fitted()
        screen = self._gl.screen
        screen.scissor = None
        screen.clear()
        screen.viewport = x, y, width, height
        self._upload(picture)
        self._triangle.render(vertices=3)
        if left is not None:
            screen.scissor = x, y, width // 2, height
            self._upload(left)
            self._triangle.render(vertices=3)
        self._sdl.SDL_GL_SwapWindow(self._window)

    def _fitted(self) -> tuple[int, int, int, int]:
        """Where in the window the picture is, in pixels: left, bottom, width, height."""
        wide, high = ctypes.c_int(), ctypes.c_int()
        self._sdl.SDL_GL_GetDrawableSize(self._window, wide, high)
        scale = min(wide.value / self._shape[0], high.value / self._shape[1])
        width, height = (max(1, round(side * scale)) for side in self._shape)
        return (wide.value - width) // 2, (high.value - height) // 2, width, height

    def _upload(self, picture: av.VideoFrame) -> None:
        if picture.format.name == ON_DEVICE and picture.sw_format and picture.sw_format.name == "nv12":
            self._interop.fill(picture.planes)
            for texture, buffer in zip(self._textures, self._buffers, strict=True):
                texture.write(buffer)
        else:
            # swscale changes no sample between two equal ranges
            taken = picture.reformat(format="nv12", src_color_range=LIMITED, dst_color_range=LIMITED)
            for texture, plane in zip(self._textures, taken.planes, strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
                texture.write(np.ascontiguousarray(rows[:, : texture.width * texture.components]))

    def close(self) -> None:
        with self._current():
            self._interop.close()
            self._gl.release()
        self._sdl.SDL_GL_DeleteContext(self._own)


class Interop:
    """Buffers of the OpenGL context that is current, by their names, as memory of CUDA's. Raises SinkError where CUDA cannot
    have them, as where another GPU than the one that paints has the display."""

    def __init__(self, buffers: Sequence[int]):
        import pycuda.driver as cuda
        from pycuda import gl

        self._cuda = cuda
        try:
            cuda.init()
            self._context = cuda.Device(0).retain_primary_context()  # CuPy's as well
            with self._entered():
                self._stream = cuda.Stream()
                discard = gl.graphics_map_flags.WRITE_DISCARD
                self._registered = [gl.RegisteredBuffer(name, discard) for name in buffers]
        except cuda.Error as error:
            raise SinkError(f"CUDA cannot draw here ({' '.join(str(error).split())})") from None

    @contextmanager
    def _entered(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def fill(self, planes: Sequence[Any]) -> None:
        """Copy planes of a picture on the GPU, each into a buffer, without the gaps between rows. When it returns they may
        be overwritten. Raises pycuda.driver.Error."""
        with self._entered():
            for plane, buffer in zip(planes, self._registered, strict=True):
                mapped = buffer.map(self._stream)
                room, size = mapped.device_ptr_and_size()
                copy = self._cuda.Memcpy2D()
                copy.set_src_device(plane.buffer_ptr)
                copy.set_dst_device(room)
                copy.src_pitch, copy.height = plane.line_size, plane.height
                copy.dst_pitch = copy.width_in_bytes = size // plane.height
                copy(self._stream)
                mapped.unmap()
            self._stream.synchronize()

    def close(self) -> None:
        """Give the buffers back. Nothing is raised where the GPU was lost."""
        try:
            with self._entered():
                for buffer in self._registered:
                    buffer.unregister()
            self._context.detach()
        except self._cuda.Error:
            pass


class _Functions:
    """Where ModernGL finds OpenGL: in the context that SDL made current, whatever the system calls that."""

    def __init__(self, sdl: Any):
        self._sdl = sdl

    def load_opengl_function(self, name: str) -> int:
        return self._sdl.SDL_GL_GetProcAddress(name.encode()) or 0

    def __enter__(self) -> "_Functions":
        return self

    def __exit__(self, *_: object) -> None: ...

    def release(self) -> None: ...
