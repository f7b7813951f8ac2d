"""Frames to a server or a viewer over the network: RTMP, RTSP, WHIP, and MPEG-TS over UDP."""

import threading
import time
from itertools import chain, repeat
from urllib.parse import urlsplit

import av

from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.notes import Notes
from engine.sinks import Encoding
from engine.sinks.link import Address, Link

_FORMATS = {"rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "whip+http": "whip", "whip+https": "whip", "udp": "mpegts"}
_OPTIONS = {"flv": {"flvflags": "no_duration_filesize"}, "rtsp": {"rtsp_transport": "tcp"}}
_PACKET = 1316  # bytes: seven packets of a transport stream, which fit into one of Ethernet's

_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between tries to come back, the last of them for ever
_PATIENCE = 1.0  # seconds that a frame waits for the network where none is to be lost
_FAREWELL = 5.0  # seconds for what is under way to leave at the end


class NetworkSink:
    """`rtmp://…`, `rtmps://…`, `rtsp://…`, `whip+https://…` (a token goes before the host: `TOKEN@host`), `udp://HOST:PORT`.

    H.264 without delay; companions are copied where the format can hold them. A server that takes no stream at the start
    raises SinkError. A connection that is lost later is made again in the background, with a keyframe first; what comes
    meanwhile, or faster than the network takes it, is left out before it is encoded, and counted in `notes`.
    """

    on_device = False

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes = Notes()
        self._address, self._name = _address(uri)
        self._info, self._encoding = info, encoding
        self._closing = threading.Event()
        self._returning: threading.Thread | None = None
        try:
            self._link: Link | None = Link(self._address, info, encoding, self.notes)
        except ConnectionError as error:
            raise SinkError(
                f"{self._name} does not take the stream: {error}; check the address and that a server listens there"
            ) from None

    @staticmethod
    def handles(uri: str) -> bool:
        return "://" in uri and not uri.startswith("file:")

    def write(self, frame: Frame) -> None:
        """Encode and hand over. Never waits for the network where frames come live, else for a second at most."""
        link = self._living()
        if link is not None and not self._info.live:
            link.wait_for_room(_PATIENCE)
        if link is None or link.congested:
            self.notes.tally(f"1 frame did not reach {self._name}", f"{{count}} frames did not reach {self._name}")
        else:
            link.send(frame)

    def copy(self, packet: av.Packet) -> None:
        link = self._living()
        if link is not None:
            link.copy(packet)

    def close(self, complete: bool = True) -> None:
        """Send what waits and say goodbye, for five seconds at most."""
        self._closing.set()
        if self._returning is not None:
            self._returning.join()
        if self._link is not None:
            self._link.close(_FAREWELL if complete else 0)
            self._link = None

    def discard(self) -> None:
        self.close(False)

    def _living(self) -> Link | None:
        link = self._link
        if link is None or link.error is None:
            return link
        self.notes.append(f"the connection to {self._name} was lost ({link.error}); trying to make it again")
        self._link = None
        self._returning = threading.Thread(target=self._come_back, args=(link,), name="reconnect", daemon=True)
        self._returning.start()
        return None

    def _come_back(self, lost: Link) -> None:
        since = time.monotonic()
        lost.close(0)
        for wait in chain(_WAITS, repeat(_WAITS[-1])):
            if self._closing.wait(wait):
                return
            try:
                self._link = Link(self._address, self._info, self._encoding, [])
            except (ConnectionError, SinkError):
                continue
            self.notes.append(f"{self._name} is back after {time.monotonic() - since:.0f} s")
            return


def _address(uri: str) -> tuple[Address, str]:
    """Where FFmpeg is to connect, and how the user is to be told of it. Raises SinkError."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    name = f"'{parts.scheme}://{host}'"  # without password, token, or the key that a path may hold
    form = _FORMATS.get(parts.scheme)
    if form is None:
        raise SinkError(f"nothing can be sent to {name}; use rtmp, rtmps, rtsp, whip+https or udp://HOST:PORT")
    if not parts.hostname or (parts.scheme == "udp" and parts.port is None):
        missing = "port" if parts.hostname else "host"
        raise SinkError(f"'{uri}' names no {missing}; write it as {parts.scheme}://HOST:PORT")
    options = _OPTIONS.get(form, {})
    if form == "whip":
        uri = uri.partition("+")[2]
        token = parts.netloc.rpartition("@")[0]
        if token:
            uri, options = uri.replace(f"{token}@", "", 1), {"authorization": token}
    elif parts.scheme == "udp" and not parts.query:
        uri += f"?pkt_size={_PACKET}"
    return Address(uri, form, options), name
