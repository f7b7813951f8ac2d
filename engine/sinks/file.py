"""Frames into a video file, under a partial name until it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.notes import Notes
from engine.sinks import Encoding
from engine.sinks.companions import Companions
from engine.sinks.encoding import ENCODERS, NOMINAL_RATE, Encoder, find_encoder

_USUAL_CODECS = ("h264", "vp9")  # the first that a format holds; where it holds neither, what FFmpeg takes for it
_TICKING = ("avi", "yuv4mpegpipe", "mxf")  # have no timestamps, only a number of frames a second
_SUFFIXES = "use .mp4, .mov, .mkv, .webm, .ts, .avi or .flv"
_STATE_SHAPE = ("h264", "hevc", "mpeg4")  # codecs whose own stream says what shape the pixels have

# mp4 and mov place tracks against each other in units of 1/1000 s unless told otherwise
_MUXER_OPTIONS = {suffix: {"movie_timescale": "90000"} for suffix in (".mp4", ".m4v", ".mov")}
_STALE = ("major_brand", "minor_version", "compatible_brands", "encoder")  # said by the source's muxer about itself


class FileSink:
    """`NAME.EXT`: written as `NAME.partial.EXT` and renamed by `close(True)`.

    The container follows the extension, the codec `encoding` or the container's usual. Companions are copied, as are the
    metadata and chapters. Not for use by two threads at once.
    """

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes = Notes()
        self._final = Path(uri)
        self._partial = self._final.with_name(f"{self._final.stem}.partial{self._final.suffix}")
        self._frames = 0
        self._open = True
        self._last_tick: int | None = None
        container = self._create()
        try:
            with self._explained():
                self._start(container, info, encoding)
        except BaseException:
            self._partial.unlink(missing_ok=True)
            raise

    @property
    def on_device(self) -> bool:
        return self._encoder.on_device

    @staticmethod
    def handles(uri: str) -> bool:
        return "://" not in uri and bool(Path(uri).name)

    def write(self, frame: Frame) -> None:
        """Encode and write. Raises SinkError where the disk is full or the encoder fails."""
        if self._tick is not None:
            tick = round(frame.pts * frame.time_base / self._tick)
            if self._last_tick is not None and tick <= self._last_tick:
                kind = self._final.suffix
                self.notes.tally(
                    f"1 frame left out: {kind} has no time between its neighbours for it",
                    f"{{count}} frames left out: {kind} has no time between their neighbours for them",
                )
                return
            self._last_tick = tick
        with self._explained():
            self._container.mux(self._encoder.encode(frame))
        self._frames += 1

    def copy(self, packet: av.Packet) -> None:
        """Write a packet of one of the companions. Raises SinkError where the disk is full."""
        copy = self._companions.packet(packet)
        if copy is not None:
            with self._explained():
                self._container.mux_one(copy)

    def close(self, complete: bool = True) -> None:
        """Finish the file. Raises SinkError where the rest cannot be written; what is there stays under the partial name."""
        if not self._open:
            return
        self._open = False
        try:
            with self._explained():
                self._container.mux(self._encoder.flush())
        finally:
            with self._explained():
                self._container.close()
        if not self._frames:
            self._partial.unlink(missing_ok=True)
        elif complete:
            with self._explained():
                _settle(self._partial)
                self._partial.replace(self._final)

    def discard(self) -> None:
        """Leave nothing, unless the file is complete."""
        if self._open:
            self._open = False
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._partial.unlink(missing_ok=True)

    def _create(self) -> OutputContainer:
        """The container, its partial file created. Raises SinkError."""
        folder = self._final.parent
        if not self._final.suffix:
            raise SinkError(f"'{self._final}' has no extension to tell the format by; {_SUFFIXES}")
        if self._final.is_dir():
            raise SinkError(f"'{self._final}' is a folder; name a file in it, or end it with / for single images")
        if not folder.is_dir():
            raise SinkError(f"the folder '{folder}' does not exist; create it or write elsewhere")
        # The prefix keeps FFmpeg from reading a colon in a name as a protocol
        url = f"file:{self._partial}"
        try:
            container = av.open(url, "w", container_options=_MUXER_OPTIONS.get(self._final.suffix.lower(), {}))
        except ValueError:
            raise SinkError(f"'{self._final.suffix}' is no video format this program knows; {_SUFFIXES}") from None
        if container.default_video_codec == "none":
            raise SinkError(f"'{self._final.suffix}' holds no video; {_SUFFIXES}")
        with self._explained():
            self._partial.open("wb").close()
        return container

    def _start(self, container: OutputContainer, info: StreamInfo, encoding: Encoding) -> None:
        name = container.format.name
        # FFmpeg keeps no list of what a transport stream may hold
        held = {ENCODERS["h264"]} if name == "mpegts" else container.supported_codecs
        usual = next((codec for codec in _USUAL_CODECS if ENCODERS[codec] in held), container.default_video_codec)
        self._encoder = Encoder(container, find_encoder(encoding.codec or usual), info, encoding)
        if self._encoder.refused:
            self.notes.append(
                f"{self._encoder.codec.name} gets its frames from the CPU, not the GPU: {self._encoder.refused}"
            )
        family = self._encoder.codec.canonical_name
        if info.sample_aspect_ratio != 1 and name in ("matroska", "webm") and family not in _STATE_SHAPE:
            self.notes.append(f"{name} with {family} does not say that pixels are not square; use h264, or .mp4, to keep it")
        width, height = self._encoder.stream.width, self._encoder.stream.height
        if (width, height) != (info.width, info.height):
            self.notes.append(
                f"{self._encoder.codec.canonical_name} takes even sizes: {width}x{height}, the last line twice"
            )
        self._companions = Companions(container, info.companions, self.notes)
        self._tick: Fraction | None = None
        if name in _TICKING:
            self._tick = self._encoder.stream.time_base = 1 / (info.rate or NOMINAL_RATE)
        container.metadata.update({key: value for key, value in info.metadata.items() if key.lower() not in _STALE})
        container.set_chapters(info.chapters)
        container.start_encoding()
        self._container = container

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SinkError(self._explanation(error)) from error

    def _explanation(self, error: Exception) -> str:
        code = getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or str(error)
        if code in (ENOSPC, EDQUOT):
            return f"the disk of '{self._final.parent}' is full; free some space or write elsewhere"
        if code == EFBIG:
            return f"'{self._final}' is larger than its disk's format allows; write elsewhere"
        if isinstance(error, PermissionError):
            return f"'{self._final.parent}' cannot be written to ({reason}); write elsewhere"
        return f"'{self._final}' cannot be written ({reason}); choose another extension or codec"


def _settle(path: Path) -> None:
    """Wait until the file is on the disk, so that the rename never outlives its content in a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
