"""The screen: X11 on Linux, AVFoundation on macOS, GDI on Windows."""

import os
import sys

import av
from av.container import InputContainer

from engine.errors import SourceError
from engine.notes import reason
from engine.sources.container import ContainerSource

_RATE = "30"


class ScreenSource(ContainerSource):
    """`screen`: the whole first screen with its pointer, 30 times a second."""

    live = True

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "screen"

    @property
    def name(self) -> str:
        return "the screen"

    def _open_container(self) -> InputContainer:
        if sys.platform == "darwin":
            return av.open(
                "Capture screen 0:none", format="avfoundation", options={"framerate": _RATE, "capture_cursor": "1"}
            )
        if sys.platform == "win32":
            return av.open("desktop", format="gdigrab", options={"framerate": _RATE})
        display = os.environ.get("DISPLAY")
        if not display:
            wayland = (
                " (Wayland lets no program read it; log in to an X11 session)" if "WAYLAND_DISPLAY" in os.environ else ""
            )
            raise SourceError(f"there is no screen to read{wayland}; start this on a desktop, or set DISPLAY")
        return av.open(display, format="x11grab", options={"framerate": _RATE})

    def _explain(self, error: Exception) -> str:
        return (
            f"the screen cannot be read: {reason(error)}; check DISPLAY, or allow screen recording in the system's settings"
        )
