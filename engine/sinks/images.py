"""Frames as single pictures: a folder of them, a numbered pattern, or one file."""

import contextlib
import os
import re
from errno import EDQUOT, ENOSPC
from pathlib import Path

import av
import cv2

from engine.errors import SinkError, UsageError
from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding
from engine.sinks.conversion import Rgb

_QUALITY = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".jpeg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}
_SUFFIXES = {".png", ".bmp", ".tif", ".tiff", ".ppm", *_QUALITY}
_WITH_ALPHA = {".png", ".tif", ".tiff", ".webp"}
_NUMBER = re.compile(r"%(0\d+)?d")
_DEFAULT_NAME = "frame_%06d.png"


class ImagesSink:
    """`FOLDER/`, a pattern such as `FOLDER/frame_%05d.png`, or `NAME.png` where there is but one frame.

    Numbers start at 0 and count the frames written. Each picture appears under its name when it is whole. RGB follows the
    stream's matrix and range; alpha is kept where the format can. `Encoding.quality` q is a JPEG or WebP quality of 100 - q.
    """

    on_device = False

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []
        if encoding.codec is not None or encoding.preset is not None:
            raise UsageError("single images take no codec or preset; the extension says what they are")
        self._pattern = os.path.join(uri, _DEFAULT_NAME) if _is_folder(uri) else uri
        self._numbered = bool(_NUMBER.search(Path(self._pattern).name))
        suffix = Path(self._pattern).suffix.lower()
        self._alpha = info.has_alpha and suffix in _WITH_ALPHA
        self._suffix = suffix
        quality = 5 if encoding.quality is None else encoding.quality
        if not 0 <= quality < 100:
            raise UsageError(f"images take a quality from 0 to 99, not {quality}")
        self._parameters = (_QUALITY[suffix], 100 - quality) if suffix in _QUALITY else ()
        self._rgb = Rgb(info.colour, info.height)
        self._count = 0
        folder = Path(self._pattern).parent
        self._made = not folder.exists()
        try:
            if _is_folder(uri):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"the folder '{folder}' cannot be made ({error.strerror})") from error
        if not folder.is_dir():
            raise SinkError(f"the folder '{folder}' does not exist; create it or write elsewhere")
        if not os.access(folder, os.W_OK):
            raise SinkError(f"'{folder}' cannot be written to; write elsewhere")

    @staticmethod
    def handles(uri: str) -> bool:
        return "://" not in uri and (_is_folder(uri) or Path(uri).suffix.lower() in _SUFFIXES)

    def write(self, frame: Frame) -> None:
        """Raises SinkError where the disk is full, or a second frame comes for a single picture."""
        if self._count and not self._numbered:
            raise SinkError(f"'{self._pattern}' is one picture, but more frames come; name a folder/ or a frame_%05d.png")
        path = self._path(self._count)
        fits, data = cv2.imencode(self._suffix, self._rgb(frame, self._alpha), self._parameters)
        if not fits:
            raise SinkError(f"OpenCV cannot write {self._suffix} here; use .png")
        partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        try:
            partial.write_bytes(data.data)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            full = error.errno in (ENOSPC, EDQUOT)
            reason = "the disk is full; free some space or write elsewhere" if full else error.strerror
            raise SinkError(f"'{path}' cannot be written: {reason}") from error
        self._count += 1

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        pass

    def discard(self) -> None:
        """Remove the pictures of this run."""
        for number in range(self._count):
            self._path(number).unlink(missing_ok=True)
        self._count = 0
        if self._made:
            with contextlib.suppress(OSError):  # somebody else has put something there
                Path(self._pattern).parent.rmdir()

    def _path(self, number: int) -> Path:
        whole = Path(self._pattern)
        return whole.with_name(_NUMBER.sub(lambda match: match[0] % number, whole.name))


def _is_folder(uri: str) -> bool:
    return uri.endswith(("/", os.sep)) or os.path.isdir(uri)
