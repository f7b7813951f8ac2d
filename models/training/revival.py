"""Give channels that have died something to do again (Sokar et al. 2023, The Dormant Neuron Phenomenon).

A channel behind a ReLU that is at 0 on every picture has no gradient and never comes back. Of these networks a tenth to a
sixth of the channels within residual blocks, a block as a whole, and a third of those before the last convolution had died
unseen.
"""

from collections.abc import Container, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.tiles import seen
from models.training.atelier import Atelier

_DEAD = 0.005  # a channel's values are above 0 in no larger a part of the places, in whatever style


@torch.no_grad()
def revive(ateliers: Sequence[Atelier], pictures: Tensor) -> int:
    """Begin anew every channel that has died in the first of `ateliers`, in all of them alike; how many there were.

    `pictures` are float [N, 3, H, W]. A channel that begins anew sees something of its own, is above 0 in about half of the
    places, as strong as the others, in every style; and nothing listens to it yet, so that no painting of the first
    changes. Channels of the residual stream are left alone: they carry what later blocks add.
    """
    first = ateliers[0]
    listeners = {f"block{i}a": f"block{i}b" for i in range(first.generator.shape.blocks)} | {"refine": "leave"}
    count = 0
    # what begins anew changes nothing behind it, so that all layers can be looked at at once
    for layer, notes in _noted(first, listeners, seen(pictures)).items():
        busy = torch.stack([(made > 0).float().mean((0, 2, 3)) for _, made in notes]).amax(0)
        dead, alive = (busy <= _DEAD).nonzero()[:, 0], busy > _DEAD
        if not len(dead) or not alive.any():
            continue
        count += len(dead)
        kernel = first.generator.kernels[layer]
        kernel[dead] = torch.randn_like(kernel[dead]) * kernel[alive].std()
        gain, bias = (
            torch.arange(place.start, place.stop, device=dead.device)[dead] for place in first.generator.places[layer]
        )
        for row, (given, made) in enumerate(notes):
            raw = F.conv2d(given, kernel[dead], padding=1)
            factor = made.std((0, 2, 3))[alive].median() / raw.std((0, 2, 3)).clamp(min=1e-4)
            first.table[row, gain], first.table[row, bias] = factor, -raw.mean((0, 2, 3)) * factor
        for one in ateliers:
            one.generator.kernels[layer][dead] = kernel[dead]
            one.generator.kernels[listeners[layer]][:, dead] = 0
            for place in (gain, bias):
                one.table[:, place] = first.table[:, place]
                one.encoder.head.weight[place] = 0
                one.encoder.head.bias[place] = first.table[1:, place].mean(0)
    return count


_Notes = list[tuple[Tensor, Tensor]]  # in every style of the table, what a layer is given, and what it makes of it


def _noted(atelier: Atelier, layers: Container[str], tiles: Tensor) -> dict[str, _Notes]:
    """What the convolutions of `layers`, with gain and bias, see and make of some tiles, before the ReLU."""
    generator, convolve = atelier.generator, atelier.generator.convolve
    found: dict[str, _Notes] = {}

    def noted(name: str, x: Tensor, conditioning: Tensor) -> Tensor:
        y = convolve(name, x, conditioning)
        if name in layers:
            found.setdefault(name, []).append((x, y))
        return y

    generator.convolve = noted  # type: ignore[method-assign]
    try:
        for vector in atelier.table:
            generator(tiles, vector[None])
    finally:
        generator.convolve = convolve  # type: ignore[method-assign]
    return found
