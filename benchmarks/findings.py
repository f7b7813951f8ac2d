"""What `benchmarks.quality` measured, against what was asked for: the table, and what could not be measured, and why."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.chain import Row


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of the table, its value NaN where it is not measured, and then why."""

    row: Row
    note: str = ""

    @property
    def measured(self) -> bool:
        return not math.isnan(self.row.value)


def geometric_mean(ratios: Iterable[float]) -> float:
    """NaN of none, and of any NaN."""
    logs = np.log(list(ratios))
    return float(np.exp(logs.mean())) if logs.size else math.nan


def findings(result: dict) -> list[Finding]:
    """What was asked for at least, what was aimed at, and what was found, in `result` as `measure` gives it.

    Against Johnson's networks a figure is the geometric mean over their styles, and over clips where there are any.
    """
    found: list[Finding] = []
    rivals = [entry for entry in result["yardsticks"] if entry["network"] == "johnson"]

    def add(name: str, value: float, unit: str, least: float, aim: float, why: str, higher: bool = False) -> None:
        found.append(Finding(Row(name, value, unit, least, aim, higher), why if math.isnan(value) else ""))

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(listed)) if (listed := list(values)) else math.nan

    for network, style_bounds in (("fine", (1.10, 1.0)), ("fast", (1.25, 1.10))):
        figures = result["networks"].get(network, {"named": {}, "unseen": {}, "clips": {}, "int8": {}})
        absent = "" if network in result["networks"] else f"the network '{network}' does not ship"
        no_rival = absent or "no checkpoint of Johnson's network for a shipped style; see --yardsticks"
        named, watched_clips = figures["named"], figures["clips"]
        known = [entry for entry in rivals if entry["style"] in named]
        style = geometric_mean(named[e["style"]]["style"] / e["level"]["style"] for e in known)
        add(f"{network}: style loss over Johnson's", style, "x", *style_bounds, no_rival)
        unseen = mean(v["style"] for v in figures["unseen"].values()) / mean(v["style"] for v in named.values())
        add(f"{network}: style loss, unseen over named", unseen, "x", 1.5, 1.2, absent or "no unseen paintings")
        content = geometric_mean(e["content_ratio_at_equal_style"].get(network, math.nan) for e in known)
        lost = "somebody's style loss is above the photograph's" if known else no_rival
        add(f"{network}: content at equal style over Johnson's", content, "x", 1.05, 1.0, lost)
        for name, key, least, aim in (("network", "P", 0.6, 0.4), ("chain", "O", 0.35, 0.25)):
            ratios = [
                watched_clips[entry["style"]][clip][f"e_stab_{key}"] / figure["e_stab"]
                for entry in known
                for clip, figure in entry["clips"].items()
            ]
            label = f"{network}: e_stab, {name}, over Johnson's"
            add(label, geometric_mean(ratios), "x", least, aim, no_rival)
        sharpness = mean(clip["sharpness"] for clips in watched_clips.values() for clip in clips.values())
        add(f"{network}: sharpness, chain over network", sharpness, "x", 0.95, 0.98, absent, higher=True)
        precise = [entry for entry in figures["int8"].values() if entry]
        no_float = absent or "needs PyTorch"
        add(f"{network}: 8 bits against 32", mean(e["psnr_db"] for e in precise), "dB", 35, 38, no_float, higher=True)
        worse = 100 * (mean(e["e_stab_over_float"] for e in precise) - 1)
        add(f"{network}: e_stab, 8 bits over 32", worse, "%", 2, 0, no_float)
    speed = result["networks"].get("fast", {}).get("milliseconds", math.nan)
    add(f"fast: network at 1280x720, {result['machine']['cores']} cores", speed, "ms", 22, 15, "'fast' does not ship")
    return found


def levels(networks: dict[str, dict]) -> list[str]:
    """The mean style loss of the photographs before and after, for named and for unseen paintings."""
    return [
        f"{network}: style loss of {len(entries)} {kind} paintings:"
        f" {np.mean([entry['unpainted'] for entry in entries]):.2f} before,"
        f" {np.mean([entry['style'] for entry in entries]):.2f} painted"
        for network, figures in networks.items()
        for kind in ("named", "unseen")
        if (entries := list(figures[kind].values()))
    ]


def show(found: Sequence[Finding], networks: dict[str, dict], console: Console) -> None:
    """The table, and under it the levels of style, and what is not measured, and why."""
    shown = Table("", "at least", "aim", "found", "", box=None)
    missing: dict[str, list[str]] = {}
    for finding in found:
        row = finding.row
        sign, unit = ("≥" if row.higher else "≤"), "" if row.unit == "x" else f" {row.unit}"
        bounds = [f"{sign} {bound:g}{unit}" for bound in (row.least, row.aim)]
        value = f"{row.value:.2f}{unit}" if finding.measured else "-"
        shown.add_row(row.name, *bounds, value, row.verdict if finding.measured else "")
        if not finding.measured:
            missing.setdefault(finding.note, []).append(row.name)
    console.print(shown)
    for line in levels(networks):
        console.print(line, highlight=False, soft_wrap=True)
    for reason, names in missing.items():
        console.print(f"not measured: {'; '.join(names)}: {reason}", highlight=False, soft_wrap=True)
