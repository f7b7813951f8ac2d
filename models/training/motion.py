"""Synthetic motion with exact flow and occlusion: layers of photographs that move by perspective and elastic maps.

The first frame shows each layer as it lies; the second looks each layer up through a map. What a point of the second frame
shows is therefore found in the first exactly where its layer's map leads, unless another layer covers it there.
"""

from dataclasses import dataclass

import cv2
import numpy as np

MARGIN = 32  # pixels of a layer around the frame; more than any map reaches but at rare corners
SHIFT = 4  # pixels; the most of the whole picture
NOISE = 4.0  # codes; the strongest of a sensor
LIGHT = 0.02  # the most that light changes by, as a part of it


@dataclass(frozen=True, slots=True)
class MovingPair:
    """Two frames uint8 [S, S, 3], the flow float32 [S, S, 2] from the second back to the first, and where it holds."""

    first: np.ndarray
    second: np.ndarray
    backward: np.ndarray
    visible: np.ndarray  # float32 [S, S], 0 or 1


def moving_pair(background: np.ndarray, figure: np.ndarray, random: np.random.Generator) -> MovingPair:
    """Both layers uint8 [S + 2 MARGIN, S + 2 MARGIN, 3]; in two cases of five the whole picture shifts by whole pixels.

    A shift by whole pixels is the one motion that needs no resampling, so it asks for perfect stillness; all else allows
    what resampling costs. Most motion is as small as between two frames of a film, often less than a pixel: paint that
    follows large shifts alone stands still in small ones.
    """
    side = background.shape[0] - 2 * MARGIN
    first = background[MARGIN:-MARGIN, MARGIN:-MARGIN]
    if random.random() < 0.4:
        shift = random.integers(-SHIFT, SHIFT + 1, 2)
        backward = np.broadcast_to(shift.astype(np.float32), (side, side, 2)).copy()
        x, y = shift + MARGIN
        second = background[y : y + side, x : x + side]
        return MovingPair(first.copy(), degrade(second, random), backward, _inside(backward))
    flows = [_random_flow(side, reach, random) * _pace(random) for reach in (6, 14)]
    mask = np.zeros_like(background[..., 0], np.float32) if random.random() < 0.3 else _blob(background.shape[0], random)
    still = mask[MARGIN:-MARGIN, MARGIN:-MARGIN, None]
    first = first * (1 - still) + figure[MARGIN:-MARGIN, MARGIN:-MARGIN] * still
    behind, front, cover = (_through(*pair) for pair in ((background, flows[0]), (figure, flows[1]), (mask, flows[1])))
    second = behind * (1 - cover[..., None]) + front * cover[..., None]
    is_figure = cover > 0.5
    backward = np.where(is_figure[..., None], flows[1], flows[0])
    # what was hidden: the background where the figure lay, and anything so near an edge that both layers mix
    before = _through(mask, backward)
    hidden = np.where(is_figure, (before < 0.98) | (cover < 0.98), (before > 0.02) | (cover > 0.02))
    visible = _inside(backward) * ~hidden
    return MovingPair(_to_bytes(first), degrade(_to_bytes(second), random), backward.astype(np.float32), visible)


def degrade(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The frame uint8 as the next shot of a camera: a change of light, sensor noise, at times compression."""
    swing = LIGHT * random.uniform(0, 1) ** 2
    light = 1 + random.normal(0, swing) + random.normal(0, swing) * np.linspace(-1, 1, rgb.shape[1])[:, None]
    noise = random.normal(0, NOISE * random.uniform(0, 1) ** 2, rgb.shape).astype(np.float32)
    seen = _to_bytes(rgb * light.astype(np.float32) + noise)
    if random.random() < 0.3:
        _, packed = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(60, 95))])
        seen = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return seen


def _pace(random: np.random.Generator) -> np.float32:
    """How far something moves, of the most it can: from all of it to a thirtieth, each as likely."""
    return np.float32(10 ** random.uniform(-1.5, 0))


def _random_flow(side: int, reach: float, random: np.random.Generator) -> np.ndarray:
    """A perspective map close to none plus an elastic one, float32 [side, side, 2]; shifts up to about `reach` pixels."""
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    angle, zoom = random.normal(0, 0.02), 1 + random.normal(0, 0.02)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (corners - side / 2) @ turn.T + side / 2 + random.uniform(-reach, reach, 2) + random.normal(0, 1.5, (4, 2))
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / w
    elastic = cv2.resize(random.normal(0, 1, (5, 5, 2)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.stack([u - x, v - y], -1).astype(np.float32) + elastic


def _blob(side: int, random: np.random.Generator) -> np.ndarray:
    """A soft-edged shape that covers about a third, float32 [side, side] in [0, 1]."""
    bumps = cv2.resize(random.normal(0, 1, (6, 6)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip((bumps - np.quantile(bumps, 0.65)) * side / 12 + 0.5, 0, 1).astype(np.float32)


def _through(layer: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The layer [S + 2 MARGIN, ...] looked up at every pixel's place plus `flow` [S, S, 2], float32 [S, S, ...]."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    places = x + flow[..., 0] + MARGIN, y + flow[..., 1] + MARGIN
    return cv2.remap(layer, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(np.float32)


def _inside(backward: np.ndarray) -> np.ndarray:
    side = backward.shape[0]
    y, x = np.mgrid[:side, :side]
    u, v = x + backward[..., 0], y + backward[..., 1]
    return ((u >= 0) & (v >= 0) & (u <= side - 1) & (v <= side - 1)).astype(np.float32)


def _to_bytes(rgb: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
