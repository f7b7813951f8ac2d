"""How fast the whole chain is on this machine: `allaprima bench`.

Every row is a real run from a file (or a paced source) to a sink, with all threads, decoding and encoding included. The
yardstick is the well-known way to paint a frame: Johnson's 32-64-128 network with five residual blocks, PyTorch, eager,
float32, network alone; the ratio is ours, whole chain, against that.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.controls import Controls
from engine.frame import Frame
from engine.pipeline import Pipeline
from engine.report import Report
from engine.run import colour_encoding, decode_where_painted, in_flight
from engine.sinks import open_sink
from engine.sources import Source, open_source
from engine.sources.paced import PacedSource
from engine.stylizers import open_stylizer

STYLE = Controls().style


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, with what the project asks of it at least and aims at; `better` says which way."""

    name: str
    value: float
    unit: str
    least: float
    aim: float
    higher: bool = True

    @property
    def verdict(self) -> str:
        def reached(bound: float) -> bool:
            return self.value >= bound if self.higher else self.value <= bound

        return "aim" if reached(self.aim) else "ok" if reached(self.least) else "SHORT"


def paint(source_uri: str, sink_uri: str, size: tuple[int, int], cadence: int = 1, live: bool = False) -> Report:
    """One run of the chain, `live` as if a camera gave the frames; its report."""
    opened = open_source(source_uri, size)
    source: Source = PacedSource(opened) if live else opened
    report = Report()
    painting = open_stylizer(STYLE, size, colour_encoding(source.info), depth=in_flight(source.info))
    decode_where_painted(source, painting)
    report.facts = painting.facts
    sink = open_sink(sink_uri, source.info)
    Pipeline(source, painting.stylizer, [sink], report, cadence=cadence).run()
    sink.close()
    source.close()
    return report


def clip(folder: Path, size: tuple[int, int], seconds: float) -> Path:
    """The code-made scene as an H.264 file of this size."""
    path = folder / f"scene-{size[0]}x{size[1]}.mp4"
    source = open_source(f"scene:{size[0]}x{size[1]},{seconds:g}")
    sink = open_sink(str(path), source.info)
    for item in source:
        if isinstance(item, Frame):
            sink.write(item)
    sink.close()
    source.close()
    return path


