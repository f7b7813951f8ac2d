"""What all sources that FFmpeg reads have in common: from an open container to frames, and how it is closed."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.frame import Frame, StreamInfo
from engine.notes import Notes, reason
from engine.sources.decoding import Decoded, Decoder
from engine.sources.pictures import Converter, colour_of, orientation_of
from engine.sources.timeline import Timeline

_USUAL_RATE = Fraction(25)  # only spaces frames that have no time of their own where no rate is known
_ALMOST_SQUARE = Fraction(1, 100)  # a rescaled pixel this close to its old shape keeps it


class ContainerSource:
    """A `Source` over one container. A kind says how to open it (`_open_container`) and what its failure means (`_explain`).

    It is read on one thread and may be closed on any.
    """

    live = False
    first_picture_within = 20.0  # seconds that a live stream may take to show anything

    def __init__(self, uri: str, size: tuple[int, int] | None = None) -> None:
        """Open `uri` and decode its first picture: only that tells size, colours, rotation and alpha for certain.

        Raises SourceError.
        """
        self.uri = uri
        self.notes: Notes = Notes()
        self._closed = threading.Event()
        self._reading = threading.Lock()  # held while the container is in use
        self._index = 0
        self._last_arrival = 0.0
        self._last_dts: dict[int, int] = {}  # of each companion
        self._again: Callable[[int], av.VideoFrame] | None = None  # for frames on a device, see `Frame`
        decoder, early = self._begin()
        self._decoder: Decoder | None = decoder
        first = next(item.picture for item in early if isinstance(item, Decoded))
        self._pending = first_ahead(early)
        self._stored_size = first.width, first.height
        self._converter = Converter(first, size, decoder.colour)
        self.info = self._describe(decoder, first)
        step = 1 / (self.info.time_base * (self.info.rate or _USUAL_RATE))
        self._timeline = Timeline(step, from_zero=self.live)

    @property
    def name(self) -> str:
        """What messages call this source."""
        return f"'{self.uri}'"

    def _open_container(self) -> InputContainer:
        """Raises av.FFmpegError or OSError, which `_explain` puts into words, or SourceError."""
        raise NotImplementedError

    def _explain(self, error: Exception) -> str:
        """One line: why it does not open and what to do."""
        return f"{self.name} cannot be opened: {reason(error)}"

    def __iter__(self) -> Iterator[Frame | av.Packet]:
        while True:
            with self._reading:
                item = self._take()
                if item is None or self._closed.is_set():
                    self._release()
                    return
            yield item

    def close(self) -> None:
        """End the iteration, from whatever thread: at once, or when the read under way ends (its timeout at the latest)."""
        self._closed.set()
        if self._reading.acquire(timeout=0.1):  # else whoever reads sees the flag and lets go itself
            try:
                self._release()
            finally:
                self._reading.release()

    def _begin(self) -> tuple[Decoder, list[Decoded | av.Packet]]:
        """Open, and read up to the first picture; what was read comes with the decoder. Raises SourceError."""
        try:
            container = self._open_container()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(self._explain(error)) from error
        try:
            decoder = Decoder(container, self.live, self.notes)
            return decoder, self._up_to_first_picture(decoder)
        except (av.FFmpegError, SourceError) as error:
            container.close()  # nothing of it was handed out yet; a device must be free for the next try
            if isinstance(error, SourceError):
                raise SourceError(f"{self.name}: {error}") from error
            raise SourceError(f"{self.name} breaks off before its first picture: {reason(error)}") from error

    def _up_to_first_picture(self, decoder: Decoder) -> list[Decoded | av.Packet]:
        early: list[Decoded | av.Packet] = []
        deadline = time.perf_counter() + self.first_picture_within
        while not any(isinstance(item, Decoded) for item in early):
            if self._closed.is_set() or (self.live and time.perf_counter() > deadline):
                raise SourceError(f"no picture came within {self.first_picture_within:.0f} s; is anything sent?")
            items = decoder.read()
            if items is None:
                why = f" ({reason(decoder.last_error)})" if decoder.last_error else ""
                raise SourceError(f"no picture of it can be decoded{why}; it is empty, cut off or damaged")
            early.extend(items)
        return early

    def _describe(self, decoder: Decoder, first: av.VideoFrame) -> StreamInfo:
        width, height = self._converter.size
        orientation = orientation_of(first)
        before_width, before_height = orientation.size(first.width, first.height)
        aspect = decoder.sample_aspect_ratio
        aspect = 1 / aspect if orientation.transposed else aspect
        stretch = Fraction(before_width * height, before_height * width)  # rescaling keeps the shape of the whole picture
        return StreamInfo(
            width=width,
            height=height,
            time_base=decoder.time_base,
            rate=decoder.rate,
            colour=colour_of(first, decoder.colour),
            live=self.live,
            frames=None if self.live else decoder.frames,
            sample_aspect_ratio=aspect * stretch if abs(stretch - 1) > _ALMOST_SQUARE else aspect,
            has_alpha=self._converter.has_alpha,
            metadata=dict(decoder.container.metadata),
            chapters=decoder.container.chapters(),
            companions=decoder.companions,
        )

    def _take(self) -> Frame | av.Packet | None:
        """The next frame or packet; None when there will be none. Raises SourceError."""
        while self._decoder is not None and not self._closed.is_set():
            while self._pending:
                item = self._pending.popleft()
                given = self._frame(item) if isinstance(item, Decoded) else self._companion(item)
                if given is not None:
                    return given
            error: av.FFmpegError | None = None
            try:
                items = self._decoder.read()
            except av.FFmpegError as broken:
                items, error = None, broken
            if items is not None:
                self._pending.extend(items)
            elif not self._goes_on(error):
                return None
        return None

    def _goes_on(self, error: av.FFmpegError | None) -> bool:
        """Reading ended (None) or broke off. Whether there is more after all; may raise SourceError."""
        assert self._decoder is not None
        if error is not None:
            self.notes.append(f"{self.name} breaks off after {self._index} frames: {reason(error)}")
        elif self._decoder.missing:
            self.notes.append(f"{self.name} is cut off: {self._decoder.missing} frames at its end are missing")
        return False

    def _frame(self, decoded: Decoded) -> Frame:
        picture, arrived = decoded
        if (size := (picture.width, picture.height)) != self._stored_size:
            (was_width, was_height), (width, height) = self._stored_size, size
            changes = f"the picture changes from {was_width}x{was_height} to {width}x{height} at frame {self._index}"
            self.notes.append(f"{changes}; it is rescaled to {self.info.width}x{self.info.height}")
            self._stored_size = size
        duration = self._ticks(picture.duration) or max(1, round(self._timeline.step))
        repaired = self._timeline.repaired
        pts = self._timeline.place(None if picture.pts is None else self._ticks(picture.pts))
        if self._timeline.repaired > repaired:
            missing = "was missing or not after the one before; set from the frame rate"
            self.notes.tally(f"1 timestamp {missing}", "{count} timestamps " + missing.replace("was", "were"))
        try:
            picture, alpha = self._converter.convert(picture)
        except av.FFmpegError as error:
            raise SourceError(f"{self.name}: its pixels ({picture.format.name}) cannot be read: {reason(error)}") from error
        picture.pts, picture.time_base, picture.duration = pts, self.info.time_base, duration
        frame = Frame(picture, pts, self.info.time_base, self._index, arrived, duration, alpha, again=self._again)
        self._index += 1
        self._last_arrival = arrived
        return frame

    def _ticks(self, own: int) -> int:
        """From the time base of the open container, which may be another after reopening, to `info.time_base`."""
        assert self._decoder is not None
        ours, its = self.info.time_base, self._decoder.time_base
        return own if its == ours else round(own * its / ours)

    def _companion(self, packet: av.Packet) -> av.Packet | None:
        """Moved in time with the frames; None if it then would lie before the one before, which no file can hold.

        After reopening it is given to the stream in `info` that had its number, since nobody knows the new one.
        """
        if packet.stream not in self.info.companions:
            index = packet.stream.index
            same = next((s for s in self.info.companions if (s.index, s.type) == (index, packet.stream.type)), None)
            if same is None:
                return None
            packet.stream = same
        assert packet.dts is not None
        if self._timeline.offset:
            shift = round(self._timeline.offset * self.info.time_base / packet.time_base)
            packet.dts += shift
            packet.pts = None if packet.pts is None else packet.pts + shift
        if packet.dts < self._last_dts.get(packet.stream_index, packet.dts):
            self.notes.tally(
                "1 packet beside the video ran back in time; left out",
                "{count} packets beside the video ran back in time; left out",
            )
            return None
        self._last_dts[packet.stream_index] = packet.dts
        return packet

    def _release(self) -> None:
        """Let go of the container, and wait for nothing more. With `_reading` held."""
        self._pending.clear()
        if self._decoder is not None:
            first = self._decoder.companions is self.info.companions  # those of later ones nobody has seen
            self._decoder.close(in_use=first and bool(self.info.companions))
            self._decoder = None


def first_ahead(early: list[Decoded | av.Packet]) -> deque[Decoded | av.Packet]:
    """The first picture ahead of the packets that came before it: it says by how much they are moved in time."""
    return deque(sorted(early, key=lambda item: not isinstance(item, Decoded)))
