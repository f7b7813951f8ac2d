"""How fast the chain is on an NVIDIA GPU: `python -m benchmarks.gpu [--json FILE]`.

Times are of CUDA events, the median and the 99th percentile of many runs. Beside each stands how much of the device it uses:
bytes that must move at least, over what a copy moves on this very device; multiplications over what a large matrix product
does. Without a GPU it says so and measures nothing.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.gpu_networks import Candidate, Say, candidates, words
from engine import flow
from engine.controls import Controls
from engine.device_chain import RULES
from engine.frame import Frame
from engine.sources.scene import SceneSource
from kernels.device import Cuda, Device, present
from kernels.gpu import GpuChain
from kernels.gpu_group import GpuGroup
from kernels.layout import CHANNELS, SEEN, tile_grid
from models.library import Library

HD, UHD = (1920, 1080), (3840, 2160)
_WARM, _RUNS, _BURST = 20, 300, 32  # runs before and under the clock; what is begun before anyone waits
_STREAMS, _FRAMES = 8, 150  # chains at once, and frames of each
_COPIED, _SIDE = 1 << 28, 8192  # bytes and matrix side of the yardsticks


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: median and 99th percentile in `unit`, what is asked and aimed at, and the `share` of the device it is."""

    name: str
    value: float
    unit: str = "ms"
    p99: float | None = None
    least: float | None = None
    aim: float | None = None
    higher: bool = False  # is better
    share: str = ""

    @property
    def verdict(self) -> str:
        def reached(bound: float) -> bool:
            return self.value >= bound if self.higher else self.value <= bound

        if self.least is None or self.aim is None:
            return ""
        return "aim" if reached(self.aim) else "ok" if reached(self.least) else "SHORT"

    def __str__(self) -> str:
        tail = f"p99 {self.p99:.3f}" if self.p99 is not None else ""
        asked = f"{self.least:g} / {self.aim:g}" if self.verdict else ""
        return f"{self.name:48}{self.value:9.3f} {self.unit:5}{tail:11}{asked:>12} {self.verdict:6}{self.share}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the device does at most, as measured: bytes a second of a copy, read and written; half-precision multiplications
    and additions a second of a matrix product, 0 where that cannot be measured."""

    bandwidth: float
    macs: float

    def of(self, milliseconds: float, moved: float = 0, macs: float = 0) -> str:
        """The shares as words."""
        parts = [f"{moved / self.bandwidth / milliseconds * 1e5:.0f} % of bandwidth"] if moved else []
        if macs and self.macs:
            parts.append(f"{macs / self.macs / milliseconds * 1e5:.0f} % of fp16 peak")
        return ", ".join(parts)


def durations(device: Device, work: Callable[[], None], runs: int | None = None) -> np.ndarray:
    """Milliseconds of each run on the device, float [runs], _RUNS where nothing is said."""
    runs = runs or _RUNS
    if not isinstance(device, Cuda):  # a stand-in has no events
        return np.array([_wall(work) for _ in range(runs)])
    import cupy

    for _ in range(_WARM):
        work()
    found: list[float] = []
    while len(found) < runs:
        pairs = [(cupy.cuda.Event(), cupy.cuda.Event()) for _ in range(_BURST)]
        for begin, end in pairs:
            begin.record(device.stream)
            work()
            end.record(device.stream)
        device.stream.synchronize()
        found += [cupy.cuda.get_elapsed_time(*pair) for pair in pairs]
    return np.array(found[:runs])


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def row(name: str, times: np.ndarray, share: str = "", least: float | None = None, aim: float | None = None) -> Row:
    return Row(name, float(np.median(times)), "ms", float(np.percentile(times, 99)), least, aim, share=share)


def limits_of(device: Cuda) -> Limits:
    """The yardsticks, by CuPy."""
    import cupy

    with device.stream:
        source, target = (cupy.zeros(_COPIED, cupy.uint8) for _ in range(2))
        copy = np.median(durations(device, lambda: cupy.copyto(target, source), 20))
        try:
            one, other = (cupy.random.rand(_SIDE, _SIDE, dtype=cupy.float32).astype(cupy.float16) for _ in range(2))
            product = np.median(durations(device, lambda: cupy.matmul(one, other), 20))
        except Exception:  # without cuBLAS there is no product, and no share of it
            return Limits(2 * _COPIED / copy * 1e3, 0)
    return Limits(2 * _COPIED / copy * 1e3, _SIDE**3 / product * 1e3)


def chain_of(device: Device, size: tuple[int, int], candidate: Candidate) -> GpuChain:
    """The engine's chain for NV12 frames."""
    network = candidate.engine.network(device)
    network.load(candidate.weights)
    return GpuChain(device, *size, flow.flow_scale(*size), RULES, network.run, interleaved=True)


