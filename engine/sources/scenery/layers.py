"""Layers that move one before the other, put together into pictures of `engine.sources.scene`, and where each point was."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.frame import Planes

PURE = 0.99  # share of a layer in a pixel from which the pixel shows that layer only
INSET = 4  # samples at the edge of a texture that are never shown, so that filters stay inside
_CODES = np.array([[0.2126, 0.7152, 0.0722], [-0.2126, -0.7152, 0.9278], [0.7874, -0.7152, -0.0722]])  # BT.709, section 3
_ACROSS, _DOWN = np.array([1, 2, 1], np.float32) / 4, np.array([0, 1, 1], np.float32) / 2  # of chroma
_SCALES = np.array([219, 224 / 1.8556, 224 / 1.5748])

Motion = Callable[[float], np.ndarray]  # of the time in seconds: float64 [3, 3], from pixels of the frame to the texture's


@dataclass(frozen=True, slots=True)
class Layer:
    """A texture and how it moves.

    `planes` hold Y', Cb, Cr codes times opacity, uint8, the chroma at half the size, its samples between two rows and on the
    even columns as in the frame (H.273's chroma location 0). `alpha` is the opacity in 255ths, of each size.
    """

    planes: Planes
    alpha: tuple[np.ndarray, np.ndarray]
    motion: Motion

    @classmethod
    def of(cls, picture: np.ndarray, motion: Motion, rng: np.random.Generator, blur: float = 0.0) -> "Layer":
        """From premultiplied R'G'B'A float32 [h, w, 4]; brighter than 1 is allowed. `blur` is a lens's, in pixels."""
        height, width = (side + side % 2 for side in picture.shape[:2])
        missing = (height - picture.shape[0], width - picture.shape[1])
        picture = cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        if blur:
            picture = cv2.GaussianBlur(picture, (0, 0), blur)
        alpha = picture[..., 3]
        light = np.minimum(picture[..., :3], 0.75) + 0.25 * (1 - np.exp(-np.maximum(picture[..., :3] - 0.75, 0) / 0.25))
        matrix = np.column_stack([_CODES * _SCALES[:, None], [16, 128, 128]]).astype(np.float32)
        codes = cv2.transform(np.dstack([light, alpha]), matrix)
        # film grain, which hides the steps of 8 bits
        luma = codes[..., 0] + rng.standard_normal((height, width), np.float32) * alpha
        chroma = np.dstack([codes[..., 1:], alpha])
        chroma = cv2.sepFilter2D(chroma, -1, _ACROSS, _DOWN)[::2, ::2]
        planes = (_bytes(luma), _bytes(chroma[..., 0]), _bytes(chroma[..., 1]))
        return cls(planes, (_bytes(alpha * 255), _bytes(chroma[..., 2] * 255)), motion)

    def extent(self, matrix: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
        """The part of the frame (left, top, right, bottom) that it covers, on even samples; None if it is out of sight."""
        rows, columns = self.planes[0].shape
        near, far_x, far_y = INSET, columns - 1 - INSET, rows - 1 - INSET
        corners = np.array([[near, far_x, far_x, near], [near, near, far_y, far_y], [1, 1, 1, 1]], np.float64)
        x, y, _ = np.linalg.solve(matrix, corners)
        left, top = (int(np.ceil(max(low, 0) / 2)) * 2 for low in (x.min(), y.min()))
        right, bottom = int(x.max()) // 2 * 2, int(y.max()) // 2 * 2
        right, bottom = width if right >= width - 1 else right, height if bottom >= height - 1 else bottom
        return (left, top, right, bottom) if left < right and top < bottom else None


def _bytes(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def sample(texture: np.ndarray, matrix: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """What a texture shows in a part of a plane. `matrix` [3, 3] leads from samples of the plane to those of the texture.

    Shifts are interpolated with Catmull-Rom's cubic (Keys 1981, a = -1/2), all else bilinearly; nothing lies outside.
    """
    if np.array_equal(matrix[:2, :2], np.eye(2)):
        x, y = left + matrix[0, 2], top + matrix[1, 2]
        column, row = int(np.floor(x)), int(np.floor(y))
        window = texture[row - 1 : row + height + 2, column - 1 : column + width + 2]
        if row > 0 and column > 0 and window.shape == (height + 3, width + 3):
            return cv2.sepFilter2D(window, -1, _taps(x - column), _taps(y - row), anchor=(1, 1))[
                1 : height + 1, 1 : width + 1
            ]
    shifted = matrix @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    return cv2.warpAffine(texture, shifted[:2], (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _taps(t: float) -> np.ndarray:
    inner, outer = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 1) * t - 0.5) * t
    last = (0.5 * t - 0.5) * t * t
    return np.array([outer, inner, 1 - outer - inner - last, last], np.float32)


_TO_LUMA = np.array([[2, 0, 0], [0, 2, 0.5], [0, 0, 1]])  # from chroma samples to the luma samples they lie at
_TO_CHROMA = np.linalg.inv(_TO_LUMA)


@dataclass(frozen=True, slots=True)
class Scenery:
    """Layers from the back, which fills the frame and is opaque, to the front, in pictures of one size."""

    width: int
    height: int
    layers: list[Layer]

    def render(self, seconds: float, planes: Planes) -> None:
        """Draw the picture of this instant into uint8 planes [H, W] and [ceil(H/2), ceil(W/2)] twice."""
        for layer in self.layers:
            matrix = layer.motion(seconds)
            extent = layer.extent(matrix, self.width, self.height)
            if extent is None:
                continue
            small = _TO_CHROMA @ matrix @ _TO_LUMA
            for channel, (texture, plane) in enumerate(zip(layer.planes, planes, strict=True)):
                left, top, right, bottom = extent if channel == 0 else (-(-side // 2) for side in extent)
                place = (left, top, right - left, bottom - top)
                if channel < 2:
                    keep = cv2.bitwise_not(sample(layer.alpha[channel], matrix if channel == 0 else small, *place))
                below = plane[top:bottom, left:right]
                mine = sample(texture, matrix if channel == 0 else small, *place)
                below[:] = cv2.add(cv2.multiply(below, keep, scale=1 / 255), mine)

    def shares(self, seconds: float) -> list[np.ndarray]:
        """How much of each pixel is each layer's, float32 [H, W] in [0, 1]; they add up to about 1."""
        shares: list[np.ndarray] = []
        for layer in self.layers:
            alpha = np.zeros((self.height, self.width), np.float32)
            extent = layer.extent(layer.motion(seconds), self.width, self.height)
            if extent is not None:
                left, top, right, bottom = extent
                codes = sample(layer.alpha[0], layer.motion(seconds), left, top, right - left, bottom - top)
                alpha[top:bottom, left:right] = codes / np.float32(255)
            for share in shares:
                share *= 1 - alpha
            shares.append(alpha)
        return shares

    def flow(self, now: float, then: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The way back from the instant `now` to `then`, both in seconds, of whatever is in front at each pixel.

        Returns (backward float32 [H, W, 2] in pixels, x before y; visible bool [H, W]; uncovered bool [H, W]). Visible are
        the pixels that show one layer only and did so `then`, inside the frame; uncovered are those that something hid.
        """
        y, x = np.mgrid[: self.height, : self.width].astype(np.float32)
        here, before = self.shares(now), self.shares(then)
        front = np.argmax(here, 0)
        backward = np.zeros((self.height, self.width, 2), np.float32)
        was = np.zeros((self.height, self.width), np.float32)  # the share of the same layer where it came from
        for index, layer in enumerate(self.layers):
            a, b, c = (np.linalg.inv(layer.motion(then)) @ layer.motion(now) - np.eye(3))[:2].T.astype(np.float32)
            mine = front == index
            backward[mine] = x[mine][:, None] * a + y[mine][:, None] * b + c
            to_x, to_y = x + backward[..., 0], y + backward[..., 1]
            was[mine] = cv2.remap(before[index], to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[mine]
        to_x, to_y = x + backward[..., 0], y + backward[..., 1]
        inside = (to_x >= 0) & (to_y >= 0) & (to_x <= self.width - 1) & (to_y <= self.height - 1)
        visible = inside & (np.max(here, 0) >= PURE) & (was >= PURE)
        return backward, visible, inside & (was < 0.5)
