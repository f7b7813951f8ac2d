"""How still the paint holds, and what that costs: `python -m benchmarks.stability [--style NAME] [--json FILE] [CLIP ...]`.

Measured on the code-made scene, whose motion is known exactly, and on each clip given, whose motion an independent flow
estimates. I is the input, P each frame painted for itself (consistency 0), O the output; luma only, codes over 255.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import measures
from engine import flow, temporal
from engine.controls import Controls
from engine.errors import AllaPrimaError, StylizerError, UsageError
from engine.frame import Frame, StreamInfo
from engine.run import colour_encoding
from engine.seeing import Seeing
from engine.sources import open_source
from engine.sources.scene import SceneSource
from engine.stylizers import Stylizer, open_stylizer
from models.library import Library, shipped

FAR = 10  # frames; the longer of the two distances
DRIFT_SIZE, DRIFT_NOISE = "320x180", 2.0  # small, to be quick; codes
FAST = 10  # frames a second; the motion of three frames in one
CUT_BEFORE, CUT_AFTER = 12, 6  # frames

EACH = Controls(consistency=0.0)  # P: each frame for itself

Luma = list[np.ndarray]  # uint8 [H, W]
Flow = Callable[[int, int], tuple[np.ndarray, np.ndarray]]  # of index and distance in frames: backward, valid


@dataclass(frozen=True)
class Settings:
    """What is measured: the style, the weights it comes from, and the controls of O."""

    style: str
    library: Library
    backend: str
    controls: Controls = field(default_factory=Controls)

    def stylizer(self, info: StreamInfo, backend: str | None = None) -> Stylizer:
        size = (info.width, info.height)
        opened = open_stylizer(self.style, size, colour_encoding(info), backend or self.backend, 1, self.library)
        return opened.stylizer


def paint(frames: Iterable[Frame], stylizer: Stylizer, *controls: Controls) -> tuple[Luma, list[Luma]]:
    """The luma of the input, and of the output under each of `controls`; the network and the flow run once for all."""
    given: Luma = []
    painted: list[Luma] = [[] for _ in controls]
    wets: list[temporal.Wet] = []
    state: flow.FlowState | None = None
    seeing: Seeing | None = None
    for frame in frames:
        if state is None or seeing is None:
            state = flow.FlowState.for_size(frame.width, frame.height)
            seeing = Seeing.for_size(frame.width, frame.height)
            wets = [temporal.Wet.for_size(frame.width, frame.height, state.scale) for _ in controls]
        seeing.show(frame.planes, stylizer.input())
        stylizer.submit()
        motion = flow.step(state, frame.planes[0])
        tiles = stylizer.collect()
        given.append(frame.planes[0].copy())
        for wet, control, out in zip(wets, controls, painted, strict=True):
            out.append(temporal.step(wet, frame, motion, tiles, control).planes[0].copy())
    return given, painted


def stillness(sequences: dict[str, Luma], motion: Flow, distance: int) -> dict[str, float]:
    """e_stab of each sequence at a distance in frames; `motion(index, distance)` is its flow and where that is valid."""
    errors: dict[str, list[float]] = {name: [] for name in sequences}
    count = len(next(iter(sequences.values())))
    for index in range(distance, count):
        backward, valid = motion(index, distance)
        for name, pictures in sequences.items():
            errors[name].append(measures.pair_error(pictures[index], pictures[index - distance], backward, valid))
    return {name: measures.stability(pairs) for name, pairs in errors.items()}


def clip_figures(sequences: dict[str, Luma], motion: Flow) -> dict[str, float]:
    """Everything that is measured of any clip."""
    near, far = stillness(sequences, motion, 1), stillness(sequences, motion, FAR)
    figures = {f"e_stab_{name}": value for name, value in near.items()}
    figures |= {f"e_stab_{name}_at_{FAR}": value for name, value in far.items()}
    figures["ratio"] = near["O"] / near["P"]
    figures[f"ratio_at_{FAR}"] = far["O"] / far["P"]
    sharp = measures.sharpness(sequences["O"][1:], sequences["P"][1:])
    figures |= dict(zip(("sharpness", "sharpness_across", "sharpness_down"), sharp, strict=True))
    return figures


def of_clip(path: str, count: int, settings: Settings) -> dict[str, float]:
    """The first `count` frames of a real clip."""
    with closing(open_source(path)) as source:
        frames = islice((item for item in source if isinstance(item, Frame)), count)
        given, (each, output) = paint(frames, settings.stylizer(source.info), EACH, settings.controls)
    if len(given) <= FAR:
        raise UsageError(f"{path} has {len(given)} frames; more than {FAR} are needed")
    sequences = {"I": given, "P": each, "O": output}
    return clip_figures(sequences, lambda index, step: measures.independent_flow(given[index], given[index - step]))


def of_scene(uri: str, count: int, settings: Settings) -> dict[str, float]:
    """The code-made scene. The lag is how far O is from P: where something came to sight, and of all else where visible."""
    source = SceneSource(uri)
    given, (each, output) = paint(islice(source, count), settings.stylizer(source.info), EACH, settings.controls)
    figures = clip_figures({"I": given, "P": each, "O": output}, source.flow)
    uncovered, elsewhere = [], []
    for index in range(1, count):
        _, visible, new = source.motion(index)
        uncovered.append(measures.distance(output[index], each[index], new))
        elsewhere.append(measures.distance(output[index], each[index], visible))
    figures["lag_uncovered"], figures["lag_elsewhere"] = float(np.nanmean(uncovered)), float(np.nanmean(elsewhere))
    figures["lag_ratio"] = figures["lag_uncovered"] / figures["lag_elsewhere"]
    return figures


def of_cut(size: str, settings: Settings) -> dict[str, float | int | None]:
    """How long O remembers the scene before a hard cut."""
    source = SceneSource(f"scene:{size},1,{CUT_BEFORE * 2},cut")
    assert source.cut == CUT_BEFORE
    frames = islice(source, CUT_BEFORE + CUT_AFTER)
    _, (each, output) = paint(frames, settings.stylizer(source.info), EACH, settings.controls)
    errors = [measures.distance(*pair) for pair in zip(output, each, strict=True)]
    before, after = errors[1:CUT_BEFORE], errors[CUT_BEFORE:]
    return {
        "recovery_frames": measures.recovery(before, after),
        "error_before": float(np.median(before)),
        "error_at_cut": after[0],
        "error_5_after": float(np.mean(after[1:])),
    }


def of_still(count: int, settings: Settings) -> dict[str, float]:
    """A still picture with a sensor's noise: from the first painted frame to the last nothing should have changed."""
    rate = 10**9  # frames a second; so many that the scene stands still
    source = SceneSource(f"scene:{DRIFT_SIZE},{count}/{rate},{rate}", noise=DRIFT_NOISE)
    _, (output,) = paint(source, settings.stylizer(source.info), settings.controls)
    brightness, contrast = measures.drift(output[0], output[-1])
    return {"frames": count, "brightness": brightness, "contrast": contrast}


