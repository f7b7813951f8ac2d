"""What the encoder learns styles from: parts of the paintings, also in other colours, photographs, and textures."""

import cv2
import numpy as np

from models.encoder import SIDE
from models.training.pictures import Photographs
from models.training.textures import texture

PARTS = 900  # of paintings; what VGG-19 sees in each takes a quarter of a second to find


def stand_ins(paintings: list[np.ndarray], photographs: Photographs, seed: int) -> list[np.ndarray]:
    """Styles for the encoder to learn from, uint8 [SIDE, SIDE, 3]: about PARTS parts of the paintings, two fifths in other
    colours, two in those of another part, one as they are; for every three of these a photograph, half of them in a
    painting's colours, and a texture."""
    random = np.random.default_rng(seed)

    def any_part() -> np.ndarray:
        return part(paintings[random.integers(len(paintings))], random)

    fifth = max(round(PARTS / len(paintings) / 5), 1)
    parts = [_recoloured(part(painting, random), random) for painting in paintings for _ in range(2 * fifth)]
    parts += [in_colours_of(part(painting, random), any_part()) for painting in paintings for _ in range(2 * fifth)]
    parts += [part(painting, random) for painting in paintings for _ in range(fifth)]
    others = [photographs.crop(SIDE) for _ in range(len(parts) // 3)]
    others[::2] = [in_colours_of(photograph, any_part()) for photograph in others[::2]]
    return parts + others + [texture(random, SIDE) for _ in range(len(parts) // 3)]


def part(painting: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A square of a painting, uint8 [SIDE, SIDE, 3], now and then turned or mirrored."""
    length = int(min(*painting.shape[:2], SIDE * random.uniform(0.7, 1.4)))
    y, x = (random.integers(0, total - length + 1) for total in painting.shape[:2])
    square = cv2.resize(painting[y : y + length, x : x + length], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    square = np.rot90(square, int(random.integers(4))) if random.random() < 0.3 else square
    return np.ascontiguousarray(square[:, ::-1] if random.random() < 0.5 else square)


def in_colours_of(rgb: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The picture with the mean and the covariance of the other's colours, uint8 [H, W, 3]: the linear map that moves its
    colours least (Pitie & Kokaram 2007, linear Monge-Kantorovitch)."""
    colours, wanted = (picture.reshape(-1, 3).astype(np.float64) for picture in (rgb, other))
    own = np.cov(colours.T) + np.eye(3)  # a grey picture's has no inverse
    root = _root(own)
    back = np.linalg.inv(root)
    turn = back @ _root(root @ np.cov(wanted.T) @ root) @ back
    moved = (colours - colours.mean(0)) @ turn + wanted.mean(0)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8).reshape(rgb.shape)


def _root(symmetric: np.ndarray) -> np.ndarray:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def _recoloured(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Other hues, saturation, light and contrast."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + random.uniform(0, 180)) % 180
    hsv[..., 1] *= random.uniform(0.2, 1.5)
    mean = hsv[..., 2].mean()
    hsv[..., 2] = (hsv[..., 2] - mean) * random.uniform(0.6, 1.3) + mean + random.normal(0, 25)
    return cv2.cvtColor(np.clip(hsv, 0, (179, 255, 255)).astype(np.uint8), cv2.COLOR_HSV2RGB)