def yardstick(size: tuple[int, int]) -> float:
    """Milliseconds a frame of Johnson's network in PyTorch (eager, float32, network alone), the best of three."""
    import torch
    from torch import nn

    def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride)
        return nn.Sequential(nn.ReflectionPad2d(kernel // 2), convolution, nn.InstanceNorm2d(outputs, affine=True))

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(layer(128, 128, 3), nn.ReLU(), layer(128, 128, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(x)

    network = nn.Sequential(
        *(layer(3, 32, 9), nn.ReLU(), layer(32, 64, 3, 2), nn.ReLU(), layer(64, 128, 3, 2), nn.ReLU()),
        *(Residual() for _ in range(5)),
        *(nn.Upsample(scale_factor=2), layer(128, 64, 3), nn.ReLU()),
        *(nn.Upsample(scale_factor=2), layer(64, 32, 3), nn.ReLU()),
        *(nn.ReflectionPad2d(4), nn.Conv2d(32, 3, 9)),
    ).eval()
    picture = torch.rand(1, 3, size[1], size[0])
    times = []
    with torch.no_grad():
        for _ in range(3):
            start = time.perf_counter()
            network(picture)
            times.append((time.perf_counter() - start) * 1e3)
    return min(times)


def start_seconds(path: Path) -> float:
    """From the start of a process to its first painted frame, in a second run (compiled kernels are cached by then)."""
    program = "import sys; from engine.cli import main;main(['render', sys.argv[1], 'null', '--report', sys.argv[2]])"
    report = path.with_suffix(".start.json")
    one_frame = path.with_suffix(".png")
    source = open_source(str(path))
    sink = open_sink(str(one_frame), source.info)
    first = next(iter(source))
    assert isinstance(first, Frame)
    sink.write(first)
    sink.close()
    source.close()
    times = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, str(one_frame), str(report)], check=True)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[1]


def memory(frames: int) -> tuple[float, float]:
    """Peak MB of a process that paints at 1280x720, and by how much it grew from the second tenth of its frames to
    the last. Buffers come and go, so the least of a tenth counts. Linux only.
    """
    program = """
import resource, sys
from benchmarks.chain import STYLE
from engine.pipeline import Pipeline
from engine.frame import Frame
from engine.pipeline import Pipeline
from engine.report import Report
from engine.run import colour_encoding, in_flight
from engine.sinks import open_sink
from engine.sources import Source, open_source
from engine.sources.paced import PacedSource
from engine.stylizers import open_stylizer

frames = int(sys.argv[1])
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 1e6
source = open_source('lavfi:testsrc2=size=1280x720:rate=30,format=yuv420p')
info = source.info
painting = open_stylizer(STYLE, (info.width, info.height), colour_encoding(info), depth=in_flight(info))
marks = []
def show(report):
    marks.append(resident())
    if report.written == frames:
        pipeline.stop()
pipeline = Pipeline(source, painting.stylizer, [open_sink('null', info)], Report(), progress=show)
pipeline.run()
# not getrusage: its peak begins with that of the process this one was forked from
peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
tenth = max(len(marks) // 10, 1)
print(int(peak.split()[1]) * 1.024e-3, min(marks[-tenth:]) - min(marks[: 2 * tenth][-tenth:]))
"""
    done = subprocess.run([sys.executable, "-c", program, str(frames)], check=True, capture_output=True, text=True)
    peak, growth = (float(word) for word in done.stdout.split())
    return peak, growth


def measure(quick: bool, frames: int, say: Callable[[str], None]) -> list[Row]:
    """All rows; `quick` leaves out the yardstick and memory, which is watched over so many `frames`."""
    seconds = 4.0 if quick else 10.0
    rows: list[Row] = []

    def add(*values, **words) -> None:
        rows.append(Row(*values, **words))
        row = rows[-1]
        say(f"{row.name:58} {row.value:9.2f} {row.unit:4} {row.verdict:6} (at least {row.least:g}, aim {row.aim:g})")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hd, small, full = (1280, 720), (640, 360), (1920, 1080)
        paint(str(clip(folder, small, 0.5)), "null", small)  # compiles the kernels where they are not yet
        film = clip(folder, hd, seconds)
        null = paint(str(film), "null", hd)
        add("1280x720, whole chain, null sink", null.rate, "fps", 30, 45)
        add("1280x720, whole chain, H.264 file", paint(str(film), str(folder / "a.mp4"), hd).rate, "fps", 25, 35)
        film_small = clip(folder, small, seconds * 2)
        rate = paint(str(film_small), str(folder / "b.mp4"), small).rate
        add("640x360, whole chain, H.264 file", rate, "fps", 75, 120)
        film_full = clip(folder, full, seconds / 2)
        rate = paint(str(film_full), "null", full, cadence=2).rate
        add("1920x1080, network on every second frame, null sink", rate, "fps", 20, 30)
        live = paint(str(film), "null", hd, live=True)
        add("1280x720 live, 30 fps paced: capture to delivery, p99", live.latency.percentile(99), "ms", 50, 34, higher=False)
        add("  frames of it dropped", live.dropped, "", 3, 0, higher=False)
        add("  frames of it carried without the network", live.carried, "", 15, 0, higher=False)
        add(
            "start of the process to first painted frame, second run", start_seconds(film_small), "s", 1.5, 0.7, higher=False
        )
        if not quick:
            peak, growth = memory(frames)
            add("memory at 1280x720, peak", peak, "MB", 700, 400, higher=False)
            add(f"  its growth over {frames} frames", growth, "MB", 5, 0, higher=False)
            try:
                old = yardstick(hd)
            except ImportError:
                say("yardstick: needs PyTorch (pip install 'allaprima[torch]')")
            else:
                say(f"yardstick: PyTorch, Johnson's network alone at 1280x720: {old:.0f} ms a frame, {1e3 / old:.2f} fps")
                add("ratio to the yardstick at 1280x720", null.rate * old / 1e3, "x", 60, 100)
    return rows


def bench(path: Path | None, quick: bool, frames: int) -> int:
    """Print the table, and write it as JSON to `path`; returns 0."""
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    rows = measure(quick, frames, lambda line: print(line, flush=True))
    if path:
        entries = [
            {
                "name": r.name.strip(),
                "value": round(r.value, 3),
                "unit": r.unit,
                "least": r.least,
                "aim": r.aim,
                "reached": r.verdict,
            }
            for r in rows
        ]
        path.write_text(json.dumps({"machine": machine, "rows": entries}, indent=2) + "\n")
    return 0
