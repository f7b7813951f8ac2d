"""Judge any painted video or picture against its original: `allaprima evaluate ORIGINAL PAINTED`.

Who painted it does not matter: nothing but the two is looked at. What cannot be measured is left out, and said so.
"""

import argparse
import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import measures, plots
from engine.errors import AllaPrimaError, UsageError
from engine.frame import Frame, StreamInfo
from engine.sinks.conversion import Rgb
from engine.sources import Source, open_source
from models.encoder import SHORT_SIDE

NEAR, FAR = 1, 10  # frames apart
JUDGED = 12  # frames, evenly spread, are judged as pictures: each takes seconds
_UNKNOWN_LENGTH = 360  # frames taken for granted where a stream does not say how many it has
_SIDES = ("original", "painted")
_Item = TypeVar("_Item")

Pair = tuple[np.ndarray, np.ndarray]  # of the original and of the painted
Judgements = dict[str, Callable[[np.ndarray, np.ndarray], float]]  # of a painted and an original, R'G'B' uint8 [H, W, 3]


class Motion(Protocol):
    """The way between the newest frame of a window and the one `distance` before, and where it is valid: float32 [H, W, 2]
    and bool [H, W]. It leads from the newer to the older where `backward`, else from the older to the newer."""

    backward: bool

    def __call__(self, window: Sequence[np.ndarray], distance: int) -> tuple[np.ndarray, np.ndarray]: ...

    def end(self) -> None: ...


class Estimated:
    """See `Motion`: `measures.independent_flow` of the original."""

    backward = True

    def __call__(self, window: Sequence[np.ndarray], distance: int) -> tuple[np.ndarray, np.ndarray]:
        return measures.independent_flow(window[-1], window[-1 - distance])

    def end(self) -> None:
        pass


class Given:
    """See `Motion`: Middlebury files, each from one frame to the next; longer ways are joined of them.

    They do not say what is hidden in the next frame, so an estimate of the way back must agree. To be asked for every pair,
    in order.
    """

    backward = False

    def __init__(self, paths: Sequence[Path]):
        self._paths = deque(paths)
        self._steps: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=FAR)

    def __call__(self, window: Sequence[np.ndarray], distance: int) -> tuple[np.ndarray, np.ndarray]:
        if distance == NEAR:
            if not self._paths:
                raise UsageError("fewer flows than pairs of frames; give a --flow for each pair, or none")
            flow = read_flow(self._paths.popleft(), window[-1].shape)
            self._steps.append((flow, measures.trusted(flow, measures.estimated_flow(window[-1], window[-2]))))
        return measures.joined(list(self._steps)[-distance:])

    def end(self) -> None:
        """Raises UsageError if there are flows left."""
        if self._paths:
            raise UsageError(
                f"there are {len(self._paths)} flows more than pairs of frames; give a --flow for each, or none"
            )


