"""What grows in the landscape: a wood of firs, a meadow in flower and a broad-leaved tree.

All are premultiplied R'G'B'A float32 [h, w, 4] in [0, 1], drawn stroke by stroke from the back to the front, once; `unit`
as in `engine.sources.scenery.landscape`.
"""

import cv2
import numpy as np

from engine.sources.scenery.drawing import fixed, polygon, shades, tint
from engine.sources.scenery.landscape import Colour, Light, fractal


def _fir(
    canvas: np.ndarray, rng: np.random.Generator, foot: tuple[float, float], tall: float, light: Light, lit: float
) -> None:
    """Tiers of boughs, dark, and lighter on the side of the sun."""
    x, y = foot
    side = 1 if light.sun_at[0] > 0.5 else -1
    wide = tall * rng.uniform(0.17, 0.24)
    tiers = 5
    for share, tone, offset in ((1.0, 0.02, 0.0), (0.55, lit, 0.28 * side)):
        points = [(x + offset * wide * 0.2, y - tall)]
        left = []
        for tier in range(1, tiers + 1):
            half = wide * share * tier / tiers * rng.uniform(0.8, 1.2)
            low = y - tall * (1 - tier / tiers * 0.95)
            points += [(x + offset * wide + half, low), (x + offset * wide + half * 0.5, low - tall * 0.025)]
            left += [(x + offset * wide - half, low), (x + offset * wide - half * 0.5, low - tall * 0.025)]
        polygon(canvas, np.array(points + left[::-1]), shades(light.wood, light.wood_lit, tone * rng.uniform(0.6, 1.2))[0])


def wood(rng: np.random.Generator, light: Light, outline: np.ndarray, rows: int, unit: float) -> np.ndarray:
    """A hill `outline` [w] pixels high, standing on the last of `rows` and grown over with firs."""
    width = len(outline)
    canvas = np.zeros((rows, width, 4), np.uint8)
    polygon(canvas, _ground(outline, rows), shades(light.wood, light.wood_lit, 0.10)[0])
    count = int(width / unit * 0.9)
    at = rng.uniform(0, width - 1, count)
    down = rng.uniform(0, 1, count) ** 1.3
    for i in np.argsort(down):
        top = outline[int(at[i])]
        if top < 2 * unit:
            continue
        foot = rows - top * (1 - down[i] * 0.96)
        tall = unit * (15 + 17 * down[i]) * rng.uniform(0.65, 1.2) * min(1, 0.35 + top / (60 * unit))
        _fir(canvas, rng, (at[i], foot), tall, light, 0.30 + 0.65 * rng.uniform() * (1 - 0.5 * down[i]))
    picture = canvas.astype(np.float32) / 255
    y = np.arange(rows, dtype=np.float32)
    air = 0.30 * np.exp(-(rows - y) / (26 * unit))[:, None] + 0.10
    alpha = picture[..., 3:]
    picture[..., :3] += air[..., None] * (tint(light.haze) * alpha - picture[..., :3])
    return picture


def meadow(rng: np.random.Generator, light: Light, outline: np.ndarray, rows: int, unit: float) -> np.ndarray:
    """Grass with flowers on a bank `outline` [w] pixels high over the last of `rows`."""
    width = len(outline)
    canvas = np.zeros((rows, width, 4), np.uint8)
    polygon(canvas, _ground(outline, rows), shades(light.grass, light.grass_lit, 0.12)[0])
    count = int(width / unit * 4.5)
    at, down = rng.uniform(0, width - 1, count), np.sort(rng.uniform(0, 1, count) ** 1.2)
    lighter, flowery = fractal(rng, (2, width), (1, 190 * unit), 6)[:, at.astype(int)]
    tall = unit * (9 + 36 * down) * rng.uniform(0.5, 1.25, count)
    t = np.array([0, 0.5, 1])
    foot = rows - outline[at.astype(int)] * (1 - down)
    lean = rng.normal(0.12, 0.22, count) * tall
    blades = np.stack([at[:, None] + lean[:, None] * t**2, foot[:, None] - tall[:, None] * t], 2)
    tone = 0.06 + 0.62 * rng.uniform(0, 1, count) ** 2 * (0.6 + 0.4 * np.tanh(lighter)) + 0.42 * (1 - down) ** 2
    thick = np.maximum(1, np.rint(unit * (0.7 + 1.3 * down))).astype(int).tolist()
    flowers = rng.uniform(0, 1, count) < 0.10 * np.maximum(flowery, 0.05)
    strokes = zip(fixed(blades), shades(light.grass, light.grass_lit, tone), thick, flowers.tolist(), strict=True)
    for i, (blade, colour, pen, flower) in enumerate(strokes):
        cv2.polylines(canvas, [blade], False, colour, pen, cv2.LINE_AA, 4)
        if flower:
            kind = int(rng.integers(len(light.flowers)) if rng.uniform() < 0.3 else at[i] / width * 7) % len(light.flowers)
            _flower(canvas, rng, blades[i, -1], unit * (1.2 + 2.8 * down[i]), light.flowers[kind])
    return canvas.astype(np.float32) / 255


