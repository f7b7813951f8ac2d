"""What is trained together: the generator, the vectors of the named styles, and the encoder of any other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from kernels.layout import MARGIN
from models.library import Library
from models.networks.encoder import StyleEncoder
from models.networks.generator import Generator, Shape
from models.tiles import seen, tiles_to_rgb
from models.training import checkpoint
from models.training.device import autocast
from models.training.losses import clip


class Atelier(nn.Module):
    """A generator with a row of conditioning for each named style; row 0 is the identity, which gives back the picture."""

    def __init__(self, shape: Shape, names: Sequence[str]):
        super().__init__()
        self.names = list(names)
        self.generator = Generator(shape)
        self.encoder = StyleEncoder(shape.conditioning)
        self.table = nn.Parameter(torch.zeros(1 + len(self.names), shape.conditioning))

    def begin(self, rgb: Tensor) -> None:
        """Set all conditioning to the same balanced start, from a few pictures float [N, 3, H, W]."""
        vector = self.generator.balance(seen(rgb))
        with torch.no_grad():
            self.table.copy_(vector.expand_as(self.table))
            self.encoder.head.bias.copy_(vector)

    def renamed(self, names: Sequence[str]) -> "Atelier":
        """The same network for other names: known ones keep their vectors, new ones begin with the mean of all."""
        other = Atelier(self.generator.shape, names)
        other.generator, other.encoder = self.generator, self.encoder
        rows = dict(zip(self.names, self.table[1:], strict=True))
        mean = self.table[1:].mean(0)
        with torch.no_grad():
            other.table.copy_(torch.stack([self.table[0], *(rows.get(name, mean) for name in names)]))
        return other

    def conditioning(self, styles: Sequence[int], looks: Tensor | None, strengths: Tensor) -> Tensor:
        """Vectors [S, D]: `styles` are indices of names, or -1 for the next of `looks` through the encoder.

        Strengths float [S] in [0, 1] lead from the identity to the style along a straight line.
        """
        encoded = iter(self.encoder(looks) if looks is not None and len(looks) else ())
        rows = torch.stack([self.table[1 + style] if style >= 0 else next(encoded) for style in styles])
        return self.table[0] + strengths[:, None] * (rows - self.table[0])

    def paint(self, rgb: Tensor, conditioning: Tensor) -> tuple[Tensor, Tensor]:
        """R'G'B' [N, 3, H, W] in [0, 1], H and W multiples of 8, painted; and the trunk's features [N, C, H/8, W/8].

        Features and painting are cut back to the picture; its margin is repeated border (`models.tiles`).
        """
        trunk: dict[str, Tensor] = {}
        last = f"block{self.generator.shape.blocks - 1}b"

        def watch(name: str, activation: Tensor) -> None:
            if name == last:
                trunk[name] = activation

        framed = F.pad(rgb, (MARGIN,) * 4, mode="replicate")
        # texture is what is left of differences a few codes small, which half the precision would lose
        tiles = seen(framed).contiguous(memory_format=torch.channels_last)
        with autocast(rgb.device):
            painted = self.generator(tiles, conditioning, watch)
        edge = MARGIN // 8
        whole = tiles_to_rgb(painted.float())[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
        return clip(whole), trunk[last][..., edge:-edge, edge:-edge]

    def save(self, path: Path, progress: checkpoint.Progress | None = None, **facts: float) -> None:
        """Write a checkpoint, atomically, that training can resume from with `progress`; `facts` are kept beside it."""
        shape = {name: getattr(self.generator.shape, name) for name in Shape.__dataclass_fields__}
        metadata = {"names": self.names, "shape": shape, "settled": self.generator.settled, "facts": facts}
        checkpoint.save(path, self, progress, metadata)


def load(path: Path) -> tuple[Atelier, dict[str, float]]:
    """A checkpoint and its facts. Raises OSError if there is none, ValueError for any other file."""
    try:
        metadata = checkpoint.stated(path)
        atelier = Atelier(Shape(**metadata["shape"]), metadata["names"])
        atelier.load_state_dict(checkpoint.weights(path))
        atelier.generator.settled = metadata["settled"]
        return atelier, metadata["facts"]
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is not a checkpoint of this program ({' '.join(str(error).split())[:120]})") from error


def from_library(library: Library) -> Atelier:
    """The published network with its shipped styles, to go on training from or to refine a style with."""
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in library.tensors.items()}
    blocks = sum(name.startswith("block") and name.endswith("a.codes") for name in tensors)
    shape = Shape(len(tensors["enter.codes"]), len(tensors["down.codes"]), blocks)
    student = Atelier(shape, [style.name for style in library.shipped])
    with torch.no_grad():
        for name, parameter in student.generator.kernels.items():
            parameter.copy_(tensors[f"{name}.codes"] * tensors[f"{name}.step"][:, None, None, None])
        student.table.copy_(torch.cat([tensors["identity"][None], tensors["styles"]]))
        encoder = {n.removeprefix("encoder."): t.float() for n, t in tensors.items() if n.startswith("encoder.")}
        student.encoder.load_state_dict(encoder)
    student.generator.settle(tensors["reach"])
    return student
