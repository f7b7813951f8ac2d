"""What `Cuda` asks of CuPy, which a stand-in writes down: which stream does what, and after what. No GPU is needed."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernels.device import Cuda

LAUNCH = ("sweep", (1,), (32,), object(), 1, 1, 0, object())


class Stream:
    """`log` is what it was given: names of kernels, directions of copies, and after which (stream, length of its log)."""

    current: "Stream"
    all: list["Stream"]

    def __init__(self, non_blocking: bool):
        self.ptr, self.log = len(self.all), list[Any]()
        self.all.append(self)

    def __enter__(self) -> None:
        self._outer, Stream.current = getattr(Stream, "current", self), self

    def __exit__(self, *error: object) -> None:
        Stream.current = self._outer

    def wait_event(self, event: "Event") -> None:
        self.log.append(event.point)

    def synchronize(self) -> None: ...

    def begin_capture(self) -> None:
        self.before, self.log = self.log, []

    def end_capture(self) -> Any:
        if not hasattr(self, "before"):
            raise CudaError("not capturing")
        recorded, self.log = self.log, self.before
        del self.before
        if "unsafe" in recorded:
            raise CudaError("the capture\nwas invalidated")
        return SimpleNamespace(launch=lambda stream: stream.log.extend(recorded))


class CudaError(RuntimeError):
    """As CuPy's."""


class Event:
    def __init__(self, block: bool, disable_timing: bool):
        self.point = (-1, -1)

    def record(self, stream: Stream) -> None:
        self.point = (stream.ptr, len(stream.log))