def group_of(device: Device, size: tuple[int, int], candidate: Candidate) -> GpuGroup:
    """The engine's group for _STREAMS streams of NV12 frames."""
    networks = [candidate.engine.network(device, count) for count in (_STREAMS, 1)]
    for network in networks:
        network.load(candidate.weights)
    runs = [network.run for network in networks]
    return GpuGroup(device, _STREAMS, *size, flow.flow_scale(*size), RULES, *runs, interleaved=True)


def nv12(frame: Frame) -> list[np.ndarray]:
    """Luma uint8 [H, W] and chroma, Cb and Cr by turns, [H / 2, W]."""
    luma, cb, cr = frame.planes
    return [luma, np.stack([cb, cr], -1).reshape(cb.shape[0], -1)]


def network_rows(
    device: Device, size: tuple[int, int], offered: list[Candidate], macs: int, limits: Limits, say: Say = print
) -> tuple[list[Row], Candidate]:
    """The network alone, of every candidate, and the fastest of them. Of one that fails the reason is said."""
    rows, best = [], (np.inf, offered[0])
    grid = tile_grid(*size)
    for candidate in offered:
        try:
            network = candidate.engine.network(device)
            network.load(candidate.weights)
            tiles, painted = (device.zeros((1, *grid, channels), np.uint8) for channels in (SEEN, CHANNELS))
            times = durations(device, device.record(partial(network.run, tiles, painted)))
        except Exception as error:  # of a library, in any way of its own
            say(f"  network alone, {candidate.name}: {words(error)}")
            continue
        median = float(np.median(times))
        rows.append(row(f"  network alone, {candidate.name}", times, limits.of(median, macs=macs)))
        best = min(best, (median, candidate), key=lambda pair: pair[0])
    return rows, best[1]


def wet_bytes(size: tuple[int, int], scale: int, wet: int) -> int:
    """What warp, confidence, blend and finish must read and write at least, `wet` bytes for a wet sample.

    Luma: wet, fresh tile -> blended; blended, fresh tile -> blocks; blended -> wet, painted. Chroma, half as many samples:
    wet, fresh tile, camera -> wet, painted. The motion's three numbers twice.
    """
    luma = (wet + 1 + wet) + (wet + 1) + (wet + wet + 1)
    chroma = wet + 1 + 1 + wet + 1
    pixels = size[0] * size[1]
    return int(pixels * (luma + chroma / 2 + 2 * 3 * 4 / scale**2))


