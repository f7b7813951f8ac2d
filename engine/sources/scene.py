"""A landscape made by code, whose motion is known exactly: `scene:1280x720,4,30`, or with `,cut` a second one half-way.

It shows the program at work where there is no video yet, and measures it: nobody has to estimate how a point moved.
"""

import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from engine.errors import UsageError
from engine.frame import BT709, LIMITED, Colour, Frame, StreamInfo, parse_size, plane_views
from engine.sources.scenery.lake import lake
from engine.sources.scenery.landscape import DUSK, NOON
from engine.sources.scenery.layers import Scenery

SMALLEST = 32  # pixels; there is nothing to see in less
_COLOUR = Colour(BT709, LIMITED, BT709, BT709)


class SceneSource:
    """See `engine.sources.Source`. The same parameters give the same frames, sample for sample."""

    def __init__(self, uri: str = "scene", size: tuple[int, int] | None = None, noise: float = 0.0, seed: int = 0) -> None:
        """`noise` is the standard deviation of the sensor's, in codes; `seed` begins it. Raises UsageError."""
        asked, seconds, rate, cuts = _parse(uri)
        width, height = size or asked
        if min(width, height) < SMALLEST:
            raise UsageError(f"the scene cannot be drawn at {width}x{height}; take at least {SMALLEST}x{SMALLEST}")
        self.noise, self.seed, self.rate = noise, seed, rate
        self.notes: list[str] = []
        self.info = StreamInfo(width, height, 1 / rate, rate, _COLOUR, frames=(count := max(round(seconds * rate), 1)))
        self.cut = count // 2 if cuts else count  # the first frame of the second scene
        self._sceneries = [lake(width, height, light, seed) for light, seed in ((DUSK, 8), (NOON, 4))[: 1 + cuts]]
        self._closed = threading.Event()

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "scene" or uri.startswith("scene:")

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.info.frames or 0):
            if self._closed.is_set():
                return
            yield Frame(self.render(index), index, self.info.time_base, index, time.perf_counter(), duration=1)

    def close(self) -> None:
        self._closed.set()

    def render(self, index: int) -> av.VideoFrame:
        """The picture of one frame, any one at any time."""
        picture = av.VideoFrame(self.info.width, self.info.height, "yuv420p")
        planes = plane_views(picture)
        self._scenery(index).render(self._seconds(index), planes)
        if self.noise:
            rng = np.random.default_rng((self.seed, index))
            for plane in planes:
                grain = rng.standard_normal(plane.shape, np.float32) * np.float32(self.noise)
                plane[:] = np.clip(np.rint(plane + grain), 0, 255)
        picture.pts, picture.time_base = index, self.info.time_base
        picture.colorspace, picture.color_range = _COLOUR.matrix, _COLOUR.range
        picture.color_primaries, picture.color_trc = _COLOUR.primaries, _COLOUR.transfer
        return picture

    def flow(self, index: int, distance: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The exact way back from frame `index` to the one `distance` before: `engine.sources.scenery.layers.Scenery.flow`.

        Returns (backward float32 [H, W, 2] in luma pixels; visible bool [H, W], nowhere across a cut or before the start).
        """
        return self.motion(index, distance)[:2]

    def motion(self, index: int, distance: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `flow`, and where something that had been hidden has come to sight: uncovered bool [H, W]."""
        if index < distance or self._scenery(index) is not self._scenery(index - distance):
            shape = (self.info.height, self.info.width)
            return np.zeros((*shape, 2), np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
        return self._scenery(index).flow(self._seconds(index), self._seconds(index - distance))

    def _scenery(self, index: int) -> Scenery:
        return self._sceneries[index >= self.cut]

    def _seconds(self, index: int) -> float:
        return float(index / self.rate)


def _parse(uri: str) -> tuple[tuple[int, int], Fraction, Fraction, bool]:
    """Size, seconds, frames per second, and whether there is a cut. Raises UsageError."""
    parts = [part for part in uri.partition(":")[2].split(",") if part]
    cuts = parts[-1:] == ["cut"]
    size, seconds, rate, *more = (*parts[: len(parts) - cuts], *("1280x720", "4", "30")[len(parts) - cuts :])
    try:
        length, pace = Fraction(seconds), Fraction(rate)
    except (ValueError, ZeroDivisionError):
        length = pace = Fraction(0)
    if more or length <= 0 or pace <= 0:
        raise UsageError(f"'{uri}' is no scene; write size, seconds and rate as scene:1280x720,4,30")
    return parse_size(size), length, pace, cuts
