"""Which encoder, how it is set, and frames into packets: what the sinks that encode share."""

import os
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel

from engine.errors import SinkError, UsageError
from engine.frame import BT601, FULL, LIMITED, UNSPECIFIED, Colour, Frame, StreamInfo
from engine.sinks import Encoding
from engine.sinks.conversion import Conversion, Even

NOMINAL_RATE = Fraction(30)  # for what must be stated where the rate is unknown: keyframes, rate control, AVI
KEYFRAMES = 2  # seconds from one to the next
QP2LAMBDA = 118  # FFmpeg's factor from a quantiser to `global_quality`

ENCODERS = {
    "h264": "libx264",
    "avc": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
_CHOICE = "h264, hevc, av1, vp9, prores or ffv1"

# Pixel formats by preference: the chain's own, then those that lose nothing, then the rest
_YUV = ("yuv420p", "nv12", "yuv422p10le", "yuv420p10le", "p010le", "yuv422p", "yuv444p", "yuvj420p")
_OPAQUE = (*_YUV, "rgb24", "bgr24", "rgb0", "bgr0", "rgba", "bgra", "pal8")
_ALPHA = ("yuva420p", "yuva444p10le", "yuva444p", "rgba", "argb", "bgra", "yuva422p")

_EVEN = {"h264", "hevc", "prores", "ffv1"}  # codecs that refuse odd sizes, or some encoder of theirs does

# Codecs whose stream says whether luma spans 0..255; a full-range picture is brought to the limited range for the others
_STATE_RANGE = {"h264", "hevc", "av1", "vp9", "ffv1"}


@dataclass(frozen=True, slots=True)
class Tuning:
    """How one encoder is made fast enough for a real-time chain, and what its knobs are called."""

    options: dict[str, str] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)  # on top, where nothing may wait
    # the option `Encoding.quality` goes to, "quantiser" for the scale of MPEG's codecs; None: the codec is lossless
    quality: str | None = "quantiser"
    default: int | None = None
    best: int = 1
    worst: int = 31
    preset: str | None = "preset"  # the option `Encoding.preset` goes to


