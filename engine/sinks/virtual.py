"""Frames as a camera that other programs can choose."""

import sys
import threading

import av
import numpy as np

from engine.errors import SinkError
from engine.frame import Frame, StreamInfo
from engine.sinks import Encoding
from engine.sinks.conversion import Packed
from engine.sinks.encoding import NOMINAL_RATE

_DEVICES = {
    "linux": "load one with: sudo modprobe v4l2loopback exclusive_caps=1 card_label='Alla Prima'",
    "darwin": "install OBS, start its virtual camera once, and quit it",
    "win32": "install OBS, which brings a virtual camera",
}


class VirtualCameraSink:
    """`virtual` or `virtual:DEVICE`: the frames as I420, which cameras speak, without a conversion.

    When a frame is late the last one is sent again, since viewers turn grey when a camera falls silent. Needs pyvirtualcam.
    """

    on_device = False

    def __init__(self, uri: str, info: StreamInfo, encoding: Encoding = Encoding()) -> None:
        self.notes: list[str] = []
        try:
            import pyvirtualcam
        except ImportError:
            raise SinkError("a virtual camera needs pyvirtualcam; run: pip install 'allaprima[camera]'") from None
        if info.width % 2 or info.height % 2:
            raise SinkError(
                f"a virtual camera takes even sizes, not {info.width}x{info.height}; "
                f"use --size {info.width & ~1}x{info.height & ~1}"
            )
        rate = float(info.rate or NOMINAL_RATE)
        device = uri.partition(":")[2] or None
        try:
            self._camera = pyvirtualcam.Camera(
                info.width, info.height, rate, fmt=pyvirtualcam.PixelFormat.I420, device=device
            )
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise SinkError(f"no virtual camera ({reason}); {_DEVICES.get(sys.platform, _DEVICES['linux'])}") from None
        self.notes.append(f"the camera is {self._camera.device}")
        self._packed = Packed(info.width, info.height, info.colour)
        self._filled = False
        self._lock = threading.Lock()  # one sends at a time, and nobody sends a half-filled buffer
        self._fresh = threading.Event()
        self._closed = False
        self._patience = 1.5 / rate
        self._error: Exception | None = None
        self._repeater = threading.Thread(target=self._repeat, name="virtual camera", daemon=True)
        self._repeater.start()

    @staticmethod
    def handles(uri: str) -> bool:
        return uri == "virtual" or uri.startswith("virtual:")

    def write(self, frame: Frame) -> None:
        """Raises SinkError when the device is gone."""
        with self._lock:
            self._send(self._packed.fill(frame))
            self._filled = True
        self._fresh.set()
        if self._error is not None:
            raise SinkError(f"the virtual camera does not take frames any more ({self._error})") from self._error

    def copy(self, packet: av.Packet) -> None:
        pass

    def close(self, complete: bool = True) -> None:
        if not self._closed:
            self._closed = True
            self._fresh.set()
            self._repeater.join()
            self._camera.close()

    def discard(self) -> None:
        self.close(False)

    def _repeat(self) -> None:
        while not self._closed:
            if self._fresh.wait(self._patience):
                self._fresh.clear()
                continue
            with self._lock:
                if self._filled and self._error is None:
                    self._send(self._packed.buffer)

    def _send(self, buffer: np.ndarray) -> None:
        try:
            self._camera.send(buffer)
        except (RuntimeError, OSError) as error:
            self._error = error
