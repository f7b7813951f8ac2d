"""A stand-in for PyCUDA's OpenGL interop: the GPU's memory is the host's, and a mapped buffer is one that OpenGL mapped."""

import ctypes
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

_UNPACK_BUFFER, _WRITE_ONLY = 0x88EC, 0x88B9  # GL_PIXEL_UNPACK_BUFFER, GL_WRITE_ONLY


class Error(Exception):
    pass


class PyCuda:
    """Installs itself for the time of a test, with the order PyCUDA keeps: nothing without a context, no buffer mapped
    twice, nothing copied into one that is not mapped. `refuses` has the display at another GPU; `lost` is this one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.refuses = self.lost = False
        self.entered = self.copies = self.waited = 0
        self.registered: set[int] = set()
        self._mapped: dict[int, int] = {}  # of addresses, the sizes
        driver, gl, whole = (ModuleType(name) for name in ("pycuda.driver", "pycuda.gl", "pycuda"))
        names = {"Error": Error, "init": lambda: None, "Device": self._device, "Stream": self._stream}
        names |= {"Context": SimpleNamespace(pop=self._pop), "Memcpy2D": lambda: _Copy(self)}
        vars(driver).update(names)
        vars(gl).update(graphics_map_flags=SimpleNamespace(WRITE_DISCARD=2), RegisteredBuffer=lambda *a: _Buffer(self, *a))
        vars(whole).update(driver=driver, gl=gl, __spec__=SimpleNamespace(name="pycuda"))
        for module in (driver, gl, whole):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    def _device(self, index: int) -> Any:
        assert index == 0
        context = SimpleNamespace(push=self._push, detach=self.check)
        return SimpleNamespace(retain_primary_context=lambda: context)

    def _stream(self) -> Any:
        self.check()
        return SimpleNamespace(synchronize=self._wait)

    def _push(self) -> None:
        self.entered += 1

    def _pop(self) -> None:
        self.entered -= 1

    def _wait(self) -> None:
        assert not self._mapped
        self.waited += 1

    def check(self) -> None:
        if self.lost:
            raise Error("an illegal memory access was encountered")


class _Buffer:
    def __init__(self, cuda: PyCuda, name: int, flags: int):
        assert cuda.entered
        if cuda.refuses:
            raise Error("cuGraphicsGLRegisterBuffer failed: operating system call failed")
        self._cuda, self._name = cuda, name
        cuda.registered.add(name)

    def map(self, stream: Any) -> "_Mapped":
        assert self._cuda.entered
        assert self._name in self._cuda.registered
        self._cuda.check()
        return _Mapped(self._cuda, self._name)

    def unregister(self) -> None:
        self._cuda.check()
        assert _gl("glIsBuffer", ctypes.c_ubyte, self._name), "not in the thread that has OpenGL's context"
        self._cuda.registered.remove(self._name)


class _Mapped:
    def __init__(self, cuda: PyCuda, name: int):
        self._cuda, self._name = cuda, name
        _gl("glBindBuffer", None, _UNPACK_BUFFER, name)
        size = ctypes.c_int()
        _gl("glGetBufferParameteriv", None, _UNPACK_BUFFER, 0x8764, ctypes.byref(size))
        self._address, self._size = _gl("glMapBuffer", ctypes.c_void_p, _UNPACK_BUFFER, _WRITE_ONLY), size.value
        assert self._address, "mapped twice"
        _gl("glBindBuffer", None, _UNPACK_BUFFER, 0)
        cuda._mapped[self._address] = self._size

    def device_ptr_and_size(self) -> tuple[int, int]:
        return self._address, self._size

    def unmap(self) -> None:
        del self._cuda._mapped[self._address]
        _gl("glBindBuffer", None, _UNPACK_BUFFER, self._name)
        _gl("glUnmapBuffer", ctypes.c_ubyte, _UNPACK_BUFFER)
        _gl("glBindBuffer", None, _UNPACK_BUFFER, 0)


class _Copy:
    """Memcpy2D: rows of `width_in_bytes`."""

    src_pitch = dst_pitch = width_in_bytes = height = 0

    def __init__(self, cuda: PyCuda):
        self._cuda, self._from, self._to = cuda, 0, 0

    def set_src_device(self, address: int) -> None:
        self._from = address

    def set_dst_device(self, address: int) -> None:
        self._to = address

    def __call__(self, stream: Any) -> None:
        assert self._cuda._mapped[self._to] >= self.dst_pitch * (self.height - 1) + self.width_in_bytes
        self._cuda.check()
        for row in range(self.height):
            ctypes.memmove(self._to + row * self.dst_pitch, self._from + row * self.src_pitch, self.width_in_bytes)
        self._cuda.copies += 1


def _gl(name: str, result: Any, *given: Any) -> Any:
    import sdl2

    address = sdl2.SDL_GL_GetProcAddress(name.encode())
    return ctypes.CFUNCTYPE(result, *(ctypes.c_void_p if not isinstance(g, int) else ctypes.c_uint for g in given))(address)(
        *given
    )


def shown(size: tuple[int, int]) -> np.ndarray:
    """What the OpenGL context that is current has drawn, uint8 [h, w, 3], from the top."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    _gl("glPixelStorei", None, 0x0D05, 1)
    _gl("glReadPixels", None, 0, 0, *size, 0x1907, 0x1401, ctypes.c_void_p(pixels.ctypes.data))
    return pixels[::-1]