# Measured on painted 720p, one core of two: x264 veryfast without B-frames 10 ms of CPU and 22 kB a frame, superfast 6.5 ms
# and 29 kB; superfast with B-frames 8.5 ms and 23 kB. SVT-AV1 preset 10: 10 ms and 10 kB. VP9 realtime 8: 13 ms, 16 kB.
# x265 ultrafast: 25 ms, 9 kB.
_TUNINGS = {
    "libx264": Tuning({"preset": "veryfast"}, {"tune": "zerolatency", "forced-idr": "1"}, "crf", 20, 0, 51),
    "libx265": Tuning({"preset": "ultrafast", "x265-params": "log-level=none"}, {"tune": "zerolatency"}, "crf", 22, 0, 51),
    "libsvtav1": Tuning({"preset": "10"}, {}, "crf", 30, 0, 63),
    "libvpx-vp9": Tuning(
        {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "tile-columns": "2"},
        {"lag-in-frames": "0"},
        "crf",
        30,
        0,
        63,
        "cpu-used",
    ),
    "libvpx": Tuning({"deadline": "realtime", "cpu-used": "8"}, {"lag-in-frames": "0"}, "crf", 10, 4, 63, "cpu-used"),
    "prores_ks": Tuning({}, {}, "qscale", None, 1, 64, "profile"),
    "ffv1": Tuning({"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}, quality=None, preset=None),
    "mjpeg": Tuning(default=3, preset=None),
    "mpeg4": Tuning(default=4, preset=None),
    "_nvenc": Tuning({"preset": "p4", "rc": "vbr"}, {"tune": "ull", "delay": "0"}, "cq", 23, 0, 51),
    "_qsv": Tuning({"preset": "veryfast"}, {"async_depth": "1"}, "global_quality", 23, 1, 51),
    "_amf": Tuning({"rc": "cqp"}, {"usage": "ultralowlatency"}, "qp_i", 23, 0, 51, "quality"),
    "_vaapi": Tuning({"rc_mode": "CQP"}, {"async_depth": "1"}, "qp", 23, 0, 52, None),
    "_videotoolbox": Tuning({}, {"realtime": "1"}, "qscale", None, 1, 100, None),
}


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_encoder(name: str) -> av.Codec:
    """The video encoder that people or FFmpeg call `name`. Raises SinkError where this build has none."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 would print its settings to the terminal; errors it still may
    try:
        codec = av.Codec(ENCODERS.get(name.lower(), name), "w")
    except UnknownCodecError:
        raise SinkError(f"this build of FFmpeg has no encoder '{name}'; choose {_CHOICE}") from None
    if codec.type != "video":
        raise SinkError(f"'{name}' encodes {codec.type}, not video; choose {_CHOICE}")
    return codec


class Encoder:
    """Adds a video stream to `container`, opens its encoder, and turns frames into packets.

    Timestamps stay in `info.time_base`. Nothing is reordered (no B-frames), so dts equals pts, packets leave in order of
    time, and the length of every frame, the last one's too, is exact in any container. `live` keeps no frame back; `extra`
    are more options of the encoder. `on_device` says that NVENC shares the memory of the GPU that paints, so that frames may
    be there, and `refused` why it does not, where `encoding` has it so. Raises SinkError where the codec does not fit the
    container or does not open here, UsageError for a quality or preset it does not have.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        codec: av.Codec,
        info: StreamInfo,
        encoding: Encoding,
        live: bool = False,
        extra: dict[str, str] | None = None,
    ) -> None:
        rate = info.rate or NOMINAL_RATE
        self._even = Even() if codec.canonical_name in _EVEN else None
        if self._even:
            info = replace(info, width=info.width + info.width % 2, height=info.height + info.height % 2)
        self.refused = _refused(codec, info) if encoding.on_device and codec.name.endswith("_nvenc") else ""
        self.on_device = encoding.on_device and codec.name.endswith("_nvenc") and not self.refused
        try:
            stream = container.add_stream(codec.name, rate=rate, hwaccel=_device(codec.name, self.on_device))
        except ValueError:
            raise SinkError(
                f"{container.format.name.split(',')[0]} does not hold {codec.canonical_name}; choose another codec, or .mkv"
            ) from None
        except (av.FFmpegError, NotImplementedError) as error:
            raise SinkError(_closed(codec, error)) from None
        assert isinstance(stream, av.VideoStream)
        self.codec, self.stream = codec, stream
        self._nominal = max(1, round(1 / (rate * info.time_base)))
        self._durations: dict[int, int] = {}
        self._convert = _configure(stream, codec, info, "nv12" if self.on_device else None)
        context = stream.codec_context
        context.gop_size = max(1, round(KEYFRAMES * rate))
        context.options = _options(codec.name, encoding, live, context) | (extra or {})
        if live:
            _limit_bitrate(context, rate)
        if container.format.name in ("mp4", "mov") and codec.canonical_name == "hevc":
            context.codec_tag = "hvc1"  # the tag that Apple's players want
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(_closed(codec, error, encoding.preset)) from None

    def encode(self, frame: Frame) -> list[av.Packet]:
        """The packets that are ready now. Releases the GIL while it works."""
        picture = frame.picture if frame.on_device else self._convert(self._even(frame) if self._even else frame)
        picture.pts, picture.time_base = frame.pts, frame.time_base
        picture.pict_type = 0  # a decoder's note of how the frame was coded would otherwise be an order to the encoder
        self._durations[frame.pts] = frame.duration or self._nominal
        return self._timed(self.stream.encode(picture))

    def flush(self) -> list[av.Packet]:
        """The packets the encoder still holds; nothing may be encoded after."""
        return self._timed(self.stream.encode(None))

    def _timed(self, packets: list[av.Packet]) -> list[av.Packet]:
        for packet in packets:  # not every encoder hands durations through
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, self._nominal)
        return packets


