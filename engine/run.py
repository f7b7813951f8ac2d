"""One run, from the words of the command line to the closed sinks."""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol

from engine.controls import Controls
from engine.errors import AllaPrimaError, SinkError, UsageError
from engine.frame import StreamInfo, parse_size
from engine.keys import Keyboard
from engine.pipeline import Pipeline
from engine.progress import progress_of
from engine.report import Report
from engine.sinks import Encoding, Sink, open_sink
from engine.sinks.window import WindowSink
from engine.sources import Source, open_source
from engine.sources.file import FileSource
from engine.sources.paced import PacedSource
from engine.stylizers import Painting, beginning, open_stylizer
from engine.stylizers.on_device import DeviceStylizer
from kernels import cpu
from models.colour import Encoding as ColourEncoding
from models.library import Library


def run(options: argparse.Namespace, source_uri: str, sink_uris: Sequence[str], controls: Controls, live: bool) -> int:
    """Paint `source_uri` into all of `sink_uris`; returns the exit status. Raises AllaPrimaError.

    A file gets its final name when it is complete: at the end of the input, or, live, when the user ends it.
    """
    report = paint(options, source_uri, sink_uris, controls, live)
    if options.report:
        save(report.as_dict(), options.report)
    if report.interrupted:
        return 130
    if not report.written:
        raise gave_nothing(source_uri)
    return 0


def paint(options: argparse.Namespace, source_uri: str, sink_uris: Sequence[str], controls: Controls, live: bool) -> Report:
    """Paint `source_uri` into all of `sink_uris`, and say how it went. Raises AllaPrimaError."""
    _refuse_same_file(source_uri, sink_uris)
    size = parse_size(options.size) if options.size else None
    with contextlib.closing(open_source(source_uri, size)) as source:
        played: Source = PacedSource(source) if live and not source.info.live else source
        report = _paint(options, played, sink_uris, controls)
    say_how_it_went(report, sink_uris)
    return report


def say_how_it_went(report: Report, sink_uris: Sequence[str]) -> None:
    if report.interrupted:
        say(f"interrupted after {report.written} frames; what is painted is kept as partial, and plays")
    for note in report.notes:
        say(note)
    if report.written and not report.interrupted:
        say(f"{report.written} frames at {report.rate:.1f} fps into {', '.join(sink_uris)}")


def gave_nothing(source_uri: str) -> AllaPrimaError:
    return AllaPrimaError(f"{source_uri} gave no frame")


def open_painting(options: argparse.Namespace, info: StreamInfo, library: Library, controls: Controls) -> Painting:
    """What is to paint a stream, with what the user should know of it said. Raises as `open_stylizer` does."""
    size, colours = (info.width, info.height), colour_encoding(info)
    painting = open_stylizer(
        controls.style, size, colours, options.backend, in_flight(info), library, controls.strength, changing=info.live
    )
    for line in painting.facts.fallbacks:
        say(f"{line}; {painting.facts.backend} paints instead")
    if not any(Path(cpu.blend_plane.stats.cache_path).glob("*.nbi")):
        say("compiling the kernels, which takes about ten seconds and is done once")
    return painting


def decode_where_painted(source: Source, painting: Painting) -> None:
    """Have the GPU that paints a file decode it, where one does; `source.info` may then be another. Before anything of it is
    taken."""
    painter = painting.stylizer.painting
    if isinstance(source, FileSource) and isinstance(painter, DeviceStylizer):
        source.decode_on(painter.open_device)


def encoding_of(options: argparse.Namespace, painting: Painting | None = None) -> Encoding:
    """How the user wants sinks to encode, and whether a GPU paints for them."""
    painter, on_device = painting.stylizer.painting if painting else None, False
    if isinstance(painter, DeviceStylizer):
        with contextlib.suppress(Exception):  # a GPU may fail in any way of its own; then its chain says how
            painter.open_device().enter()
            on_device = True
    return Encoding(options.codec, options.quality, options.preset, on_device)


def _paint(options: argparse.Namespace, source: Source, sink_uris: Sequence[str], controls: Controls) -> Report:
    library, report = beginning(controls.network, Library()), Report()
    painting = open_painting(options, source.info, library, controls)
    decode_where_painted(source, painting)
    info = source.info
    report.facts = painting.facts
    sinks: list[Sink] = []
    try:
        encoding = encoding_of(options, painting)
        sinks.extend(open_sink(uri, info, encoding) for uri in sink_uris)
        with progress_of(info) as show:
            windows = [sink for sink in sinks if isinstance(sink, WindowSink)]
            keyboard = Keyboard(controls, [style.name for style in library.styles], windows)
            pipeline = Pipeline(source, painting.stylizer, sinks, report, keyboard, show)
            with politely_interrupted(pipeline):
                pipeline.run()
        # live, the user's Ctrl-C is the end; offline it comes too soon, and what there is stays partial
        report.interrupted = pipeline.stopping and not info.live
        for sink in sinks:
            sink.close(complete=not report.interrupted)
            for note in sink.notes:
                report.note(note)
    except BaseException:
        for sink in sinks:
            with contextlib.suppress(SinkError):
                # of what was live there is no second take
                sink.close(complete=False) if info.live else sink.discard()
        raise
    finally:
        painting.stylizer.close()
    return report


def in_flight(info: StreamInfo) -> int:
    """Frames the network works on at once: live, the shortest way through; offline, so many that no core waits."""
    return 1 if info.live else min(os.cpu_count() or 1, 4) + 1


def colour_encoding(info: StreamInfo) -> ColourEncoding:
    """How the network is to read this stream's samples."""
    return ColourEncoding(info.colour.luma_weights(info.height), info.colour.full_range)


class Stoppable(Protocol):
    """What paints, and can be asked to finish what is begun and return."""

    stopping: bool

    def stop(self) -> None: ...


@contextlib.contextmanager
def politely_interrupted(painter: Stoppable) -> Iterator[None]:
    """The first Ctrl-C lets what is begun be finished; the second interrupts as usual."""

    def handle(number: int, stack: FrameType | None) -> None:
        if painter.stopping:
            raise KeyboardInterrupt
        painter.stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _refuse_same_file(source_uri: str, sink_uris: Sequence[str]) -> None:
    source = Path(source_uri)
    for uri in sink_uris:
        if source.is_file() and Path(uri).exists() and source.samefile(uri):
            raise UsageError(f"{uri} is the input itself; give the painting another name")
    if len(set(sink_uris)) < len(sink_uris):
        raise UsageError("the same sink is given twice")


def save(found: dict, path: Path) -> None:
    """Write what was measured as JSON. Raises AllaPrimaError."""
    try:
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise AllaPrimaError(f"the report cannot be written to {path}: {error.strerror}") from error


def say(line: str) -> None:
    print(f"allaprima: {line}", file=sys.stderr)
