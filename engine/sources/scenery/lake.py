"""A lake with mountains, a wooded headland and a meadow around it, a boat, a balloon and birds, and how all that moves."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.sources.scenery import landscape, plants, sprites
from engine.sources.scenery.landscape import Light
from engine.sources.scenery.layers import INSET, Layer, Motion, Scenery

_SWAY, _NOD = 16.0, 5.3  # seconds in which the camera goes to and fro, and up and down
_LEVEL = 2.0  # the instant in seconds at which it looks straight ahead, and everything is where it was placed

Add = Callable[[np.ndarray, Motion], None]  # a layer, in front of those before it


@dataclass(frozen=True, slots=True)
class Camera:
    """It goes from side to side and nods a little. Near things move more than far ones, by up to their `reach` in pixels."""

    width: int
    height: int

    @property
    def unit(self) -> float:
        """The size of what is one pixel at 1280x720."""
        return self.height / 720

    @property
    def pad(self) -> int:
        """Rows beyond the frame that the nod may show."""
        return int(np.ceil(3 * self.unit)) + INSET + 2

    def columns(self, reach: float) -> np.ndarray:
        """Those of the frame that a layer of this reach comes to show, from a negative one on."""
        beyond = int(np.ceil(reach)) + INSET + 2
        return np.arange(-beyond, self.width + beyond)

    def sway(self, seconds: float) -> float:
        """In [-1, 1]."""
        return float(np.sin(2 * np.pi * (seconds - _LEVEL) / _SWAY))

    def nod(self, seconds: float) -> float:
        """In pixels."""
        return 3 * self.unit * float(np.sin(2 * np.pi * (seconds - _LEVEL) / _NOD))

    def pan(self, reach: float, left: float, top: float, per_row: float = 0.0) -> Motion:
        """The motion of what stands still, its texture's corner at (left, top) of the frame when level. Rows of a plain that
        leads up to the camera have `per_row` more reach each."""

        def matrix(seconds: float) -> np.ndarray:
            side, up = self.sway(seconds), self.nod(seconds) - top
            return np.array([[1, per_row * side, side * (reach + per_row * up) - left], [0, 1, up], [0, 0, 1]])

        return matrix

    def drift(
        self, size: tuple[int, int], at: tuple[float, float], speed: float, reach: float, roll: float, grow: float
    ) -> Motion:
        """The motion of what crosses the frame, `speed` pixels a second, and comes in again at the other side.

        Its texture of `size` (height, width) has its middle `at` (x, y) of the frame when level. It rolls by up to `roll`
        radians, and grows and shrinks by up to `grow` of its size.
        """
        middle = np.array([size[1] / 2, size[0] / 2])
        beyond = size[1] + reach
        way = self.width + 2 * beyond

        def matrix(seconds: float) -> np.ndarray:
            since = 2 * np.pi * (seconds - _LEVEL)
            x = (at[0] + speed * (seconds - _LEVEL) + beyond) % way - beyond - reach * self.sway(seconds)
            y = at[1] - self.nod(seconds) - 0.02 * self.height * np.sin(since / 23)
            angle, zoom = roll * np.sin(since / 6.7), 1 + grow * np.sin(since / 29)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
            return np.vstack([np.column_stack([turn, middle - turn @ (x, y)]), [0, 0, 1]])

        return matrix


def lake(width: int, height: int, light: Light, seed: int) -> Scenery:
    """The scenery in pictures of this size. Another `seed` makes other hills, waves, clouds and leaves."""
    camera = Camera(width, height)
    unit, pad = camera.unit, camera.pad
    horizon = round(0.56 * height)
    layers: list[Layer] = []

    def add(picture: np.ndarray, motion: Motion) -> None:
        layers.append(Layer.of(picture, motion, np.random.default_rng((seed, 1, len(layers))), 0.55 * unit))

    def random(part: int) -> np.random.Generator:
        return np.random.default_rng((seed, 0, part))

    seen = _sky(camera, add, random(0), light, horizon)
    for picture, reach in _far_shore(camera, random(1), light):
        rows = picture.shape[0]
        deeper = cv2.copyMakeBorder(picture, 0, pad, 0, 0, cv2.BORDER_REPLICATE)
        add(deeper, camera.pan(reach, camera.columns(reach)[0], horizon - rows))
        more = (picture.shape[1] - seen.shape[1]) // 2
        part = picture[:, more : picture.shape[1] - more]
        seen[-rows:] = seen[-rows:] * (1 - part[..., 3:]) + part[..., :3]

    # the water's far edge moves with the far shore, its near one with the bank
    far, near = 60 * unit, 190 * unit
    rows, columns = height - horizon + pad, camera.columns(near)
    more = (len(columns) - seen.shape[1]) // 2
    beheld = cv2.copyMakeBorder(seen, 0, 0, more, more, cv2.BORDER_REFLECT)
    sea = _opaque(landscape.water(random(2), light, beheld, rows, height))
    clear = INSET + 4
    sea = cv2.copyMakeBorder(sea, clear, 0, 0, 0, cv2.BORDER_CONSTANT)
    add(sea, camera.pan(far, columns[0], horizon - clear, (near - far) / rows))

    for picture, place, speed, reach, roll, grow in (
        (sprites.birds(random(3), light, round(190 * unit)), (0.47, 0.17), 105, 0, 0.03, 0.10),
        (sprites.balloon(light, round(185 * unit)), (0.27, 0.24), 42, 55, 0.03, 0.12),
        (sprites.boat(light, round(118 * unit)), (0.44, 0.593), -52, 90, 0.02, 0.0),
    ):
        framed = _framed(picture)
        at = (place[0] * width, place[1] * height)
        add(framed, camera.drift(framed.shape[:2], at, speed * unit, reach * unit, roll, grow))

    _near_shore(camera, add, random(4), light)
    return Scenery(width, height, layers)


def _sky(camera: Camera, add: Add, rng: np.random.Generator, light: Light, horizon: int) -> np.ndarray:
    """Adds the sky. Returns it down to the horizon, R'G'B' [h, w, 3], for the water to mirror."""
    reach = 30 * camera.unit
    columns = camera.columns(reach)
    sun_x = float(light.sun_at[0] * camera.width - columns[0])
    heaven = landscape.sky(rng, light, (len(columns), horizon + camera.pad), camera.height, sun_x)
    deeper = cv2.copyMakeBorder(heaven, 0, 2 * camera.pad, 0, 0, cv2.BORDER_REPLICATE)
    add(_opaque(deeper), camera.pan(reach, columns[0], -camera.pad))
    return heaven


