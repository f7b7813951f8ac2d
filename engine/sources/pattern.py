"""Test patterns and other pictures that FFmpeg computes: `lavfi:testsrc2=size=1280x720:rate=30`."""

import re

import av
from av.container import InputContainer

from engine.sources.container import ContainerSource

_PREFIX = "lavfi:"
_PACED = re.compile(r"(?:^|[,;\]])\s*a?realtime(?:@\w+)?\s*(?:$|[=,;\[])")


class PatternSource(ContainerSource):
    """A filter graph of FFmpeg. With a `realtime` filter it is paced by the clock and taken for live, like a camera."""

    @staticmethod
    def handles(uri: str) -> bool:
        return uri.startswith(_PREFIX)

    def _open_container(self) -> InputContainer:
        graph = self.uri.removeprefix(_PREFIX)
        self.live = bool(_PACED.search(graph))
        return av.open(graph, format="lavfi")

    def _explain(self, error: Exception) -> str:
        return f"{self.name} is not a graph FFmpeg can run; write one as lavfi:testsrc2=size=1280x720:rate=30"