def _configure(stream: av.VideoStream, codec: av.Codec, info: StreamInfo, only: str | None) -> Conversion:
    """For pictures of the first pixel format that does, or of the `only` one."""
    context = stream.codec_context
    formats = {only} if only else {video_format.name for video_format in codec.video_formats or ()}
    alpha = info.has_alpha and not formats.isdisjoint(_ALPHA)
    pixel_format = next((name for name in (_ALPHA if alpha else _OPAQUE) if name in formats), "yuv420p")
    colour = _storable(info.colour, codec, pixel_format)
    stream.time_base = context.time_base = info.time_base
    context.width, context.height, context.pix_fmt = info.width, info.height, pixel_format
    context.sample_aspect_ratio = info.sample_aspect_ratio
    context.colorspace, context.color_range = colour.matrix, colour.range
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.max_b_frames = 0
    context.thread_count = min(cores(), 8)
    return Conversion(info.colour, colour, info.height, pixel_format, alpha)


def _storable(colour: Colour, codec: av.Codec, pixel_format: str) -> Colour:
    """The nearest to `colour` that a stream of this codec can be read back as."""
    family = codec.canonical_name
    if family == "mjpeg":
        return replace(colour, matrix=BT601, range=FULL)  # what JFIF prescribes
    if not pixel_format.startswith(("yuv", "nv", "p0")):
        return replace(colour, matrix=UNSPECIFIED, range=FULL)
    if colour.full_range and family not in _STATE_RANGE:
        return replace(colour, range=LIMITED)
    return colour


def _options(name: str, encoding: Encoding, live: bool, context: av.VideoCodecContext) -> dict[str, str]:
    tuning = _TUNINGS.get(name) or _TUNINGS.get(f"_{name.rpartition('_')[2]}") or Tuning(preset=None)
    options = tuning.options | (tuning.live if live else {})
    if encoding.preset is not None:
        if tuning.preset is None:
            raise UsageError(f"{name} has no presets; leave the preset out")
        options[tuning.preset] = encoding.preset
    quality = tuning.default if encoding.quality is None else encoding.quality
    if tuning.quality is None or quality is None:
        return options
    if not tuning.best <= quality <= tuning.worst:
        raise UsageError(f"{name} takes a quality from {tuning.best} to {tuning.worst}, not {quality}")
    if tuning.quality == "qscale":
        context.qscale, context.global_quality = True, quality * QP2LAMBDA
    elif tuning.quality == "quantiser":
        options |= {"qmin": str(quality), "qmax": str(quality)}
    elif tuning.quality == "qp_i":
        options |= {"qp_i": str(quality), "qp_p": str(quality)}
    else:
        options[tuning.quality] = str(quality)
    return options


def _limit_bitrate(context: av.VideoCodecContext, rate: Fraction) -> None:
    """No second of a live stream holds more than 0.2 bit a pixel (5.5 Mbit/s at 1280x720, 30 a second)."""
    limit = str(int(context.width * context.height * rate / 5))
    context.options = context.options | {"maxrate": limit, "bufsize": limit}


def _device(name: str, nvenc: bool) -> HWAccel | None:
    """VAAPI takes its pictures from the device's memory, and so does NVENC where they are there; others upload by
    themselves. PyAV uploads those that are not there."""
    if nvenc:  # the context of this thread: see `engine.sources.hardware`
        return HWAccel("cuda", options={"primary_ctx": "0", "current_ctx": "1"})
    return HWAccel("vaapi") if name.endswith("_vaapi") else None


def _refused(codec: av.Codec, info: StreamInfo) -> str:
    """Why NVENC takes no frames that are on the GPU; empty where it does."""
    if info.has_alpha:
        return "they have alpha"
    try:
        av.CodecContext.create(codec, "w", hwaccel=_device(codec.name, nvenc=True))
    except (av.FFmpegError, NotImplementedError) as error:
        return f"the driver refuses ({getattr(error, 'strerror', None) or error})"
    return ""


def _closed(codec: av.Codec, error: Exception, preset: str | None = None) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    if codec.name in ENCODERS.values():
        with_preset = f" with preset '{preset}'" if preset else ""
        return f"{codec.name} does not open{with_preset} ({reason}); check preset, quality and size, or choose another codec"
    family = codec.canonical_name
    instead = family if family in ENCODERS else "h264"
    return f"{codec.name} does not open on this machine ({reason}); use codec {instead} instead"
