"""What moves before the landscape: a balloon, a boat and birds.

All are premultiplied R'G'B'A float32 [h, w, 4] in [0, 1], made once by code.
"""

import cv2
import numpy as np

from engine.sources.scenery.drawing import polygon, shades, tint
from engine.sources.scenery.landscape import Light, smoothstep

_FINE = 3  # times as many pixels to draw with, where edges are not drawn smooth


def balloon(light: Light, tall: int) -> np.ndarray:
    """A hot-air balloon, `tall` pixels high, lit from the side of the sun and a little by its own flame."""
    height, width = tall * _FINE, int(tall * 0.80) * _FINE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    down, aside = y / (0.82 * height), (x - width / 2) / (0.39 * height)
    profile = np.where(down < 0.46, np.sqrt(np.clip(1 - ((0.46 - down) / 0.46) ** 2, 0, 1)), 0)
    profile = np.where(down >= 0.46, 0.20 + 0.80 * np.cos(np.clip((down - 0.46) / 0.54, 0, 1) * 1.5) ** 0.8, profile)
    across = np.clip(aside / np.maximum(profile, 1e-3), -1, 1)
    angle = np.arcsin(across) / np.pi + 0.5  # 0 at the left rim, 1 at the right one
    gores = 12
    gore = np.floor(angle * gores)
    seam = np.abs(angle * gores - gore - 0.5) * 2
    cloth = tint([(0.80, 0.16, 0.11), (0.95, 0.78, 0.34), (0.93, 0.89, 0.80), (0.15, 0.30, 0.52)])
    colour = cloth[np.where(gore % 2 == 0, 0, 1).astype(int)]
    band = smoothstep(0.012, 0.004, np.abs(down - 0.50 - 0.012 * np.cos(across * 1.5)) - 0.060)
    colour += band[..., None] * (cloth[np.where(gore % 2 == 0, 2, 3).astype(int)] - colour)
    side = 1 if light.sun_at[0] > 0.4 else -1
    upward = np.clip((0.46 - down) / 0.5, -1, 1)
    lambert = np.clip(0.62 * side * across + 0.30 * np.sqrt(1 - across**2) + 0.45 * upward, 0, 1)
    flame = np.exp(-(((down - 0.9) / 0.35) ** 2)) * np.sqrt(1 - across**2)
    folds = 1 - 0.28 * seam**6 - 0.05 * np.cos(down * 60) * smoothstep(0.2, 0.9, down)
    lit = (0.34 + 0.86 * lambert)[..., None] * (0.35 + 0.65 * tint(light.sun)) + 0.35 * flame[..., None] * tint(
        (1.0, 0.6, 0.25)
    )
    inside = (np.abs(aside) <= profile) & (down <= 1)
    picture = np.dstack([np.clip(colour * lit * folds[..., None], 0, 1), np.ones_like(x)]) * inside[..., None]
    canvas = np.rint(picture * 255).astype(np.uint8)
    _basket(canvas, light)
    return cv2.resize(canvas.astype(np.float32) / 255, None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)


