"""What the encoder learns first: to describe a picture as VGG-19 sees it, by regression (Hinton et al. 2015).

Style is judged by Gram matrices of VGG-19's features, which are far too many numbers, and VGG-19 is far too large to ship.
But pictures differ in few directions: the principal components of their Gram matrices, layer by layer and scale by scale,
are what the encoder estimates.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from models.networks.encoder import DESCRIPTION, StyleEncoder
from models.training.loop import Course, follow
from models.training.mean import Mean
from models.training.pictures import Styles

_BATCH = 16
_USUAL = 512  # pictures of which the usual statistics are, once the features are as they will be
_SHIFT = 64  # pixels by which what is seen of a picture moves about, so that it is not known by heart


def learn(encoder: StyleEncoder, pictures: Styles, course: Course, log: Path) -> None:
    """Teach the encoder's first half to describe `pictures` and their like; the losses go into `log`, a jsonl file."""
    wanted = coordinates(pictures).to(pictures.device)

    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.randint(len(pictures), (_BATCH,))

    def losses(chosen: Tensor) -> dict[str, Tensor]:
        looks = pictures.looks(chosen.tolist())
        top, left = (int(torch.randint(_SHIFT + 1, ())) for _ in range(2))
        seen = looks[..., top : top + looks.shape[2] - _SHIFT, left : left + looks.shape[3] - _SHIFT]
        return {"description": F.mse_loss(encoder.describe(seen, among_themselves=True), wanted[chosen])}

    optimiser = torch.optim.Adam(encoder.eye(), course.rate)
    follow(course, encoder, Mean(encoder), optimiser, batches(), losses, log, lambda: None)
    with torch.no_grad():  # while features change, a mean over batches would be late (Wu & Johnson 2021)
        chosen = torch.randperm(len(pictures))[:_USUAL].split(_BATCH)
        found = torch.cat([encoder.statistics(pictures.looks(some.tolist())) for some in chosen])
        encoder.usual_mean.copy_(found.mean(0))
        encoder.usual_variance.copy_(found.var(0, correction=0))


def coordinates(pictures: Styles) -> Tensor:
    """What is to be said of each picture, float32 [N, DESCRIPTION]: of every layer at every scale the logarithm of the Gram
    matrix's norm, and where it lies along the principal components of all of them, norm apart.

    The first of each has a variance of 1, the others as much less as they explain less.
    """
    grams = [pictures.targets([index]) for index in tqdm(range(len(pictures)), "looking at the paintings", leave=False)]
    matrices = [(scale, layer) for scale, layers in enumerate(grams[0]) for layer in layers]
    each = min(DESCRIPTION // len(matrices) - 1, len(pictures) - 1)
    found = []
    for scale, layer in matrices:
        every = torch.cat([gram[scale][layer] for gram in grams]).float()
        upper = every[:, *torch.triu_indices(*every.shape[1:])]
        norm = upper.norm(dim=1, keepdim=True)
        size = norm.log()
        found.append((size - size.mean()) / size.std().clamp(min=1e-6))
        parts, spread, _ = torch.pca_lowrank(upper / norm, each, niter=4)  # which moves their mean to 0
        found.append(parts * (spread / spread[0].clamp(min=1e-12)) * len(grams) ** 0.5)
    said = torch.cat(found, 1)
    return F.pad(said, (0, DESCRIPTION - said.shape[1]))
