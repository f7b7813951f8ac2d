"""Make a network larger without changing what it paints, so that it need not begin from nothing (Chen et al. 2016)."""

import torch
from torch import Tensor, nn

from models.networks.generator import Shape
from models.training.atelier import Atelier


@torch.no_grad()
def grown(small: Atelier, shape: Shape) -> Atelier:
    """A network of a larger `shape` that paints like `small` in every style, with its encoder; not clipped yet.

    New channels see what the old ones see, but nothing listens to them at first. New residual blocks begin with kernels of 0
    at their ends; with gains of 0 in their stead they would hardly learn, and die unused.
    Raises ValueError if any part of the shape is smaller.
    """
    given = small.generator.shape
    if shape.wide < given.wide or shape.deep < given.deep or shape.blocks < given.blocks:
        raise ValueError(f"a network of {given} cannot grow into {shape}")
    large = Atelier(shape, small.names)
    head = large.encoder.head
    head.weight.zero_()
    encoder = {name: value for name, value in small.encoder.state_dict().items() if not name.startswith("head.")}
    large.encoder.load_state_dict(encoder, strict=False)
    for name, (gain, bias) in large.generator.places.items():
        kernel = large.generator.kernels[name]
        known = small.generator.kernels.get(name)
        if known is None:  # a new block
            if name.endswith("b"):
                kernel.zero_()
            _spread(large.table, head, gain, torch.ones(()))
            _spread(large.table, head, bias, torch.zeros(()))
            continue
        outputs, inputs = known.shape[:2]
        kernel *= known.std() / kernel.std()  # so that the gains of the old channels suit the new ones
        kernel[:outputs] = 0
        kernel[:outputs, :inputs] = known
        for place, old in zip((gain, bias), small.generator.places[name], strict=True):
            rows, weight, start = small.table[:, old], small.encoder.head.weight[old], small.encoder.head.bias[old]
            _spread(large.table, head, place, rows.mean())
            kept = slice(place.start, place.start + outputs)
            large.table[:, kept], head.weight[kept], head.bias[kept] = rows, weight, start
    return large


def _spread(table: Tensor, head: nn.Linear, place: slice, value: Tensor) -> None:
    """Let every style, named or encoded, have `value` at a place of its vector."""
    table[:, place] = value
    head.bias[place] = value
