"""The loop that every training here runs: schedule, progress, log, checkpoints; what is learned is the caller's."""

import ctypes
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.training.mean import Mean
from models.training.pictures import Batch

_Batch = TypeVar("_Batch", Batch, Tensor)


@dataclass(slots=True)
class Course:
    """How long to train, and how far it has come.

    Exactly one of `iterations` and `minutes` is the length. `done` in [0, 1] is what part of it has passed.
    """

    iterations: int | None
    minutes: float | None
    rate: float  # learning rate
    every: float  # minutes between checkpoints
    iteration: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> float:
        part = self.seconds / 60 / self.minutes if self.minutes else self.iteration / (self.iterations or 1)
        return min(part, 1.0)

    def schedule(self, since_start: int) -> float:
        """The learning rate now: a short warm-up, full until 30 %, then a cosine down to a fiftieth."""
        fall = max(self.done - 0.3, 0) / 0.7
        return self.rate * min(1.0, (since_start + 1) / 30) * (0.02 + 0.98 * (1 + math.cos(math.pi * fall)) / 2)


def follow(
    course: Course,
    model: nn.Module,
    mean: Mean,
    optimiser: torch.optim.Optimizer,
    batches: Iterable[_Batch],
    losses: Callable[[_Batch], dict[str, Tensor]],
    log: Path,
    checkpoint: Callable[[], None],
) -> None:
    """Train to the end of the course. `losses` gives the weighted losses of a batch; each is logged, their sum is learned.
    `mean` follows what `model` becomes.

    `checkpoint` is called every `course.every` minutes, at the end, and on Ctrl-C, after which KeyboardInterrupt goes on.
    """
    keep_freed_memory()
    device = next(model.parameters()).device
    start, began = course.iteration, time.monotonic() - course.seconds
    saved = time.monotonic()
    unit, total = ("min", course.minutes) if course.minutes else ("it", course.iterations)
    bar = "{l_bar}{bar}| {n:.4g}/{total} " + unit + " {postfix}"
    with log.open("a" if start else "w", encoding="utf-8") as lines, tqdm(total=total, bar_format=bar) as progress:
        try:
            for batch in batches:
                for group in optimiser.param_groups:
                    group["lr"] = course.schedule(course.iteration - start) * group.get("pace", 1.0)
                parts = losses(batch.to(device))
                optimiser.zero_grad(set_to_none=True)
                weighted = torch.stack(list(parts.values()))
                weighted.sum().backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                # a GPU is waited for here, once an iteration
                length, *values = torch.cat([norm.detach()[None], weighted.detach()]).tolist()
                if math.isfinite(length):  # one spoiled batch must not spoil the rest
                    optimiser.step()
                    mean.take(model)
                course.iteration += 1
                course.seconds = time.monotonic() - began
                figures = {name: round(value, 4) for name, value in zip(parts, values, strict=True)}
                where = {"iteration": course.iteration, "seconds": round(course.seconds, 1)}
                lines.write(json.dumps(where | figures) + "\n")
                progress.n = min(course.seconds / 60 if course.minutes else course.iteration, total or 0)
                progress.set_postfix(it=course.iteration, **{name: f"{value:.2f}" for name, value in figures.items()})
                if course.done >= 1:
                    break
                if time.monotonic() - saved > course.every * 60:
                    lines.flush()
                    checkpoint()
                    saved = time.monotonic()
        finally:
            lines.flush()
            if course.iteration > start:
                checkpoint()


def keep_freed_memory() -> None:
    """Ask glibc not to return large blocks to the system after every layer; on CPU that is a third of the time."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass  # another C library
