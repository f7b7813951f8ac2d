"""Any decoded picture as 8-bit planar 4:2:0 of one size, upright, its colours tagged and its alpha apart."""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation, VideoReformatter

from engine.frame import BT709, FULL, LIMITED, ON_DEVICE, UNSPECIFIED, Colour, on_host, plane_view, plane_views

PLANAR_420 = ("yuv420p", "yuvj420p")


def _unnamed(kinds: type[SideDataType], value: object) -> SideDataType:
    """PyAV fails on any side data of a picture if it has no name for one of them, such as the EXIF of every photo."""
    kind: SideDataType = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNNAMED_{value}", value  # type: ignore[assignment]
    return kind


SideDataType._missing_ = classmethod(_unnamed)  # type: ignore[assignment,method-assign]


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is to be turned to stand upright: first transposed, then mirrored left-right and upside-down."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The upright (width, height) of a stored one, and the other way round."""
        return (height, width) if self.transposed else (width, height)

    def apply(self, plane: np.ndarray, upright: np.ndarray) -> None:
        """Turn `plane` uint8 [H, W] into `upright`, which has the turned shape."""
        if self.transposed and (self.mirrored or self.flipped):
            plane = cv2.transpose(plane)
        if self.mirrored or self.flipped:
            cv2.flip(plane, -1 if self.mirrored and self.flipped else int(self.mirrored), dst=upright)
        elif self.transposed:
            cv2.transpose(plane, dst=upright)
        else:
            np.copyto(upright, plane)


UPRIGHT = Orientation()


def orientation_of(picture: av.VideoFrame) -> Orientation:
    """From the display matrix (FFmpeg's libavutil/display.h): x' = a x + c y, y' = b x + d y, y downwards.

    Angles between the right ones are taken for the nearest. Of R'G'B' and grey pictures, which may be PNG, only the rotation
    is read: PyAV 18.1 frees the name of a PNG's colour profile twice once its side data has been looked at.
    """
    if _is_rgb(picture.format) or _is_grey(picture.format):
        quarters = round(picture.rotation / 90) % 4  # counterclockwise
        return Orientation(quarters % 2 == 1, mirrored=quarters in (2, 3), flipped=quarters in (1, 2))
    matrix = picture.side_data.get("DISPLAYMATRIX") if len(picture.side_data) else None
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # type: ignore[call-overload]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, mirrored=c < 0, flipped=b < 0)
    return Orientation(False, mirrored=a < 0, flipped=d < 0)


def has_alpha_plane(format: av.VideoFormat) -> bool:
    """Whether pictures of this format say how opaque each pixel is; a palette may."""
    return format.has_palette or any(component.is_alpha for component in format.components)


def colour_of(picture: av.VideoFrame, stream: Colour = Colour()) -> Colour:
    """What the samples of `picture` mean once they are 4:2:0: its own tags first, then those of its `stream`.

    R'G'B' becomes BT.709 limited. Grey with no tag is full range, as FFmpeg has it.
    """
    primaries = stream.primaries if picture.color_primaries == UNSPECIFIED else picture.color_primaries
    transfer = stream.transfer if picture.color_trc == UNSPECIFIED else picture.color_trc
    if _is_rgb(picture.format):
        return Colour(BT709, LIMITED, primaries, transfer)
    matrix = stream.matrix if picture.colorspace == UNSPECIFIED else picture.colorspace
    span = picture.color_range or stream.range
    if picture.format.name.startswith("yuvj") or (_is_grey(picture.format) and not span):
        span = FULL
    return Colour(matrix or UNSPECIFIED, span, primaries, transfer)  # matrix 0, R'G'B', cannot be that of Y'CbCr


def stays(picture: av.VideoFrame, size: tuple[int, int]) -> bool:
    """Whether it is on a device and, for pictures of this size, as it should be there. Of what a stream cuts off its
    pictures, FFmpeg leaves the left and the top where a device has decoded them."""
    stored = picture.sw_format.name if picture.format.name == ON_DEVICE and picture.sw_format else ""
    return stored in ("nv12", "p010le") and (picture.width, picture.height) == size


