"""What a painting is judged by while a network learns: perceptual losses over VGG-19, and stillness.

Gatys et al. 2016 (Gram matrices, feature content), Johnson et al. 2016 (as losses of a network, total variation),
Gao et al. 2018 (ReCoNet: temporal losses on features and, luminance-aware, on the output).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from kernels.layout import TILE
from models.tiles import KB, KR, rgb_to_tiles

_DEPTHS = ((1, 2), (2, 2), (3, 4))
LAYERS = tuple(f"relu{block}_{i}" for block, depth in _DEPTHS for i in range(1, depth + 1))  # of VGG-19, as far as is used

_LIT = 16  # pixels on a side, over which light changes and noise does not
_STILL = 0.003  # a root mean square of errors that is as good as none


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which layers of VGG-19 judge, at which scales and how heavily, and how VGG pools."""

    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_1", "relu3_4")
    scales: tuple[float, ...] = (0.5, 1.0, 0.7)  # weights of the picture at 1, 1/2, 1/4 ...; large strokes need the coarse
    finest_layers: tuple[str, ...] = ("relu1_2", "relu2_2")  # at full scale, the dearest: brush texture needs no more
    content_layer: str = "relu3_2"
    pooling: str = "max"


@dataclass(frozen=True, slots=True)
class Weights:
    """How heavily each loss counts. `still` and `feature_still` are ReCoNet's; `same` is what strength 0 must give back;
    `anchor` is for the encoder alone, see `models.training.anchors`; `grid` is against the one of tiles, `edge` against
    frames."""

    content: float = 2.5
    style: float = 3.0
    tone: float = 1.5
    smooth: float = 10.0
    still: float = 60.0
    feature_still: float = 0.3
    same: float = 60.0
    teacher: float = 20.0
    anchor: float = 9.0
    grid: float = 3000.0
    edge: float = 500.0


class Vgg19(nn.Module):
    """VGG-19 (Simonyan & Zisserman 2015) up to relu3_4, frozen.

    Weights: a safetensors file with `convX_Y.weight` and `.bias`, OIHW, for R'G'B' in 0..255 less the mean of ImageNet.
    """

    mean: Tensor

    def __init__(self, weights: Path, pooling: str = "max"):
        super().__init__()
        tensors = load_file(weights)
        pools: dict[str, Callable[..., Tensor]] = {"max": F.max_pool2d, "average": F.avg_pool2d}
        self.pool = pools[pooling]
        self.names = [layer.removeprefix("relu") for layer in LAYERS]
        for name in self.names:
            weight = tensors[f"conv{name}.weight"].float().contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"weight{name}", weight)
            self.register_buffer(f"bias{name}", tensors[f"conv{name}.bias"].float())
        self.register_buffer("mean", torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, rgb: Tensor, last: str = "relu3_4") -> dict[str, Tensor]:
        """Features of R'G'B' float [N, 3, H, W] in [0, 1], by layer name up to `last`, in the weights' dtype."""
        x = (rgb * 255 - self.mean.float()).to(self.mean.dtype).contiguous(memory_format=torch.channels_last)
        features = {}
        for name in self.names:
            if name in ("2_1", "3_1"):
                x = self.pool(x, 2)
            x = F.relu(F.conv2d(x, getattr(self, f"weight{name}"), getattr(self, f"bias{name}"), padding=1))
            features[f"relu{name}"] = x
            if f"relu{name}" == last:
                return features
        raise ValueError(f"no layer {last}")