def _flower(canvas: np.ndarray, rng: np.random.Generator, at: np.ndarray, size: float, petal: Colour) -> None:
    """A head of petals, darker below."""
    tilt = float(rng.uniform(-25, 25))
    for shift, share, tone in ((0.25, 1.0, 0.58), (-0.1, 0.85, 0.95)):
        centre = fixed(at + np.array([0, shift * size])).tolist()
        axes = (int(size * share * 16), int(size * share * 10))
        colour = shades((0, 0, 0), petal, tone * rng.uniform(0.8, 1.05))[0]
        cv2.ellipse(canvas, centre, axes, tilt, 0, 360, colour, -1, cv2.LINE_AA, 4)


def tree(rng: np.random.Generator, light: Light, size: tuple[int, int], unit: float) -> np.ndarray:
    """A broad-leaved tree, `size` (width, height), with the sun behind it."""
    width, height = size
    canvas = np.zeros((height, width, 4), np.uint8)
    tips: list[tuple[float, float]] = []

    def branch(x: float, y: float, angle: float, length: float, thick: float) -> None:
        steps = [(x, y)]
        for _ in range(3):  # boughs are never straight
            angle += rng.normal(0, 0.11)
            x, y = x + length / 3 * np.sin(angle), y - length / 3 * np.cos(angle)
            steps.append((x, y))
        bark = shades(light.wood, light.wood_lit, 0.15 + 0.3 * rng.uniform())[0]
        cv2.polylines(canvas, [fixed(np.array(steps))], False, bark, max(1, round(thick)), cv2.LINE_AA, 4)
        if length < height * 0.085:
            tips.append((x, y))
        if length < height * 0.045:
            return
        for turn in (-0.5, 0.46) if rng.uniform() < 0.5 else (-0.7, 0.0, 0.65):
            branch(x, y, angle * 0.92 + turn + rng.normal(0, 0.12), length * rng.uniform(0.66, 0.80), thick * 0.66)

    branch(width * 0.5, height + 1, 0.03, height * 0.23, height * 0.030)
    side = 1 if light.sun_at[0] > 0.5 else -1
    crown = np.array(sorted(tips, key=lambda tip: -tip[1]))
    place = (crown - crown.mean(0)) / (np.ptp(crown, 0) / 2)
    per_tip, count = 36, 36 * len(crown)
    offset = rng.normal(0, 1, (count, 2))
    clump = 0.20 * side * place[:, 0] - 0.22 * place[:, 1] + rng.normal(0, 0.05, len(crown))
    tone = 0.24 + np.repeat(clump, per_tip) + 0.10 * side * offset[:, 0] - 0.12 * offset[:, 1] + rng.normal(0, 0.08, count)
    tone += 0.4 * (rng.uniform(0, 1, count) < 0.06)  # light that shines through a leaf
    spots = fixed(np.repeat(crown, per_tip, 0) + offset * (0.026 * height, 0.022 * height)).tolist()
    axes = fixed(unit * rng.uniform((1.3, 0.8), (3.2, 1.6), (count, 2))).tolist()
    turns = rng.uniform(0, 180, count).tolist()
    for spot, axis, turn, leaf in zip(spots, axes, turns, shades(light.grass, light.grass_lit, tone), strict=True):
        cv2.ellipse(canvas, spot, axis, turn, 0, 360, leaf, -1, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def _ground(outline: np.ndarray, rows: int) -> np.ndarray:
    """All below `outline` [w], which is in pixels over the last of `rows`, as a polygon [n, 2]."""
    x = np.arange(len(outline))
    return np.concatenate([np.stack([x, rows - outline], 1), [[len(x), rows + 9], [0, rows + 9]]])
