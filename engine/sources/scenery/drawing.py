"""Strokes and fillings with OpenCV, smooth at the edges and at sixteenths of a pixel.

On a clear R'G'B'A canvas uint8 [h, w, 4] they leave premultiplied colours.
"""

import cv2
import numpy as np


def tint(colour: tuple | list) -> np.ndarray:
    """A colour to reckon with, float32 [3], or a list of them [n, 3]."""
    return np.array(colour, np.float32)


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV takes them with a shift of 4: int32, in sixteenths."""
    return np.rint(points * 16).astype(np.int32)


def shades(low: tuple, high: tuple, tones: np.ndarray | float) -> list[tuple[float, float, float, float]]:
    """Opaque 8-bit colours, one for each of `tones`: `low` at 0 and `high` at 1, in [0, 1]; beyond them further on."""
    mixed = np.array(low) + np.atleast_1d(tones)[:, None] * (np.array(high) - np.array(low))
    return [(red, green, blue, 255.0) for red, green, blue in (np.clip(mixed, 0, 1) * 255).tolist()]


def polygon(canvas: np.ndarray, points: np.ndarray, colour: tuple[float, ...]) -> None:
    """Fill `points` [n, 2], x before y."""
    cv2.fillPoly(canvas, [fixed(points)], colour, cv2.LINE_AA, 4)
