"""The chain of a frame on the GPU: CUDA kernels launched through CuPy, recorded as graphs.

Per frame nothing is allocated or compiled, and nobody waits but for a finished frame. All device memory lives in
`GpuChain`; the order of its steps is that of `engine.flow.step` and `engine.temporal.step`.
"""

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from kernels import cuda, dis
from kernels.layout import BLOCK, CHANNELS, TILE, tile_grid

_ROW_OF_32 = (32, 8)  # threads of a block, for kernels that leave it open
_f32, _u8 = np.float32, np.uint8


class Device(Protocol):
    """Where kernels run, one after another in the order given. Arrays have shapes and dtypes as NumPy's have.

    `staging` is host memory that may be copied to and from in the background, by `send` and `fetch`; `mark` returns what
    waits until all that was given so far is done; `record` makes of what `work` launches and copies one thing to repeat, and
    may do it once.
    """

    wet: np.dtype  # of wet planes
    notes: list[str]  # what does not work as it should, for the user

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any: ...

    def staging(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray: ...

    def send(self, host: np.ndarray, array: Any) -> None: ...

    def fetch(self, array: Any, host: np.ndarray) -> None: ...

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None: ...

    def mark(self) -> Callable[[], None]: ...

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
    """A GPU by CuPy: a `Device` with one stream of its own, which `stream.ptr` gives to whoever runs the network.

    Raises ImportError without CuPy, and CuPy's errors without a driver or a device, or where the sources do not compile,
    which they do at the first launch.
    """

    def __init__(self, wet_half: bool = False):
        import cupy

        self._cupy = cupy
        cupy.cuda.runtime.getDeviceCount()  # raises, rather than later and less clearly
        self.wet = np.dtype(np.float16 if wet_half else np.float32)
        self.stream = cupy.cuda.Stream(non_blocking=True)
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
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(array.data.ptr, host.ctypes.data, host.nbytes, runtime.memcpyHostToDevice, self.stream.ptr)

    def fetch(self, array: Any, host: np.ndarray) -> None:
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(host.ctypes.data, array.data.ptr, host.nbytes, runtime.memcpyDeviceToHost, self.stream.ptr)

    def launch(self, kernel: str, grid: tuple[int, ...], block: tuple[int, ...], *given: Any) -> None:
        with self.stream:
            self._kernels[kernel](grid, block, tuple(cuda.arguments(kernel, given)))

    def mark(self) -> Callable[[], None]:
        event = self._cupy.cuda.Event(block=True, disable_timing=True)
        event.record(self.stream)
        return event.synchronize

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        work()  # once for real, because what loads or compiles late cannot be recorded
        self.stream.synchronize()
        with self.stream:
            self.stream.begin_capture()
            try:
                work()
            except Exception as error:  # of a network that does something which cannot be recorded: it runs as it is
                with suppress(self._cupy.cuda.runtime.CUDARuntimeError):
                    self.stream.end_capture()
                why = " ".join(str(error).split())[:200]
                self.notes.append(f"no CUDA graph, so every kernel is launched by itself ({why})")
                return work
            graph = self.stream.end_capture()
        return lambda: graph.launch(self.stream)


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
            patches = [(2, 3, dis.patch_count(r), dis.patch_count(c)) for r, c in self._sizes]
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
            grid, block = (-(-n // 16), m, 2), (16 * dis.PATCH,)
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


class GpuChain:
    """Everything that is remembered from frame to frame, on the device. Frames go in with `submit` and come out of
    `collect` in order, at most IN_FLIGHT at a time.

    `network` gets two device arrays uint8 [h, w, 24], tiles and where the painted ones go, and enqueues its work on the
    device's stream; that is recorded, so it must not allocate or wait when called a second time. `interleaved` says that
    frames are NV12, not planar. Motion is found in cells of `scale` luma pixels.
    """

    IN_FLIGHT = 2

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
        self.device, self.width, self.height, self.scale = device, width, height, scale
        self._rules, self._network = rules, network
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

        self.camera, self.painted = zeros(*frame, dtype=_u8), zeros(*frame, dtype=_u8)
        tiles = (*tile_grid(width, height), CHANNELS)
        self.tiles, self.fresh_tiles = zeros(tiles, tiles, dtype=_u8)
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
        self._sums, self.verdict = zeros((2, cell_blocks[0] * cell_blocks[1]), (3,))
        self._known, self._found, self._gain = zeros((3, *blocks), (3, *blocks), (2, *blocks))
        (self._lift,) = zeros(blocks)
        (self._settings,) = zeros((cuda.SETTINGS,))
        self._hosts = [
            _Host(
                [device.staging(shape, _u8) for shape in frame],
                [device.staging(shape, _u8) for shape in frame],
                device.staging((cuda.SETTINGS,), _f32),
                device.staging((3,), _f32),
            )
            for _ in range(self.IN_FLIGHT)
        ]
        self._interleaved = interleaved
        self._odd = 0  # whether this frame is the second of two that change places in memory
        self._begun = False
        self._waiting: deque[tuple[_Host, Callable[[], None]]] = deque()
        self._begins = [device.record(partial(self._begin, odd)) for odd in range(2)]
        self._ends = self._recorded_ends()

    def _recorded_ends(self) -> list[list[Callable[[], None]]]:
        ends = [[self.device.record(partial(self._end, odd, fresh)) for fresh in (False, True)] for odd in range(2)]
        self.device.mark()()
        return ends

    def renew(self, network: Callable[[Any, Any], None]) -> None:
        """Go on with another network. All frames must have been collected, and the next is the first of its scene."""
        assert not self._waiting, "recording writes where frames that wait are kept"
        self._network = network
        self._ends = self._recorded_ends()
        self.forget()

    def submit(self, planes: Sequence[np.ndarray], fresh: bool, consistency: float, keep_color: bool) -> bool:
        """Begin to paint a frame: planes uint8 of luma and of chroma, one of NV12 [h, 2 w] or two [h, w].

        With `fresh` the network runs; without, only if the scene has changed, which must be waited for. Returns whether it
        does.
        """
        assert len(self._waiting) < self.IN_FLIGHT, "a frame must be collected first"
        host = self._hosts[self._odd]
        for plane, room in zip(planes, self._views(host.camera), strict=True):
            np.copyto(room, plane)
        host.settings[[cuda.CONSISTENCY, cuda.KEEP_COLOR, cuda.BEGUN]] = consistency, keep_color, self._begun
        self._begins[self._odd]()
        if not fresh:
            self.device.mark()()
            fresh = bool(host.verdict[2])
        self._ends[self._odd][fresh]()
        self._waiting.append((host, self.device.mark()))
        self._odd, self._begun = 1 - self._odd, True
        return fresh

    def collect(self, planes: Sequence[np.ndarray]) -> tuple[float, float, bool]:
        """Wait for the oldest frame, and copy it into planes as those of `submit`. Returns the mean confidence of its
        motion, the mean absolute residual in codes, and whether it began a scene."""
        host, wait = self._waiting.popleft()
        wait()
        for plane, room in zip(planes, self._views(host.painted), strict=True):
            np.copyto(plane, room)
        return float(host.verdict[0]), float(host.verdict[1]), bool(host.verdict[2])

    def forget(self) -> None:
        """The next frame is the first of its scene."""
        self._begun = False

    def _views(self, frame: list[np.ndarray]) -> list[np.ndarray]:
        luma, chroma = frame
        half_width, _ = self._half
        sides = [chroma[:, : 2 * half_width]] if self._interleaved else [plane[:, :half_width] for plane in chroma]
        return [luma[:, : self.width], *sides]

    def _begin(self, odd: int) -> None:
        host = self._hosts[odd]
        self.device.send(host.settings, self._settings)
        for staged, plane in zip(host.camera, self.camera, strict=True):
            self.device.send(staged, plane)
        self.flow(odd)
        self.device.fetch(self.verdict, host.verdict)

    def _end(self, odd: int, fresh: bool) -> None:
        if fresh:
            self.pack()
            self._network(self.tiles, self.fresh_tiles)
        self.blend(odd, fresh)
        self.restore()
        for plane, staged in zip(self.painted, self._hosts[odd].painted, strict=True):
            self.device.fetch(plane, staged)

    def pack(self) -> None:
        """The camera's frame into tiles for the network."""
        rows, columns, _ = self.tiles.shape
        luma, chroma = self.camera
        camera = (luma, luma.shape[1], chroma, *self._chroma_layout, self.width, self.height)
        self.device.launch("pack_tiles", _blocks(columns, rows), _ROW_OF_32, *camera, self.tiles, rows, columns)

    def flow(self, odd: int) -> None:
        """The motion from the frame before to the camera's, how sure it is, and whether the scene changed."""
        luma, small = self.camera[0], self._small[odd]
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
        self.device.launch("judge", (1,), (256,), self._sums, blocks, per_cell, *cut, self._settings, self.verdict)

    def blend(self, odd: int, fresh: bool) -> None:
        """The wet paint carried along the motion, and blended with the network's where it is `fresh`."""
        device, scale = self.device, self.scale
        _, rows, columns = self.field.shape
        raw = (self._raw, rows, columns, float(scale), self.verdict)
        stale = (self._stale[odd], int(fresh), self.field, self._stale[1 - odd])
        device.launch("settle_field", _blocks(columns, rows), _ROW_OF_32, *raw, *stale)
        paint = (self.fresh_tiles, self.fresh_tiles.shape[1], int(fresh), self._settings)
        luma = (self._luma, self._luma.shape[1], self.width, self.height)
        groups = _blocks(self.width, -(-self.height // TILE))
        field = (self.field, rows, columns)
        device.launch("blend_luma", groups, _ROW_OF_32, *luma, *field, 1 / scale, *paint, self._blended)
        half_width, half_height = self._half
        source, target = self._chroma[odd], self._chroma[1 - odd]
        chroma = (source, source.shape[2], half_width, half_height)
        # chroma has half the samples; cells of one luma pixel are then thinned out
        cells = (1, 1.0) if scale == 1 else (0, 2 / scale)
        frames = (self.camera[1], target, self.painted[1], *self._chroma_layout)
        groups = _blocks(half_width, -(-half_height // (TILE // 2)))
        device.launch("blend_chroma", groups, _ROW_OF_32, *chroma, *field, *cells, *paint, *frames)
        rules = self._rules
        numbers = (rules.lift / BLOCK**2, rules.enough, rules.restore, rules.most_gain)
        luma = (self._blended, *luma[1:])
        measures = (self._known, self._found, self._gain, self._lift)
        grid = (self._lift.shape[1], self._lift.shape[0])
        device.launch("compare_blocks", grid, (256,), *luma, *paint[:3], *numbers, *measures)

    def restore(self) -> None:
        """Luma with its light and sharpness given back, as wet paint for the next frame and as the painted frame."""
        luma = (self._blended, self._blended.shape[1], self.width, self.height)
        blocks = (self._gain, self._lift, *self._lift.shape)
        painted = (self._luma, self.painted[0], self.painted[0].shape[1])
        groups = _blocks(-(-self.width // 4), self.height)
        self.device.launch("restore_plane", groups, _ROW_OF_32, *luma, *blocks, *painted)


@dataclass(slots=True)
class _Host:
    """Host memory of one frame in flight."""

    camera: list[np.ndarray]
    painted: list[np.ndarray]
    settings: np.ndarray
    verdict: np.ndarray
