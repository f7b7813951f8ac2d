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
    copy = SimpleNamespace(
        getDeviceCount=lambda: 1,
        memcpyHostToDevice="up",
        memcpyDeviceToHost="down",
        memcpyAsync=lambda to, there, size, way, stream: Stream.all[stream].log.append((way, size)),
    )
    cupy = SimpleNamespace(
        cuda=SimpleNamespace(runtime=copy, Stream=Stream, Event=Event),
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
