"""Still pictures: one, those of a folder, or those a pattern names (`*.png`, `frame_%04d.png`)."""

import glob
import io
import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.frame import Frame, StreamInfo
from engine.notes import Notes, reason
from engine.sources.pictures import Converter, colour_of, orientation_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
_RATE = Fraction(25)
_NUMBER = re.compile(r"%(?:0(\d+))?d")  # how C, and so FFmpeg, writes a frame number, here of at least so many digits


class ImagesSource:
    """A `Source` of pictures in the natural order of their names (2 before 10), 25 a second, in the size of the first."""

    @staticmethod
    def handles(uri: str) -> bool:
        path = Path(uri)
        return path.is_dir() or path.suffix.lower() in SUFFIXES or (not path.suffix and glob.has_magic(uri))

    def __init__(self, uri: str, size: tuple[int, int] | None = None) -> None:
        """Find the pictures and read the first. Raises SourceError if there is none or none can be read."""
        self.uri = uri
        self.notes: Notes = Notes()
        self._closed = threading.Event()
        self._paths = picture_paths(uri)
        self._position = 0  # of the next in `_paths`
        self._unreadable = ""  # the first that was, and why
        self._index = 0
        self._first = self._next_picture()
        if self._first is None:
            raise SourceError(f"{self.notes[0]}; nothing else is there, so convert it to PNG or JPEG")
        first, aspect = self._first
        self._stored_size = first.width, first.height
        self._converter = Converter(first, size, photographs=True)
        self.info = StreamInfo(
            *self._converter.size,
            time_base=1 / _RATE,
            rate=_RATE,
            colour=colour_of(first),
            frames=len(self._paths),
            sample_aspect_ratio=1 / aspect if orientation_of(first).transposed else aspect,
            has_alpha=self._converter.has_alpha,
        )

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed.is_set():
            read, self._first = self._first or self._next_picture(), None
            if read is None:
                return
            yield self._frame(read[0])

    def close(self) -> None:
        """End the iteration after the picture under way."""
        self._closed.set()

    def _next_picture(self) -> tuple[av.VideoFrame, Fraction] | None:
        """The next that can be read, with the aspect of its pixels."""
        while self._position < len(self._paths):
            path = self._paths[self._position]
            self._position += 1
            try:
                return read_picture(path)
            except (av.FFmpegError, OSError, ValueError) as error:
                self._unreadable = self._unreadable or f"'{path}' ({reason(error)})"
                self.notes.tally(
                    f"1 picture cannot be read and is left out: {self._unreadable}",
                    f"{{count}} pictures cannot be read and are left out, the first: {self._unreadable}",
                )
        return None

    def _frame(self, picture: av.VideoFrame) -> Frame:
        if (picture.width, picture.height) != self._stored_size:
            size = f"{self.info.width}x{self.info.height}"
            self.notes.tally(
                f"1 picture has another size than the first and is rescaled to {size}",
                f"{{count}} pictures have another size than the first and are rescaled to {size}",
            )
        arrived = time.perf_counter()
        pts = self._position - 1  # a picture that was left out leaves a gap in time, so that the others stay in theirs
        picture, alpha = self._converter.convert(picture)
        picture.pts, picture.time_base, picture.duration = pts, self.info.time_base, 1
        frame = Frame(picture, pts, self.info.time_base, self._index, arrived, 1, alpha)
        self._index += 1
        return frame


def read_picture(path: Path) -> tuple[av.VideoFrame, Fraction]:
    """A picture as it is stored, and the aspect of its pixels. Raises av.FFmpegError, OSError or ValueError."""
    try:
        # From memory, so that FFmpeg takes the kind from the content, and a % in the name for nothing special.
        return _only_picture(av.open(io.BytesIO(path.read_bytes()), "r"))
    except av.error.InvalidDataError:
        # Some kinds, such as a PPM with a space in its first line, it knows only by their names.
        return _only_picture(av.open(str(path), "r", format="image2", options={"pattern_type": "none"}))


def _only_picture(container: InputContainer) -> tuple[av.VideoFrame, Fraction]:
    with container:
        if not container.streams.video:
            raise ValueError("it holds no picture")
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            return picture, stream.sample_aspect_ratio or Fraction(1)
    raise ValueError("it holds no whole picture")


def picture_paths(uri: str) -> list[Path]:
    """The pictures that a path, a folder, a wildcard or a numbered name stands for, in natural order, at least one.

    Raises SourceError.
    """
    path, kinds = Path(uri), ", ".join(suffix[1:] for suffix in SUFFIXES)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _pictures_in(path, "*")
        if not found:
            raise SourceError(f"there is no picture in the folder '{uri}'; it takes {kinds}")
    elif _NUMBER.search(path.name):
        name = _NUMBER.sub(lambda match: rf"\d{{{match[1] or 1},}}", re.escape(path.name))
        found = [picture for picture in _pictures_in(path.parent, "*") if re.fullmatch(name, picture.name)]
    elif glob.has_magic(uri):
        found = [Path(name) for name in glob.glob(uri) if _is_picture(Path(name))]
    else:
        raise SourceError(f"'{uri}' does not exist; check the name and the folder")
    if not found:
        raise SourceError(f"no picture is named like '{uri}'; it takes {kinds}")
    return sorted(found, key=_naturally)


def _pictures_in(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(pattern) if _is_picture(path)] if folder.is_dir() else []


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _naturally(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name by their value, the rest by the alphabet."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", str(path))]