def _far_shore(camera: Camera, rng: np.random.Generator, light: Light) -> list[tuple[np.ndarray, float]]:
    """What stands beyond the water, with its last row at the horizon, and its reach; the farthest first."""
    unit, shore = camera.unit, []
    for reach, low, swing, peak, rough, haze in ((40, 62, 30, 0.15, 24, 0.42), (52, 30, 34, 1.0, 15, 0.16)):
        columns = camera.columns(reach * unit)
        outline = low + swing * np.cos((columns / camera.width - peak) * 4.6)
        outline += rough * landscape.ridge(rng, len(columns), 290 * unit)
        high = np.maximum(outline, 2) * unit
        shore.append((landscape.mountains(rng, light, high, round(215 * unit), unit, haze), reach * unit))
    columns = camera.columns(80 * unit)
    outline = 84 - 260 * columns / camera.width + 11 * landscape.ridge(rng, len(columns), 260 * unit)
    shore.append((plants.wood(rng, light, np.maximum(outline, 0) * unit, round(190 * unit), unit), 80 * unit))
    return shore


def _near_shore(camera: Camera, add: Add, rng: np.random.Generator, light: Light) -> None:
    """Adds the meadow in front and the tree that stands in it."""
    unit, reach = camera.unit, 300 * camera.unit
    columns, rows = camera.columns(reach), round(180 * unit)
    bank = 74 + 22 * np.cos((columns / camera.width - 0.95) * 4) + 8 * landscape.ridge(rng, len(columns), 420 * unit)
    leafy = _framed(plants.tree(rng, light, (round(680 * unit), round(600 * unit)), unit))
    left = 0.885 * camera.width - leafy.shape[1] / 2
    add(leafy, camera.pan(reach, left, camera.height - 45 * unit - leafy.shape[0]))
    meadow = plants.meadow(rng, light, bank * unit + camera.pad, rows + camera.pad, unit)
    add(meadow, camera.pan(reach, columns[0], camera.height - rows))


def _opaque(colour: np.ndarray) -> np.ndarray:
    return np.dstack([colour, np.ones(colour.shape[:2], np.float32)])


def _framed(picture: np.ndarray) -> np.ndarray:
    """With a clear margin, so that filters at its edge find nothing."""
    side = INSET + 2
    return cv2.copyMakeBorder(picture, side, side, side, side, cv2.BORDER_CONSTANT)
