"""Streams and files over the network: RTSP, RTMP, HLS, HTTP, UDP and what else FFmpeg speaks."""

import re
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.notes import reason
from engine.sources.reopening import ReopeningSource

_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},  # over UDP, lost packets smear the picture
    "http": {"reconnect": "1", "reconnect_delay_max": "4"},  # a file goes on where a broken connection left it
}


class NetworkSource(ReopeningSource):
    """A stream, which is live, or a file over HTTP of known duration, which is not and is read as fast as it comes.

    A live stream that stalls or breaks off is opened again; a file that does is an error. Over HTTP a stream can end well.
    """

    waits = (1.0, 2.0, 4.0, 8.0)
    timeouts = (10.0, 5.0)  # seconds, to open and between two packets

    @staticmethod
    def handles(uri: str) -> bool:
        return _URL.match(uri) is not None

    @property
    def name(self) -> str:
        """Without the password that the address may hold."""
        return f"'{re.sub(r'(?<=://)[^/@]*@', '', self.uri)}'"

    def _open_container(self) -> InputContainer:
        scheme = urlsplit(self.uri).scheme.lower()
        options = _OPTIONS.get(scheme.rstrip("s"), {})
        container = av.open(self.uri, timeout=self.timeouts, options=options, metadata_errors="replace")
        self.live = not (scheme.startswith("http") and container.duration)
        self._ends_well = scheme.startswith("http") and container.format.name != "mpjpeg"  # which cameras send for ever
        return container

    def _explain(self, error: Exception) -> str:
        return f"{self.name} cannot be opened: {reason(error)}; check the address and that something is sent there"

    def _goes_on(self, error: av.FFmpegError | None) -> bool:
        if error is None and self._ends_well:
            return False
        if self.live:
            return super()._goes_on(error)
        why = reason(error) if error else "it ended"
        raise SourceError(f"{self.name} stopped coming after {self._index} frames: {why}; try again, or fetch it first")
