"""Bring one style of the user's own closer to its picture: its vector alone is trained, the network stays as it is."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from models.library import Library, read_picture
from models.training import atelier as ateliers
from models.training.device import best, precision
from models.training.loop import Course, follow
from models.training.losses import Judgement, StyleLoss, Vgg19, Weights
from models.training.mean import Mean
from models.training.pictures import Batch, Pairs, Styles, scaled
from models.training.train import Teacher
from models.training.vgg import find_vgg

_SIDE, _BATCH, _RATE = 256, 2, 3e-3


def refine(library: Library, name: str, minutes: float, content: Path, vgg: Path | None) -> float:
    """Train the vector of the user's style `name` for so many minutes on a folder of photographs, and keep the result.

    Returns what part of its style loss is left. Raises ValueError without photographs or VGG-19, LibraryError without style.
    """
    torch.manual_seed(1)
    device = best()
    picture = scaled(read_picture(library.own / f"{name}.jpg"), 512)
    judge = Vgg19(find_vgg(vgg), Judgement().pooling).to(device, precision(device))
    teacher = Teacher(Styles([picture], StyleLoss(judge, tamed=True), device), None, Weights())
    student = ateliers.from_library(library).requires_grad_(False)
    student.names = [name]
    rows = [library.conditioning(name, strength) for strength in (0.0, 1.0)]
    student.table = torch.nn.Parameter(torch.stack([torch.from_numpy(row) for row in rows]))
    student.to(device)
    # the identity stays the camera
    student.table.register_hook(lambda gradient: torch.cat([torch.zeros_like(gradient[:1]), gradient[1:]]))
    course = Course(None, minutes, _RATE, every=minutes)
    styles: list[float] = []

    def losses(batch: Batch) -> dict[str, Tensor]:
        lesson = teacher.lesson(_BATCH)
        lesson.strengths.fill_(1)
        found = teacher.losses(student, batch, lesson, None)
        styles.append(float(found["style"].detach()))
        return found

    def keep() -> None:
        library.keep(name, mean.model.table[1].cpu().numpy())

    batches = Pairs(content, 1, _BATCH, _SIDE).batches(device)
    optimiser, mean = torch.optim.Adam([student.table], _RATE), Mean(student)
    with TemporaryDirectory() as folder:  # nobody reads this log
        follow(course, student, mean, optimiser, batches, losses, Path(folder) / "refine.jsonl", keep)
    tenth = max(len(styles) // 10, 1)
    return sum(styles[-tenth:]) / sum(styles[:tenth])