class _Gram(torch.autograd.Function):
    """F^T F / positions, whose gradient is F (D + D^T) / positions: one product instead of two and a sum."""

    @staticmethod
    def forward(ctx, flat: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(flat)
        return (flat.transpose(1, 2) @ flat).float() / flat.shape[1]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (flat,) = ctx.saved_tensors
        return flat @ ((gradient + gradient.transpose(1, 2)) / flat.shape[1]).to(flat.dtype)


def gram(features: Tensor) -> Tensor:
    """Gram matrices float32 [N, C, C] of features [N, C, H, W], divided by the number of positions."""
    # channels are last in memory, so this copies nothing
    return _Gram.apply(features.permute(0, 2, 3, 1).flatten(1, 2))


def halve(rgb: Tensor, times: int = 1) -> Tensor:
    """The picture at 1/2**times of its size, by area averaging."""
    return F.avg_pool2d(rgb, 2**times) if times else rgb


Grams = list[dict[str, Tensor]]  # for every scale, by layer: [N, C, C]


class StyleLoss:
    """Relative Gram distance to paintings, over layers and over scales.

    Each term is |G - T|^2 / |T|^2 (Frobenius), so that paintings of very different contrast weigh alike. While a network
    learns (`tamed`) its log(1 + x) is taken instead: near the painting that is the same, and a style that is still far from
    its own (a dark one has a small |T|) does not drown out all others.
    """

    def __init__(self, vgg: Vgg19, judgement: Judgement = Judgement(), tamed: bool = False):
        self.vgg, self.judgement, self.tamed = vgg, judgement, tamed

    def layers(self, scale: int) -> tuple[str, ...]:
        """Those which judge at 1/2**scale of the picture's size."""
        return self.judgement.style_layers if scale else self.judgement.finest_layers

    def _grams_at(self, rgb: Tensor, scale: int) -> dict[str, Tensor]:
        layers = self.layers(scale)
        features = self.vgg(halve(rgb, scale), max(layers))
        return {name: gram(features[name]) for name in layers}

    @torch.no_grad()
    def targets(self, painting: Tensor) -> Grams:
        """Gram matrices of a painting, R'G'B' float [1, 3, H, W], at the size whose strokes the full scale should have."""
        return [self._grams_at(painting, scale) for scale in range(len(self.judgement.scales))]

    def __call__(
        self, painted: Tensor, targets: Grams, half_features: dict[str, Tensor] | None = None, whole: bool = False
    ) -> Tensor:
        """Loss [N] of `painted` [N, 3, H, W]; `half_features` are VGG's at 1/2 size, which content shares.

        At full scale a random half of the width and of the height is judged, or, where nothing may be random, the `whole`.
        """
        part = painted
        if not whole:
            size = [side // 2 for side in painted.shape[-2:]]
            top, left = (int(torch.randint(0, s + 1, ())) // 4 * 4 for s in size)
            part = painted[..., top : top + size[0], left : left + size[1]]
        total = painted.new_zeros(len(painted))
        for scale, (weight, wanted) in enumerate(zip(self.judgement.scales, targets, strict=True)):
            if scale == 1 and half_features is not None:
                found = {name: gram(half_features[name]) for name in self.layers(1)}
            else:
                found = self._grams_at(painted if scale else part, scale)
            for name, value in found.items():
                target = wanted[name].float()
                error = (value - target).square().sum((1, 2)) / target.square().sum((1, 2))
                total = total + weight * (error.log1p() if self.tamed else error)
        return total


def content_loss(painted: dict[str, Tensor], photograph: dict[str, Tensor], layer: str = "relu3_2") -> Tensor:
    """Relative squared feature distance [N]."""
    wanted = photograph[layer].float()
    return (painted[layer].float() - wanted).square().mean((1, 2, 3)) / wanted.square().mean((1, 2, 3))


def tone_loss(painted: Tensor, photograph: Tensor, side: int = 16) -> Tensor:
    """How differently light and dark lie in two pictures [N], whatever the palette: 2 - 2 * correlation of the mean luma of
    cells of `side` pixels, in [0, 4]. Features alone would let a face and the wall behind it become the same paint."""
    coarse = [F.avg_pool2d(luma(rgb), side).flatten(1) for rgb in (painted, photograph)]
    centred = [cells - cells.mean(1, keepdim=True) for cells in coarse]
    # where the photograph is all but flat there is no tone to keep
    scales = [(cells.square().mean(1, keepdim=True) + 1e-3).sqrt() for cells in centred]
    one, other = (cells / scale for cells, scale in zip(centred, scales, strict=True))
    return (one - other).square().mean(1)


def total_variation(rgb: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels [N]."""
    down, across = rgb[..., 1:, :] - rgb[..., :-1, :], rgb[..., 1:] - rgb[..., :-1]
    return down.square().mean((1, 2, 3)) + across.square().mean((1, 2, 3))


def grid_loss(rgb: Tensor) -> Tensor:
    """How differently bright the places within a tile are on the whole [N], in Y' and both chromas: a painting has no grid,
    while a network that paints tiles is free to lay one over it."""
    means = rgb_to_tiles(rgb).mean((2, 3))
    planes = means.split([TILE**2, TILE**2 // 4, TILE**2 // 4], 1)
    return torch.cat([plane - plane.mean(1, keepdim=True) for plane in planes], 1).square().mean(1)


def edge_loss(bordered: Tensor, whole: Tensor, reach: int = 32) -> Tensor:
    """How much of a frame is painted along the borders [N]: the mean squared difference between the painting of a part of a
    picture, `bordered` [N, 3, H, W], and that part of the painting of the `whole`, where it has no borders.

    A network feels a border by the zeros that convolutions pad with. A frame is alike all along a side, so that over
    stretches of `reach` pixels along it the mean is taken first; strokes may differ.
    """
    apart = bordered - whole
    across, down = F.avg_pool2d(apart, (1, reach)), F.avg_pool2d(apart, (reach, 1))
    sides = across[..., :reach, :], across[..., -reach:, :], down[..., :reach], down[..., -reach:]
    return torch.stack([side.square().mean((1, 2, 3)) for side in sides]).mean(0)


def clip(rgb: Tensor) -> Tensor:
    """Clip to [0, 1] while letting the gradient through, so that a saturated pixel can come back."""
    return rgb + (rgb.clamp(0, 1) - rgb).detach()


def picture_losses(
    style_loss: StyleLoss,
    painted: Tensor,
    photograph: Tensor,
    targets: Grams,
    weights: Weights,
    strengths: Tensor | float = 1.0,
    whole: bool = False,
    wanted: dict[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What every painter here is judged by in a single picture, weighted, each [N]; and VGG's features of it at 1/2 size.

    Both pictures are R'G'B' [N, 3, H, W]; `strengths` [N] say how much style is wanted, `whole` is as in `StyleLoss`,
    and `wanted` are the photograph's features at 1/2 size where they are known.
    """
    features = style_loss.vgg(halve(painted), "relu3_4")
    layer = style_loss.judgement.content_layer
    if wanted is None:
        with torch.no_grad():
            wanted = style_loss.vgg(halve(photograph), layer)
    losses = {
        "content": weights.content * content_loss(features, wanted, layer),
        "style": weights.style * strengths * style_loss(painted, targets, features, whole=whole),
        "tone": weights.tone * tone_loss(painted, photograph),
        "smooth": weights.smooth * strengths * total_variation(painted),
    }
    return losses, features


def warp(picture: Tensor, backward: Tensor, mode: str = "bicubic") -> Tensor:
    """`picture` float [N, C, H, W] as seen through the flow [N, H, W, 2] (x, y in pixels): out(p) = picture(p + flow(p))."""
    height, width = picture.shape[-2:]
    y, x = torch.meshgrid(*(torch.arange(side, device=backward.device) for side in (height, width)), indexing="ij")
    place = torch.stack([x, y], -1) + backward
    grid = torch.stack([place[..., 0] * (2 / (width - 1)), place[..., 1] * (2 / (height - 1))], -1) - 1
    return F.grid_sample(picture, grid.to(picture.dtype), mode, "border", align_corners=True)


def luma(rgb: Tensor) -> Tensor:
    """ITU-R BT.709 luma [N, 1, H, W] of R'G'B'."""
    return (rgb * rgb.new_tensor([KR, 1 - KR - KB, KB]).view(3, 1, 1)).sum(1, keepdim=True)


def temporal_loss(painted: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor], backward: Tensor, visible: Tensor) -> Tensor:
    """ReCoNet's output loss [N]: what moved must have moved as it was, but for the change of light of the input itself.

    Pairs are (first, second) R'G'B' [N, 3, H, W]; `backward` [N, H, W, 2] leads from the second to the first, `visible`
    [N, H, W] is where it does. Unlike ReCoNet's, light is what changes over _LIT pixels and more, since following each
    pixel would be to repeat the camera's noise; and the root is taken, as e_stab takes it of every film: a small motion,
    whose error is small, counts as much as a large one.
    """
    seen = visible[:, None]
    change = painted[1] - warp(painted[0], backward)
    light = (luma(given[1]) - luma(warp(given[0], backward))) * seen
    light = F.avg_pool2d(light, _LIT) / F.avg_pool2d(seen, _LIT).clamp(min=0.1)
    light = F.interpolate(light, size=visible.shape[1:], mode="bilinear")
    errors = ((change - light).square().mean(1) * visible).sum((1, 2)) / visible.sum((1, 2)).clamp(min=1)
    return (errors + _STILL**2).sqrt() - _STILL


def feature_temporal_loss(features: tuple[Tensor, Tensor], backward: Tensor, visible: Tensor) -> Tensor:
    """ReCoNet's feature loss [N], relative: features [N, C, h, w] of both frames, flow and visibility of the full size."""
    side = backward.shape[1] // features[0].shape[-2]
    flow = F.avg_pool2d(backward.permute(0, 3, 1, 2), side).permute(0, 2, 3, 1) / side
    seen = (F.avg_pool2d(visible[:, None], side)[:, 0] > 0.99).float()
    first, second = (part.float() for part in features)
    errors = (second - warp(first, flow, "bilinear")).square().mean(1) * seen
    return errors.sum((1, 2)) / (seen.sum((1, 2)).clamp(min=1) * first.square().mean((1, 2, 3)) + 1e-8)
