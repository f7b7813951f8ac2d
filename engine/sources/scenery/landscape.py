"""The ground of a landscape, painted once by code: sky, mountains and water.

Colours are R'G'B' float32 [h, w, 3], nominally in [0, 1]; opacities float32 [h, w] in [0, 1]. Heights and widths are in
pixels; `unit` is the size of what is one pixel at 1280x720. The same generator state gives the same picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.sources.scenery.drawing import tint

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """A time of day. `sky` is the colour at rising heights over the horizon, in units of the picture's height."""

    sky: tuple[tuple[float, Colour], ...]
    sun: Colour
    sun_at: tuple[float, float]  # across, in widths from the left; over the horizon, in heights
    glow: float
    cloud_lit: Colour
    cloud_shade: Colour
    cloud_cover: float
    rock: Colour
    haze: Colour
    wood: Colour
    wood_lit: Colour
    grass: Colour
    grass_lit: Colour
    flowers: tuple[Colour, ...]


DUSK = Light(
    sky=(
        (0.00, (1.00, 0.70, 0.38)),
        (0.07, (0.98, 0.60, 0.36)),
        (0.18, (0.84, 0.50, 0.46)),
        (0.34, (0.50, 0.42, 0.58)),
        (0.60, (0.17, 0.27, 0.50)),
    ),
    sun=(1.0, 0.78, 0.42),
    sun_at=(0.60, 0.135),
    glow=1.0,
    cloud_lit=(1.0, 0.72, 0.50),
    cloud_shade=(0.44, 0.33, 0.44),
    cloud_cover=0.40,
    rock=(0.20, 0.19, 0.33),
    haze=(0.74, 0.47, 0.52),
    wood=(0.05, 0.08, 0.10),
    wood_lit=(0.42, 0.33, 0.17),
    grass=(0.07, 0.11, 0.05),
    grass_lit=(0.86, 0.66, 0.22),
    flowers=((0.86, 0.18, 0.10), (0.93, 0.74, 0.24), (0.87, 0.82, 0.80), (0.52, 0.30, 0.62)),
)

NOON = Light(
    sky=(
        (0.00, (0.80, 0.88, 0.92)),
        (0.10, (0.60, 0.77, 0.91)),
        (0.30, (0.32, 0.58, 0.85)),
        (0.60, (0.12, 0.36, 0.70)),
    ),
    sun=(1.0, 0.97, 0.88),
    sun_at=(0.20, 0.75),
    glow=0.45,
    cloud_lit=(0.99, 0.98, 0.96),
    cloud_shade=(0.58, 0.64, 0.73),
    cloud_cover=0.35,
    rock=(0.44, 0.46, 0.52),
    haze=(0.66, 0.77, 0.88),
    wood=(0.06, 0.14, 0.08),
    wood_lit=(0.30, 0.42, 0.14),
    grass=(0.12, 0.24, 0.06),
    grass_lit=(0.62, 0.70, 0.22),
    flowers=((0.90, 0.16, 0.12), (0.98, 0.86, 0.22), (0.96, 0.96, 0.97), (0.36, 0.40, 0.86)),
)


def fractal(rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float], octaves: int = 7) -> np.ndarray:
    """Value noise of many sizes, from `cell` (height, width) in pixels down by halves, each half as strong as the last.

    float32 of `shape`, mean 0, standard deviation near 1.
    """
    total, strength, weight = np.zeros(shape, np.float32), 1.0, 0.0
    for octave in range(octaves):
        height, width = (max(side / 2**octave, 1.0) for side in cell)
        rows, columns = int(shape[0] / height) + 4, int(shape[1] / width) + 4
        coarse = rng.random((rows, columns), np.float32) * 2 - 1
        smooth = cv2.resize(coarse, (int(columns * width), int(rows * height)), interpolation=cv2.INTER_CUBIC)
        total += strength * smooth[: shape[0], : shape[1]]
        weight += strength**2
        strength /= 2
        if height == width == 1.0:
            break
    return total * np.float32(1 / (0.5 * np.sqrt(weight)))


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, and a cubic in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray | Colour, b: np.ndarray | Colour, t: np.ndarray) -> np.ndarray:
    """a where `t` [h, w] is 0, b where it is 1."""
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return first + t[..., None] * (second - first)


