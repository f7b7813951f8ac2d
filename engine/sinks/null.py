"""The sink that keeps nothing: for measuring what everything before it costs."""

import av

from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding


class NullSink:
    """`null`: takes every frame and forgets it."""

    on_device = True

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "null"

    def write(self, frame: Frame) -> None:
        pass

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        pass

    def discard(self) -> None:
        pass
