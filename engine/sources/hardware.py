"""Decoding by an NVIDIA GPU: what it can decode, and how its pictures are had again when it breaks."""

from collections.abc import Callable, Iterator

import av
from av.codec.hwaccel import HWAccel, HWDeviceType

from engine.errors import SourceError
from engine.frame import Frame
from engine.sources.decoding import Decoder
from engine.sources.pictures import PLANAR_420, UPRIGHT, Converter


def nvdec() -> HWAccel:
    """Decoding into the memory of the CUDA context that is this thread's (`kernels.device.Device.enter`).

    FFmpeg takes the primary context, which is CuPy's, only where nobody has made it before, and pictures of any other it
    could not share. What NVDEC does not take in mid-stream comes decoded on the CPU.
    """
    return HWAccel("cuda", allow_software_fallback=True, options={"primary_ctx": "0", "current_ctx": "1"}, is_hw_owned=True)


def refused(first: av.VideoFrame, converter: Converter, decoder: Decoder) -> str:
    """Why pictures like `first`, decoded on the CPU, are not for the GPU to decode; empty where they may be."""
    stored, name = (first.width, first.height), first.format.name
    if converter.has_alpha:
        return "it has alpha"
    if name not in (*PLANAR_420, "yuv420p10le"):
        return f"its pixels are {name}, not 4:2:0 of 8 or 10 bits"
    if converter.orientation != UPRIGHT:
        return "it is to be turned upright"
    if converter.size != stored:
        return "it is to be rescaled"
    if stored[0] % 2 or stored[1] % 2:
        return f"its size, {stored[0]}x{stored[1]}, is odd"
    codec = decoder.codec
    if not any(config.device_type == HWDeviceType.cuda for config in codec.hardware_configs or ()):
        return f"NVDEC does not know {codec.name}"
    return ""


class Again:
    """Pictures of a stream by their index, decoded from its beginning by a source that `open_again` opens on the CPU.

    Those asked for in order cost one pass. Raises SourceError for one that does not come.
    """

    def __init__(self, open_again: Callable[[], Iterator[Frame | av.Packet]]) -> None:
        self._open_again = open_again
        self._items: Iterator[Frame | av.Packet] = iter(())
        self._next = 0

    def __call__(self, index: int) -> av.VideoFrame:
        if index < self._next or not self._next:
            self._items = self._open_again()
        for item in self._items:
            if isinstance(item, Frame) and item.index == index:
                self._next = index + 1
                return item.picture
        raise SourceError(f"frame {index}, which the GPU has lost, cannot be decoded again")
