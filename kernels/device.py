"""Where kernels run: a GPU by CuPy."""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from kernels import cuda

Copies = Sequence[tuple[Any, Any]]  # from, to


class Event(Protocol):
    """A point in the order of what a device is given; `synchronize` waits until it is reached."""

    def synchronize(self) -> None: ...


class Device(Protocol):
    """Where kernels run, one after another in the order given. Arrays have shapes and dtypes as NumPy's have.

    `staging` is host memory that may be copied to and from in the background. `send` and `fetch` copy in the order of the
    kernels. `upload` and `download` copy beside them, each in an order of its own: they begin when `after` is reached, and
    what they return is reached when they are done. `adopt` copies in the order of `upload`, but from planes that are on the
    device already (`__dlpack__`; [h, w] or [h, w / 2, 2], uint8, or the uint16 of P010, which are rounded) into the left of
    arrays uint8 [h, at least w], and after all that the device's default stream was given so far, where decoders write; the
    planes must live until it is done. `keep` copies in the order of `download`, but from array to array uint8 [h, w], as
    much as the second holds. `enter` makes the device's memory that of other libraries in this thread, which ask for it.
    `mark` is reached when all kernels, `send`s and `fetch`es given so far are done; `follow` keeps those given from now on
    until an event is reached. Nobody waits on the host but for `synchronize`. `together` says that of what several works
    launch, each in its order, none need wait for another's; what is given afterwards follows them all. `record` makes of
    what `work` launches one thing to repeat, and may do it once.
    """

    wet: np.dtype  # of wet planes
    notes: list[str]  # what does not work as it should, for the user

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any: ...

    def staging(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray: ...

    def send(self, host: np.ndarray, array: Any) -> None: ...

    def fetch(self, array: Any, host: np.ndarray) -> None: ...

    def upload(self, copies: Copies, after: Event) -> Event: ...

    def download(self, copies: Copies, after: Event) -> Event: ...

    def adopt(self, copies: Copies, after: Event) -> Event: ...

    def keep(self, copies: Copies, after: Event) -> Event: ...

    def enter(self) -> None: ...

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None: ...

    def mark(self) -> Event: ...

    def follow(self, event: Event) -> None: ...

    def together(self, works: Sequence[Callable[[], None]]) -> None: ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]: ...