def read_flow(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A Middlebury .flo of pictures of `shape` (H, W), float32 [H, W, 2]. Raises UsageError."""
    try:
        flow = cv2.readOpticalFlow(str(path))
    except cv2.error:
        flow = None
    if flow is None or not flow.size:
        raise UsageError(f"{path} is no .flo file that can be read; it must be in Middlebury's format")
    if flow.shape[:2] != shape:
        raise UsageError(f"{path} is a flow of {flow.shape[1]}x{flow.shape[0]}, but the frames are {shape[1]}x{shape[0]}")
    return flow


@dataclass
class Found:
    """What is known frame by frame, in numbers only: a few for every frame, however large the frames are."""

    frames: int = 0
    # of each side, squared: see `measures.pair_error`
    errors: dict[int, dict[str, list[float]]] = field(
        default_factory=lambda: {distance: {side: [] for side in _SIDES} for distance in (NEAR, FAR)}
    )
    gradients: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {side: [] for side in _SIDES})
    drifts: dict[str, tuple[float, float]] = field(default_factory=dict)
    judgements: dict[str, list[float]] = field(default_factory=dict)


def measure(frames: Iterable[tuple[Pair, Pair | None]], motion: Motion, judges: Judgements) -> Found:
    """Everything of a stream of pairs: luma uint8 [H, W], and R'G'B' uint8 [H, W, 3] where `judges` are to see it.

    No more than the first and the last FAR + 1 frames are kept.
    """
    found = Found(judgements={name: [] for name in judges})
    windows = {side: deque[np.ndarray](maxlen=FAR + 1) for side in _SIDES}
    first: Pair | None = None
    for pair, pictures in frames:
        first = first or pair
        for side, luma in zip(_SIDES, pair, strict=True):
            windows[side].append(luma)
            found.gradients[side].append(measures.gradient(luma))
        for distance in (NEAR, FAR):
            if found.frames >= distance:
                way = motion(windows["original"], distance)
                for side, window in windows.items():
                    ends = window[-1], window[-1 - distance]
                    error = measures.pair_error(*(ends if motion.backward else ends[::-1]), *way)
                    found.errors[distance][side].append(error)
        if pictures is not None:
            original, painted = pictures
            for name, judge in judges.items():
                found.judgements[name].append(judge(painted, original))
        found.frames += 1
    motion.end()
    if first is not None:
        found.drifts = {side: measures.drift(luma, windows[side][-1]) for side, luma in zip(_SIDES, first, strict=True)}
    return found


def summary(found: Found) -> dict:
    """The figures, ready for JSON; what could not be measured is missing."""

    def known(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
        return {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}

    result: dict = {"frames": found.frames}
    for distance, sides in found.errors.items():
        if sides["painted"]:
            result[f"e_stab_at_{distance}"] = {side: measures.stability(errors) for side, errors in sides.items()}
    sharpness = measures.gradient_ratio(found.gradients["painted"], found.gradients["original"])
    result["sharpness"] = known(("whole", "across", "down"), sharpness)
    if found.frames > 1:
        result["drift"] = {side: known(("brightness", "contrast"), drift) for side, drift in found.drifts.items()}
    return result | {name: float(np.mean(values)) for name, values in found.judgements.items() if values}


def judges_of(style: Path | None, vgg: Path | None) -> tuple[Judgements, dict[str, str]]:
    """Who judges pictures here, and what is left out, with the reason.

    Raises UsageError for a style or VGG weights that were named and cannot be read.
    """
    try:
        from benchmarks import perception
        from models.training.pictures import read_rgb
    except ImportError as error:
        return {}, {"content, style, SSIM": f"{error.name} is not installed (pip install 'allaprima[train]')"}
    judges: Judgements = {"ssim": perception.ssim}
    try:
        network = perception.open_vgg(vgg)
    except ValueError as error:
        if vgg:
            raise UsageError(str(error)) from error
        return judges, {"content, style": str(error)}
    judges["content"] = partial(perception.content_distance, network)
    if not style:
        return judges, {"style": "no painting is given (--style FILE)"}
    try:
        targets = perception.grams(network, read_rgb(style, SHORT_SIDE))
    except ValueError as error:
        raise UsageError(str(error)) from error
    judges["style"] = lambda painted, original: perception.style_loss(network, painted, targets)
    judges["style_of_original"] = lambda painted, original: perception.style_loss(network, original, targets)
    return judges, {}


class Pairs:
    """Two sources side by side: their luma, and of every `step`-th pair the R'G'B', as `measure` takes them. All copies."""

    def __init__(self, original: Source, painted: Source, names: tuple[str, str], most: int | None):
        """No more than `most` frames of each. Raises UsageError if their sizes differ."""
        sizes = [f"{source.info.width}x{source.info.height}" for source in (original, painted)]
        if sizes[0] != sizes[1]:
            raise UsageError(f"sizes differ: {names[0]} is {sizes[0]}, {names[1]} is {sizes[1]}")
        self._sources, self._names, self._most = (original, painted), names, most
        self._rgb = [Rgb(source.info.colour, source.info.height) for source in self._sources]
        self.count = _count(original.info, painted.info, most)
        self.step = max(-(-(self.count or _UNKNOWN_LENGTH) // JUDGED), 1)

    def __iter__(self) -> Iterator[tuple[Pair, Pair | None]]:
        """Raises UsageError if one source ends before the other."""
        streams = [islice((item for item in source if isinstance(item, Frame)), self._most) for source in self._sources]
        for index, (original, painted) in enumerate(zip_longest(*streams)):
            if original is None or painted is None:
                short, long = self._names if original is None else reversed(self._names)
                raise UsageError(f"frames differ: {short} ends after {index}, {long} goes on; compare --frames {index}")
            pictures = None
            if index % self.step == 0:
                pictures = self._rgb[0](original, False)[..., ::-1], self._rgb[1](painted, False)[..., ::-1]
            yield (original.planes[0].copy(), painted.planes[0].copy()), pictures


def _count(original: StreamInfo, painted: StreamInfo, most: int | None) -> int | None:
    """How many pairs there will be, where anything is known of it."""
    known = [number for number in (original.frames, painted.frames, most) if number]
    return min(known) if known else None


def table(result: dict) -> Table:
    """Every figure of the original and of the painted, and what would be perfect."""
    shown = Table("", "original", "painted", "perfect", box=None)

    def row(name: str, original: float | None, painted: float | None, perfect: str, form: str = ".4f") -> None:
        shown.add_row(name, *("" if value is None else format(value, form) for value in (original, painted)), perfect)

    for distance in (NEAR, FAR):
        if figures := result.get(f"e_stab_at_{distance}"):
            label = f"e_stab, {distance} frame{'s' if distance > 1 else ''} apart"
            row(label, figures["original"], figures["painted"], "as the original")
    for name, value in result["sharpness"].items():
        row("sharpness" if name == "whole" else f"  {name}", 1.0, value, "", ".3f")
    changes = result.get("drift", {})
    for name in ("brightness", "contrast"):
        if name in changes.get("painted", {}):
            before, after = (changes[side].get(name) for side in _SIDES)
            row(f"{name}, first to last", before, after, "as the original", "+.2%")
    for name, label, perfect in (("content", "content, relu3_2", 0), ("ssim", "SSIM", 1)):
        if name in result:
            row(label, perfect, result[name], str(perfect))
    if "style" in result:
        row("style", result["style_of_original"], result["style"], "0")
    return shown


def draw(folder: Path, found: Found) -> list[Path]:
    """Stability and sharpness over time, as far as there are pairs; the files written."""
    if not found.errors[NEAR]["painted"]:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    stability, sharpness = folder / "stability.png", folder / "sharpness.png"
    series = {side: np.sqrt(found.errors[NEAR][side]).tolist() for side in _SIDES}
    plots.over_time(stability, "How much each frame changes beside its motion", "e_stab", series, first=NEAR)
    ratios = [
        measures.gradient_ratio([ours], [theirs])[0]
        for ours, theirs in zip(found.gradients["painted"], found.gradients["original"], strict=True)
    ]
    plots.over_time(sharpness, "Detail", "mean gradient over the original's", {"painted": ratios}, level=1.0)
    return [stability, sharpness]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `allaprima evaluate` understands."""
    parser.add_argument("original", help="what was painted: a file, a picture, a folder of pictures, …")
    parser.add_argument("painted", help="the painting of it: as many frames, of the same size")
    parser.add_argument("--style", type=Path, metavar="FILE", help="picture of the painting it should look like")
    parser.add_argument(
        "--flow",
        type=Path,
        action="append",
        metavar="FILE.flo",
        help="the true motion from a frame to the next, one for each pair; else it is estimated",
    )
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights, safetensors")
    parser.add_argument("--frames", type=int, metavar="N", help="no more than so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw stability and sharpness over time")


def evaluate(options: argparse.Namespace) -> int:
    """Measure, print, and write what is asked for; returns 0. Raises AllaPrimaError."""
    if options.frames is not None and options.frames < 1:
        raise UsageError(f"--frames is {options.frames}; it must be at least 1")
    if options.plots:
        _require_matplotlib()
    motion = Given(options.flow) if options.flow else Estimated()
    names = (options.original, options.painted)
    with closing(open_source(names[0])) as original, closing(open_source(names[1])) as painted:
        pairs = Pairs(original, painted, names, options.frames)
        judges, missing = judges_of(options.style, options.vgg)
        found = measure(watched(pairs, "judging", pairs.count), motion, judges)
        size = f"{original.info.width}x{original.info.height}"
    if not found.frames:
        raise AllaPrimaError(f"{names[0]} and {names[1]} gave no frame")
    for distance in (NEAR, FAR):
        if found.frames <= distance:
            missing[f"e_stab at {distance}"] = f"there are no frames so far apart, only {found.frames} in all"
    result = {"original": names[0], "painted": names[1], "size": size, "flow": "given" if options.flow else "estimated"}
    result |= summary(found) | {"left_out": missing}
    _report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.plots:
        for path in draw(options.plots, found):
            print(path)
    return 0


def watched(items: Iterable[_Item], doing: str, count: int | None = None) -> Iterable[_Item]:
    """The same items, with a bar on standard error that shows how many are done, where somebody looks."""
    console, quiet = Console(stderr=True), not sys.stderr.isatty()
    return track(items, doing, count, console=console, transient=True, disable=quiet)


def _report(result: dict) -> None:
    console = Console()
    console.print(f"{result['frames']} frames of {result['size']}, motion {result['flow']}", highlight=False)
    console.print(table(result))
    for name, reason in result["left_out"].items():
        console.print(f"left out: {name}: {reason}", highlight=False, markup=False, soft_wrap=True)


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UsageError("--plots needs matplotlib (pip install 'allaprima[train]')") from error