def launcher(name: str) -> Any:
    return lambda grid, block, given: Stream.current.log.append(name)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    Stream.all = []
    Stream.null = Stream(False)  # type: ignore[attr-defined]
    Stream.null.ptr, Stream.all = -1, []  # type: ignore[attr-defined]
    calls: list[Any] = []
    copy = SimpleNamespace(
        CUDARuntimeError=CudaError,
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        setDevice=lambda number: calls.append(("device", number)),
        free=lambda pointer: calls.append(("free", pointer)),
        calls=calls,
        memcpyHostToDevice="up",
        memcpyDeviceToHost="down",
        memcpyDeviceToDevice="across",
        memcpyAsync=lambda to, there, size, way, stream: Stream.all[stream].log.append((way, size)),
        memcpy2DAsync=lambda *what: Stream.all[what[-1]].log.append((what[-2], *what[:-2])),
    )
    cupy = SimpleNamespace(
        cuda=SimpleNamespace(runtime=copy, Stream=Stream, Event=Event),
        from_dlpack=lambda capsule: capsule,
        RawModule=lambda code, options: SimpleNamespace(get_function=launcher),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return Cuda()


def array(size: int) -> Any:
    return SimpleNamespace(data=SimpleNamespace(ptr=0), size=size)


def test_copies_beside_the_kernels_wait_for_nothing_but_their_event(device):
    kernels, up, down = Stream.all
    device.launch(*LAUNCH)
    begun = device.mark()
    device.launch(*LAUNCH)
    arrived = device.upload([(np.zeros(3, np.uint8), array(3)), (np.zeros(5, np.uint8), array(5))], begun)
    device.follow(arrived)
    device.launch(*LAUNCH)
    left = device.download([(array(4), np.zeros(4, np.uint8))], device.mark())
    assert kernels.log == ["sweep", "sweep", (up.ptr, 3), "sweep"]
    assert up.log == [(kernels.ptr, 1), ("up", 3), ("up", 5)]
    assert down.log == [(kernels.ptr, 4), ("down", 4)]
    assert left.point == (down.ptr, 2)  # type: ignore[attr-defined]


def test_copies_among_the_kernels_stay_in_their_order(device):
    kernels, up, down = Stream.all
    device.send(np.zeros(3, np.uint8), array(3))
    device.launch(*LAUNCH)
    device.fetch(array(3), np.zeros(3, np.uint8))
    assert kernels.log == [("up", 3), "sweep", ("down", 3)]
    assert up.log == down.log == []


class Plane:
    """As PyAV's: it heeds no stream."""

    def __init__(self, pointer: int, shape: tuple[int, ...], pitch: int, dtype: type = np.uint8):
        self._given = array(int(np.prod(shape)))
        self._given.data.ptr, self._given.strides, self._given.dtype = pointer, (pitch, 1), np.dtype(dtype)
        self._given.shape, self._given.nbytes = shape, int(np.prod(shape)) * self._given.dtype.itemsize

    def __dlpack__(self, *, stream: None = None) -> Any:
        assert stream is None
        return self._given


def test_what_a_decoder_leaves_on_the_device_is_copied_row_by_row_after_the_decoder_and_the_event(device):
    kernels, up, down = Stream.all
    Stream.null.log[:] = ["decoded", "copied"]  # type: ignore[attr-defined]
    device.launch(*LAUNCH)
    rooms = [array(0), array(0)]
    for pointer, room in zip((1000, 2000), rooms, strict=True):
        room.data.ptr, room.strides = pointer, (128, 1)
    copies = [(Plane(7, (48, 100), 512), rooms[0]), (Plane(9, (24, 50, 2), 512), rooms[1])]
    arrived = device.adopt(copies, device.mark())
    after = [(-1, 2), (kernels.ptr, 1)]
    assert up.log == [*after, ("across", 1000, 128, 7, 512, 100, 48), ("across", 2000, 128, 9, 512, 100, 24)]
    assert arrived.point == (up.ptr, 4)  # type: ignore[attr-defined]
    assert (kernels.log, down.log) == (["sweep"], [])


def test_what_a_decoder_leaves_in_ten_bits_is_rounded_where_it_would_be_copied(device):
    kernels, up, down = Stream.all
    Stream.null.log[:] = ["decoded"]  # type: ignore[attr-defined]
    rooms = [array(0), array(0)]
    for room in rooms:
        room.shape = (48, 128)
    planes = Plane(7, (48, 100), 512, np.uint16), Plane(9, (24, 50, 2), 512, np.uint16)
    arrived = device.adopt(list(zip(planes, rooms, strict=True)), device.mark())
    assert up.log == [(-1, 1), (kernels.ptr, 0), "round_p010", "round_p010"]
    assert arrived.point == (up.ptr, 4)  # type: ignore[attr-defined]
    assert (kernels.log, down.log) == ([], [])


def test_what_stays_on_the_device_is_copied_there_beside_the_kernels(device):
    kernels, up, down = Stream.all
    device.launch(*LAUNCH)
    source, room = array(0), array(0)
    source.data.ptr, source.strides = 1000, (128, 1)
    room.data.ptr, room.strides, room.shape = 2000, (256, 1), (48, 100)
    left = device.keep([(source, room)], device.mark())
    assert down.log == [(kernels.ptr, 1), ("across", 2000, 256, 1000, 128, 100, 48)]
    assert left.point == (down.ptr, 2)  # type: ignore[attr-defined]
    assert (kernels.log, up.log) == (["sweep"], [])


def test_other_libraries_are_let_into_its_memory(device):
    """FFmpeg asks for the context that is current; the runtime makes it so, and has begun with it after a first call."""
    device.enter()
    assert device._cupy.cuda.runtime.calls == [("device", 0), ("free", 0)]


def test_what_runs_together_begins_after_the_kernels_before_and_ends_before_those_after(device):
    kernels = Stream.all[0]
    device.launch(*LAUNCH)
    for _ in range(2):
        device.together([lambda: device.launch(*LAUNCH)] * 3)
    device.launch(*LAUNCH)
    _, _, _, *beside = Stream.all
    assert len(beside) == 3  # and no more the second time
    first = [(stream.ptr, 2) for stream in beside]
    second = [(stream.ptr, 4) for stream in beside]
    assert kernels.log == ["sweep", *first, *second, "sweep"]
    for stream in beside:
        assert stream.log == [(kernels.ptr, 1), "sweep", (kernels.ptr, 4), "sweep"]


def test_after_a_failure_together_kernels_go_on_in_their_own_stream(device):
    def fails() -> None:
        raise RuntimeError("no such kernel")

    with pytest.raises(RuntimeError):
        device.together([fails])
    device.launch(*LAUNCH)
    assert Stream.all[0].log == ["sweep"]


def test_what_is_recorded_runs_once_at_first_and_is_then_repeated_as_it_was(device):
    counts = []

    def work() -> None:
        counts.append(1)
        device.launch(*LAUNCH)

    again = device.record(work)
    assert Stream.all[0].log == ["sweep"]
    again()
    again()
    assert Stream.all[0].log == ["sweep"] * 3
    assert len(counts) == 2
    assert device.notes == []


@pytest.mark.parametrize("at_the_end", [False, True])
def test_what_cannot_be_recorded_runs_as_it_is_and_that_is_noted(device, at_the_end):
    """What a stream must not do while it is recorded may be refused at once, or only when the recording ends."""
    kernels = Stream.all[0]

    def work() -> None:
        device.launch(*LAUNCH)
        if hasattr(kernels, "before"):
            kernels.log.append("unsafe")
            if not at_the_end:
                raise CudaError("the capture was invalidated")

    again = device.record(work)
    assert kernels.log == ["sweep"]
    again()
    assert kernels.log == ["sweep"] * 2
    assert device.notes == ["no CUDA graph, so every kernel is launched by itself (the capture was invalidated)"]