def present() -> bool:
    """Whether there are an NVIDIA GPU and its driver. Asks the driver alone, so it is quick where there is none."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int()
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False


class Cuda:
    """A GPU by CuPy: a `Device` with streams of its own; `stream.ptr` gives that of the kernels to whoever runs the network.

    Raises ImportError without CuPy, and CuPy's errors without a driver or a device, or where the sources do not compile,
    which they do at the first launch.
    """

    def __init__(self, wet_half: bool = False):
        import cupy

        self._cupy = cupy
        cupy.cuda.runtime.getDeviceCount()  # raises, rather than later and less clearly
        self.wet = np.dtype(np.float16 if wet_half else np.float32)
        self.stream, self._up, self._down = (cupy.cuda.Stream(non_blocking=True) for _ in range(3))
        self._launching = self.stream
        self._beside: list[Any] = []  # streams for what runs together
        self.notes: list[str] = []

    @cached_property
    def _kernels(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        options = cuda.options(self.wet == np.float16)
        for name in cuda.SOURCES:
            code = cuda.source(name)
            # without fused multiply-adds, what chooses between motions chooses as its definition does
            exact = ["--fmad=false"] if name != "paint" else []
            module = self._cupy.RawModule(code=code, options=(*options, *exact))
            found |= {kernel: module.get_function(kernel) for kernel in cuda.signatures() if f" {kernel}(" in code}
        return found

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        with self.stream:
            return self._cupy.zeros(shape, dtype)

    def staging(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        import cupyx

        return cupyx.zeros_pinned(shape, dtype)

    def send(self, host: np.ndarray, array: Any) -> None:
        self._up_by(self.stream, host, array)

    def fetch(self, array: Any, host: np.ndarray) -> None:
        self._down_by(self.stream, array, host)

    def upload(self, copies: Copies, after: Event) -> Event:
        self._up.wait_event(after)
        for host, array in copies:
            self._up_by(self._up, host, array)
        return self._event(self._up)

    def download(self, copies: Copies, after: Event) -> Event:
        self._down.wait_event(after)
        for array, host in copies:
            self._down_by(self._down, array, host)
        return self._event(self._down)

    def adopt(self, copies: Copies, after: Event) -> Event:
        runtime = self._cupy.cuda.runtime
        self._up.wait_event(self._event(self._cupy.cuda.Stream.null))
        self._up.wait_event(after)
        for plane, array in copies:
            # the capsule by itself: CuPy would ask the plane to heed a stream, which PyAV's refuse
            given = self._cupy.from_dlpack(plane.__dlpack__())
            if given.dtype == np.uint16:
                grid, block, taken = cuda.rounding(given, array)
                with self._up:
                    self._kernels["round_p010"](grid, block, tuple(cuda.arguments("round_p010", taken)))
                continue
            where = (array.data.ptr, array.strides[0], given.data.ptr, given.strides[0])
            rows, row = given.shape[0], given.nbytes // given.shape[0]
            runtime.memcpy2DAsync(*where, row, rows, runtime.memcpyDeviceToDevice, self._up.ptr)
        return self._event(self._up)

    def keep(self, copies: Copies, after: Event) -> Event:
        runtime = self._cupy.cuda.runtime
        self._down.wait_event(after)
        for array, room in copies:
            rows, row = room.shape
            where = (room.data.ptr, room.strides[0], array.data.ptr, array.strides[0])
            runtime.memcpy2DAsync(*where, row, rows, runtime.memcpyDeviceToDevice, self._down.ptr)
        return self._event(self._down)

    def enter(self) -> None:
        runtime = self._cupy.cuda.runtime
        runtime.setDevice(runtime.getDevice())
        runtime.free(0)  # older CUDA begins with a device at the first call that needs it

    def _up_by(self, stream: Any, host: np.ndarray, array: Any) -> None:
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(array.data.ptr, host.ctypes.data, host.nbytes, runtime.memcpyHostToDevice, stream.ptr)

    def _down_by(self, stream: Any, array: Any, host: np.ndarray) -> None:
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(host.ctypes.data, array.data.ptr, host.nbytes, runtime.memcpyDeviceToHost, stream.ptr)

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None:
        with self._launching:
            self._kernels[kernel](grid, block, tuple(cuda.arguments(kernel, given)))

    def mark(self) -> Event:
        return self._event(self.stream)

    def follow(self, event: Event) -> None:
        self.stream.wait_event(event)

    def together(self, works: Sequence[Callable[[], None]]) -> None:
        while len(self._beside) < len(works):
            self._beside.append(self._cupy.cuda.Stream(non_blocking=True))
        begin = self.mark()
        try:
            for work, stream in zip(works, self._beside, strict=False):
                stream.wait_event(begin)
                self._launching = stream
                work()
                self.follow(self._event(stream))
        finally:
            self._launching = self.stream

    def _event(self, stream: Any) -> Event:
        event = self._cupy.cuda.Event(block=True, disable_timing=True)
        event.record(stream)
        return event

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        work()  # once for real, because what loads or compiles late cannot be recorded
        self.stream.synchronize()
        with self.stream:
            self.stream.begin_capture()
            try:
                work()
                graph = self.stream.end_capture()
            except Exception as error:  # of a network that does something which cannot be recorded: it runs as it is
                with suppress(self._cupy.cuda.runtime.CUDARuntimeError):  # where it is the end that failed
                    self.stream.end_capture()
                why = " ".join(str(error).split())[:200]
                self.notes.append(f"no CUDA graph, so every kernel is launched by itself ({why})")
                return work
        return lambda: graph.launch(self.stream)