def _basket(canvas: np.ndarray, light: Light) -> None:
    height, width = canvas.shape[:2]
    middle, half, top, bottom = width / 2, height * 0.045, height * 0.905, height * 0.985
    for share in (-1, -0.35, 0.35, 1):
        rope = np.array([[middle + share * height * 0.07, height * 0.81], [middle + share * half, top]])
        cv2.polylines(canvas, [np.rint(rope).astype(np.int32)], False, (60, 45, 38, 255), max(1, height // 300), cv2.LINE_AA)
    wicker = (0.50, 0.32, 0.16)
    for left, right, tone in ((-1.0, 0.1, 0.55), (0.1, 1.0, 1.0)):
        box = [(left * half, top), (right * half, top), (right * half * 0.85, bottom), (left * half * 0.85, bottom)]
        polygon(canvas, np.array(box) + np.array([middle, 0]), shades((0, 0, 0), wicker, tone)[0])
    rim = np.array([(-half * 1.1, top), (half * 1.1, top), (half * 1.1, top + half * 0.2), (-half * 1.1, top + half * 0.2)])
    polygon(canvas, rim + np.array([middle, 0]), shades(light.wood, wicker, 0.5)[0])


def boat(light: Light, tall: int) -> np.ndarray:
    """A sailing boat, `tall` pixels from the waterline to the masthead, with its image in the water below."""
    height, width = tall * _FINE, int(tall * 0.95) * _FINE
    canvas = np.zeros((height, width, 4), np.uint8)
    unit = height / 100
    middle = width / 2
    sails = (((1.5, 3), (1.5, 82), (37, 82), (26, 55), (12, 24)), ((-1.5, 12), (-1.5, 80), (-30, 84), (-20, 58), (-9, 32)))
    for points, dark, bright in ((sails[1], 0.55, 0.80), (sails[0], 0.72, 1.0)):
        sail = np.zeros_like(canvas)
        polygon(sail, np.array(points) * unit + np.array([middle, 0]), (255, 255, 255, 255))
        ramp = (
            np.linspace(dark, bright, width, dtype=np.float32)[None, :, None]
            * np.linspace(1.05, 0.82, height)[:, None, None]
        )
        cloth = ramp * (0.65 * tint((1.0, 0.95, 0.88)) + 0.45 * tint(light.cloud_lit))
        shape = sail[..., 3:] / 255
        canvas[:] = canvas * (1 - shape) + np.dstack([cloth * 255, np.full_like(cloth[..., :1], 255)]) * shape
    polygon(
        canvas,
        np.array([(-0.5, 1), (0.5, 1), (0.7, 90), (-0.7, 90)]) * unit + np.array([middle, 0]),
        shades((0, 0, 0), (0.36, 0.24, 0.14), 1)[0],
    )
    hull = [(-33, 87), (-10, 89.5), (20, 89), (42, 84.5), (33, 97), (24, 100), (-27, 100)]
    polygon(canvas, np.array(hull) * unit + np.array([middle, 0]), shades((0, 0, 0), (0.30, 0.12, 0.09), 1)[0])
    strake = [(-33, 87), (-10, 89.5), (20, 89), (42, 84.5), (41, 87), (20, 91.5), (-10, 92), (-32, 89.5)]
    polygon(canvas, np.array(strake) * unit + np.array([middle, 0]), shades((0, 0, 0), (0.86, 0.76, 0.62), 1)[0])
    above = canvas.astype(np.float32) / 255
    image = above[::-2] * np.linspace(0.75, 0.0, (height + 1) // 2, dtype=np.float32)[:, None, None]
    rows, columns = np.mgrid[: len(image), :width].astype(np.float32)
    swing = np.sin(rows / unit * 1.9 + np.sin(rows / unit * 0.7)) * unit * (0.6 + rows / len(image) * 2.2)
    below = cv2.remap(image, columns + swing.astype(np.float32), rows, cv2.INTER_LINEAR)
    below = below * np.array([0.8, 0.8, 0.8, 1], np.float32)
    whole = np.concatenate([above, below])
    return cv2.resize(whole, None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)


def birds(rng: np.random.Generator, light: Light, wide: int) -> np.ndarray:
    """A flock of seven, `wide` pixels across, on outspread wings."""
    width, height = wide * _FINE, wide * _FINE // 2
    canvas = np.zeros((height, width, 4), np.uint8)
    for i, (x, y) in enumerate(
        ((0.5, 0.2), (0.36, 0.34), (0.63, 0.36), (0.22, 0.50), (0.77, 0.55), (0.10, 0.72), (0.88, 0.78))
    ):
        span = width * rng.uniform(0.055, 0.075)
        lift = rng.uniform(0.15, 0.55)
        t = np.linspace(-1, 1, 21)
        arch = -lift * span * (np.abs(t) ** 0.6 - 0.9 * np.abs(t) ** 2.4) * 1.6
        thick = span * 0.13 * (1 - np.abs(t)) ** 0.7 * (1 + 0.8 * np.exp(-((t / 0.12) ** 2)))
        upper, lower = np.stack([t * span, arch - thick], 1), np.stack([t * span, arch + thick], 1)[::-1]
        tone = 0.1 + 0.05 * (i % 3)
        polygon(
            canvas,
            np.concatenate([upper, lower]) + np.array([x * width, y * height]),
            shades(light.wood, light.cloud_shade, tone)[0],
        )
    return cv2.resize(canvas.astype(np.float32) / 255, None, fx=1 / _FINE, fy=1 / _FINE, interpolation=cv2.INTER_AREA)
