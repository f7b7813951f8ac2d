"""What a painting is like to the eye: measures that need PyTorch (`pip install 'allaprima[train]'`).

Pictures are R'G'B', uint8 [H, W, 3]. VGG-19 works in float32 and judges the whole picture, so the same pictures give the
same figures. It needs about a kilobyte a pixel: pictures of more than MOST_PIXELS are halved until they have less.
"""

from pathlib import Path

import numpy as np
import torch
from skimage.metrics import structural_similarity

from models.training.losses import Grams, Judgement, StyleLoss, Vgg19, content_loss, halve
from models.training.pictures import to_tensor
from models.training.vgg import find_vgg

MOST_PIXELS = 1920 * 1088
_LAYER = "relu3_2"  # that judges the content


def open_vgg(path: Path | None) -> Vgg19:
    """VGG-19 from a file, or from where `find_vgg` has it. Raises ValueError with one line where there is none."""
    return Vgg19(find_vgg(path), Judgement().pooling)


def grams(vgg: Vgg19, picture: np.ndarray) -> Grams:
    """What style is measured by; of a painting, at the size whose strokes are wanted at full scale."""
    return StyleLoss(vgg).targets(_tensor(picture))


def style_loss(vgg: Vgg19, painted: np.ndarray, wanted: Grams) -> float:
    """`gram_distance` of a picture to a painting's `grams`."""
    return gram_distance(grams(vgg, painted), wanted)


def gram_distance(found: Grams, wanted: Grams) -> float:
    """The loss of training (`models.training.losses.StyleLoss`), untamed and over the whole picture; 0 is equal.

    The sum over scales and layers of weight |G - T|² / |T|², G and T the Gram matrices of the picture and the painting.
    """
    total = 0.0
    for weight, ours, theirs in zip(Judgement().scales, found, wanted, strict=True):
        for name, value in ours.items():
            total += weight * float((value - theirs[name]).square().sum() / theirs[name].square().sum())
    return total


def content_distance(vgg: Vgg19, painted: np.ndarray, original: np.ndarray) -> float:
    """|F(painted) - F(original)|² / |F(original)|² over relu3_2 of VGG-19 (Gatys et al. 2016, made relative); 0 is equal."""
    with torch.inference_mode():
        one, other = ({_LAYER: vgg(_tensor(picture), _LAYER)[_LAYER]} for picture in (painted, original))
        return float(content_loss(one, other, _LAYER))


def ssim(painted: np.ndarray, original: np.ndarray) -> float:
    """Structural similarity with the Gaussian window of Wang et al. 2004, mean over R', G' and B'; 1 is equal."""
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(painted, original, channel_axis=2, data_range=255, **settings))


def _tensor(rgb: np.ndarray) -> torch.Tensor:
    """float32 [1, 3, H, W] in [0, 1], halved until it has no more than MOST_PIXELS."""
    tensor = to_tensor(rgb[None])
    while tensor.shape[2] * tensor.shape[3] > MOST_PIXELS:
        tensor = halve(tensor, 1)
    return tensor
