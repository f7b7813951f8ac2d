"""From the chain's 4:2:0 to what a sink wants: alpha flattened or joined, other pixel formats, packed planes, RGB."""

from fractions import Fraction
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from engine.frame import BT601, BT709, FULL, LIMITED, Colour, Frame, Planes, plane_view, plane_views

_ANY_TIME = Fraction(1, 1000)  # filters want one; the caller sets the true one afterwards
# H.273 code point -> SWS_CS, the number swscale knows a matrix by: 709, FCC, 601 twice, 240M, 2020 twice
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


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


class Even:
    """Frames of an odd width or height with the last column and row twice: many codecs count chroma in pairs of samples."""

    def __init__(self) -> None:
        self._picture: av.VideoFrame | None = None

    def __call__(self, frame: Frame) -> Frame:
        right, below = frame.width % 2, frame.height % 2
        if not (right or below):
            return frame
        if self._picture is None:
            self._picture = av.VideoFrame(frame.width + right, frame.height + below, frame.picture.format.name)
        self._picture.make_writable()
        alpha = None if frame.alpha is None else np.pad(frame.alpha, ((0, below), (0, right)), "edge")
        padded = frame.like(self._picture)
        padded.alpha = alpha
        luma, *chroma = padded.planes
        luma[:] = np.pad(frame.planes[0], ((0, below), (0, right)), "edge")
        for target, source in zip(chroma, frame.planes[1:], strict=True):
            np.copyto(target, source)  # of 4:2:0 there is a whole sample for the odd ones already
        return padded


class Conversion:
    """A frame as `pixel_format`, its samples meaning what `target` says; the picture itself, uncopied, where it is that.

    With `alpha`, opacity travels along (opaque where a frame has none); without, the frame is put before black.
    """

    def __init__(self, source: Colour, target: Colour, height: int, pixel_format: str, alpha: bool) -> None:
        self._flatten = Flatten(source)
        self._alpha = alpha
        self._joined: av.VideoFrame | None = None
        self._reformatter = VideoReformatter()
        self._target = target
        self._palette = _Palette() if pixel_format == "pal8" else None
        self._arguments: dict[str, Any] = {
            "format": "rgb24" if self._palette else pixel_format,
            "src_color_range": FULL if source.full_range else LIMITED,
            "dst_color_range": FULL if target.full_range else LIMITED,
            "interpolation": Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        }
        self._needed = source != target or pixel_format not in ("yuv420p", "yuva420p")
        if source.matrix != target.matrix:
            self._arguments["src_colorspace"] = swscale_matrix(source, height)
            self._arguments["dst_colorspace"] = _SWSCALE_MATRIX.get(target.matrix)

    def __call__(self, frame: Frame) -> av.VideoFrame:
        picture = self._join(frame) if self._alpha else self._flatten(frame)
        if self._needed:
            picture = self._reformatter.reformat(picture, **self._arguments)
            # some encoders write into the stream what the picture says, not what they were told when they opened
            picture.colorspace, picture.color_range = self._target.matrix, self._target.range
            picture.color_primaries, picture.color_trc = self._target.primaries, self._target.transfer
        return self._palette(picture) if self._palette else picture

    def _join(self, frame: Frame) -> av.VideoFrame:
        self._joined = joined = _writable(self._joined, frame.picture, "yuva420p")
        for plane, source in zip(joined.planes, (*frame.planes, frame.alpha), strict=True):
            np.copyto(plane_view(plane), 255 if source is None else source)
        return joined


class _Palette:
    """rgb24 as pal8: 256 colours chosen for each picture, the error spread over the neighbours."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        if self._graph is None:
            self._graph = self._build(picture)
        picture.pts, picture.time_base = 0, _ANY_TIME
        self._graph.push(picture)
        paletted = self._graph.pull()
        assert isinstance(paletted, av.VideoFrame)
        return paletted

    @staticmethod
    def _build(picture: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=_ANY_TIME)
        split, choose = graph.add("split"), graph.add("palettegen", "stats_mode=single")
        use, end = graph.add("paletteuse", "new=1"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(choose, 0, 0)
        split.link_to(use, 1, 0)
        choose.link_to(use, 0, 1)
        use.link_to(end)
        graph.configure()
        return graph


class Rgb:
    """Frames as interleaved 8-bit pictures, by the matrix and range they state."""

    def __init__(self, colour: Colour, height: int) -> None:
        self._flatten = Flatten(colour)
        self._reformatter = VideoReformatter()
        self._arguments: dict[str, Any] = {
            "format": "bgr24",
            "src_colorspace": swscale_matrix(colour, height),
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


def swscale_matrix(colour: Colour, height: int) -> int:
    """swscale's number for the matrix; as in `Colour.luma_weights`, the height decides where nothing is said."""
    return _SWSCALE_MATRIX.get(colour.matrix, BT709 if height > 576 else _SWSCALE_MATRIX[BT601])


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
