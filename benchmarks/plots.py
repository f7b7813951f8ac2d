"""Charts of what was measured, as PNG (matplotlib, `pip install 'allaprima[train]'`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def over_time(
    path: Path, title: str, unit: str, series: Mapping[str, Sequence[float]], first: int = 0, level: float | None = None
) -> None:
    """A line for each of `series`, by name, from frame `first` on; `level` is a thin one to compare with. NaN is a gap."""
    figure, axes = _chart(9, 3.2, title)
    for name, values in series.items():
        axes.plot(range(first, first + len(values)), values, linewidth=1.2, label=name)
    if level is not None:
        axes.axhline(level, color="0.6", linewidth=0.8)
    axes.set_xlabel("frame")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    _finish(figure, axes, path)


def bars(path: Path, title: str, unit: str, series: Mapping[str, Mapping[str, float]]) -> None:
    """Of each of `series` a bar for each name; names that one of them has not leave a gap there."""
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    figure, axes = _chart(max(6.0, 1.5 + 0.32 * len(names)), 4.2, title)
    width = 0.8 / max(len(series), 1)
    for index, (label, values) in enumerate(series.items()):
        places = [names.index(name) + (index - (len(series) - 1) / 2) * width for name in values]
        axes.bar(places, list(values.values()), width, label=label)
    axes.set_xticks(range(len(names)), names, rotation=55, ha="right", fontsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylabel(unit)
    _finish(figure, axes, path)


def of_quality(folder: Path, result: dict) -> None:
    """What `benchmarks.quality` found. quality-style.png: style loss of every named style; quality-stability.png: e_stab of
    every clip, mean over the styles."""
    style: dict[str, dict[str, float]] = {}
    moving: dict[str, dict[str, list[float]]] = {}

    def add(label: str, clip: str, value: float) -> None:
        moving.setdefault(label, {}).setdefault(clip, []).append(value)

    for network, figures in result["networks"].items():
        style[network] = {name: level["style"] for name, level in figures["named"].items()}
        for clips in figures["clips"].values():
            for clip, values in clips.items():
                add("input", clip, values["e_stab_I"])
                add(f"{network}, network alone", clip, values["e_stab_P"])
                add(f"{network}, whole chain", clip, values["e_stab_O"])
    for entry in result["yardsticks"]:
        style.setdefault(entry["network"], {})[entry["style"]] = entry["level"]["style"]
        for clip, values in entry["clips"].items():
            add(entry["network"], clip, values["e_stab"])
    means = {label: {clip: sum(v) / len(v) for clip, v in clips.items()} for label, clips in moving.items()}
    bars(folder / "quality-style.png", "How far from the painting's style", "relative Gram loss", style)
    bars(folder / "quality-stability.png", "How much paint changes beside the motion", "e_stab", means)


def _chart(width: float, height: float, title: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(figure: "Figure", axes: "Axes", path: Path) -> None:
    legend = axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8)
    if (rows := -(-len(legend.get_texts()) // 4)) > 1:  # too long to stand beside the title
        axes.set_title(axes.get_title("left"), fontsize=10, loc="left", pad=6 + 14 * rows)
    figure.savefig(path, dpi=120)
