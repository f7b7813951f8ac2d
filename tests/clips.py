"""Tiny clips made by code, so that a test states exactly what is in the file it reads.

Unless a test passes its own pictures, frame i is a flat grey of luma `RAMP[i]`, exact after the lossless codecs (`ffv1`, the
default in .mkv; `png` and `qtrle` for colours with alpha) and within a step or two after the lossy ones.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import SourceError
from engine.frame import Colour, Frame
from engine.sources import open_source
from engine.sources.file import FileSource

RAMP = tuple(range(40, 220, 4))
_CODECS = {
    ".mkv": "ffv1",
    ".mov": "qtrle",
    ".webm": "libvpx-vp9",
    ".avi": "mjpeg",
    ".ts": "libx264",
    ".y4m": "wrapped_avframe",
}
_SOUND = {".mp4": "aac", ".mkv": "pcm_s16le", ".mov": "pcm_s16le", ".webm": "libopus", ".avi": "pcm_s16le", ".ts": "aac"}
SOUND_RATE = 48_000


def flat(width: int, height: int, levels: Sequence[int], pix_fmt: str = "yuv420p") -> av.VideoFrame:
    """A picture of one colour: for planar formats one level a plane, for packed 8-bit ones one a component.

    Formats of more than 8 bits a sample take levels of that depth.
    """
    picture = av.VideoFrame(width, height, pix_fmt)
    deep = picture.format.components[0].bits > 8
    packed = len(picture.planes) == 1
    for plane, level in zip(picture.planes, [levels] if packed else [[level] for level in levels], strict=True):
        samples = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
        tiled = np.tile(np.asarray(level, samples.dtype), samples.shape[1] // len(level) + 1)
        samples[:] = tiled[: samples.shape[1]]
    return picture


def ramp(count: int = 10, size: tuple[int, int] = (64, 48)) -> list[av.VideoFrame]:
    """Frames of grey, each brighter than the one before."""
    return [flat(*size, (RAMP[index], 128, 128)) for index in range(count)]


def corners(width: int = 64, height: int = 48, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    """Flat quarters of luma 40, 90, 140, 190 (top left, top right, bottom left, bottom right), to tell which way is up."""
    picture = flat(width, height, (40, 128, 128), pix_fmt)
    plane = picture.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    luma[: height // 2, width // 2 : width] = 90
    luma[height // 2 :, : width // 2] = 140
    luma[height // 2 :, width // 2 : width] = 190
    return picture


def write_clip(
    path: Path,
    pictures: Iterable[av.VideoFrame] | None = None,
    *,
    rate: Fraction | int = 25,
    codec: str | None = None,
    pix_fmt: str | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    colour: Colour | None = None,
    sample_aspect_ratio: Fraction | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    sound: bool = False,
    subtitles: bool = False,
    attachment: bytes | None = None,
    cover: bool = False,
    metadata: dict[str, str] | None = None,
    chapters: list | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write `pictures` (default: `ramp()`) to `path`, whose suffix chooses container and codec; returns `path`.

    `pts` in units of `time_base` makes the frame rate vary. `rotation` is counter-clockwise, degrees, a matter of metadata
    only, as cameras write it. Sound is a tone as long as the video at `rate`; subtitles one line in the first second.
    """
    frames = list(ramp() if pictures is None else pictures)
    codec = codec or _CODECS.get(path.suffix, "libx264")
    with av.open(path, "w", container_options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        extra: dict = {"time_base": time_base} if time_base else {}
        video = container.add_stream(codec, rate, options=options or {}, **extra)
        video.width, video.height = frames[0].width, frames[0].height
        video.pix_fmt = pix_fmt or frames[0].format.name
        if sample_aspect_ratio:
            video.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation or mirrored:
            video.set_display_rotation(rotation, hflip=mirrored)
        if colour:
            _tag(video.codec_context, colour)
        audio = container.add_stream(_SOUND[path.suffix], SOUND_RATE, layout="mono") if sound else None
        lines = _subtitle_lines(path.with_suffix(".srt")) if subtitles else None
        text = container.add_stream_from_template(lines.streams.subtitles[0]) if lines else None
        if attachment is not None:
            container.add_attachment("font.ttf", "application/x-truetype-font", attachment)
        still = container.add_stream("png", rate, width=32, height=32, pix_fmt="rgb24") if cover else None
        if still:
            still.disposition = av.stream.Disposition.attached_pic
        if chapters:
            container.set_chapters(chapters)
        if still:
            container.mux(still.encode(flat(32, 32, (255, 0, 0), "rgb24")))
        if lines and text:
            for packet in lines.demux():
                if packet.dts is not None:
                    packet.stream = text
                    container.mux(packet)
        for index, frame in enumerate(frames):
            frame.pts = pts[index] if pts else index
            frame.time_base = time_base or 1 / Fraction(rate)
            if colour:
                _tag(frame, colour)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            seconds = len(frames) / Fraction(rate)
            for block in _tone(audio, int(seconds * SOUND_RATE)):
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
        if lines:
            lines.close()
    return path


def damage(path: Path, damaged: Path, packets: Iterable[int]) -> Path:
    """A copy of a clip in which the video packets of these numbers hold noise."""
    wrong = set(packets)
    noise = np.random.default_rng(1)
    with av.open(path) as source, av.open(damaged, "w") as target:
        video = source.streams.video[0]
        out = target.add_stream_from_template(video, opaque=True)
        number = 0
        for packet in source.demux(video):
            if packet.dts is None:
                continue
            copy = av.Packet(noise.bytes(packet.size)) if number in wrong else packet
            copy.pts, copy.dts, copy.time_base, copy.duration = packet.pts, packet.dts, packet.time_base, packet.duration
            copy.is_keyframe = packet.is_keyframe
            copy.stream = out
            target.mux(copy)
            number += 1
    return damaged


def cut_off(path: Path, target: Path, share: float) -> Path:
    """The first `share` (0..1) of a file's bytes."""
    whole = path.read_bytes()
    target.write_bytes(whole[: int(len(whole) * share)])
    return target


def joined(target: Path, *parts: Path) -> Path:
    """The bytes of the parts one after another: with .ts the clock starts again, and the picture size may change."""
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def sound_only(path: Path, seconds: float = 0.5, cover: bool = False) -> Path:
    """A tone and no video; with a `cover` picture (.mp4) as songs have it."""
    with av.open(path, "w") as container:
        audio = container.add_stream(_SOUND[path.suffix], SOUND_RATE, layout="mono")
        if cover:
            still = container.add_stream("png", 25, width=32, height=32, pix_fmt="rgb24")
            still.disposition = av.stream.Disposition.attached_pic
            container.mux(still.encode(flat(32, 32, (255, 0, 0), "rgb24")))
        for block in _tone(audio, int(seconds * SOUND_RATE)):
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def _tag(thing: "av.VideoFrame | av.video.codeccontext.VideoCodecContext", colour: Colour) -> None:
    thing.colorspace, thing.color_range = colour.matrix, colour.range
    thing.color_primaries, thing.color_trc = colour.primaries, colour.transfer


def _tone(stream: av.audio.stream.AudioStream, samples: int) -> Iterable[av.AudioFrame]:
    wave = (8000 * np.sin(2 * np.pi * 440 / SOUND_RATE * np.arange(samples))).astype(np.int16)
    resampler = av.AudioResampler(stream.format, "mono", SOUND_RATE)
    for start in range(0, samples, 1024):
        block = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "s16", "mono")
        block.sample_rate, block.pts, block.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        yield from resampler.resample(block)


