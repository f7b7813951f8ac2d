"""From the chain's 4:2:0 to what a sink wants: alpha flattened or joined, other pixel formats, packed planes, RGB."""

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from engine.frame import FULL, LIMITED, Colour, Frame, Planes, plane_views

# AVCOL_SPC by H.273 code point -> SWS_CS, which swscale's interface speaks; 709, FCC, 601 twice, 240M, 2020 twice
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5


class Flatten:
    """Puts a frame with alpha before black, and hands one without through as it is.

    The result for samples Y, C and opacity a in [0, 1] is Y·a + black·(1 - a) and C·a + 128·(1 - a); black is 0 in full
    range, else 16. Chroma uses the mean opacity of its luma samples.
    """

    def __init__(self, colour: Colour) -> None:
        opacity = np.arange(256)
        black = 0 if colour.full_range else 16
        # what black, and neutral chroma, add at each opacity
        self._black = np.rint(black * (255 - opacity) / 255).astype(np.uint8)
        self._neutral = np.rint(128 * (255 - opacity) / 255).astype(np.uint8)
        self._picture: av.VideoFrame | None = None
        self._scratch: dict[tuple[int, ...], np.ndarray] = {}

    def __call__(self, frame: Frame) -> av.VideoFrame:
        if frame.alpha is None:
            return frame.picture
        self._picture = _writable(self._picture, frame.picture, frame.picture.format.name)
        luma, *chroma = plane_views(self._picture)
        _over(frame.planes[0], frame.alpha, self._black, luma, self._buffer(luma.shape, 0))
        opacity = self._buffer(chroma[0].shape, 1)
        cv2.resize(frame.alpha, opacity.shape[::-1], dst=opacity, interpolation=cv2.INTER_AREA)
        for source, target in zip(frame.planes[1:], chroma, strict=True):
            _over(source, opacity, self._neutral, target, self._buffer(target.shape, 0))
        return self._picture

    def _buffer(self, shape: tuple[int, ...], which: int) -> np.ndarray:
        return self._scratch.setdefault((*shape, which), np.empty(shape, np.uint8))


class Conversion:
    """A frame as `pixel_format`, in the range `colour` states; the picture itself, uncopied, where it is that already.

    With `alpha`, opacity travels along (opaque where a frame has none); without, the frame is put before black.
    """

    def __init__(self, colour: Colour, full_range: bool, pixel_format: str, alpha: bool) -> None:
        self._flatten = Flatten(colour)
        self._alpha = alpha
        self._reformatter = VideoReformatter()
        self._format = pixel_format
        self._joined: av.VideoFrame | None = None
        ranges = {"src_color_range": FULL if colour.full_range else LIMITED, "dst_color_range": FULL if full_range else LIMITED}
        rgb = not pixel_format.startswith(("yuv", "nv", "p0", "p2", "gray"))
        self._arguments: dict = {"src_colorspace": _SWSCALE_MATRIX.get(colour.matrix)} if rgb else {}
        self._arguments |= ranges | {"interpolation": Interpolation.BICUBIC | Interpolation.ACCURATE_RND}
        same_range = colour.full_range == full_range
        self._needed = not (same_range and pixel_format in ("yuv420p", "yuvj420p", "yuva420p"))

    def __call__(self, frame: Frame) -> av.VideoFrame:
        picture = self._join(frame) if self._alpha else self._flatten(frame)
        if self._needed:
            picture = self._reformatter.reformat(picture, format=self._format, **self._arguments)
        return picture

    def _join(self, frame: Frame) -> av.VideoFrame:
        self._joined = joined = _writable(self._joined, frame.picture, "yuva420p")
        height, width = frame.height, frame.width
        for target, source in zip(joined.planes, (*frame.planes, frame.alpha), strict=True):
            rows, columns = (height, width) if source is None else source.shape
            view = np.frombuffer(target, np.uint8)[: rows * target.line_size].reshape(rows, target.line_size)
            np.copyto(view[:, :columns], 255 if source is None else source)
        return joined


class Rgb:
    """Frames as interleaved 8-bit pictures, by the matrix and range they state: `layout` is bgr24 or bgra."""

    def __init__(self, colour: Colour, height: int) -> None:
        self._flatten = Flatten(colour)
        self._reformatter = VideoReformatter()
        default = _BT709 if height > 576 else _BT601  # as Colour.luma_weights: where nothing is said, size decides
        self._arguments = {
            "format": "bgr24",
            "src_colorspace": _SWSCALE_MATRIX.get(colour.matrix, default),
            "src_color_range": FULL if colour.full_range else LIMITED,
            "dst_color_range": FULL,
            "interpolation": Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        }

    def __call__(self, frame: Frame, alpha: bool) -> np.ndarray:
        """uint8 [H, W, 3] in the order blue, green, red; with `alpha` [H, W, 4], straight, not premultiplied."""
        picture = frame.picture if alpha else self._flatten(frame)
        bgr = self._reformatter.reformat(picture, **self._arguments).to_ndarray()
        if not alpha:
            return bgr
        opacity = np.full(bgr.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
        return cv2.merge((*cv2.split(bgr), opacity))


class Packed:
    """One buffer that holds the three planes one after another without padding: what pipes and virtual cameras take."""

    def __init__(self, width: int, height: int, colour: Colour) -> None:
        columns, rows = (width + 1) // 2, (height + 1) // 2
        sizes = (height * width, rows * columns, rows * columns)
        self.buffer = np.empty(sum(sizes), np.uint8)
        luma, blue, red = np.split(self.buffer, np.cumsum(sizes)[:-1])
        self._planes: Planes = (luma.reshape(height, width), blue.reshape(rows, columns), red.reshape(rows, columns))
        self._flatten = Flatten(colour)

    def fill(self, frame: Frame) -> np.ndarray:
        """`buffer`, now with the samples of `frame`: uint8 [H·W + 2·ceil(H/2)·ceil(W/2)]. Overwritten by the next call."""
        planes = frame.planes if frame.alpha is None else plane_views(self._flatten(frame))
        for target, source in zip(self._planes, planes, strict=True):
            np.copyto(target, source)
        return self.buffer


def _over(source: np.ndarray, opacity: np.ndarray, ground: np.ndarray, target: np.ndarray, scratch: np.ndarray) -> None:
    cv2.multiply(source, opacity, dst=scratch, scale=1 / 255)
    cv2.add(scratch, cv2.LUT(opacity, ground), dst=target)


def _writable(picture: av.VideoFrame | None, like: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """`picture`, or a new one where an encoder still holds its samples, with the tags of `like`."""
    if picture is None or picture.format.name != pixel_format:
        picture = av.VideoFrame(like.width, like.height, pixel_format)
    picture.make_writable()
    picture.colorspace, picture.color_range = like.colorspace, like.color_range
    picture.color_primaries, picture.color_trc = like.color_primaries, like.color_trc
    return picture
