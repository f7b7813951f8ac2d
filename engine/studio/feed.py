"""Where the studio's frames come in: from a browser's camera or from a source of the engine's, to whatever chain runs."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av

from engine.errors import AllaPrimaError
from engine.frame import BT601, LIMITED, Colour, Frame, StreamInfo
from engine.notes import reason
from engine.sources import Source
from engine.sources.pictures import PLANAR_420, Converter

CLOCK = Fraction(1, 90_000)  # the time base of video in RTP (RFC 3551)
SOUND_RATE = 48_000  # of Opus (RFC 7587)
BROWSER = Colour(matrix=BT601, range=LIMITED)  # what WebRTC's VP8 is (RFC 6386, 9.2)
AGAIN = 2.0  # seconds until a source that failed is opened again


@dataclass(frozen=True, slots=True)
class Shape:
    """What a chain is made for: all that cannot change while it runs."""

    width: int
    height: int
    colour: Colour = BROWSER


def shown(uri: str) -> str:
    """`uri` without the password or the token that it may hold."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)


class Feed:
    """The newest frame, and nothing older. Any thread may offer, several taps may listen."""

    def __init__(self) -> None:
        self.shape: Shape | None = None  # of the newest frame
        self.offered = 0
        self._newest: Frame | None = None
        self._changed = threading.Condition()

    def offer(self, frame: Frame, colour: Colour) -> None:
        with self._changed:
            self._newest, self.shape = frame, Shape(frame.width, frame.height, colour)
            self.offered += 1
            self._changed.notify_all()

    def newer(self, seen: int, timeout: float) -> tuple[int, Frame | None]:
        """The newest frame and its number, if within `timeout` seconds there is a newer one than number `seen`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.offered != seen, timeout):
                return seen, None
            return self.offered, self._newest


class Tap:
    """See `engine.sources.Source`: what the feed gives, scaled to one size. Closing it leaves the feed as it is."""

    def __init__(self, feed: Feed, shape: Shape):
        self.info = StreamInfo(shape.width, shape.height, CLOCK, colour=shape.colour, live=True)
        self.notes: list[str] = []
        self._feed, self._closed = feed, False
        self._converter: Converter | None = None
        self._converts: tuple[int, int, str] | None = None  # size and format that the converter was made for

    def __iter__(self) -> Iterator[Frame]:
        seen, index = self._feed.offered, 0
        while not self._closed:
            seen, frame = self._feed.newer(seen, 0.1)
            if frame is not None:
                yield replace(frame, picture=self._scaled(frame.picture), index=index, alpha=None)
                index += 1

    def _scaled(self, picture: av.VideoFrame) -> av.VideoFrame:
        size = (self.info.width, self.info.height)
        if (picture.width, picture.height) == size and picture.format.name in PLANAR_420:
            return picture
        kind = (picture.width, picture.height, picture.format.name)
        if self._converter is None or self._converts != kind:
            self._converter, self._converts = Converter(picture, size, self.info.colour), kind
        return self._converter.convert(picture)[0]

    def close(self) -> None:
        self._closed = True


Hear = Callable[[av.AudioFrame, float], None]  # told sound (s16, 48 kHz, stereo or mono) and the instant it is of


class Player(threading.Thread):
    """Plays a source of the engine's into the feed for as long as it is wanted, and its first sound to `hear`: one that
    fails is opened again, and a film begins anew when it ends."""

    def __init__(self, feed: Feed, hear: Hear, open: Callable[[], Source], name: str):
        super().__init__(name="player", daemon=True)
        self.failing: str | None = None
        self.uri = name
        self._feed, self._hear, self._open = feed, hear, open
        self._source: Source | None = None
        self._closed = threading.Event()

    def run(self) -> None:
        while not self._closed.is_set():
            try:
                self._play()
                self._closed.wait(0.1)  # of what is empty, not a thousand times a second
            except Exception as error:  # a source may fail in any way of its own; the studio goes on
                self.failing = f"source: {error if isinstance(error, AllaPrimaError) else reason(error)}"
                self._closed.wait(AGAIN)

    def _play(self) -> None:
        source = self._source = self._open()
        sound = next((stream for stream in source.info.companions if stream.type == "audio"), None)
        resampler = av.AudioResampler("s16", "stereo", SOUND_RATE)
        began: float | None = None  # the instant of the stream's zero
        try:
            for item in source:
                if self._closed.is_set():
                    return
                if isinstance(item, Frame):
                    began = item.captured - float(item.pts * item.time_base)
                    item.pts, item.time_base = round(item.pts * item.time_base / CLOCK), CLOCK
                    self._feed.offer(item, source.info.colour)
                    self.failing = None
                elif item.stream is sound and began is not None:
                    for heard in _decoded(item, resampler):
                        self._hear(heard, began + (heard.time or 0))
        finally:
            source.close()

    def close(self) -> None:
        self._closed.set()
        if self._source is not None:
            self._source.close()


def _decoded(packet: av.Packet, resampler: av.AudioResampler) -> list[av.AudioFrame]:
    """The sound of a packet, none where it is damaged."""
    try:
        return [even for frame in packet.decode() for even in resampler.resample(cast(av.AudioFrame, frame))]
    except (av.FFmpegError, ValueError):
        return []


def camera_frame(picture: av.VideoFrame) -> Frame:
    """A frame of a browser's camera, which has just arrived."""
    assert picture.pts is not None
    assert picture.time_base is not None
    picture.colorspace, picture.color_range = BROWSER.matrix, BROWSER.range
    return Frame(picture, round(picture.pts * picture.time_base / CLOCK), CLOCK, 0, time.perf_counter())
