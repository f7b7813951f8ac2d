"""Pictures for tests, made by code: textures whose motion is exact, and frames around them."""

from fractions import Fraction

import av
import cv2
import numpy as np

from engine.frame import Frame


def texture(width: int, height: int, seed: int = 0, smooth: float = 2.0) -> np.ndarray:
    """Smooth random luma uint8 [height, width] that spans 16..235."""
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), smooth)
    low, high = float(blurred.min()), float(blurred.max())
    return (16 + (blurred - low) / (high - low) * 219).astype(np.uint8)


def colours(side: int, seed: int, smooth: float = 6) -> np.ndarray:
    """Smooth random R'G'B' uint8 [side, side, 3]."""
    return np.stack([texture(side, side, seed * 3 + i, smooth) for i in range(3)], -1)


def frame_of(luma: np.ndarray, index: int = 0, chroma: int = 128, rate: int = 25) -> Frame:
    """A frame with this luma and even chroma."""
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p")
    frame = Frame(picture, index, Fraction(1, rate), index, 0.0)
    frame.planes[0][:] = luma
    frame.planes[1][:] = frame.planes[2][:] = chroma
    return frame


def panned(width: int, height: int, count: int, step: tuple[int, int] = (3, 2), seed: int = 0) -> list[np.ndarray]:
    """Views uint8 [height, width] of one texture; from each to the next the window moves by `step` (x, y) pixels.

    The content therefore moves by -step, and what is at p in a view was at p + step in the view before.
    """
    wide = texture(width + step[0] * count, height + step[1] * count, seed)
    return [wide[step[1] * i : step[1] * i + height, step[0] * i : step[0] * i + width].copy() for i in range(count)]


def field_of(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Motion float32 [3, rows, columns] with still islands in it, confidence in [0, 1]."""
    random = np.random.default_rng(seed)
    field = random.normal(0, 3, (3, rows, columns)).astype(np.float32)
    field[2] = random.random((rows, columns))
    field[:2, rows // 3 : rows // 2 + 1, columns // 4 : columns // 2 + 1] = 0
    return field
