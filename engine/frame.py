"""The nouns: a frame, what its numbers mean, and what is known of a stream of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import numpy as np

from engine.errors import UsageError

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


UNSPECIFIED = 2  # code point of ITU-T H.273 for matrix, primaries and transfer
BT709, BT601 = 1, 6
LIMITED, FULL = 1, 2  # FFmpeg's AVColorRange; 0 is unspecified
ON_DEVICE = "cuda"  # FFmpeg's name of the format of pictures in the memory of an NVIDIA GPU

_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)} | {
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Colour:
    """What the samples mean, in the code points of ITU-T H.273 (and FFmpeg's AVColorRange).

    Unspecified stays unspecified, so that it is passed on as it came.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def full_range(self) -> bool:
        """True if luma spans 0..255, false if 16..235 (the convention where nothing is said)."""
        return self.range == FULL

    def luma_weights(self, height: int) -> tuple[float, float]:
        """(Kr, Kb) of the matrix (H.273, table 4); where unspecified, BT.709 above 576 lines, else BT.601."""
        return _LUMA_WEIGHTS.get(self.matrix, _LUMA_WEIGHTS[BT709 if height > 576 else BT601])


@dataclass(slots=True)
class Frame:
    """One picture in 8-bit planar 4:2:0, the layout decoders deliver and encoders want, on the CPU; or in NV12 on a GPU.

    `picture` owns the samples (format yuv420p or yuvj420p) and carries the colour tags; `planes` are views of them. Those
    of a source are only to be read: the decoder may still predict later pictures from them. A frame `on_device` (format
    cuda) has luma and chroma as its planes, which only a device can take (`kernels.device.Device.adopt`); `again` gives its
    picture by its index, decoded on the CPU, should the device lose it.
    `captured` is when the frame arrived, in seconds of `time.perf_counter`, for latency. `before` is the picture that this
    one was made from, only to be read, and on a GPU where that was.
    """

    picture: av.VideoFrame
    pts: int
    time_base: Fraction
    index: int
    captured: float
    duration: int = 0
    alpha: np.ndarray | None = None  # uint8 [H, W], 255 opaque; None where everything is
    before: av.VideoFrame | None = None
    again: Callable[[int], av.VideoFrame] | None = None
    planes: Planes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.planes = self.picture.planes if self.on_device else plane_views(self.picture)  # type: ignore[assignment]

    @property
    def width(self) -> int:
        return self.picture.width

    @property
    def height(self) -> int:
        return self.picture.height

    @property
    def on_device(self) -> bool:
        return self.picture.format.name == ON_DEVICE

    def on_host(self) -> "Frame":
        """The same on the CPU: itself, or downloaded, or where that fails decoded again. Raises what that raises."""
        if not self.on_device:
            return self
        try:
            picture = on_host(self.picture)
        except av.FFmpegError:  # with its context, a device that broke has lost what it held
            if self.again is None:
                raise
            picture = self.again(self.index)
        return replace(self, picture=self.like(picture).picture)

    def like(self, picture: av.VideoFrame) -> "Frame":
        """The same instant, with other samples. Sets the colour tags and the timestamp of `picture` to this frame's."""
        source = self.picture
        picture.pts, picture.time_base = self.pts, self.time_base
        picture.colorspace, picture.color_range = source.colorspace, source.color_range
        picture.color_primaries, picture.color_trc = source.color_primaries, source.color_trc
        return Frame(picture, self.pts, self.time_base, self.index, self.captured, self.duration, self.alpha, source)


def on_host(picture: av.VideoFrame) -> av.VideoFrame:
    """A picture as yuv420p on the CPU, copied if it is on a device; value for value. Raises av.FFmpegError."""
    if picture.format.name != ON_DEVICE:
        return picture
    # swscale changes no sample between two equal ranges, and NV12 has the same ones
    return picture.reformat(format="yuv420p", src_color_range=LIMITED, dst_color_range=LIMITED)


def plane_views(picture: av.VideoFrame) -> Planes:
    """Luma uint8 [H, W] and chroma uint8 [ceil(H/2), ceil(W/2)] twice, without a copy; rows may be padded in memory."""
    luma, cb, cr = (plane_view(plane) for plane in picture.planes)
    return luma, cb, cr


def plane_view(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """A plane of one 8-bit component as uint8 [H, W], without a copy, from the top though it be stored from the bottom."""
    samples = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    rows = samples.reshape(plane.height, abs(plane.line_size))
    return rows[:: -1 if plane.line_size < 0 else 1, : plane.width]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows of its stream before the first frame. Every frame it yields has this size and time base."""

    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None = None  # frames per second, 30000/1001 kept exact; None where unknown
    colour: Colour = Colour()
    live: bool = False  # frames come when they come; those missed are lost
    on_device: bool = False  # frames are on the GPU that paints, but for some of another form
    frames: int | None = None  # how many, where known
    sample_aspect_ratio: Fraction = Fraction(1)
    has_alpha: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: list = field(default_factory=list)  # as av's Container.chapters() gives them
    companions: tuple[av.stream.Stream, ...] = ()  # audio, subtitle, data and attachment streams to pass on as they are


def parse_size(text: str) -> tuple[int, int]:
    """'1280x720' as (1280, 720). Raises UsageError."""
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"'{text}' is not a size; write it as 1280x720")
    return int(width), int(height)
