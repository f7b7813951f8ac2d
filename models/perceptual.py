"""Perceptual losses over VGG-19 (Simonyan & Zisserman 2015; Gatys et al. 2016; Johnson et al. 2016)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_1", "relu3_4")
CONTENT_LAYER = "relu3_2"
_DEPTHS = ((1, 2), (2, 2), (3, 4))


class Vgg19(nn.Module):
    """VGG-19 up to relu3_4, frozen. Weights: a safetensors file with `convX_Y.weight` and `.bias`, OIHW."""

    mean: Tensor

    def __init__(self, weights: Path):
        super().__init__()
        tensors = load_file(weights)
        self.names = [f"{block}_{i}" for block, depth in _DEPTHS for i in range(1, depth + 1)]
        for name in self.names:
            for kind in ("weight", "bias"):
                self.register_buffer(f"{kind}{name}", tensors[f"conv{name}.{kind}"].float())
        self.register_buffer("mean", torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, rgb: Tensor, last: str = "relu3_4") -> dict[str, Tensor]:
        """Features of R'G'B' float [N, 3, H, W] in [0, 1], by layer name up to `last`."""
        x = (rgb * 255 - self.mean).to(memory_format=torch.channels_last)
        features = {}
        for name in self.names:
            if name in ("2_1", "3_1"):
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, getattr(self, f"weight{name}"), getattr(self, f"bias{name}"), padding=1))
            features[f"relu{name}"] = x
            if f"relu{name}" == last:
                return features
        raise ValueError(f"no layer {last}")


def gram(features: Tensor) -> Tensor:
    """Gram matrices float32 [N, C, C] of features [N, C, H, W], divided by the number of positions."""
    flat = features.flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)).float() / flat.shape[2]


def halve(rgb: Tensor, times: int = 1) -> Tensor:
    """The picture at 1/2**times of its size, by area averaging."""
    return F.avg_pool2d(rgb, 2**times) if times else rgb


class StyleLoss:
    """Relative Gram distance of a batch to its paintings, over layers and over scales 1, 1/2 and 1/4.

    Each term is |G - T|^2 / |T|^2 (Frobenius), so paintings of very different contrast weigh alike. The finest scale uses
    the two shallow layers on a part of the picture: brush texture needs no more, and it is the dearest scale to compute.
    """

    def __init__(self, vgg: Vgg19, paintings: list[Tensor], weights: tuple[float, float, float] = (0.5, 1.0, 0.7)):
        """`paintings`: R'G'B' float [3, H, W] in [0, 1], at the size whose strokes the full scale should have."""
        self.vgg, self.weights = vgg, weights
        self.targets: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for scale in range(3):
                grams = [self._grams(halve(p[None], scale), scale) for p in paintings]
                self.targets.append({name: torch.cat([g[name] for g in grams]) for name in grams[0]})

    def _grams(self, rgb: Tensor, scale: int) -> dict[str, Tensor]:
        features = self.vgg(rgb, "relu3_4" if scale else "relu2_2")
        return {name: gram(features[name]) for name in STYLE_LAYERS if name in features}

    def __call__(self, painted: Tensor, style: Tensor, half_features: dict[str, Tensor]) -> Tensor:
        """Loss of `painted` [N, 3, H, W]; `half_features` are its VGG features at 1/2 size, which content shares."""
        size = painted.shape[-1] // 2
        corner = [int(torch.randint(0, painted.shape[-1] - size + 1, ())) // 4 * 4 for _ in range(2)]
        part = painted[..., corner[0] : corner[0] + size, corner[1] : corner[1] + size]
        grams = [
            self._grams(part, 0),
            {name: gram(half_features[name]) for name in STYLE_LAYERS},
            self._grams(halve(painted, 2), 2),
        ]
        total = painted.new_zeros(())
        for weight, found, target in zip(self.weights, grams, self.targets, strict=True):
            for name, value in found.items():
                wanted = target[name][style]
                error = (value - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2))
                total = total + weight * error.mean()
        return total


def content_loss(painted: dict[str, Tensor], photograph: dict[str, Tensor]) -> Tensor:
    """Relative squared feature distance at relu3_2."""
    wanted = photograph[CONTENT_LAYER].float()
    return (painted[CONTENT_LAYER].float() - wanted).square().mean() / wanted.square().mean()


def total_variation(rgb: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels."""
    return (rgb[..., 1:, :] - rgb[..., :-1, :]).square().mean() + (rgb[..., 1:] - rgb[..., :-1]).square().mean()
