"""What is shown while it runs: a bar with frames a second and time left, or a line of live figures. On standard error."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from engine.frame import StreamInfo
from engine.report import Report

_EVERY = 0.5  # seconds between two live lines

Show = Callable[[Report], None]


@contextlib.contextmanager
def progress_of(info: StreamInfo) -> Iterator[Show]:
    """Something to be called after every frame; it shows what fits the stream, and nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda report: None
    elif info.live:
        yield _live_line()
        print(file=sys.stderr)
    else:
        with _bars(named=False) as bar:
            yield bar("painting", info.frames)


@contextlib.contextmanager
def progress_of_several() -> Iterator[Callable[[str, int | None], Show]]:
    """Of files that are painted at once: gives for a name and a number of frames what is to be called after every frame, and
    once more with the report of one that has ended, whose bar then goes."""
    if not sys.stderr.isatty():
        yield lambda name, frames: lambda report: None
    else:
        with _bars(named=True) as bar:
            yield bar


@contextlib.contextmanager
def _bars(named: bool) -> Iterator[Callable[[str, int | None], Show]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        *([TextColumn("{task.description}")] if named else []),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} fps"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def bar(name: str, frames: int | None) -> Show:
            task = progress.add_task(name, total=frames, rate=0.0)

            def show(report: Report) -> None:
                if report.ended is None:
                    progress.update(task, completed=report.written, rate=report.rate)
                else:
                    progress.remove_task(task)

            return show

        yield bar


def _live_line() -> Show:
    shown = 0.0

    def show(report: Report) -> None:
        nonlocal shown
        now = time.perf_counter()
        if now - shown < _EVERY:
            return
        shown = now
        line = f"{report.rate:5.1f} fps  {report.latency.recent:4.0f} ms  dropped {report.dropped}  carried {report.carried}"
        if facts := report.facts:
            way = f" > {facts.becoming}" if facts.becoming not in ("", facts.style) else ""
            line += f"  {facts.style}{way}, {facts.network} on {facts.backend}"
            line += f"  ({facts.refused[:60]})" if facts.refused else ""
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    return show
