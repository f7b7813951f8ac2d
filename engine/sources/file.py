"""Video files: whatever FFmpeg reads."""

import os
from pathlib import Path

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.sources.container import ContainerSource

_MOVIE_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")  # one of these begins an MP4 or QuickTime file


class FileSource(ContainerSource):
    """A file on disk, frame by frame, as fast as it is asked for."""

    @staticmethod
    def handles(uri: str) -> bool:
        return True

    def _open_container(self) -> InputContainer:
        path = Path(self.uri.removeprefix("file://"))
        if not path.exists():
            raise SourceError(f"'{path}' does not exist; check the name and the folder")
        if path.is_dir():
            raise SourceError(f"'{path}' is a folder; name a video file in it")
        if not os.access(path, os.R_OK):
            raise SourceError(f"'{path}' may not be read; change its permissions or copy it")
        if path.is_file() and not path.stat().st_size:
            raise SourceError(f"'{path}' is empty; copy or record it again")
        # With the protocol named, FFmpeg takes no part of the file's name for one. Metadata in old code pages do no harm.
        container = av.open(f"file:{path}", metadata_errors="replace")
        if not container.streams and _begins_as_movie(path):
            container.close()
            raise SourceError(self._cut_off())
        return container

    def _explain(self, error: Exception) -> str:
        if not isinstance(error, av.error.InvalidDataError | EOFError):
            return super()._explain(error)
        if _begins_as_movie(Path(self.uri.removeprefix("file://"))):
            return self._cut_off()
        return f"{self.name} is not a video, or damaged beyond reading; choose another file"

    def _cut_off(self) -> str:
        return f"{self.name} is cut off: its index, which is written last, is missing; copy or record it again"


def _begins_as_movie(path: Path) -> bool:
    if not path.is_file():  # what was read of a pipe is gone, and nobody may write to it again
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] in _MOVIE_BOXES
