"""How good the shipped networks are, against a big network for each painting: `python -m benchmarks.quality --help`.

Everything of ours goes the way it goes for the user, in 8 bits by OpenVINO. The yardsticks are Johnson's and ReCoNet's
networks (`models.training.yardstick`) in float32, and Gatys' optimisation of single pictures (`models.training.gatys`). What
cannot be measured is said to be so.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from rich.console import Console

from benchmarks import measures, perception, plots, stability
from benchmarks.evaluate import watched
from benchmarks.findings import findings, show
from engine import flow, temporal
from engine.controls import Controls
from engine.errors import AllaPrimaError, UsageError
from engine.frame import BT709, FULL, Colour, Frame, StreamInfo, parse_size
from engine.seeing import Seeing
from engine.sinks.conversion import Rgb
from engine.sources import open_source
from engine.sources.scene import SceneSource
from engine.stylizers.openvino import OpenVinoStylizer
from kernels.layout import tile_grid
from models.encoder import SHORT_SIDE
from models.export import Painter
from models.library import Library, Style, shipped
from models.training import gatys, yardstick
from models.training.losses import Grams, Vgg19
from models.training.pictures import find_pictures, names_of, read_rgb, to_tensor

NETWORKS = ("fast", "fine")
PRECISION_SIZE = "640x360"  # at which 8 bits are compared with 32, for every style
TIMED, WARM_UP = 50, 10  # frames
OPTIMISED = gatys.Options(steps=100)
_FULL_RANGE = Colour(BT709, FULL, BT709, BT709)
_WEAKER = 0.1  # step of strength in the search for an equal style loss

Paint = Callable[[np.ndarray], np.ndarray]  # R'G'B' uint8 [H, W, 3] to the same


class Level(NamedTuple):
    """Means over all photographs: `perception.style_loss` and `perception.content_distance`."""

    style: float
    content: float


def paint_picture(painter: Painter, rgb: np.ndarray) -> np.ndarray:
    """One picture R'G'B' uint8 [H, W, 3] as the user gets it: 4:2:0 in full-range BT.709, 8 bits, the first of a stream."""
    height, width = rgb.shape[:2]
    stylizer = OpenVinoStylizer(painter, tile_grid(width, height), 1)
    given = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(
        format="yuv420p", dst_colorspace=BT709, src_color_range=FULL, dst_color_range=FULL, interpolation="BICUBIC"
    )
    given.colorspace, given.color_range = BT709, FULL
    frame = Frame(given, 0, Fraction(1, 25), 0, 0.0)
    Seeing.for_size(width, height).show(frame.planes, stylizer.input())
    stylizer.submit()
    state = flow.FlowState.for_size(width, height)
    motion = flow.step(state, frame.planes[0])
    wet = temporal.Wet.for_size(width, height, state.scale)
    painted = temporal.step(wet, frame, motion, stylizer.collect(), Controls())
    return np.ascontiguousarray(Rgb(_FULL_RANGE, height)(painted, alpha=False)[..., ::-1])