def of_precision(size: str, count: int, settings: Settings) -> dict[str, float] | None:
    """What 8 bits cost against the same network in float32, by PyTorch; None where that is not installed."""
    source = SceneSource(f"scene:{size}")
    try:
        reference = settings.stylizer(source.info, "torch")
    except StylizerError:
        return None
    _, (each, output) = paint(islice(source, count), settings.stylizer(source.info), EACH, settings.controls)
    _, (each_float, output_float) = paint(islice(source, count), reference, EACH, settings.controls)
    still = stillness({"8": output, "32": output_float}, source.flow, 1)
    return {"psnr_db": measures.psnr(each, each_float), "e_stab_over_float": still["8"] / still["32"]}


def table(figures: dict[str, dict[str, float]]) -> Table:
    """e_stab of every clip in thousandths, near and far, and the sharpness of O over P in hundredths, across and down."""
    far = (f"{name} +{FAR}" for name in ("I", "P", "O", "O/P"))
    shown = Table("e_stab / 1000", "I", "P", "O", "O/P", *far, "x", "y", box=None)
    for name, values in figures.items():
        cells = [f"{values[f'e_stab_{key}'] * 1000:.1f}" for key in "IPO"] + [f"{values['ratio']:.2f}"]
        cells += [f"{values[f'e_stab_{key}_at_{FAR}'] * 1000:.1f}" for key in "IPO"] + [f"{values[f'ratio_at_{FAR}']:.2f}"]
        cells += [f"{values[f'sharpness_{way}'] * 100:.0f}" for way in ("across", "down")]
        shown.add_row(Path(name).stem[:20], *cells)
    return shown


def sentences(result: dict) -> list[str]:
    """What is not in the table."""
    clips, cut, still, precision = (result[name] for name in ("clips", "cut", "still", "int8"))
    lines = [
        f"{name}: where something came to sight O is {clip['lag_uncovered']:.4f} from P, elsewhere"
        f" {clip['lag_elsewhere']:.4f} ({clip['lag_ratio']:.2f} times)"
        for name, clip in clips.items()
        if "lag_ratio" in clip
    ]
    lines += [
        f"after a cut O is itself again after {cut['recovery_frames']} frames; from P {cut['error_at_cut']:.4f} at once,"
        f" {cut['error_5_after']:.4f} in the next {CUT_AFTER - 1} frames, {cut['error_before']:.4f} before",
        f"over {still['frames']} frames of a noisy still brightness changed {still['brightness']:+.2%},"
        f" contrast {still['contrast']:+.2%}",
    ]
    if precision:
        lines.append(
            f"8 bits against 32: {precision['psnr_db']:.1f} dB, e_stab of O {precision['e_stab_over_float'] - 1:+.1%}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stability", description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="beside the scene, which is always measured")
    parser.add_argument("--style", default="starry-night", metavar="NAME")
    parser.add_argument("--weights", type=Path, default=shipped(), metavar="DIR", help="other weights than the shipped ones")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--consistency", type=float, default=Controls().consistency, help="of O (default %(default)s)")
    parser.add_argument("--frames", type=int, default=30, help="of each clip and of the scene (default %(default)s)")
    parser.add_argument("--still", type=int, default=1000, metavar="N", help="frames of the still (default %(default)s)")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="of the scene (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.frames <= FAR:
        parser.error(f"--frames must be more than {FAR}")
    controls = Controls(consistency=options.consistency)
    settings = Settings(options.style, Library(options.weights), options.backend, controls)
    clips = {
        "scene": of_scene(f"scene:{options.size}", options.frames, settings),
        "scene, fast": of_scene(f"scene:{options.size},10,{FAST}", options.frames, settings),
    }
    clips |= {Path(path).name: of_clip(path, options.frames, settings) for path in options.clips}
    result = {
        "style": options.style,
        "consistency": controls.consistency,
        "frames": options.frames,
        "size": options.size,
        "clips": clips,
        "cut": of_cut(options.size, settings),
        "still": of_still(options.still, settings),
        "int8": of_precision(options.size, 1 + FAR, settings),
    }
    console = Console()
    console.print(table(clips))
    for line in sentences(result):
        console.print(line, highlight=False, soft_wrap=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except AllaPrimaError as error:
        sys.exit(f"stability: {error}")
