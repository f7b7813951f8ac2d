"""Copies go beside the kernels, and whatever each stream does first, the same is painted: the order is stated where it is
needed, and no host waits for it."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import CpuDevice, open_device
from lazy_device import STREAMS, LazyDevice
from scenes import panned

from engine.device_chain import RULES
from kernels.gpu import GpuChain

WIDTH, HEIGHT, FRAMES = 64, 48, 9
EAGER = [streams for count in range(3) for streams in combinations(STREAMS, count)]
CARELESS = ("upload", "download", "follow")


class OnDevice:
    """A plane that a decoder left on the device, whose memory it takes back when nobody holds it any more."""

    def __init__(self, samples: np.ndarray):
        self._samples = samples.copy()

    def __dlpack__(self, **how: Any) -> Any:
        return self._samples.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._samples.__dlpack_device__()

    def __del__(self) -> None:
        self._samples[:] = 255


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> CpuDevice:
    return open_device("cpu", tmp_path_factory)


def negative(device: Any) -> Any:
    """A network that takes its turn among the kernels."""

    def run(tiles: np.ndarray, painted: np.ndarray) -> None:
        def work() -> None:
            np.subtract(255, tiles[..., :24], out=painted)

        device.give("kernels", work) if isinstance(device, LazyDevice) else work()

    return run


def planes(index: int) -> list[np.ndarray]:
    """NV12, and no two frames alike."""
    luma = panned(WIDTH, HEIGHT, FRAMES)[index]
    return [luma, np.roll(luma[::2], index, 0)]


def chain_on(device: Any) -> GpuChain:
    return GpuChain(device, WIDTH, HEIGHT, 2, RULES, negative(device), interleaved=True)


def painted(chain: GpuChain, ahead: int, network_on: int, on_device: bool = False) -> list[np.ndarray]:
    """All frames, `ahead` of them given before the first is taken; the network runs on every `network_on`-th. With
    `on_device` they come from there and stay there."""
    found: list[np.ndarray] = []
    kept: list[list[np.ndarray]] = []

    def take() -> None:
        room = kept.pop(0) if on_device else [np.zeros_like(plane) for plane in planes(0)]
        verdict = chain.collect(() if on_device else room)
        found.extend([*room, np.array(verdict, np.float32)])

    for index in range(FRAMES):
        # colours kept in some, so that the camera's are read to the end; a scene that ends, so that settings matter
        if index == 6:
            chain.forget()
        given: list[Any] = planes(index)
        if on_device:
            given = [OnDevice(plane) for plane in given]
            kept.append([np.zeros_like(plane) for plane in planes(0)])
        onto = kept[-1] if on_device else ()
        chain.submit(given, index % network_on == 0, 0.5 + index / 20, index % 2 == 1, onto)
        if len(chain.lane.waiting) == ahead:
            take()
    while chain.lane.waiting:
        take()
    return found


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize(("ahead", "network_on"), [(3, 1), (2, 1), (1, 1), (3, 2)])
def test_whatever_a_stream_does_first_the_same_is_painted(device, eager, ahead, network_on):
    expected = painted(chain_on(device), 1, network_on)
    found = painted(chain_on(LazyDevice(device, eager)), ahead, network_on)
    for frame, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize(("ahead", "network_on"), [(3, 1), (3, 2)])
def test_frames_that_are_on_the_device_are_painted_as_if_they_had_been_sent_there(device, eager, ahead, network_on):
    expected = painted(chain_on(device), 1, network_on)
    found = painted(chain_on(LazyDevice(device, eager)), ahead, network_on, on_device=True)
    for frame, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)


@pytest.mark.parametrize(
    ("careless", "on_device"),
    [*(((each,), False) for each in CARELESS), (("upload", "adopt"), True), (("keep", "download"), True)],
)
def test_each_event_that_is_stated_is_needed(device, careless, on_device):
    """Else this file would find no mistake."""
    expected = painted(chain_on(device), 1, 1)

    def right(eager: tuple[str, ...]) -> bool:
        found = painted(chain_on(LazyDevice(device, eager, careless)), 3, 1, on_device)
        return all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))

    assert not all(right(eager) for eager in EAGER)


def test_while_a_frame_is_painted_the_next_goes_up_and_the_one_before_comes_down(device):
    """Nothing but the frame that is taken is waited for."""
    lazy = LazyDevice(device)
    chain = chain_on(lazy)
    for index in range(3):
        chain.submit(planes(index), True, 0.9, False)
    assert list(lazy.left().values()).count(0) == 0
    chain.collect([np.zeros_like(plane) for plane in planes(0)])
    left = lazy.left()
    assert left["down"] > 0
    assert left["kernels"] > 0
    assert left["up"] > 0