def milliseconds(painter: Painter, size: tuple[int, int] = (1280, 720)) -> tuple[float, float]:
    """Median times for one frame on all cores: of the network alone, and from the planes to painted tiles."""
    width, height = size
    stylizer = OpenVinoStylizer(painter, tile_grid(*size), 1)
    seeing = Seeing.for_size(*size)
    random = np.random.default_rng(1)
    planes = [random.integers(0, 256, (height // part, width // part), np.uint8) for part in (1, 2, 2)]
    times = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        seeing.show(planes, stylizer.input())
        shown = time.perf_counter()
        stylizer.submit()
        stylizer.collect()
        end = time.perf_counter()
        times.append((end - shown, end - start))
    alone, whole = np.median(times[WARM_UP:], 0) * 1e3
    return float(alone), float(whole)


class Jury:
    """Photographs R'G'B' uint8 [H, W, 3], and the VGG-19 that judges how they are painted."""

    def __init__(self, photographs: list[np.ndarray], vgg: Vgg19):
        self.photographs, self.vgg = photographs, vgg
        self._grams = [perception.grams(vgg, photograph) for photograph in photographs]

    def level(self, painted: Sequence[np.ndarray], targets: Grams) -> Level:
        """Of the photographs painted, in their order; or of the first of them."""
        style = [perception.style_loss(self.vgg, picture, targets) for picture in painted]
        pairs = zip(painted, self.photographs, strict=False)
        content = [perception.content_distance(self.vgg, *pair) for pair in pairs]
        return Level(float(np.mean(style)), float(np.mean(content)))

    def unpainted(self, targets: Grams) -> float:
        """The mean style loss of the photographs themselves: how far there is to go."""
        return float(np.mean([perception.gram_distance(grams, targets) for grams in self._grams]))

    def targets(self, painting: Path) -> Grams:
        return perception.grams(self.vgg, read_rgb(painting, SHORT_SIDE))


def content_at(goal: float, weakened: Callable[[float], Level]) -> float:
    """Content distance of who is weakened from strength 1 downwards until the style loss has risen to `goal`.

    Between two strengths both are taken for straight lines. NaN if the photograph itself has less than `goal`.
    """
    before = weakened(1.0)
    for step in range(1, round(1 / _WEAKER) + 1):
        after = weakened(1 - step * _WEAKER)
        if after.style >= goal:
            part = (goal - before.style) / (after.style - before.style) if after.style > before.style else 1.0
            return before.content + part * (after.content - before.content)
        before = after
    return math.nan


def equal_content(ours: Callable[[float], Level], theirs: Callable[[float], Level]) -> float:
    """Our content distance over theirs at the same style loss, to which the one that paints more strongly is weakened."""
    mine, other = ours(1.0), theirs(1.0)
    if mine.style <= other.style:
        return content_at(other.style, ours) / other.content
    return mine.content / content_at(mine.style, theirs)


def match(styles: Sequence[Style], folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The painting of each style by its name (`models.training.pictures.names_of`), and those that no style has.

    Raises UsageError for a folder without pictures.
    """
    try:
        paintings = find_pictures(folder)
    except ValueError as error:
        raise UsageError(str(error)) from error
    known = {style.name for style in styles}
    called = list(zip(names_of(paintings), paintings, strict=True))
    return {name: path for name, path in called if name in known}, [path for name, path in called if name not in known]


def luma_of(rgb: np.ndarray, info: StreamInfo) -> np.ndarray:
    """R'G'B' uint8 [H, W, 3] as luma uint8 [H, W] in the codes of a stream."""
    kr, kb = info.colour.luma_weights(info.height)
    luma = rgb.astype(np.float32) @ np.array([kr, 1 - kr - kb, kb], np.float32)
    return np.rint(luma if info.colour.full_range else 16 + luma * np.float32(219 / 255)).astype(np.uint8)


def of_frames(paint: Paint, frames: Iterable[Frame], info: StreamInfo, motion: stability.Flow | None) -> dict[str, float]:
    """e_stab at both distances of frames painted each for itself; without `motion` it is estimated from the input."""
    rgb = Rgb(info.colour, info.height)
    given: stability.Luma = []
    painted: stability.Luma = []
    for frame in frames:
        given.append(frame.planes[0].copy())
        painted.append(luma_of(paint(rgb(frame, alpha=False)[..., ::-1]), info))

    def estimated(index: int, distance: int) -> tuple[np.ndarray, np.ndarray]:
        return measures.independent_flow(given[index], given[index - distance])

    near, far = (stability.stillness({"P": painted}, motion or estimated, step)["P"] for step in (1, stability.FAR))
    return {"e_stab": near, f"e_stab_at_{stability.FAR}": far}


def of_network(library: Library, jury: Jury, options: argparse.Namespace, watch: Sequence[str]) -> dict:
    """All that is measured of one of our networks by itself; moving pictures in the styles to `watch`."""
    network = library.network
    styles = [style for style in library.styles if not style.own]
    named, unseen = match(styles, options.paintings)

    def level(look: str, painting: Path) -> dict[str, float]:
        painter, targets = library.painter(library.conditioning(look)), jury.targets(painting)
        found = jury.level([paint_picture(painter, rgb) for rgb in jury.photographs], targets)
        return found._asdict() | {"unpainted": jury.unpainted(targets)}

    clips: dict[str, dict] = {}
    for style in watched(watch, f"{network}: moving"):
        settings = stability.Settings(style, library, "auto")
        clips[style] = {"scene": stability.of_scene(f"scene:{options.size}", options.frames, settings)}
        clips[style] |= {Path(clip).name: stability.of_clip(clip, options.frames, settings) for clip in options.clips}
    alone, whole = milliseconds(library.painter(library.conditioning(styles[0].name)))
    return {
        "named": {name: level(name, path) for name, path in watched(list(named.items()), f"{network}: named")},
        "unseen": {path.stem: level(str(path), path) for path in watched(unseen, f"{network}: unseen")},
        "no_painting": [style.name for style in styles if style.name not in named],
        "clips": clips,
        "int8": {
            name: stability.of_precision(PRECISION_SIZE, 1 + stability.FAR, stability.Settings(name, library, "auto"))
            for name in watched(list(named), f"{network}: 8 bits")
        },
        "milliseconds": alone,
        "milliseconds_from_planes": whole,
    }


def of_yardstick(path: Path, style: str, painting: Path, libraries: Sequence[Library], jury: Jury, options) -> dict:
    """One checkpoint: how it paints, how still it is, and how ours compare with it at an equal style loss."""
    module, targets = yardstick.load(path), jury.targets(painting)

    def paint(rgb: np.ndarray) -> np.ndarray:
        painted = yardstick.paint(module, to_tensor(rgb[None]))[0].permute(1, 2, 0)
        return np.rint(painted.numpy() * 255).astype(np.uint8)

    full = [paint(photograph) for photograph in jury.photographs]

    @cache
    def weakened(strength: float) -> Level:
        pairs = zip(full, jury.photographs, strict=True)
        return jury.level([cv2.addWeighted(one, strength, other, 1 - strength, 0) for one, other in pairs], targets)

    def content_ratio(library: Library) -> float:
        @cache
        def ours(strength: float) -> Level:
            painter = library.painter(library.conditioning(style, strength))
            return jury.level([paint_picture(painter, rgb) for rgb in jury.photographs], targets)

        return equal_content(ours, weakened)

    clips = {}
    for name, uri in {"scene": f"scene:{options.size}", **{Path(clip).name: clip for clip in options.clips}}.items():
        with closing(open_source(uri)) as source:
            frames = islice((item for item in source if isinstance(item, Frame)), options.frames)
            motion = source.flow if isinstance(source, SceneSource) else None
            clips[name] = of_frames(paint, frames, source.info, motion)
    ratios = {library.network: content_ratio(library) for library in libraries}
    return {
        "network": yardstick.describe(path)["network"],
        "style": style,
        "level": weakened(1.0)._asdict(),
        "content_ratio_at_equal_style": {name: ratio for name, ratio in ratios.items() if not math.isnan(ratio)},
        "clips": clips,
    }


def of_optimisation(style: str, painting: Path, libraries: Sequence[Library], jury: Jury, count: int) -> dict:
    """The first `count` photographs as Gatys' optimisation paints them, by the losses that ours learn by, and as ours do."""
    photographs, targets = jury.photographs[:count], jury.targets(painting)
    wanted = to_tensor(read_rgb(painting, SHORT_SIDE)[None])
    painted = []
    for photograph in watched(photographs, f"gatys: {style}"):
        found = gatys.optimise(to_tensor(photograph[None]), wanted, jury.vgg, OPTIMISED)
        painted.append(np.rint(found[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    ours = {}
    for library in libraries:
        painter = library.painter(library.conditioning(style))
        ours[library.network] = jury.level([paint_picture(painter, rgb) for rgb in photographs], targets)._asdict()
    return {
        "style": style,
        "photographs": count,
        "steps": OPTIMISED.steps,
        "level": jury.level(painted, targets)._asdict(),
        "ours": ours,
    }


def pictures(folder: Path, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """The first `count` pictures of a folder, evenly spread, each scaled to cover `size` (width, height) and cut to it."""
    paths = find_pictures(folder)
    chosen = [paths[index * len(paths) // count] for index in range(min(count, len(paths)))]
    width, height = size
    found = []
    for rgb in map(read_rgb, chosen):
        factor = max(width / rgb.shape[1], height / rgb.shape[0])
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        scaled = cv2.resize(
            rgb, (max(round(rgb.shape[1] * factor), width), max(round(rgb.shape[0] * factor), height)), interpolation=way
        )
        top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
        found.append(np.ascontiguousarray(scaled[top : top + height, left : left + width]))
    return found


def measure(options: argparse.Namespace) -> dict:
    """Everything, ready for JSON. Raises AllaPrimaError and ValueError."""
    jury = Jury(pictures(options.photographs, options.count, parse_size(options.picture)), perception.open_vgg(options.vgg))
    libraries = [Library(options.weights, name) for name in NETWORKS if name in Library(options.weights).networks]
    if not libraries:
        raise UsageError(f"there is no network in {options.weights}")
    named, _ = match([style for style in libraries[0].styles if not style.own], options.paintings)
    stems = {path.stem: name for name, path in named.items()}
    checkpoints = sorted(options.yardsticks.glob("*.safetensors"))
    rivals = [(path, stems[stem]) for path in checkpoints if (stem := yardstick.describe(path)["style"]) in stems]
    watch = list(dict.fromkeys(style for _, style in rivals)) or [Controls().style]
    return {
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()},
        "photographs": len(jury.photographs),
        "picture": options.picture,
        "frames": options.frames,
        "size": options.size,
        "networks": {library.network: of_network(library, jury, options, watch) for library in libraries},
        "yardsticks": [
            of_yardstick(path, style, named[style], libraries, jury, options)
            for path, style in watched(rivals, "yardsticks")
        ],
        "optimised": [of_optimisation(style, named[style], libraries, jury, options.optimise) for style in watch]
        if options.optimise
        else [],
    }


def note_in_manifest(folder: Path, networks: dict[str, dict]) -> None:
    """Write each style's own style loss and content distance, by network, into `styles.json` of the weights."""
    path = folder / "styles.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        levels = {network: figures["named"].get(entry["name"]) for network, figures in networks.items()}
        entry["measured"] = {
            network: {key: round(level[key], 3) for key in Level._fields} for network, level in levels.items() if level
        }
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True, metavar="DIR")
    parser.add_argument("--paintings", type=Path, required=True, metavar="DIR", help="those of the styles, and unseen ones")
    parser.add_argument("--clips", nargs="*", default=[], metavar="FILE", help="beside the scene, which is always measured")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights, safetensors")
    parser.add_argument(
        "--yardsticks",
        type=Path,
        default=Path(__file__).with_name("yardsticks"),
        metavar="DIR",
        help="checkpoints of models.training.yardstick (default: those for two paintings that are kept here)",
    )
    parser.add_argument("--optimise", type=int, default=0, metavar="N", help="photographs for Gatys, some minutes each")
    parser.add_argument("--weights", type=Path, default=shipped(), metavar="DIR", help="other weights than the shipped ones")
    parser.add_argument("--count", type=int, default=8, help="photographs (default %(default)s)")
    parser.add_argument("--picture", default="640x480", metavar="WxH", help="of a photograph (default %(default)s)")
    parser.add_argument("--frames", type=int, default=30, help="of each clip and of the scene (default %(default)s)")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="of the scene (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, charts beside it, and the manifest's")
    options = parser.parse_args(arguments)
    if options.frames <= stability.FAR:
        parser.error(f"--frames must be more than {stability.FAR}")
    result = measure(options)
    found = findings(result)
    show(found, result["networks"], Console())
    if options.json:
        rows = [
            asdict(f.row) | {"reached": f.row.verdict} if f.measured else {"name": f.row.name, "missing": f.note}
            for f in found
        ]
        options.json.write_text(json.dumps({"rows": rows} | result, indent=2) + "\n", encoding="utf-8")
        plots.of_quality(options.json.parent, result)
        note_in_manifest(options.weights, result["networks"])


if __name__ == "__main__":
    try:
        main()
    except (AllaPrimaError, ValueError) as error:
        sys.exit(f"quality: {error}")
