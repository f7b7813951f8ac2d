"""Train the painter: `allaprima train --styles DIR --content DIR --vgg FILE --out FILE`.

One network learns all paintings of a folder by name and, through its encoder, to paint like any other picture. In every
batch each sample has its own style; some are named, some encoded, and some are painted at less than full strength, down to
the camera itself. In the second half the activations are clipped at a fixed reach, for 8 bits.

Few large crops teach more than many small ones: at a quarter of its size, where large strokes are judged, a small one is all
border to VGG-19. Two of 320 pixels came a fifth closer to a painting than four of 192 in as much time, as still.

A new network's encoder first learns to describe pictures (`models.training.description`), in a tenth of the time; that half
of it then stays as it is. The encoder alone (`--only encoder`) learns from single frames, since the generator holds still by
now, and from pictures whose vectors are known (`models.training.anchors`). The vectors of the named paintings alone
(`--only vectors`) come closer in minutes than beside all else: each has its turn once in as many samples as there are
paintings.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.library import Library
from models.networks.generator import SHAPES
from models.tiles import seen
from models.training import atelier as ateliers
from models.training import checkpoint as checkpoints
from models.training import description
from models.training.anchors import Anchors
from models.training.atelier import Atelier
from models.training.checkpoint import Progress
from models.training.device import best, precision
from models.training.growth import grown
from models.training.lazy import LazyAdam
from models.training.loop import Course, follow
from models.training.losses import (
    StyleLoss,
    Vgg19,
    Weights,
    content_loss,
    edge_loss,
    feature_temporal_loss,
    grid_loss,
    halve,
    picture_losses,
    temporal_loss,
)
from models.training.mean import Mean
from models.training.options import add_losses
from models.training.pictures import (
    Batch,
    Pairs,
    Photographs,
    Styles,
    find_pictures,
    names_of,
    read_rgb,
)
from models.training.revival import revive
from models.training.sheets import contact_sheet, loss_curves
from models.training.stand_ins import stand_ins
from models.training.vgg import find_vgg

DESCRIBING = 2e-3  # learning rate of the encoder's first half
NAMED, SOFT = 0.5, 0.2  # parts of the samples that are named styles, and that are painted at less than full strength
ANCHORS = 12  # pictures an iteration; without VGG-19 they cost little


@dataclass(slots=True)
class Lesson:
    """What is to be painted in one iteration: styles (-1 is encoded), what the encoder sees, strengths, Gram matrices."""

    styles: list[int]
    looks: Tensor | None
    strengths: Tensor
    targets: list[dict[str, Tensor]]


class Teacher:
    """Chooses styles and judges paintings. `known` is the part of the samples that are named; without `others` all are.
    `moving` asks for stillness as well."""

    def __init__(
        self,
        named: Styles,
        others: Styles | None,
        weights: Weights,
        known: float = NAMED,
        moving: bool = True,
    ):
        self.named, self.others, self.weights, self.known = named, others, weights, known
        self.moving = moving
        self._turns: list[int] = []  # of the named ones, in which they are asked for
        self.style_loss, self.vgg, self.device = named.loss, named.loss.vgg, named.device

    def lesson(self, count: int) -> Lesson:
        """Styles and strengths for a batch."""
        styles, looks, targets = [], [], []
        named = count if self.others is None else int(count * self.known + torch.rand(()))
        for sample in range(count):
            if self.others is None or sample < named:
                self._turns = self._turns or torch.randperm(len(self.named)).tolist()
                styles.append(self._turns.pop())
                targets.append(self.named.targets(styles[-1:]))
            else:
                index = int(torch.randint(len(self.others), ()))
                styles.append(-1)
                looks.append(self.others.looks([index]))
                targets.append(self.others.targets([index]))
        stacked = [
            {name: torch.cat([t[scale][name] for t in targets]) for name in targets[0][scale]}
            for scale in range(len(targets[0]))
        ]
        return Lesson(styles, torch.cat(looks) if looks else None, strengths_of(count).to(self.device), stacked)

    def losses(self, student: Atelier, batch: Batch, lesson: Lesson, master: Atelier | None) -> dict[str, Tensor]:
        """Each loss, weighted, as the mean over the batch."""
        weights, strengths = self.weights, lesson.strengths
        conditioning = student.conditioning(lesson.styles, lesson.looks, strengths)
        if self.moving:
            # of every style both frames, one after the other
            painted, trunk = student.paint(torch.stack([batch.first, batch.second], 1).flatten(0, 1), conditioning)
            first, pair, deep = painted[::2], (painted[::2], painted[1::2]), (trunk[::2], trunk[1::2])
            given = (batch.first, batch.second)
            losses = {
                "still": weights.still * temporal_loss(pair, given, batch.backward, batch.visible),
                "deep": weights.feature_still * feature_temporal_loss(deep, batch.backward, batch.visible),
                "edge": weights.edge * frame_loss(student, batch.first, first, conditioning),
                "same": weights.same * (1 - strengths) * (first - batch.first).square().mean((1, 2, 3)),
            }
        else:
            first, losses = student.paint(batch.first, conditioning)[0], {}
        seen, features = picture_losses(self.style_loss, first, batch.first, lesson.targets, weights, strengths)
        losses |= seen | {"grid": weights.grid * grid_loss(first)}
        if master is not None:
            with torch.no_grad():
                example, _ = master.paint(batch.first, master.conditioning(lesson.styles, lesson.looks, strengths))
                wanted = self.vgg(halve(example), "relu2_2")
            near = (first - example).square().mean((1, 2, 3)) + 0.1 * content_loss(features, wanted, "relu2_2")
            losses["teacher"] = weights.teacher * near
        return {name: value.mean() for name, value in losses.items()}


def frame_loss(student: Atelier, given: Tensor, painted: Tensor, conditioning: Tensor) -> Tensor:
    """`edge_loss` of the middle of `given`, painted for itself, against the middle of what was `painted` of it all."""
    length = max(given.shape[-1] // 64 * 32, 32)
    start = (given.shape[-1] - length) // 16 * 8
    middle = (..., slice(start, start + length), slice(start, start + length))
    return edge_loss(student.paint(given[middle], conditioning)[0], painted[middle].detach())


def strengths_of(count: int) -> Tensor:
    """How strongly to paint each sample: most in full, some less, a few of these not at all."""
    soft = (torch.rand(count) * 1.25 - 0.25).clamp(min=0)
    return torch.where(torch.rand(count) < SOFT, soft, torch.ones(count))


@torch.no_grad()
def reach(student: Atelier, pictures: Tensor, kept: float = 0.9999) -> Tensor:
    """Where to clip each activation [activations]: what the part `kept` of its non-zero values stays under, in nine of ten
    named styles. The styles that reach further learn to do without."""
    found: list[Tensor] = []
    for vector in student.table:
        reached: dict[str, float] = {}

        def record(name: str, values: Tensor, reached: dict[str, float] = reached) -> None:
            flat = values[values > 0].float()
            rank = max(int(len(flat) * (1 - kept)), 1)
            reached[name] = float(flat.topk(rank).values[-1]) if len(flat) else 0.0

        student.generator(seen(pictures), vector[None], record)
        found.append(torch.tensor([reached[name] for name in student.generator.order]))
    return torch.stack(found).quantile(0.9, 0).clamp(min=1e-3)


def run(options: argparse.Namespace) -> None:
    """Run the whole training. Raises ValueError for folders without pictures or weights of another shape."""
    torch.manual_seed(options.seed)
    device = best()
    paths = [p for p in find_pictures(options.styles) if p.stem not in options.hold_out]
    named = [p for p in paths if p.stem not in options.unnamed]
    paintings = [read_rgb(path, options.style_size) for path in named]
    unnamed = [read_rgb(path, options.style_size) for path in paths if path not in named]
    pairs = Pairs(options.content, options.seed, options.batch, options.size)
    vgg = Vgg19(find_vgg(options.vgg), options.judgement.pooling).to(device, precision(device))
    loss = StyleLoss(vgg, options.judgement, tamed=True)
    others = Styles(stand_ins(paintings + unnamed, pairs.photographs, options.seed), loss, device)
    everything, encoding = options.only is None, options.only == "encoder"
    known = {None: NAMED, "encoder": 0.0, "vectors": 1.0}[options.only]
    teacher = Teacher(Styles(paintings, loss, device), others, options.weights, known, not encoding)
    course = Course(None if options.minutes else options.iterations, options.minutes, options.rate, options.every)
    student = _student(options, names_of(named), pairs.photographs, course).to(device)
    master = ateliers.load(options.teacher)[0].to(device).eval() if options.teacher else None
    student.requires_grad_(everything)
    (student.encoder if encoding else student.table).requires_grad_(True)
    if options.begin_from is None and not options.resume:
        description.learn(student.encoder, others, _ahead_of(course), options.out.with_suffix(".description.jsonl"))
    for parameter in student.encoder.eye():
        parameter.requires_grad_(False)
    if encoding:
        anchors = Anchors(student, teacher.named, pairs.photographs, np.random.default_rng(options.seed))

    def refresh(*students: Atelier) -> None:
        if everything and course.done < options.settle_at:  # later they could no longer learn much
            revive(students, pairs.photographs.batch(4, 192).to(device))

    if options.begin_from:
        student.generator.settled &= not everything  # what moves finds its reach anew
        refresh(student)
    progress = Progress(student, LazyAdam(student.parameters(), student.table, options.rate))
    mean = Mean(student, course.iteration)
    if options.resume:
        checkpoints.restore(progress, options.out)
    samples = [pairs.photographs.crop(288) for _ in range(5)]
    log = options.out.with_suffix(".jsonl")

    def losses(batch: Batch) -> dict[str, Tensor]:
        if course.done > options.settle_at and not student.generator.settled:
            limits = reach(student, pairs.photographs.batch(12, 256).to(device))
            for one in (student, mean.model):
                one.generator.settle(limits)
        found = teacher.losses(student, batch, teacher.lesson(options.batch), master)
        if encoding:
            found["anchor"] = options.weights.anchor * anchors.loss(ANCHORS)
        return found

    def checkpoint() -> None:
        refresh(student, mean.model)
        mean.model.save(options.out, progress, iteration=course.iteration, seconds=course.seconds)
        sheet = options.out.with_name(f"{options.out.stem}-{course.iteration:06d}.jpg")
        contact_sheet(mean.model, samples, others.pictures[:: len(others) // 6], sheet)
        loss_curves(log, options.out.with_suffix(".png"))

    follow(course, student, mean, progress.optimiser, pairs.batches(device), losses, log, checkpoint)
    print(
        f"{course.iteration} iterations in {course.seconds / 60:.0f} minutes: {options.out}, and beside it the log, the"
        " curves and the contact sheets"
    )


def _ahead_of(course: Course) -> Course:
    """The one in which the encoder learns to describe pictures, a tenth as long."""
    iterations, minutes = course.iterations and max(course.iterations // 10, 1), course.minutes and course.minutes / 10
    return Course(iterations, minutes, DESCRIBING, course.every)


def _student(options: argparse.Namespace, names: list[str], photographs: Photographs, course: Course) -> Atelier:
    """A new network, or the one that is to be continued, whose progress goes into `course`."""
    if options.resume:
        student, facts = ateliers.load(options.out)
        if student.names != names:
            raise ValueError(f"the checkpoint knows {', '.join(student.names)}, but the folder has {', '.join(names)}")
        course.iteration, course.seconds = int(facts["iteration"]), facts["seconds"]
    elif options.begin_from is None:
        student = Atelier(SHAPES[options.network], names)
        student.begin(photographs.batch(8, 256))
    elif options.begin_from.is_dir():
        there = Library(options.begin_from).networks
        network = options.network if options.network in there else "fast"
        student = ateliers.from_library(Library(options.begin_from, network)).renamed(names)
    else:
        student = ateliers.load(options.begin_from)[0].renamed(names)
    if not options.resume and student.generator.shape != SHAPES[options.network]:
        student = grown(student, SHAPES[options.network])
    return student


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `allaprima train` understands."""
    parser.add_argument("--styles", type=Path, required=True, metavar="DIR", help="folder of paintings")
    parser.add_argument("--content", type=Path, required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="VGG-19 weights; else they are downloaded once")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="checkpoint to write, safetensors")
    parser.add_argument("--network", choices=sorted(SHAPES), default="fast")
    parser.add_argument("--hold-out", nargs="*", default=[], metavar="STEM", help="paintings not to learn from")
    parser.add_argument("--unnamed", nargs="*", default=[], metavar="STEM", help="paintings for the encoder alone")
    parser.add_argument("--iterations", type=int, default=20000)
    parser.add_argument("--minutes", type=float, help="train for so long instead")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", type=int, default=320, help="side of a crop, pixels, a multiple of 32")
    parser.add_argument("--style-size", type=int, default=512, help="short side of a painting, pixels")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate")
    parser.add_argument("--settle-at", type=float, default=0.5, metavar="PART", help="when activations are clipped")
    parser.add_argument("--every", type=float, default=5, metavar="MINUTES", help="between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint --out")
    parser.add_argument(
        "--begin-from", type=Path, metavar="PATH", help="begin from a checkpoint or published weights; a small one grows"
    )
    parser.add_argument(
        "--only",
        choices=["encoder", "vectors"],
        help="train nothing but the encoder, or the named vectors, with --begin-from",
    )
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="checkpoint of a finer network to learn from as well")
    add_losses(parser)