def chain_rows(device: Device, size: tuple[int, int], candidate: Candidate, limits: Limits, aims: dict) -> Iterator[Row]:
    """The whole chain and its parts at one size; `aims` by name (at least, aim)."""
    chain = chain_of(device, size, candidate)
    lane = chain.lane

    def frame() -> None:
        lane.flow(0)
        chain.end(0, True)

    def finish() -> None:
        lane.blend(0, True)
        lane.restore(0)

    views = [nv12(frame) for frame in SceneSource(f"scene:{size[0]}x{size[1]},0.1,20")]
    out = [np.zeros_like(plane) for plane in views[0]]
    for view in views:  # so that there is a motion to find
        chain.submit(view, True, 0.9, False)
        chain.collect(out)
    name = f"{size[0]}x{size[1]}"
    whole = durations(device, device.record(frame))
    yield row(f"{name} whole chain, frame stays on the device", whole, "", *aims["chain"])
    yield row(f"  the same, kernels launched one by one ({candidate.name})", durations(device, frame))
    yield row("  flow, both ways", durations(device, device.record(partial(lane.flow, 0))), "", *aims.get("flow", ()))
    times = durations(device, device.record(finish))
    moved = wet_bytes(size, lane.scale, device.wet.itemsize)
    yield row("  warp, confidence, blend, finish", times, limits.of(float(np.median(times)), moved))
    share = moved / limits.bandwidth / float(np.median(times)) * 1e5
    yield Row("    share of the bandwidth", share, "%", None, 60, 80, higher=True)
    yield row("  pack", durations(device, device.record(partial(lane.pack, 0))))

    def there_and_back() -> None:
        chain.submit(views[0], True, 0.9, False)
        chain.collect(out)

    for count in range(1, chain.IN_FLIGHT + 1):
        times = np.array([_wall(there_and_back) for _ in range(_RUNS)])
        yield row(f"  whole chain from host to host, {count} on their way", times)
        if count < chain.IN_FLIGHT:
            chain.submit(views[0], True, 0.9, False)
    for _ in range(chain.IN_FLIGHT - 1):
        chain.collect(out)


def flow_error(device: Device, size: tuple[int, int], candidate: Candidate, fetched: Callable[[Any], np.ndarray]) -> Row:
    """Mean end-point error on the code-made scene, over that of OpenCV's DIS (medium) on the same cells."""
    source = SceneSource(f"scene:{size[0]}x{size[1]},0.4,30")
    chain = chain_of(device, size, candidate)
    lane = chain.lane
    ours, theirs = [], []
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before: np.ndarray | None = None
    for index, frame in enumerate(source):
        luma, view = frame.planes[0], nv12(frame)
        chain.submit(view, True, 0.9, False)
        chain.collect([np.zeros_like(plane) for plane in view])
        cells = lane.field.shape[2], lane.field.shape[1]
        small = cv2.resize(luma, cells, interpolation=cv2.INTER_AREA)
        if before is not None:
            exact, visible = source.flow(index)
            exact = cv2.resize(exact, cells, interpolation=cv2.INTER_AREA)
            seen = cv2.resize(visible.astype(np.float32), cells, interpolation=cv2.INTER_AREA) == 1
            found = search.calc(small, before, None)
            for errors, motion in ((ours, fetched(lane.motion)[0]), (theirs, found)):
                errors.append(float(np.linalg.norm(motion * lane.scale - exact, axis=2)[seen].mean()))
        before = small
    return Row(
        "  flow's end-point error over OpenCV DIS medium's", float(np.mean(ours) / np.mean(theirs)), "x", None, 1.1, 1.0
    )


def stream_rows(open_device: Callable[[], Device], candidate: Candidate, size: tuple[int, int] = HD) -> Iterator[Row]:
    """How many streams of 30 frames a second one card holds, transfers included, one thread of Python feeding it: painted in
    rounds by one network for all, and each by a chain of its own."""
    view = nv12(next(iter(SceneSource(f"scene:{size[0]}x{size[1]},0.1,10"))))
    out = [np.zeros_like(plane) for plane in view]

    def held(submit: Callable[[], object], collect: Callable[[], object]) -> float:
        """Two rounds on their way at any time."""

        def one_round() -> None:
            submit()
            collect()

        submit()
        one_round()
        spent = _wall(lambda: [one_round() for _ in range(_FRAMES)])
        collect()
        return _STREAMS * _FRAMES / spent * 1e3 / 30

    group = group_of(open_device(), size, candidate)
    views, outs = [view] * _STREAMS, [out] * _STREAMS
    streams = held(lambda: group.submit(views, 0.9, False), lambda: group.collect(outs))
    yield Row("1080p30 streams held at once, in a group", streams, "", None, 60, 200, higher=True)
    chains = [chain_of(open_device(), size, candidate) for _ in range(_STREAMS)]
    streams = held(
        lambda: [chain.submit(view, True, 0.9, False) for chain in chains],
        lambda: [chain.collect(out) for chain in chains],
    )
    yield Row("  by chains of their own", streams, "", None, 60, 200, higher=True)


