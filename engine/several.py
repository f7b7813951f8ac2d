"""Several files into one folder: together where a GPU paints them, else one after another."""

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av

from engine.controls import Controls
from engine.errors import AllaPrimaError, UsageError
from engine.frame import parse_size
from engine.group import Film, GroupPainter, open_group
from engine.progress import progress_of_several
from engine.report import Report
from engine.run import (
    colour_encoding,
    decode_where_painted,
    encoding_of,
    gave_nothing,
    open_painting,
    paint,
    politely_interrupted,
    save,
    say,
    say_how_it_went,
)
from engine.sources import open_source
from engine.stylizers import ON_GPU, beginning, fitting
from engine.stylizers.on_device import DeviceStylizer
from models.library import Library

TOGETHER = 8  # files at once on a GPU; in 4K they take 3 GB of its memory, with the fine network 5
_FAILURES = (AllaPrimaError, OSError, MemoryError, av.FFmpegError)  # of one file


@dataclass(frozen=True, slots=True)
class Job:
    """A file, and where its painting goes."""

    source: str
    target: str

    @property
    def name(self) -> str:
        return Path(self.source).name


@dataclass(slots=True)
class Ledger:
    """What became of each job: said when it is known, and kept for the report."""

    total: int
    begun: int = 0
    failures: int = 0
    interrupted: bool = False
    reports: dict[str, dict] = field(default_factory=dict)  # by name

    def begins(self, job: Job) -> None:
        self.begun += 1
        say(f"{job.name} ({self.begun} of {self.total})")

    def painted(self, job: Job, report: Report) -> None:
        """Raises AllaPrimaError where it came to nothing."""
        self.reports[job.name] = report.as_dict()
        self.interrupted |= report.interrupted
        if not report.written and not report.interrupted:
            raise gave_nothing(job.source)

    def failed(self, job: Job, error: BaseException) -> None:
        self.failures += 1
        why = str(error) or type(error).__name__
        say(why if job.name in why else f"{job.name}: {why}")


def run_several(options: argparse.Namespace, inputs: Sequence[str], folder: str, controls: Controls) -> int:
    """Paint files into `folder` under their names; returns the exit status. Raises UsageError.

    One that fails does not stop the others. As for one file, each gets its name when it is complete.
    """
    jobs = _jobs(inputs, folder)
    size = parse_size(options.size) if options.size else None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AllaPrimaError(f"the folder '{folder}' cannot be made: {error.strerror}") from error
    ledger = Ledger(len(jobs))
    for group in _groups(options, jobs, size, controls):
        notes: list[str] = []
        if len(group) == 1 or not _paint_together(options, group, size, controls, ledger, notes):
            _paint_in_turn(options, group, controls, ledger, notes)
        if ledger.interrupted:
            break
    if options.report:
        save({"files": ledger.reports}, options.report)
    if ledger.interrupted:
        return 130
    return 1 if ledger.failures else 0


def _jobs(inputs: Sequence[str], folder: str) -> list[Job]:
    """Raises UsageError where a painting would lie over an input or another painting."""
    if not (Path(folder).is_dir() or folder.endswith("/")) or Path(folder).is_file():
        raise UsageError(f"several inputs go into a folder, and '{folder}' is none; end its name with / to have it made")
    jobs = [Job(source, str(Path(folder) / Path(source).name)) for source in inputs]
    names = [job.name for job in jobs]
    for job in jobs:
        if names.count(job.name) > 1:
            raise UsageError(f"two inputs are called '{job.name}', and both would become '{job.target}'; paint them apart")
        target = Path(job.target)
        if target.exists() and any(Path(source).exists() and target.samefile(source) for source in inputs):
            raise UsageError(f"'{job.target}' is an input itself; choose another folder")
    return jobs


def _groups(
    options: argparse.Namespace, jobs: list[Job], size: tuple[int, int] | None, controls: Controls
) -> list[list[Job]]:
    """Those that a GPU can paint together: of equal size and colours. Where there is none, each alone."""
    if controls.strength == 0 or options.backend not in ("auto", *ON_GPU) or not set(fitting()) & set(ON_GPU):
        return [[job] for job in jobs]
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        key: object = job
        if Path(job.source).is_file():  # else it fails in its turn, as does what cannot be opened
            with contextlib.suppress(*_FAILURES), contextlib.closing(open_source(job.source, size)) as source:
                key = (source.info.width, source.info.height, colour_encoding(source.info))
        groups.setdefault(key, []).append(job)
    return list(groups.values())


def _paint_in_turn(
    options: argparse.Namespace, jobs: Sequence[Job], controls: Controls, ledger: Ledger, notes: Sequence[str]
) -> None:
    for job in jobs:
        if ledger.interrupted:
            return
        ledger.begins(job)
        try:
            if not Path(job.source).is_file():
                raise AllaPrimaError(f"'{job.source}' is no file; of several inputs each must be one")
            report = paint(options, job.source, [job.target], controls, live=False)
            for note in notes:
                report.note(note)
            ledger.painted(job, report)
        except UsageError:
            raise  # of all of them
        except _FAILURES as error:
            ledger.failed(job, error)


def _paint_together(
    options: argparse.Namespace,
    jobs: Sequence[Job],
    size: tuple[int, int] | None,
    controls: Controls,
    ledger: Ledger,
    notes: list[str],
) -> bool:
    """Paint files of one kind through one group. Returns whether a GPU had room for that; if not, why is said and noted."""
    with contextlib.closing(open_source(jobs[0].source, size)) as source:
        painting = open_painting(options, source.info, beginning(controls.network, Library()), controls)
        decode_where_painted(source, painting)
        info = source.info
    stylizer = painting.stylizer
    try:
        if not isinstance(stylizer.painting, DeviceStylizer):
            return False
        try:
            group = open_group(info, stylizer.painting, min(len(jobs), TOGETHER))
        except Exception as error:  # a GPU may fail in any way of its own
            why = " ".join(str(error).split())[:200] or type(error).__name__
            notes.append(f"the files were painted one after another, because all at once did not go ({why})")
            return False
        with progress_of_several() as bar:

            def open_film(job: Job) -> Film:
                ledger.begins(job)
                film = Film(job.source, job.target, size, encoding_of(options), painting)
                film.show = bar(job.name, film.source.info.frames)
                return film

            painter = GroupPainter(jobs, open_film, group, painting, controls)
            with politely_interrupted(painter):
                for job, outcome in painter.run():
                    try:
                        if isinstance(outcome, Exception):
                            raise outcome
                        say_how_it_went(outcome, [job.target])
                        ledger.painted(job, outcome)
                    except _FAILURES as error:
                        ledger.failed(job, error)
        ledger.interrupted |= painter.stopping
    finally:
        stylizer.close()
    return True
