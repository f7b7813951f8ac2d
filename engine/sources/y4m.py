"""Uncompressed video from another program: YUV4MPEG2 on standard input."""

import sys

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.sources.container import ContainerSource


class Y4mSource(ContainerSource):
    """`-`: what another program writes as YUV4MPEG2, at the speed it is read here."""

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "-"

    @property
    def name(self) -> str:
        return "standard input"

    def _open_container(self) -> InputContainer:
        if sys.stdin is None or sys.stdin.isatty():
            raise SourceError("standard input is a terminal; pipe a video into it: ffmpeg -i FILE -f yuv4mpegpipe - | ...")
        return av.open(f"pipe:{sys.stdin.fileno()}", format="yuv4mpegpipe")

    def _explain(self, error: Exception) -> str:
        return "standard input is not YUV4MPEG2; write it with: ffmpeg -i FILE -f yuv4mpegpipe -"