def file_rows(folder: Path) -> Iterator[Row]:
    """1080p H.264 to a null sink, for which nothing is downloaded, by the engine itself, and the decoders alone."""
    from benchmarks.chain import clip, paint
    from engine.sources.file import FileSource

    path = clip(folder, HD, 8)
    for asked in (False, True):
        source = FileSource(str(path))
        if asked:
            source.decode_on(Cuda)
        # where the GPU does not decode, the second row says so
        decoder = "NVDEC" if source.info.on_device else "not by NVDEC" if asked else "CPU"
        start = time.perf_counter()
        count = sum(1 for _ in source)
        yield Row(f"1080p H.264, decoder alone, {decoder}", count / (time.perf_counter() - start), "fps", higher=True)
        source.close()
    report = paint(str(path), "null", HD)
    backend = f"{report.facts.backend} {report.facts.precision}" if report.facts else ""
    yield Row(f"1080p H.264 file to null sink, {backend}, {decoder}", report.rate, "fps", higher=True)


def measure(say: Say, folder: Path) -> tuple[dict, list[Row]]:
    """Everything, on this machine's first GPU: what it is, and the rows, each said when it is known."""
    from engine.stylizers.measured import describe_device

    device = Cuda()
    limits = limits_of(device)
    library = Library()
    painter = library.painter(library.conditioning(Controls().style))
    rows: list[Row] = []

    def add(found: Row) -> None:
        rows.append(found)
        say(str(found))

    failed: list[str] = []

    @contextmanager
    def part(what: str) -> Iterator[None]:
        """One that fails takes no figures of the others along."""
        try:
            yield
        except Exception as error:  # of a library or of CUDA, in any way of its own
            failed.append(f"{what}: {words(error)}")
            say(f"{what} failed: {words(error)}")
            traceback.print_exc()

    say(f"a copy moves {limits.bandwidth / 1e12:.2f} TB/s, an fp16 product does {2 * limits.macs / 1e12:.0f} TFLOP/s")
    best = None
    for size, aims in ((HD, {"chain": (4, 1.5), "flow": (1, 0.4)}), (UHD, {"chain": (12, 5)})):
        offered = candidates(painter, tile_grid(*size), say)
        if not offered:
            raise SystemExit("benchmarks.gpu: no network runs on this GPU (pip install 'allaprima[cuda]' or '[tensorrt]')")
        found, best = network_rows(device, size, offered, library.macs(*size), limits, say)
        for each in found:
            add(each)
        times = {each.name.rsplit(" ", 1)[1]: each.value for each in found if "tensorrt" in each.name}
        if len(times) == 2:
            add(Row("  INT8 against FP16, TensorRT", times["fp16"] / times["int8"], "x", None, 1, 1.6, higher=True))
        with part(f"{size[0]}x{size[1]}, chain"):
            for each in chain_rows(device, size, best, limits, aims):
                add(each)
        if size == HD:
            with part("flow's error"):
                add(flow_error(device, size, best, lambda array: array.get()))
            with part("streams"):
                for each in stream_rows(Cuda, best):
                    add(each)
    with part("files"):
        for each in file_rows(folder):
            add(each)
    facts = describe_device() | {"bandwidth": limits.bandwidth, "macs": limits.macs, "network": best.name if best else ""}
    facts |= {"notes": [*dict.fromkeys(device.notes)], "failed": failed}
    for note in facts["notes"]:
        say(f"note: {note}")
    return facts, rows


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the chain on an NVIDIA GPU.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args(arguments)
    if not present():
        print("benchmarks.gpu: there is no NVIDIA GPU here, or no driver for it; nothing was measured", file=sys.stderr)
        return 1
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        facts, rows = measure(lambda line: print(line, flush=True), Path(folder))
    if options.json:
        entries = [asdict(each) | {"reached": each.verdict} for each in rows]
        options.json.write_text(json.dumps({"device": facts, "rows": entries}, indent=1) + "\n", encoding="utf-8")
    return 1 if facts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
