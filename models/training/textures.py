"""Textures made by code, for the encoder to learn from what no painter painted: dabs, dots, hatching, shards, waves."""

import cv2
import numpy as np


def texture(random: np.random.Generator, side: int) -> np.ndarray:
    """A random texture in a random palette, R'G'B' uint8 [side, side, 3]."""
    palette = _palette(random)
    makers = (_dabs, _dots, _hatching, _shards, _waves)
    return makers[random.integers(len(makers))](random, side, palette)


def _palette(random: np.random.Generator) -> np.ndarray:
    """Three to seven colours, uint8 [n, 3], most of them close to a few hues."""
    count = random.integers(3, 8)
    hue = (random.uniform(0, 180) + random.choice([0, 15, 90, 60], count) + random.normal(0, 8, count)) % 180
    saturation = random.uniform(20, 255, count) * random.uniform(0.3, 1)
    value = random.uniform(20, 255, count)
    hsv = np.stack([hue, saturation, value], -1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


def _field(random: np.random.Generator, side: int, detail: int) -> np.ndarray:
    """Smooth noise, float32 [side, side], about normal."""
    noise = random.normal(0, 1, (detail, detail)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def _ground(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Areas of the palette's colours with soft or hard borders, uint8 [side, side, 3]."""
    level = _field(random, side, int(random.integers(3, 9)))
    edges = np.quantile(level, np.linspace(0, 1, len(palette) + 1)[1:-1])
    ground = palette[np.digitize(level, edges)]
    return cv2.GaussianBlur(ground, (0, 0), float(random.choice([0.6, 3, 12])))


def _jittered(random: np.random.Generator, colour: np.ndarray) -> tuple[float, ...]:
    return tuple(float(c) for c in np.clip(colour + random.normal(0, 14, 3), 0, 255))


def _dabs(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Short strokes along a direction field, coloured as the ground beneath them or at random."""
    canvas = _ground(random, side, palette)
    ground, turn = canvas.copy(), _field(random, side, 4) * random.uniform(0.3, 3)
    length, thickness = random.uniform(6, 40), int(random.integers(1, 9))
    for _ in range(int(4 * side * side / (length * thickness))):
        x, y = random.integers(0, side, 2)
        angle = turn[y, x]
        step = length / 2 * np.array([np.cos(angle), np.sin(angle)])
        colour = ground[y, x] if random.random() < 0.7 else palette[random.integers(len(palette))]
        ends = [tuple(int(v) for v in np.rint([x, y] + sign * step)) for sign in (-1, 1)]
        cv2.line(canvas, ends[0], ends[1], _jittered(random, colour), thickness, cv2.LINE_AA)
    return canvas


def _dots(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Pointillism."""
    canvas = _ground(random, side, palette)
    ground, radius = canvas.copy(), random.uniform(1.5, 7)
    for _ in range(int(1.2 * (side / radius) ** 2 / 2)):
        x, y = (int(v) for v in random.integers(0, side, 2))
        colour = ground[y, x] if random.random() < 0.6 else palette[random.integers(len(palette))]
        cv2.circle(
            canvas, (x, y), max(int(random.normal(radius, radius / 4)), 1), _jittered(random, colour), -1, cv2.LINE_AA
        )
    return canvas


def _hatching(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Lines in one or two directions whose density follows the ground's light."""
    ground = _ground(random, side, palette)
    canvas = np.full_like(ground, 0) + palette[palette.sum(1).argmax()]
    ink, spacing = palette[palette.sum(1).argmin()], random.uniform(4, 12)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    dark = 1 - cv2.cvtColor(ground, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    for angle in random.uniform(0, np.pi, random.integers(1, 3)):
        across = x * np.cos(angle) + y * np.sin(angle) + _field(random, side, 8) * 2
        lines = np.clip((np.sin(across * 2 * np.pi / spacing) - 1 + 2 * dark) * 3, 0, 1)[..., None]
        canvas = (canvas * (1 - lines) + ink * lines).astype(np.uint8)
    return canvas


def _shards(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """A mosaic of cells with or without joints between them."""
    seeds = random.integers(0, side, (int(random.integers(30, 900)), 2))
    marks = np.full((side, side), 255, np.uint8)
    marks[seeds[:, 0], seeds[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(marks, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.clip(palette[random.integers(len(palette), size=labels.max() + 1)] + random.normal(0, 12, 3), 0, 255)
    canvas = colours[labels].astype(np.uint8)
    if random.random() < 0.5:
        joints = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        canvas[joints] = palette[0] // 3
    else:
        canvas = np.clip(canvas + (distance.mean() - distance)[..., None] * 1.5, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(canvas, (0, 0), 0.7)


def _waves(random: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Bands that bend and swirl."""
    phase = _field(random, side, 4) * random.uniform(2, 9) + _field(random, side, 12) * random.uniform(0, 0.8)
    smooth = cv2.resize(palette[None], (256, 1), interpolation=cv2.INTER_CUBIC)[0]
    grain = random.normal(0, random.uniform(0, 12), (side, side, 1))
    bands = smooth[((np.sin(phase * 2) * 0.5 + 0.5) * 255).astype(np.int32)]
    return np.clip(bands + grain, 0, 255).astype(np.uint8)
