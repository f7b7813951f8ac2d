"""One open container: the decoded pictures of its video and, between them, the packets of everything else."""

import time
from collections import Counter
from fractions import Fraction
from typing import NamedTuple, cast

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from engine.errors import SourceError
from engine.frame import Colour
from engine.notes import Notes

_COMPANIONS = ("audio", "subtitle", "data", "attachment")
_HIGHEST_RATE = 500  # frames per second; a container that knows none may give the rate of its clock, 1000 or 90000
_ARRIVALS = 256  # packets that a decoder may hold back before we forget when they arrived
_AGAIN = 0.002  # seconds until a device that has no frame yet is asked again


class Decoded(NamedTuple):
    """A picture as the decoder gave it, and when its packet arrived, in seconds of `time.perf_counter`."""

    picture: av.VideoFrame
    arrived: float


class Decoder:
    """Reads a container packet by packet: decodes its best video stream and hands on the packets of its companions.

    The container must not be closed elsewhere. Packets that cannot be decoded are skipped and counted in `notes`. `given`
    is how many pictures and packets it has given of each stream, by its number; those that are stated at the beginning are
    left out.
    """

    def __init__(self, container: InputContainer, live: bool, notes: Notes, given: Counter[int] | None = None) -> None:
        """Raises SourceError if the container holds no video that can be decoded."""
        self.container = container
        self.notes = notes
        self.stream = _main_video(container)
        self.companions = tuple(stream for stream in container.streams if stream.type in _COMPANIONS)
        self._codec = _codec_of(self.stream)
        # Frame threads decode fastest but deliver one frame late for each of them: not for what happens now.
        self._codec.thread_type = "SLICE" if live else "AUTO"  # type: ignore[assignment]
        if self._codec.is_hwaccel:
            self._codec.thread_count = 1  # a GPU's decoder has few surfaces, and each thread would hold one
        self._skipped = Counter(given or {})
        self.given: Counter[int] = Counter()
        for stream in container.streams:
            if stream is not self.stream and stream not in self.companions:
                stream.discard = Discard.all
        self._packets = container.demux(self.stream, *self.companions)
        self._arrivals: dict[int | None, float] = {}
        self._count = 0  # video packets read
        self.last_error: av.FFmpegError | None = None

    @property
    def codec(self) -> av.Codec:
        return self._codec.codec

    @property
    def missing(self) -> int:
        """At the end: how many frames the container's index lists that did not come. Only MP4 and QuickTime list all."""
        listed = len(self.stream.index_entries) if self.container.format.name.startswith("mov") else 0
        return max(0, listed - self._count)

    @property
    def time_base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, av.time_base)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, exact; the mean where it varies, None where the container does not know."""
        for rate in (self.stream.average_rate, self.stream.guessed_rate, self.stream.base_rate):
            if rate and 0 < rate <= _HIGHEST_RATE:
                return rate
        return None

    @property
    def frames(self) -> int | None:
        """How many, from the container's count, else from its duration and rate; None where it does not know."""
        if self.stream.frames:
            return self.stream.frames
        seconds = (self.stream.duration or 0) * self.time_base or Fraction(self.container.duration or 0, av.time_base)
        return round(seconds * self.rate) or None if self.rate else None

    @property
    def sample_aspect_ratio(self) -> Fraction:
        return self.stream.sample_aspect_ratio or Fraction(1)

    @property
    def colour(self) -> Colour:
        """The tags of the stream, for pictures that have none."""
        context = self.stream.codec_context
        return Colour(context.colorspace, context.color_range, context.color_primaries, context.color_trc)

    def read(self) -> list[Decoded | av.Packet] | None:
        """What the next packet brings, in order; None at the end. Raises av.FFmpegError where reading breaks off."""
        items = self._read()
        return None if items is None else [item for item in items if self._is_new(item)]

    def _is_new(self, item: Decoded | av.Packet) -> bool:
        stream = self.stream.index if isinstance(item, Decoded) else item.stream.index
        self.given[stream] += 1
        return self.given[stream] > self._skipped[stream]

    def _read(self) -> list[Decoded | av.Packet] | None:
        try:
            packet = next(self._packets, None)
        except BlockingIOError:  # devices of macOS say so when the next frame is not there yet
            time.sleep(_AGAIN)
            self._packets = self.container.demux(self.stream, *self.companions)
            return []
        if packet is None:
            return None
        if packet.stream is not self.stream:  # not by index: the packets that flush a decoder at the end have none
            return [packet] if packet.dts is not None else []
        arrived = time.perf_counter()
        self._count += packet.dts is not None
        if len(self._arrivals) > _ARRIVALS:
            self._arrivals.clear()
        self._arrivals[packet.pts] = arrived
        try:
            pictures = self._codec.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError as error:
            if self._codec.is_hwaccel and isinstance(error, av.error.ExternalError):
                raise  # it is the GPU that is broken, not the packet
            self.last_error = error
            self.notes.tally("1 corrupt packet skipped", "{count} corrupt packets skipped")
            return []
        return [Decoded(picture, self._arrivals.pop(picture.pts, arrived)) for picture in pictures]

    def close(self, in_use: bool) -> None:
        """Let go of the container; not while another thread is in `read`.

        `in_use`: others still hold streams of companions, which point into it. Then it is freed only after them.
        """
        del self._packets
        if not in_use:
            self.container.close()


def _main_video(container: InputContainer) -> VideoStream:
    """FFmpeg's choice, but never a cover picture."""
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        others = sorted({stream.type for stream in container.streams if stream.type != "video"})
        holds = f", only {' and '.join(others)}" if others else ""
        raise SourceError(f"there is no video in it{holds}; choose a file or stream with a picture")
    best = container.streams.best("video")
    chosen = best if best in moving else max(moving, key=lambda stream: stream.width * stream.height)
    if chosen.codec_context is None:
        raise SourceError("its video codec is unknown to this FFmpeg; convert it, to H.264 for instance")
    return chosen


def _codec_of(stream: VideoStream) -> VideoCodecContext:
    """FFmpeg's own VP8 and VP9 decoders pass over the alpha of WebM; those of libvpx do not."""
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if library and stream.metadata.get("alpha_mode") == "1" and library in av.codecs_available:
        return cast(VideoCodecContext, VideoCodecContext.create(library, "r"))
    return stream.codec_context
