"""Pictures whose vectors are known, for the encoder to learn from beside the judgement of VGG-19.

Parts of the named paintings, alone or two side by side, and photographs that the generator itself has painted in mixtures of
the named styles. How far the encoder is from their vectors is measured in what the generator makes of it: a vector has
thousands of numbers, most of which hardly show.
"""

from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.encoder import SIDE
from models.training.atelier import Atelier
from models.training.pictures import Photographs, Styles, to_tensor
from models.training.stand_ins import part

PROBES = 1200  # directions in which a painting may change
PROBE_SIDE = 96  # pixels on the side of what is painted for them
GRAINS = (96, 24, 3)  # patches of one direction along that side: fine, coarse, and all but even
ALIKE = 12  # probes of one painting
KEPT = 400  # painted photographs to learn from; the oldest go
BESIDE = 0.35  # of the parts of named paintings, that lie beside one of another


def probes(student: Atelier, photographs: Photographs, random: np.random.Generator, count: int) -> Tensor:
    """How paintings change with their vectors, float32 [count, D]: with a difference d of two, mean((probes @ d)²) grows as
    the mean square of the difference between what is painted with them, near any of the mixtures of the named styles."""
    found: list[Tensor] = []
    rows = student.table[1:].detach()
    device = rows.device
    while len(found) < count:
        vector = (mixture(len(rows), random).to(device) @ rows)[None].requires_grad_()
        painted, _ = student.paint(photographs.batch(1, PROBE_SIDE).to(device), vector)
        for probe in range(ALIKE):
            grain = GRAINS[probe % len(GRAINS)]
            direction = F.interpolate(torch.from_numpy(random.normal(size=(1, 3, grain, grain))).float(), size=PROBE_SIDE)
            total = (painted * direction.to(device)).mean() * grain
            found.append(torch.autograd.grad(total, vector, retain_graph=probe < ALIKE - 1)[0][0])
    return torch.stack(found[:count])


def mixture(count: int, random: np.random.Generator) -> Tensor:
    """Shares float32 [count] of styles, which sum to 1: of one, two, three or five of them."""
    chosen = random.choice(count, min(random.choice([1, 2, 3, 5], p=[0.35, 0.3, 0.2, 0.15]), count), replace=False)
    shares = torch.zeros(count)
    shares[torch.from_numpy(chosen)] = torch.from_numpy(random.dirichlet(np.ones(len(chosen)))).float()
    return shares


class Anchors:
    """The pictures and the measure; the generator and the named vectors of `student` have to stay as they are."""

    def __init__(self, student: Atelier, named: Styles, photographs: Photographs, random: np.random.Generator):
        self.student, self.named, self.photographs, self.random = student, named, photographs, random
        self.rows = student.table[1:].detach()
        self.probes = probes(student, photographs, random, PROBES)
        self.usual = (self.rows - student.table[0].detach()).matmul(self.probes.T).square().mean()
        self.painted: deque[tuple[np.ndarray, Tensor]] = deque(maxlen=KEPT)

    def loss(self, count: int) -> Tensor:
        """How far the encoder is from the vectors of `count` pictures, over how far the named ones are from the identity."""
        self._paint_one()
        pairs = [self._part() for _ in range(count // 2)]
        pairs += [self.painted[self.random.integers(len(self.painted))] for _ in range(count - count // 2)]
        looks = to_tensor(np.stack([look for look, _ in pairs])).to(self.rows.device)
        apart = self.student.encoder(looks) - torch.stack([vector for _, vector in pairs])
        return apart.matmul(self.probes.T).square().mean() / self.usual

    def _part(self) -> tuple[np.ndarray, Tensor]:
        """Of a named painting, or with one of another beside it; their vector is then the mixture of both."""
        first, other = (int(style) for style in self.random.integers(0, len(self.named), 2))
        look = part(self.named.pictures[first], self.random)
        if self.random.random() >= BESIDE:
            return look, self.rows[first]
        edge = int(self.random.integers(SIDE // 4, SIDE * 3 // 4))
        look = look.copy()
        look[:, edge:] = part(self.named.pictures[other], self.random)[:, edge:]
        share = edge / SIDE
        return look, share * self.rows[first] + (1 - share) * self.rows[other]

    @torch.no_grad()
    def _paint_one(self) -> None:
        vector = mixture(len(self.rows), self.random).to(self.rows.device) @ self.rows
        painted, _ = self.student.paint(self.photographs.batch(1, SIDE).to(self.rows.device), vector[None])
        look = np.rint(painted[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
        self.painted.append((look, vector))