class Converter:
    """Brings the decoded pictures of one stream to `size`. Pictures that already are 4:2:0 of that size are not copied,
    those on a device as little, if they are to stand as they are; others are brought to the CPU."""

    def __init__(
        self, first: av.VideoFrame, size: tuple[int, int] | None, stream: Colour = Colour(), photographs: bool = False
    ) -> None:
        """`first` is the stream's first picture, upright size of which is kept where no `size` is asked for. Its way up is
        that of all, unless they are `photographs`, which state their own: to look makes each picture part of a reference
        cycle, and thousands of them wait for the garbage collector."""
        self.orientation = orientation_of(first)
        self.photographs = photographs
        self.size = size or self.orientation.size(first.width, first.height)
        self.stream = stream
        self.has_alpha = has_alpha_plane(first.format)
        self._reformatter = VideoReformatter()
        if first.format.name in ("pal8", "bgra"):  # palettes, GIF and the like have alpha as a form; ask the pixels
            alpha = self.convert(first)[1]
            self.has_alpha = alpha is not None and bool((alpha < 255).any())

    def convert(self, picture: av.VideoFrame) -> tuple[av.VideoFrame, np.ndarray | None]:
        """The tagged 4:2:0 picture, and its alpha uint8 [H, W] where the stream has alpha. Raises av.FFmpegError.

        Colours are not premultiplied by the alpha nor divided by it. In odd sizes that are mirrored, the chroma moves by one
        luma sample, since its grid is anchored at the other side.
        """
        colour = colour_of(picture, self.stream)
        orientation = orientation_of(picture) if self.photographs else self.orientation
        width, height = orientation.size(*self.size)
        alpha = None
        if picture.format.name == ON_DEVICE:
            if stays(picture, (width, height)) and orientation == UPRIGHT:
                return _tagged(picture, colour), None
            picture = on_host(picture)
        if self.has_alpha and has_alpha_plane(picture.format):
            picture, alpha = _split(self._reformat(picture, width, height, "yuva420p", colour))
        elif picture.format.name not in PLANAR_420 or (picture.width, picture.height) != (width, height):
            picture = self._reformat(picture, width, height, "yuv420p", colour)
        if orientation != UPRIGHT or any(plane.line_size < 0 for plane in picture.planes):
            picture, alpha = _turn(picture, orientation), None if alpha is None else _turn_alpha(alpha, orientation)
        return _tagged(picture, colour), alpha

    def _reformat(self, picture: av.VideoFrame, width: int, height: int, target: str, colour: Colour) -> av.VideoFrame:
        """By swscale. Only R'G'B' changes matrix and range; the rest keeps its values, so both sides are told the same."""
        rgb, grey = _is_rgb(picture.format), _is_grey(picture.format)
        picture.colorspace = UNSPECIFIED  # swscale refuses matrices it does not know, though it has nothing to do with them
        span = FULL if grey else colour.range or LIMITED  # swscale takes all grey for full range: so both sides are
        return self._reformatter.reformat(
            picture,
            width,
            height,
            target,
            interpolation=Interpolation.BICUBIC,
            src_color_range=FULL if rgb else span,
            dst_color_range=LIMITED if rgb else span,
            dst_colorspace=BT709 if rgb else None,
        )


def _tagged(picture: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    picture.colorspace, picture.color_range = colour.matrix, colour.range
    picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer
    return picture


def _is_rgb(format: av.VideoFormat) -> bool:
    return format.is_rgb or format.has_palette or format.is_bayer or format.name.startswith("xyz")


def _is_grey(format: av.VideoFormat) -> bool:
    return format.name.startswith(("gray", "ya", "mono"))


def _split(picture: av.VideoFrame) -> tuple[av.VideoFrame, np.ndarray]:
    """yuva420p as yuv420p and the alpha, uint8 [H, W], apart."""
    opaque = av.VideoFrame(picture.width, picture.height, "yuv420p")
    *colours, alpha = (plane_view(plane) for plane in picture.planes)
    for target, source in zip(plane_views(opaque), colours, strict=True):
        np.copyto(target, source)
    return opaque, alpha.copy()


def _turn(picture: av.VideoFrame, orientation: Orientation) -> av.VideoFrame:
    """A 4:2:0 picture copied into a fresh one, upright and stored from the top."""
    upright = av.VideoFrame(*orientation.size(picture.width, picture.height), "yuv420p")
    for source, target in zip(plane_views(picture), plane_views(upright), strict=True):
        orientation.apply(source, target)
    return upright


def _turn_alpha(alpha: np.ndarray, orientation: Orientation) -> np.ndarray:
    upright = np.empty(orientation.size(*alpha.shape), np.uint8)
    orientation.apply(alpha, upright)
    return upright
