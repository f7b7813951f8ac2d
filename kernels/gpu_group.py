"""Several streams on one GPU: their frames are painted in rounds, by one network for all at once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from kernels.device import Device
from kernels.gpu import GpuLane, Planes, Rules
from kernels.layout import CHANNELS, SEEN, tile_grid

Network = Callable[[Any, Any], None]


class GpuGroup:
    """The chains of `count` streams of one size that share a style. Rounds go in with `submit` and come out of `collect` in
    order, at most IN_FLIGHT at a time, each with at most one frame of a stream: so none waits for more than one of another.

    `network` gets two device arrays, tiles uint8 [count, h, w, 40] and where the painted ones go, uint8 [count, h, w, 24],
    and `alone` such arrays of one picture; both as `GpuChain` wants them. The second paints where no more than half of the
    streams have a frame. For the rest see `GpuLane`.
    """

    IN_FLIGHT = GpuLane.IN_FLIGHT

    def __init__(
        self,
        device: Device,
        count: int,
        width: int,
        height: int,
        scale: int,
        rules: Rules,
        network: Network,
        alone: Network,
        interleaved: bool = False,
    ):
        self.device, self._network = device, network
        shape = (count, *tile_grid(width, height))
        self._tiles, self._fresh_tiles = (device.zeros((*shape, channels), np.uint8) for channels in (SEEN, CHANNELS))
        own = [(self._tiles[i : i + 1], self._fresh_tiles[i : i + 1]) for i in range(count)]
        self.lanes = [GpuLane(device, width, height, scale, rules, there[0], back[0], interleaved) for there, back in own]
        self._rounds = [device.record(partial(self.round, odd)) for odd in range(2)]
        # and for rounds that are not whole
        self._begins = [[device.record(partial(_begin, lane, odd)) for odd in range(2)] for lane in self.lanes]
        self._ends = [[device.record(partial(_end, lane, odd)) for odd in range(2)] for lane in self.lanes]
        self._all = device.record(partial(network, self._tiles, self._fresh_tiles))
        self._alone = [device.record(partial(alone, *pair)) for pair in own]
        device.mark().synchronize()

    def round(self, odd: int) -> None:
        """All steps of a round in which every stream has a frame."""
        self.device.together([partial(_begin, lane, odd) for lane in self.lanes])
        self._network(self._tiles, self._fresh_tiles)
        self.device.together([partial(_end, lane, odd) for lane in self.lanes])

    def submit(self, frames: Sequence[Planes | None], consistency: float, keep_color: bool) -> None:
        """Begin to paint a round: of each stream the planes of its next frame, as `GpuLane.send` takes them, or None. A
        stream without a frame stays as it is."""
        present = [index for index, planes in enumerate(frames) if planes is not None]
        step = next((lane.odd for lane in self.lanes if lane.begun), 0)
        for lane, planes in zip(self.lanes, frames, strict=True):
            if planes is not None:
                if not lane.begun:  # nothing of before counts, so it can fall into step with the others
                    lane.odd = step
                lane.send(planes, consistency, keep_color)
        # those that missed a round are out of step
        if len(present) == len(self.lanes) and len({lane.odd for lane in self.lanes}) == 1:
            self._rounds[self.lanes[0].odd]()
        else:
            self._run_parts(present)
        for index in present:
            self.lanes[index].fetch()

    def _run_parts(self, present: list[int]) -> None:
        for index in present:
            self._begins[index][self.lanes[index].odd]()
        if 2 * len(present) > len(self.lanes):
            self._all()
        else:
            for index in present:
                self._alone[index]()
        for index in present:
            self._ends[index][self.lanes[index].odd]()

    def collect(self, frames: Sequence[Planes | None]) -> list[tuple[float, float, bool] | None]:
        """Wait for the oldest round, and copy each stream's frame into its planes, None where it had none. Returns for each
        what `GpuLane.collect` does, or None."""
        return [None if planes is None else lane.collect(planes) for lane, planes in zip(self.lanes, frames, strict=True)]

    def forget(self, stream: int) -> None:
        """The next frame of this stream is the first of its scene."""
        self.lanes[stream].forget()


def _begin(lane: GpuLane, odd: int) -> None:
    lane.flow(odd)
    lane.pack(odd)


def _end(lane: GpuLane, odd: int) -> None:
    lane.blend(odd, True)
    lane.restore(odd)
