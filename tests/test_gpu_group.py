"""A group of streams is painted value for value as each would be alone, whoever misses a round."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import CpuDevice, open_device
from lazy_device import STREAMS, LazyDevice
from scenes import panned, texture

from engine.device_chain import RULES
from kernels.gpu import GpuChain
from kernels.gpu_group import GpuGroup

WIDTH, HEIGHT, SCALE = 75, 53, 2
CONTROLS = (0.9, False)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device(request.param, tmp_path_factory)


class Negative:
    """A network; `calls` are the numbers of pictures it was given."""

    def __init__(self, device: Any):
        self._device, self.calls = device, list[int]()

    def run(self, tiles: Any, painted: Any) -> None:
        self.calls.append(len(tiles))

        def work() -> None:
            np.subtract(255, tiles[..., :24], out=painted)

        if isinstance(self._device, CpuDevice):
            work()
        elif isinstance(self._device, LazyDevice):
            self._device.give("kernels", work)
        else:
            with self._device.stream:
                work()


def clip(stream: int, count: int = 6) -> list[list[np.ndarray]]:
    """Planar frames that pan; in the second stream the scene changes half-way."""
    views = panned(WIDTH, HEIGHT, count, (3 - stream, stream), seed=stream)
    if stream == 1:
        views[count // 2 :] = [texture(WIDTH, HEIGHT, seed=9, smooth=1)] * (count - count // 2)
    return [[view, view[::2, ::2].copy(), 255 - view[::2, ::2] // 2] for view in views]


def alone(device: Any, frames: list[list[np.ndarray]]) -> list[Any]:
    """What a chain of its own paints, and its verdicts."""
    chain = GpuChain(device, WIDTH, HEIGHT, SCALE, RULES, Negative(device).run)
    found = []
    for frame in frames:
        chain.submit(frame, True, *CONTROLS)
        room = [np.zeros_like(plane) for plane in frame]
        found.append((chain.collect(room), room))
    return found


def group_on(device: Any, count: int = 3) -> tuple[GpuGroup, Negative]:
    network = Negative(device)
    return GpuGroup(device, count, WIDTH, HEIGHT, SCALE, RULES, network.run, network.run), network


def together(group: GpuGroup, clips: list[list], present: Callable[[int, int], bool], ahead: int) -> list[list[Any]]:
    """What a group paints of each clip; whether a stream is `present` is asked for every round."""
    left, found = [list(frames) for frames in clips], [[] for _ in clips]
    rounds: list[list[Any]] = []

    def take() -> None:
        rooms = rounds.pop(0)
        for stream, (verdict, room) in enumerate(zip(group.collect(rooms), rooms, strict=True)):
            assert (verdict is None) == (room is None)
            if room is not None:
                found[stream].append((verdict, room))

    number = 0
    while any(left):
        frames = [each.pop(0) if each and present(number, stream) else None for stream, each in enumerate(left)]
        group.submit(frames, *CONTROLS)
        rounds.append([frame and [np.zeros_like(plane) for plane in frame] for frame in frames])
        if len(rounds) == ahead:
            take()
        number += 1
    while rounds:
        take()
    return found


def assert_same(found: list[list[Any]], expected: list[list[Any]]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        for (verdict, planes), (wanted, wanted_planes) in zip(ours, theirs, strict=True):
            assert verdict[2] == wanted[2]
            assert verdict == wanted or wanted[2]  # of a frame that begins a scene nothing else is known
            for plane, other in zip(planes, wanted_planes, strict=True):
                np.testing.assert_array_equal(plane, other)


PRESENT = {
    "all have a frame": lambda number, stream: True,
    "one misses a round": lambda number, stream: (number, stream) != (2, 0),
    "one is half as fast": lambda number, stream: stream != 2 or number % 2 == 0,
    "one at a time": lambda number, stream: number % 3 == stream,
}


@pytest.mark.parametrize("present", PRESENT.values(), ids=PRESENT)
@pytest.mark.parametrize("ahead", [1, GpuGroup.IN_FLIGHT])
def test_each_stream_is_painted_as_alone(device, present, ahead):
    clips = [clip(stream) for stream in range(3)]
    expected = [alone(device, frames) for frames in clips]
    assert [[verdict[2] for verdict, _ in each].count(True) for each in expected] == [1, 2, 1]  # a cut in one of them
    assert_same(together(group_on(device)[0], clips, present, ahead), expected)


@pytest.mark.parametrize("eager", [(), *((stream,) for stream in STREAMS)])
def test_whatever_a_stream_of_the_device_does_first_the_same_is_painted(device, eager):
    if not isinstance(device, CpuDevice):
        pytest.skip("a GPU does what it does")
    clips = [clip(stream) for stream in range(2)]
    group, _ = group_on(LazyDevice(device, eager), 2)
    found = together(group, clips, PRESENT["one misses a round"], GpuGroup.IN_FLIGHT)
    assert_same(found, [alone(device, frames) for frames in clips])


def test_the_network_runs_once_for_all_or_for_few_of_them_alone(device):
    if not isinstance(device, CpuDevice):
        pytest.skip("what is recorded is not called again")
    group, network = group_on(device, 4)
    frame = clip(0)[0]
    calls = []
    for count in (4, 3, 2, 1, 0):
        network.calls.clear()
        frames = [frame] * count + [None] * (4 - count)
        group.submit(frames, *CONTROLS)
        group.collect([each and [np.zeros_like(plane) for plane in each] for each in frames])
        calls.append(list(network.calls))
    assert calls == [[4], [4], [1, 1], [1], []]


def test_a_stream_that_takes_the_place_of_another_begins_anew_and_in_step(device):
    group, network = group_on(device, 2)
    clips = [clip(0), clip(1)]
    found = together(group, clips, PRESENT["one misses a round"], 2)
    group.forget(0)
    network.calls.clear()
    after = [clip(2)[:3], clip(1)[3:]]
    expected = [alone(device, after[0]), alone(device, clips[1] + after[1])[len(clips[1]) :]]
    assert_same(together(group, after, PRESENT["all have a frame"], 2), expected)
    assert len(found[0]) == len(clips[0])
    assert len({lane.odd for lane in group.lanes}) == 1
