"""Training pictures: random crops of a folder of photographs, and the pairs that teach the network to hold still."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def read_rgb(path: Path, short_side: int | None = None) -> np.ndarray:
    """Read a picture as R'G'B' uint8 [H, W, 3], its short side scaled to `short_side` pixels.

    Raises ValueError if the file is not a picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is not a picture that can be read")
    if short_side is not None:
        factor = short_side / min(bgr.shape[:2])
        size = (round(bgr.shape[1] * factor), round(bgr.shape[0] * factor))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def to_tensor(rgb: np.ndarray) -> Tensor:
    """R'G'B' uint8 [..., H, W, 3] as float32 [..., 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(rgb, -1, -3))).float() / 255


class Photographs:
    """All photographs of a folder, decoded once and kept in memory; batches of random crops, scales and mirrorings."""

    def __init__(self, folder: Path, seed: int):
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
        if not paths:
            raise ValueError(f"no photographs in {folder}")
        self.pictures = [read_rgb(path) for path in paths]
        self.random = np.random.default_rng(seed)

    def batch(self, count: int, size: int, margin: int) -> Tensor:
        """R'G'B' float32 [count, 3, size + margin, size + margin] in [0, 1].

        Scales vary widely, since a frame of video at 1280x720 is smoother than a photograph of 288 pixels.
        """
        return to_tensor(np.stack([self._crop(size + margin) for _ in range(count)]))

    def _crop(self, side: int) -> np.ndarray:
        picture = self.pictures[self.random.integers(len(self.pictures))]
        factor = side * self.random.uniform(1.0, 3.0) / min(picture.shape[:2])
        part = min(int(np.ceil(side / factor)), *picture.shape[:2])
        y = self.random.integers(picture.shape[0] - part + 1)
        x = self.random.integers(picture.shape[1] - part + 1)
        crop = cv2.resize(picture[y : y + part, x : x + part], (side, side), interpolation=cv2.INTER_CUBIC)
        return crop[:, ::-1] if self.random.random() < 0.5 else crop


def degrade(rgb: Tensor) -> Tensor:
    """The same scene as the next frame of a camera would see it: fresh sensor noise and a slight change of light."""
    noise = torch.randn_like(rgb) * (torch.rand(rgb.shape[0], 1, 1, 1) * 0.04)
    gain = 1 + (torch.rand(rgb.shape[0], 1, 1, 1) - 0.5) * 0.04
    return (rgb * gain + noise).clamp(0, 1)
