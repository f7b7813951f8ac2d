"""The style encoder in NumPy, so that a picture becomes a style without PyTorch: what `models.networks.encoder` learned."""

from collections.abc import Mapping

import cv2
import numpy as np

SIDE = 384  # pixels of the squares it looks at
SHORT_SIDE = 512  # pixels of the picture they are cut from: the size at which paintings are learned
NEARER = 700  # pixels of it once more, as near as parts of paintings come in training: two sizes tell more than one


def looks(rgb: np.ndarray) -> list[np.ndarray]:
    """What the encoder sees of a picture uint8 [H, W, 3]: squares uint8 [SIDE, SIDE, 3], at each of two sizes of it three
    from corner to corner."""
    squares = []
    for short_side in (SHORT_SIDE, NEARER):
        factor = short_side / min(rgb.shape[:2])
        size = tuple(max(round(length * factor), short_side) for length in (rgb.shape[1], rgb.shape[0]))
        scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        corners = [[(length - SIDE) * part // 2 for length in scaled.shape[:2]] for part in range(3)]
        squares += [scaled[top : top + SIDE, left : left + SIDE] for top, left in corners]
    return squares


def encode(rgb: np.ndarray, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Conditioning float32 [D] for a picture uint8 [H, W, 3], the mean over its `looks`.

    `tensors` hold `convolutions.N.weight` [O, I, 3, 3] and `.bias`, the usual statistics, and `description`, `hidden`,
    `code` and `head`, as PyTorch names them.
    """
    return np.mean([_encode_square(square, tensors) for square in looks(rgb)], 0)


def _encode_square(rgb: np.ndarray, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    x = rgb.astype(np.float32) / 127.5 - 1
    found = []
    for index in range(sum(name.startswith("convolutions.") for name in tensors) // 2):
        weight, bias = (tensors[f"convolutions.{index}.{kind}"].astype(np.float32) for kind in ("weight", "bias"))
        x = np.maximum(_convolve(x, weight) + bias, 0)
        flat = x.reshape(-1, x.shape[2])
        found += [flat.mean(0), np.sqrt(flat.var(0) + 1e-4)]
    unusual = (np.concatenate(found) - tensors["usual_mean"]) / np.sqrt(tensors["usual_variance"] + 1e-5)
    hidden = np.maximum(_linear(_linear(unusual, tensors, "description"), tensors, "hidden"), 0)
    code = np.maximum(_linear(hidden, tensors, "code"), 0)
    return _linear(code / np.sqrt(len(code)), tensors, "head").astype(np.float32)


def _linear(x: np.ndarray, tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return tensors[f"{name}.weight"].astype(np.float32) @ x + tensors[f"{name}.bias"]


def _convolve(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """3x3, stride 2, padding 1: x [H, W, I], H and W even, to [H/2, W/2, O]."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))[::2, ::2]  # [H/2, W/2, I, 3, 3]
    columns = windows.reshape(windows.shape[0] * windows.shape[1], -1)
    return (columns @ weight.reshape(len(weight), -1).T).reshape(*windows.shape[:2], -1)
