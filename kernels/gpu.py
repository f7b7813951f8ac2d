"""The chain of a frame on the GPU: the order in which its kernels are launched, and what they remember.

Per frame nothing is allocated or compiled, and nobody waits but for a finished frame. The order of the steps is that of
`engine.flow.step` and `engine.temporal.step`. Copies go beside the kernels: while a frame is painted, the next one goes up
and the one before comes down.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kernels import cuda, dis
from kernels.device import Device, Event
from kernels.layout import BLOCK, CHANNELS, PATCH, SEEN, TILE, patch_count, tile_grid

_ROW_OF_32 = (32, 8)  # threads of a block, for kernels that leave it open
_f32, _u8 = np.float32, np.uint8

Planes = Sequence[Any]  # of a picture, see `GpuLane.send`


@dataclass(frozen=True, slots=True)
class Rules:
    """The engine's numbers that the kernels go by: of `engine.flow`, `engine.pacing` and `engine.temporal`."""

    still: float
    slack: float
    sure: float
    unsure: float
    cut_confidence: float
    cut_error: float
    lift: float
    enough: float
    restore: float
    most_gain: float


class FlowSearch:
    """Dense inverse search (`kernels.dis`) in both directions between pyramids of pictures [rows, columns].

    `motion` float32 [2, rows, columns, 2]: from the first to the second, and back; 0 where they are too small to search.
    """

    def __init__(self, device: Device, rows: int, columns: int):
        self._device = device
        self.possible = min(rows, columns) >= dis.SMALLEST
        count = dis.level_count(rows, columns) if self.possible else 1
        self._sizes = [(-(-rows >> level), -(-columns >> level)) for level in range(count)]
        ends = np.cumsum([r * c for r, c in self._sizes]).tolist()
        self._slices = [slice(end - r * c, end) for end, (r, c) in zip(ends, self._sizes, strict=True)]
        self.levels, self.cells = count, ends[-1]
        self.motion = device.zeros((2, rows, columns, 2), _f32)
        if self.possible:
            patches = [(2, 3, patch_count(r, dis.STRIDE), patch_count(c, dis.STRIDE)) for r, c in self._sizes]
            self._patches = [[device.zeros(shape, _f32) for _ in range(2)] for shape in patches]
            self._system = device.zeros((2, 6, rows, columns), _f32)

    def run(self, one: Any, other: Any) -> None:
        """Search between two pyramids float32 [cells] as `build_pyramid` makes them."""
        if not self.possible:
            return
        device, coarser = self._device, None
        for level in reversed(range(self.levels)):
            size = self._sizes[level]
            pair = (one[self._slices[level]], other[self._slices[level]], *size)
            found, next_found = self._patches[level]
            m, n = found.shape[2:]
            grid, block = (-(-n // 16), m, 2), (16 * PATCH,)
            if coarser is None:
                coarser = (*pair[:2], 0, 0, found)
            device.launch("search_patches", grid, block, *pair, *coarser, found)
            for _ in range(dis.ROUNDS):
                device.launch("ask_around", grid, block, *pair, found, next_found)
                found, next_found = next_found, found
            coarser = (*pair, found)
        rows, columns = size
        device.launch("gather_motion", _blocks(columns, rows, 2), _ROW_OF_32, *pair, found, self.motion)
        device.launch("linearise", _blocks(columns, rows, 2), _ROW_OF_32, *pair, self.motion, self._system)
        half = _blocks(-(-columns // 2), rows, 2)
        for sweep in range(2 * dis.SWEEPS):
            device.launch("sweep", half, _ROW_OF_32, self._system, rows, columns, sweep % 2, self.motion)


def _blocks(across: int, down: int, deep: int = 1) -> tuple[int, int, int]:
    """How many blocks of _ROW_OF_32 threads hold so many threads."""
    return -(-across // _ROW_OF_32[0]), -(-down // _ROW_OF_32[1]), deep


def _pitch(width: int) -> int:
    return -(-width // cuda.PITCH) * cuda.PITCH


@dataclass(slots=True)
class _Frame:
    """Memory of one frame, on the device or on the host: what goes up, and what comes down."""

    camera: list[Any]
    settings: Any
    painted: list[Any]
    verdict: Any


class GpuLane:
    """All that is remembered of one stream from frame to frame, on the device, and the steps of a frame.

    It is given to the device with `send`; then `flow`, `pack`, the network from `tiles` to `fresh_tiles` (device arrays
    uint8 [h, w, 40] and [h, w, 24]) unless paint is only carried, `blend` and `restore` are launched, and may be recorded,
    once for each value of `odd`; then `fetch` brings it back, to come out of `collect` in order. At most IN_FLIGHT may be on
    their way, so that one goes up and one comes down while one is painted. `interleaved` says that frames are NV12 there,
    not planar. Motion is found in cells of `scale` luma pixels.
    """

    IN_FLIGHT = 3

    def __init__(
        self,
        device: Device,
        width: int,
        height: int,
        scale: int,
        rules: Rules,
        tiles: Any,
        fresh_tiles: Any,
        interleaved: bool = False,
    ):
        self.device, self.width, self.height, self.scale = device, width, height, scale
        self.tiles, self.fresh_tiles = tiles, fresh_tiles
        self._rules, self._interleaved = rules, interleaved
        half_width, half_height = self._half = (width + 1) // 2, (height + 1) // 2
        half_pitch = _pitch(half_width)
        luma: tuple[int, ...] = (height, _pitch(width))
        chroma: tuple[int, ...] = (2, half_height, half_pitch)
        # a row of samples to the next, a sample to the next, Cb to Cr
        self._chroma_layout = (half_pitch, 1, half_height * half_pitch)
        frame = [luma, chroma]
        if interleaved:
            self._chroma_layout = (_pitch(2 * half_width), 2, 1)
            frame = [luma, (half_height, self._chroma_layout[0])]
        rows, columns = -(-height // scale), -(-width // scale)
        blocks = (-(-height // BLOCK), -(-width // BLOCK))

        def zeros(*shapes: tuple[int, ...], dtype: Any = _f32) -> list[Any]:
            return [device.zeros(shape, dtype) for shape in shapes]

        self._luma, self._blended = zeros(luma, luma, dtype=device.wet)
        self._chroma = zeros(chroma, chroma, dtype=device.wet)  # of even frames, of odd ones
        self._search = FlowSearch(device, rows, columns)
        self.motion = self._search.motion
        self._small = zeros((rows, columns), (rows, columns), dtype=_u8)
        self._pyramids = zeros((self._search.cells,), (self._search.cells,))
        self._raw, self.field = zeros((3, rows, columns), (3, rows, columns))
        self._stale = zeros((rows, columns), (rows, columns))
        (self._residual,) = zeros((rows, columns))
        cell_blocks = _blocks(columns, rows)
        (self._sums,) = zeros((2, cell_blocks[0] * cell_blocks[1]))
        self._known, self._found, self._gain = zeros((3, *blocks), (3, *blocks), (2, *blocks))
        (self._lift,) = zeros(blocks)
        tile_rows, tile_columns, _ = tiles.shape
        self._detail, self._energy, self._even = zeros(
            (tile_rows * TILE, tile_columns * TILE), *[(tile_rows, tile_columns)] * 2
        )

        def room(make: Callable[[tuple[int, ...], Any], Any]) -> _Frame:
            camera, painted = ([make(shape, _u8) for shape in frame] for _ in range(2))
            return _Frame(camera, make((cuda.SETTINGS,), _f32), painted, make((3,), _f32))

        self._frames = [room(device.zeros) for _ in range(2)]  # even ones and odd ones
        # after which an even or an odd frame may be written over: what went up is read no more, what comes down has left
        self._read, self._left = [device.mark()] * 2, [device.mark()] * 2
        self._hosts = deque(room(device.staging) for _ in range(self.IN_FLIGHT))  # the next one's first
        self.odd = 0  # whether the frame sent last is the second of two that change places on the device
        self.begun = False
        self._sent: Planes = ()  # the newest, which may still be copied from
        self.waiting: deque[tuple[_Frame, Event, Planes]] = deque()

    def send(self, planes: Planes, consistency: float, keep_color: bool) -> None:
        """Give the device the next frame, which what is launched from now on finds there: planes uint8 of luma and of
        chroma, two [h, w] or, where the lane is interleaved, also one of NV12 [h, 2 w]. Of NV12 they may be on the device
        already, as `Device.adopt` takes them; they are held until the frame is collected."""
        assert len(self.waiting) < self.IN_FLIGHT, "a frame must be collected first"
        self.odd = 1 - self.odd
        host, there, read = self._hosts[0], self._frames[self.odd], self._read[self.odd]
        host.settings[[cuda.CONSISTENCY, cuda.KEEP_COLOR, cuda.BEGUN]] = consistency, keep_color, self.begun
        copies = [(host.settings, there.settings)]
        camera = list(zip(host.camera, there.camera, strict=True))
        if isinstance(planes[0], np.ndarray):
            for plane, room in zip(planes, self._views(host.camera, len(planes)), strict=True):
                np.copyto(room, plane)
            arrived = self.device.upload([*copies, *camera], read)
        else:
            assert self._interleaved, "what a decoder leaves on the device is NV12"
            self.device.upload(copies, read)
            arrived = self.device.adopt(list(zip(planes, there.camera, strict=True)), read)
        self._sent = planes
        self.device.follow(arrived)
        self.device.follow(self._left[self.odd])
        self.begun = True

    def judged(self) -> bool:
        """Whether the frame sent last begins a scene, which must be waited for. Its `flow` must have been launched."""
        host, there = self._hosts[0], self._frames[self.odd]
        self.device.download([(there.verdict, host.verdict)], self.device.mark()).synchronize()
        return bool(host.verdict[2])

    def fetch(self, onto: Planes = ()) -> None:
        """Bring back the frame sent last, all of whose steps have been launched; or leave it on the device in `onto`, arrays
        uint8 [h, w] there, two for NV12."""
        host, there = self._hosts[0], self._frames[self.odd]
        self._hosts.rotate(-1)
        self._read[self.odd] = self.device.mark()
        found = [(there.verdict, host.verdict)]
        if onto:
            self.device.keep(list(zip(there.painted, onto, strict=True)), self._read[self.odd])
        else:
            found += zip(there.painted, host.painted, strict=True)
        self._left[self.odd] = self.device.download(found, self._read[self.odd])
        self.waiting.append((host, self._left[self.odd], self._sent))

    def collect(self, planes: Sequence[np.ndarray] = ()) -> tuple[float, float, bool]:
        """Wait for the oldest frame, and copy it into planes on the host as those of `send`, if it was not left on the
        device. Returns the mean confidence of its motion, the mean absolute residual in codes, and whether it began a
        scene."""
        host, back, _ = self.waiting.popleft()
        back.synchronize()
        if planes:
            for plane, room in zip(planes, self._views(host.painted, len(planes)), strict=True):
                np.copyto(plane, room)
        return float(host.verdict[0]), float(host.verdict[1]), bool(host.verdict[2])

    def forget(self) -> None:
        """The next frame is the first of its scene."""
        self.begun = False

    def _views(self, frame: list[np.ndarray], count: int) -> list[np.ndarray]:
        """Of a frame on the host, as so many planes."""
        luma, chroma = frame
        width = 2 * self._half[0]
        if not self._interleaved:
            sides = [plane[:, : self._half[0]] for plane in chroma]
        else:
            sides = [chroma[:, :width]] if count == 2 else [chroma[:, i:width:2] for i in range(2)]
        return [luma[:, : self.width], *sides]

    def pack(self, odd: int) -> None:
        """The camera's frame into tiles for the network, with their texture."""
        rows, columns, _ = self.tiles.shape
        luma, chroma = self._frames[odd].camera
        plane, size, grid = (luma, luma.shape[1]), (self.width, self.height), (rows, columns)
        blocks, launch = _blocks(columns, rows), self.device.launch
        launch("pack_tiles", blocks, _ROW_OF_32, *plane, chroma, *self._chroma_layout, *size, self.tiles, *grid)
        pixels = _blocks(columns * TILE, rows * TILE)
        launch("find_detail", pixels, _ROW_OF_32, *plane, *size, self._detail, self._energy, *grid)
        launch("measure_detail", blocks, _ROW_OF_32, self._energy, self._even, *grid)
        launch("write_texture", blocks, _ROW_OF_32, self._detail, self._even, self.tiles, *grid)

    def flow(self, odd: int) -> None:
        """The motion from the frame before to the camera's, how sure it is, and whether the scene changed."""
        frame, small = self._frames[odd], self._small[odd]
        luma = frame.camera[0]
        rows, columns = small.shape
        pixels = (luma, luma.shape[1], self.width, self.height, self.scale)
        levels = (self._pyramids[odd], self._search.levels)
        squares = (-(-columns // 16), -(-rows // 16))
        self.device.launch("build_pyramid", squares, (16, 16), *pixels, small, rows, columns, *levels)
        self._search.run(self._pyramids[odd], self._pyramids[1 - odd])
        rules, grid = self._rules, _blocks(columns, rows)
        known = (small, self._small[1 - odd], self._search.motion, rows, columns, float(self.scale))
        limits = (rules.still, rules.slack, rules.sure, rules.unsure)
        self.device.launch("motion_field", grid, _ROW_OF_32, *known, *limits, self._raw, self._residual, self._sums)
        cut = (rules.cut_confidence, rules.cut_error)
        per_cell, blocks = 1 / (rows * columns), grid[0] * grid[1]
        self.device.launch("judge", (1,), (256,), self._sums, blocks, per_cell, *cut, frame.settings, frame.verdict)

    def blend(self, odd: int, fresh: bool) -> None:
        """The wet paint carried along the motion, and blended with the network's where it is `fresh`."""
        device, scale, frame = self.device, self.scale, self._frames[odd]
        _, rows, columns = self.field.shape
        raw = (self._raw, rows, columns, float(scale), frame.verdict)
        stale = (self._stale[odd], int(fresh), self.field, self._stale[1 - odd])
        device.launch("settle_field", _blocks(columns, rows), _ROW_OF_32, *raw, *stale)
        paint = (self.fresh_tiles, self.fresh_tiles.shape[1], int(fresh), frame.settings)
        luma = (self._luma, self._luma.shape[1], self.width, self.height)
        groups = _blocks(self.width, -(-self.height // TILE))
        field = (self.field, rows, columns)
        device.launch("blend_luma", groups, _ROW_OF_32, *luma, *field, 1 / scale, *paint, self._blended)
        half_width, half_height = self._half
        source, target = self._chroma[odd], self._chroma[1 - odd]
        chroma = (source, source.shape[2], half_width, half_height)
        # chroma has half the samples; cells of one luma pixel are then thinned out
        cells = (1, 1.0) if scale == 1 else (0, 2 / scale)
        frames = (frame.camera[1], target, frame.painted[1], *self._chroma_layout)
        groups = _blocks(half_width, -(-half_height // (TILE // 2)))
        device.launch("blend_chroma", groups, _ROW_OF_32, *chroma, *field, *cells, *paint, *frames)
        rules = self._rules
        numbers = (rules.lift / BLOCK**2, rules.enough, rules.restore, rules.most_gain)
        luma = (self._blended, *luma[1:])
        measures = (self._known, self._found, self._gain, self._lift)
        grid = (self._lift.shape[1], self._lift.shape[0])
        device.launch("compare_blocks", grid, (256,), *luma, *paint[:3], *numbers, *measures)

    def restore(self, odd: int) -> None:
        """Luma with its light and sharpness given back, as wet paint for the next frame and as the painted frame."""
        luma = (self._blended, self._blended.shape[1], self.width, self.height)
        blocks = (self._gain, self._lift, *self._lift.shape)
        plane = self._frames[odd].painted[0]
        painted = (self._luma, plane, plane.shape[1])
        groups = _blocks(-(-self.width // 4), self.height)
        self.device.launch("restore_plane", groups, _ROW_OF_32, *luma, *blocks, *painted)


class GpuChain:
    """The chain of one stream. Frames go in with `submit` and come out of `collect` in order, at most IN_FLIGHT at a time.

    `network` gets two device arrays, tiles uint8 [1, h, w, 40] and where the painted ones go, uint8 [1, h, w, 24], and
    enqueues its work on the device's stream; that is recorded, so it must not allocate or wait when called a second time.
    For the rest see `GpuLane`.
    """

    IN_FLIGHT = GpuLane.IN_FLIGHT

    def __init__(
        self,
        device: Device,
        width: int,
        height: int,
        scale: int,
        rules: Rules,
        network: Callable[[Any, Any], None],
        interleaved: bool = False,
    ):
        self._device, self._network = device, network
        grid = tile_grid(width, height)
        self._tiles, self._fresh_tiles = (device.zeros((1, *grid, channels), _u8) for channels in (SEEN, CHANNELS))
        self.lane = GpuLane(device, width, height, scale, rules, self._tiles[0], self._fresh_tiles[0], interleaved)
        self._begins = [device.record(partial(self.lane.flow, odd)) for odd in range(2)]
        self._ends = self._recorded_ends()

    def _recorded_ends(self) -> list[list[Callable[[], None]]]:
        ends = [[self._device.record(partial(self.end, odd, fresh)) for fresh in (False, True)] for odd in range(2)]
        self._device.mark().synchronize()
        return ends

    def end(self, odd: int, fresh: bool) -> None:
        """All that follows `flow`; with `fresh` the network too."""
        if fresh:
            self.lane.pack(odd)
            self._network(self._tiles, self._fresh_tiles)
        self.lane.blend(odd, fresh)
        self.lane.restore(odd)

    def renew(self, network: Callable[[Any, Any], None]) -> None:
        """Go on with another network. All frames must have been collected, and the next is the first of its scene."""
        assert not self.lane.waiting, "recording writes where frames that wait are kept"
        self._network = network
        self._ends = self._recorded_ends()
        self.forget()

    def submit(self, planes: Planes, fresh: bool, consistency: float, keep_color: bool, onto: Planes = ()) -> bool:
        """Begin to paint a frame: planes as `GpuLane.send` takes them, to where `GpuLane.fetch` brings them.

        With `fresh` the network runs; without, only if the scene has changed, which must be waited for. Returns whether it
        does.
        """
        self.lane.send(planes, consistency, keep_color)
        self._begins[self.lane.odd]()
        fresh = fresh or self.lane.judged()
        self._ends[self.lane.odd][fresh]()
        self.lane.fetch(onto)
        return fresh

    def collect(self, planes: Sequence[np.ndarray] = ()) -> tuple[float, float, bool]:
        """See `GpuLane.collect`."""
        return self.lane.collect(planes)

    def forget(self) -> None:
        """The next frame is the first of its scene."""
        self.lane.forget()
