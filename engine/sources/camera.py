"""Cameras: Video4Linux, AVFoundation on macOS, DirectShow on Windows."""

import sys
from pathlib import Path

import av
from av.container import InputContainer

from engine.notes import reason
from engine.sources.reopening import ReopeningSource

_SYSTEMS = {"darwin": "avfoundation", "win32": "dshow"}
_WANTED_SIZE = (1280, 720)
_WANTED_RATE = "30"


class CameraSource(ReopeningSource):
    """`camera` (the first), `camera:N` or `camera:NAME`, where a part of the name is enough.

    It is asked for 30 frames a second as Motion JPEG, in which cameras reach their full rate over USB, and for less where
    that is not to be had. Unplugged, it is looked for every second until it is back.
    """

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "camera" or uri.startswith("camera:")

    def __init__(self, uri: str, size: tuple[int, int] | None = None) -> None:
        self._which = uri.partition(":")[2] or "0"
        self._asked = size or _WANTED_SIZE
        super().__init__(uri, size)

    @property
    def name(self) -> str:
        return f"camera {self._which}"

    def _open_container(self) -> InputContainer:
        system = _SYSTEMS.get(sys.platform, "v4l2")
        device = _device(system, self._which)
        size = "x".join(map(str, self._asked))
        paced = {"framerate": _WANTED_RATE, "video_size": size}
        wishes = [paced, {"framerate": _WANTED_RATE}, {}]
        if system == "v4l2":
            wishes.insert(0, paced | {"input_format": "mjpeg"})
        for wish in wishes:
            try:
                return av.open(device, format=system, options=wish)
            except (FileNotFoundError, PermissionError):
                raise  # wishing for less would not help
            except (av.FFmpegError, OSError) as error:
                refused = error
        raise refused

    def _explain(self, error: Exception) -> str:
        present = "; ".join(f"camera:{number} is {name}" for number, name in cameras().items())
        if not present:
            return "there is no camera; connect one, or try a file or lavfi:testsrc2,realtime as the source"
        if isinstance(error, PermissionError):
            return f"{self.name} may not be used; allow it in the system's settings (Linux: join the group 'video')"
        return f"{self.name} cannot be opened: {reason(error)}; {present}"


def cameras() -> dict[int, str]:
    """The cameras that are there, by the number to ask for them; on Linux, devices of a camera that give no picture too."""
    system = _SYSTEMS.get(sys.platform, "v4l2")
    if system == "v4l2":
        return {int(node.name[5:]): _node_name(node) for node in sorted(Path("/dev").glob("video[0-9]*"), key=_node_number)}
    try:
        devices = av.device.enumerate_input_devices(system)
    except (av.FFmpegError, OSError, ValueError):
        return {}
    return dict(enumerate(device.description for device in devices if "video" in device.media_types))


def _device(system: str, which: str) -> str:
    """What FFmpeg calls the camera `which`, a number, a name or a device path. Raises SourceError, FileNotFoundError."""
    numbers = [int(which)] if which.isdigit() else [n for n, name in cameras().items() if which.lower() in name.lower()]
    if system == "v4l2":
        if which.startswith("/"):
            return which
        if not numbers:
            raise FileNotFoundError(f"no camera is called {which}")
        return f"/dev/video{numbers[0]}"
    if system == "avfoundation":
        return f"{numbers[0] if numbers else which}:none"
    return f"video={cameras().get(numbers[0], which) if numbers else which}"


def _node_number(node: Path) -> int:
    return int(node.name.removeprefix("video"))


def _node_name(node: Path) -> str:
    described = Path("/sys/class/video4linux", node.name, "name")
    return described.read_text(encoding="utf-8").strip() if described.exists() else str(node)
