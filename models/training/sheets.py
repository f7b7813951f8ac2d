"""Pictures of a training: contact sheets of what it paints, and its losses over time."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from models.training.atelier import Atelier
from models.training.pictures import to_tensor


@torch.no_grad()
def contact_sheet(student: Atelier, photographs: list[np.ndarray], looks: list[np.ndarray], path: Path) -> None:
    """Photographs uint8 [S, S, 3] across; down: themselves, at strength 0 and 0.5, every named style, and `looks`, each
    beside what the encoder makes of it."""
    device = student.table.device
    given = to_tensor(np.stack(photographs)).to(device)
    side = given.shape[-1]
    encoded = student.encoder(to_tensor(np.stack(looks)).to(device))
    halfway = (student.table[0] + student.table[1]) / 2
    vectors = [student.table[0], halfway, *student.table[1:], *encoded]
    rows = [np.hstack([np.full((side, side, 3), 40, np.uint8), *photographs])]
    for index, vector in enumerate(vectors):
        painted = student.paint(given, vector[None])[0].permute(0, 2, 3, 1).cpu().numpy()
        shown = index - (len(vectors) - len(looks))
        label = np.full((side, side, 3), 40, np.uint8) if shown < 0 else cv2.resize(looks[shown], (side, side))
        if shown < 0:
            text = ("identity", "halfway", *student.names)[index]
            cv2.putText(label, text[:22], (8, side // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (230, 230, 230), 1, cv2.LINE_AA)
        rows.append(np.hstack([label, *(np.rint(picture * 255).astype(np.uint8) for picture in painted)]))
    half = -(-len(rows) // 2)
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    sheet = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def loss_curves(log: Path, path: Path) -> None:
    """Every loss over the iterations, smoothed, as one picture."""
    from matplotlib.figure import Figure

    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = [name for name in entries[-1] if name not in ("iteration", "seconds")]
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    for name, axes in zip(names, figure.subplots(1, len(names)), strict=True):
        points = [(entry["iteration"], entry[name]) for entry in entries if name in entry]
        where, values = np.array(points).T
        width = max(len(values) // 60, 1)
        smooth = np.convolve(values, np.ones(width) / width, "valid")
        axes.plot(where[width - 1 :], smooth, linewidth=1)
        axes.set_title(name)
        axes.set_ylim(0, float(np.quantile(smooth, 0.98)) * 1.15 + 1e-6)
    figure.savefig(path)
