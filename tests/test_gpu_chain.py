"""The chain on the device paints what the engine paints, given the same motion and the same network.

Its kernels run on the CPU here (`cuda_on_cpu`), and on a GPU where there is one.
"""

from typing import Any

import numpy as np
import pytest
from cuda_on_cpu import CpuDevice, open_device
from scenes import frame_of, panned, texture

from engine import flow, temporal
from engine.controls import Controls
from engine.device_chain import RULES
from engine.search import SMALLEST
from kernels import dis, reference
from kernels.gpu import GpuChain


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_device(request.param, tmp_path_factory)


class Search:
    """Stands in for the engine's."""

    def look(self, luma: np.ndarray, small: np.ndarray, scale: int) -> None:
        """Cells are enough."""

    def find(self, small: np.ndarray, previous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if min(small.shape) < SMALLEST:
            return np.zeros((*small.shape, 2), np.float32), np.zeros((*small.shape, 2), np.float32)
        return dis.flow(small, previous), dis.flow(previous, small)


class Engine:
    """The same steps by the engine itself."""

    def __init__(self, width: int, height: int, scale: int):
        self.motion = flow.FlowState.for_size(width, height, scale)
        self.motion.search = Search()  # type: ignore[assignment]
        self.wet = temporal.Wet.for_size(width, height, scale)

    def paint(self, frame: Any, fresh: bool, controls: Controls) -> tuple[Any, flow.Motion]:
        motion = flow.step(self.motion, frame.planes[0])
        tiles = 255 - reference.pack_tiles(*frame.planes) if fresh or motion.cut else None
        return temporal.step(self.wet, frame, motion, tiles, controls), motion


def negative(device: Any) -> Any:
    """A network."""

    def run(tiles: Any, painted: Any) -> None:
        if isinstance(device, CpuDevice):
            np.subtract(255, tiles[..., :24], out=painted)
        else:
            with device.stream:
                np.subtract(255, tiles[..., :24], out=painted)

    return run


def frames_of(width: int, height: int) -> list[Any]:
    """A moving scene, and one frame of another."""
    views = panned(width, height, 4, step=(3, 2))
    frames = [frame_of(view, index) for index, view in enumerate([*views, texture(width, height, seed=9, smooth=1)])]
    for frame in frames:
        frame.planes[1][:] = frame.planes[0][::2, ::2]
        frame.planes[2][:] = 255 - frame.planes[0][::2, ::2] // 2
    return frames


def planes_for(frame: Any, interleaved: bool) -> tuple[np.ndarray, ...]:
    luma, cb, cr = frame.planes
    return (luma, np.stack([cb, cr], -1).reshape(cb.shape[0], -1)) if interleaved else (luma, cb, cr)


@pytest.mark.parametrize(
    ("width", "height", "scale", "interleaved"),
    [(75, 53, 2, False), (131, 70, 4, True), (33, 27, 1, False), (21, 11, 1, True)],
)
def test_the_chain_paints_what_the_engine_paints(device, width, height, scale, interleaved):
    engine = Engine(width, height, scale)
    chain = GpuChain(device, width, height, scale, RULES, negative(device), interleaved)
    for index, (frame, fresh) in enumerate(zip(frames_of(width, height), (True, True, False, True, False), strict=True)):
        controls = Controls(keep_color=index == 1)
        expected, motion = engine.paint(frame, fresh, controls)
        ran = chain.submit(planes_for(frame, interleaved), fresh, controls.consistency, controls.keep_color)
        found = [np.zeros_like(plane) for plane in planes_for(frame, interleaved)]
        confidence, _, cut = chain.collect(found)
        assert (cut, ran) == (motion.cut, fresh or motion.cut)
        if index:  # without a frame before, the engine measures nothing
            assert confidence == pytest.approx(motion.confidence, abs=1e-3)
        for plane, wanted in zip(found, planes_for(expected, interleaved), strict=True):
            difference = np.abs(plane.astype(int) - wanted)
            assert difference.max() <= 1
            assert difference.mean() < 0.01
    if width > 32:  # smaller ones have no room to search, and move only where that is found
        assert cut  # the last frame is of another scene


def test_frames_come_out_in_order_and_two_may_be_on_their_way(device):
    frames = frames_of(64, 48)[:3]
    one, two = (GpuChain(device, 64, 48, 2, RULES, negative(device)) for _ in range(2))
    alone, together = [], []
    for frame in frames:
        one.submit(frame.planes, True, 0.9, False)
        alone.append([np.zeros_like(plane) for plane in frame.planes])
        one.collect(alone[-1])
    for frame in frames:
        two.submit(frame.planes, True, 0.9, False)
        if frame is frames[0]:
            continue
        together.append([np.zeros_like(plane) for plane in frame.planes])
        two.collect(together[-1])
    together.append([np.zeros_like(plane) for plane in frames[0].planes])
    two.collect(together[-1])
    for expected, found in zip(alone, together, strict=True):
        for plane, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(plane, wanted)


def test_what_is_forgotten_leaves_no_trace(device):
    first, second, third = frames_of(64, 48)[1:4]
    known, new = (GpuChain(device, 64, 48, 2, RULES, negative(device)) for _ in range(2))
    results = []
    for chain, frames in ((known, (first, second)), (new, ())):
        for frame in frames:
            chain.submit(frame.planes, True, 0.9, False)
            chain.collect([np.zeros_like(plane) for plane in frame.planes])
        chain.forget()
        assert chain.submit(third.planes, False, 0.9, False)  # the network runs though nobody asked
        results.append([np.zeros_like(plane) for plane in third.planes])
        assert chain.collect(results[-1])[2]
    for plane, wanted in zip(*results, strict=True):
        np.testing.assert_array_equal(plane, wanted)


def test_an_interleaved_chain_takes_and_gives_planar_frames_on_the_host_as_well(device):
    planar, interleaved = (GpuChain(device, 75, 53, 2, RULES, negative(device), kind) for kind in (False, True))
    for frame in frames_of(75, 53)[:2]:
        found = []
        for chain in (planar, interleaved):
            chain.submit(frame.planes, True, 0.9, True)
            found.append([np.zeros_like(plane) for plane in frame.planes])
            chain.collect(found[-1])
        for plane, wanted in zip(*found, strict=True):
            np.testing.assert_array_equal(plane, wanted)