def _subtitle_lines(path: Path) -> av.container.InputContainer:
    path.write_text("1\n00:00:00,100 --> 00:00:00,300\nwet on wet\n\n", encoding="utf-8")
    return av.open(path)


def restamped(path: Path, target: Path, times: Sequence[int]) -> Path:
    """A copy (.mkv) whose video packets carry these timestamps, at least 0, in ms, in whatever order."""
    with av.open(path) as source, av.open(target, "w") as container:
        video = source.streams.video[0]
        out = container.add_stream_from_template(video, opaque=True)
        for packet, time in zip(source.demux(video), times, strict=False):
            packet.stream, packet.time_base = out, Fraction(1, 1000)
            packet.pts, packet.dts = time, 0  # Matroska stores the first only, and its writer checks the second only
            container.mux(packet)
    return target


def read_all(source: Iterable[Frame | av.Packet]) -> tuple[list[Frame], list[av.Packet]]:
    """The frames and the packets of all that a source yields."""
    items = list(source)
    return [item for item in items if isinstance(item, Frame)], [item for item in items if isinstance(item, av.Packet)]


def levels(frame: Frame) -> tuple[int, ...]:
    """The values of a flat frame's three planes; each must hold one only."""
    assert all((plane == plane[0, 0]).all() for plane in frame.planes)
    return tuple(int(plane[0, 0]) for plane in frame.planes)


def frames_of(path: Path, size: tuple[int, int] | None = None) -> list[Frame]:
    return read_all(FileSource(str(path), size))[0]


def lumas(frames: list[Frame]) -> list[int]:
    return [levels(frame)[0] for frame in frames]


def failure(uri: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    message = str(caught.value)
    assert "\n" not in message
    return message
