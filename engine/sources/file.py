"""Video files: whatever FFmpeg reads."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from engine.errors import SourceError
from engine.notes import Notes, reason
from engine.sources.container import ContainerSource, first_ahead
from engine.sources.decoding import Decoded, Decoder
from engine.sources.hardware import Again, nvdec, refused
from engine.sources.pictures import stays
from kernels.device import Device

_MOVIE_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")  # one of these begins an MP4 or QuickTime file


class FileSource(ContainerSource):
    """A file on disk, frame by frame, as fast as it is asked for."""

    _hardware: HWAccel | None = None  # what decodes, where it is not the CPU

    @staticmethod
    def handles(uri: str) -> bool:
        return True

    def _open_container(self) -> InputContainer:
        path = self._path
        if not path.exists():
            raise SourceError(f"'{path}' does not exist; check the name and the folder")
        if path.is_dir():
            raise SourceError(f"'{path}' is a folder; name a video file in it")
        if not os.access(path, os.R_OK):
            raise SourceError(f"'{path}' may not be read; change its permissions or copy it")
        if path.is_file() and not path.stat().st_size:
            raise SourceError(f"'{path}' is empty; copy or record it again")
        # With the protocol named, FFmpeg takes no part of the file's name for one. Metadata in old code pages do no harm.
        container = av.open(f"file:{path}", metadata_errors="replace", hwaccel=self._hardware)
        if not container.streams and _begins_as_movie(path):
            container.close()
            raise SourceError(self._cut_off())
        return container

    def decode_on(self, open_device: Callable[[], Device]) -> None:
        """Have NVDEC decode into the memory of the GPU that `open_device` opens. To be asked before the first frame or the
        companions are taken: `info` becomes another. Where it cannot be, all stays as it is, and a note says why.

        If the GPU breaks later, the CPU decodes on; frames that were on it are decoded again where they are needed.
        """
        assert self._decoder is not None
        first = self._pending[0]
        assert isinstance(first, Decoded)
        if not self._path.is_file():
            why = "it cannot be read twice"
        else:
            why = refused(first.picture, self._converter, self._decoder) or self._begin_on(open_device)
        if why:
            self.notes.append(f"{self.name} is decoded on the CPU, not the GPU: {why}")

    def _begin_on(self, open_device: Callable[[], Device]) -> str:
        """Why it does not begin there; empty if it does."""
        notes, self.notes = self.notes, Notes()  # what is noted up to the first picture has been noted
        try:
            open_device().enter()
            self._hardware = nvdec()
            decoder, early = self._begin()
        except Exception as error:  # a GPU may fail in any way of its own
            self._hardware, cause = None, error.__cause__ or error
            return f"the driver refuses ({getattr(cause, 'strerror', None) or ' '.join(str(cause).split())[:200]})"
        finally:
            self.notes = notes
        pending = first_ahead(early)
        first = pending[0]
        assert self._decoder is not None
        assert isinstance(first, Decoded)
        if not stays(first.picture, self._stored_size):
            self._hardware = None
            decoder.close(in_use=False)
            return f"NVDEC does not take its {decoder.codec.name}, or gives another form of it"
        self._decoder.close(in_use=False)
        decoder.notes = notes
        self._decoder, self._pending = decoder, pending
        self._again = Again(lambda: iter(FileSource(self.uri)))
        self.info = replace(self.info, on_device=True, companions=decoder.companions)
        return ""

    def _goes_on(self, error: av.FFmpegError | None) -> bool:
        if self._hardware is None or not isinstance(error, av.error.ExternalError | MemoryError):
            return super()._goes_on(error)
        assert self._decoder is not None
        given = self._decoder.given
        broke = f"the GPU's decoder broke after {self._index} frames ({reason(error)})"
        self.notes.append(f"{self.name}: {broke}; the CPU decodes on")
        self._hardware = None
        self._release()
        try:
            self._decoder = Decoder(self._open_container(), self.live, self.notes, given)
        except (av.FFmpegError, OSError, ValueError) as broken:
            raise SourceError(self._explain(broken)) from broken
        return True

    @property
    def _path(self) -> Path:
        return Path(self.uri.removeprefix("file://"))

    def _explain(self, error: Exception) -> str:
        if not isinstance(error, av.error.InvalidDataError | EOFError):
            return super()._explain(error)
        if _begins_as_movie(self._path):
            return self._cut_off()
        return f"{self.name} is not a video, or damaged beyond reading; choose another file"

    def _cut_off(self) -> str:
        return f"{self.name} is cut off: its index, which is written last, is missing; copy or record it again"


def _begins_as_movie(path: Path) -> bool:
    if not path.is_file():  # what was read of a pipe is gone, and nobody may write to it again
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] in _MOVIE_BOXES