def sky(rng: np.random.Generator, light: Light, size: tuple[int, int], height: int, sun_x: float) -> np.ndarray:
    """The sky over a horizon at its last row, `size` (width, rows) of a picture of `height`; the sun at column `sun_x`.

    The sun is brighter than 1, for the water to glitter.
    """
    width, rows = size
    y, x = np.mgrid[:rows, :width].astype(np.float32)
    up, across = (rows - 1 - y) / height, (x - sun_x) / height
    levels, colours = np.array([level for level, _ in light.sky]), np.array([colour for _, colour in light.sky])
    gradient = np.stack([np.interp(up[:, 0], levels, channel) for channel in colours.T], 1).astype(np.float32)
    picture = np.repeat(gradient[:, None], width, 1)
    rise = light.sun_at[1]
    distance = np.sqrt(across**2 + (up - rise) ** 2)
    near = np.exp(-distance / 0.10)
    halo = light.glow * (0.55 * near + 0.25 * np.exp(-distance / 0.4))
    picture += halo[..., None] * tint(light.sun) * 0.8

    # clouds lie in a plane overhead: seen from below they are finer and closer together towards the horizon
    far = 1 / (up + 0.10)
    deck = fractal(rng, (1024, 2048), (60, 105))
    u, v = 1024 + across * far * 150, far * 130
    clouds = cv2.remap(deck, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    # brighter where they grow thinner towards the sun
    toward = np.sqrt(across**2 + (rise - up) ** 2) + 0.05
    shift = 12.0
    lee = cv2.remap(
        deck, u - across / toward * shift, v - (rise - up) / toward * shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    cover = smoothstep(0.1 - light.cloud_cover, 1.5 - light.cloud_cover, clouds) * smoothstep(0.02, 0.12, up)
    lit = np.clip(0.50 + 0.40 * (clouds - lee) + 0.7 * near - 0.22 * cover, 0, 1.2)
    picture = mix(picture, mix(light.cloud_shade, light.cloud_lit, lit), 0.93 * cover)
    disc = smoothstep(0.034, 0.028, distance)
    return picture + (disc * (1 - 0.5 * cover))[..., None] * tint(light.sun) * 1.5


def ridge(rng: np.random.Generator, width: int, cell: float, octaves: int = 8) -> np.ndarray:
    """The outline of a mountain range: float32 [width], standard deviation near 1."""
    return fractal(rng, (1, width), (1, cell), octaves)[0]


def mountains(
    rng: np.random.Generator, light: Light, outline: np.ndarray, rows: int, unit: float, haze: float
) -> np.ndarray:
    """A range `outline` [w] pixels high, standing on the last of `rows`. Premultiplied, with opacity: float32 [rows, w, 4].

    `haze` in [0, 1] is how far its colours have gone into those of the air.
    """
    width = len(outline)
    y, _ = np.mgrid[:rows, :width].astype(np.float32)
    up = rows - 1 - y
    outline = outline.astype(np.float32)
    opacity = np.clip(outline[None] - up + 0.5, 0, 1)
    relief = fractal(rng, (rows, width), (110 * unit, 90 * unit))
    relief = 0.6 - np.abs(relief)  # valleys and ridges
    slope = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3) * 0.9 * unit + np.gradient(outline)[None] * 0.22
    lit = np.clip(0.42 - slope, 0, 1)
    colour = mix(light.rock, tint(light.rock) * 0.55 + tint(light.cloud_lit) * 0.42, lit)
    air = haze + (1 - haze) * 0.75 * np.exp(-up / (38 * unit))
    colour = mix(colour, light.haze, np.clip(air, 0, 1))
    return np.dstack([colour * opacity[..., None], opacity])


def water(rng: np.random.Generator, light: Light, backdrop: np.ndarray, rows: int, height: int) -> np.ndarray:
    """The sea below `backdrop` [h, w, 3], which it mirrors in waves that are finer towards the horizon. Colour.

    Each pixel shows what a mirror tilted by the slope of its wave would, less what goes into the water (Fresnel).
    """
    width = backdrop.shape[1]
    y, x = np.mgrid[:rows, :width].astype(np.float32)
    depth = (y + 1.5) / height
    near = 1 / (depth + 0.02)
    swell = fractal(rng, (1024, 2048), (16, 60), 6)
    u, v = 1024 + (x - width / 2) / height * near * 120, near * 48
    slope = cv2.remap(swell, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    ripple = cv2.remap(swell, 500 + u * 2.3, 300 + v * 2.1, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    slope = slope + 0.7 * ripple
    # many small waves within a pixel blur what they mirror, along the way to the eye most of all
    soft = cv2.GaussianBlur(np.minimum(backdrop, 4), (0, 0), height * 0.002, sigmaY=height * 0.011)
    above = backdrop.shape[0] - 1 - np.abs(y * 0.85 + np.sqrt(depth) * slope * height * 0.055)
    aside = x + slope * depth * height * 0.03
    mirrored = cv2.remap(soft, aside, above, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    body = tint(light.sky[-1][1]) * 0.40
    kept = 0.88 - 0.45 * smoothstep(0.0, 0.45, depth) - 0.10 * np.clip(slope, -1.5, 1.5) * smoothstep(0, 0.1, depth)
    picture = mix(body, mirrored, np.clip(kept, 0, 1))
    # waves that tilt just so throw the sun itself at the eye
    under = np.exp(-(((x / width - light.sun_at[0]) * width / height / (0.035 + 0.22 * depth)) ** 2))
    sparkle = smoothstep(0.9, 2.2, slope + 0.9 * under) * under * light.glow
    return picture + (sparkle * 0.9)[..., None] * tint(light.sun)
