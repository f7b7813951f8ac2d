"""Painted pictures that stay on the GPU, lent to whoever takes them there."""

import weakref
from typing import Any

import av

from kernels.device import Device

_ALIGNED = 256  # bytes, what NVENC wants rows to be a multiple of


class Lending:
    """Room on a device for NV12 pictures of one size, an even one. What nobody holds any more is lent again, so that there
    is as much of it as was ever needed at once."""

    def __init__(self, device: Device, width: int, height: int):
        from av.video.frame import CudaContext  # older PyAV has none, and paints on the CPU

        self._device, self._width, self._height = device, width, height
        self._rooms: list[Any] = []
        self._lent: list[list[weakref.ref]] = []  # of each room, its planes
        device.enter()
        # CuPy's own, as in `engine.sources.hardware`: what lies in another, NVENC could not read
        self._context = CudaContext(primary_ctx=False, current_ctx=True)

    def planes(self) -> tuple[Any, ...]:
        """Room for a picture: arrays uint8 [h, w] and [h / 2, w] there, which are lent as long as anyone holds either.

        NVENC asks that chroma follow on luma in one piece, in rows as long.
        """
        free = next((i for i, lent in enumerate(self._lent) if all(plane() is None for plane in lent)), None)
        if free is None:
            free = len(self._rooms)
            pitch = -(-self._width // _ALIGNED) * _ALIGNED
            self._rooms.append(self._device.zeros((self._height * 3 // 2, pitch), "uint8"))
            self._lent.append([])
        whole = self._rooms[free]
        planes = whole[: self._height, : self._width], whole[self._height :, : self._width]
        self._lent[free] = [weakref.ref(plane) for plane in planes]
        return planes

    def picture(self, planes: tuple[Any, ...]) -> av.VideoFrame:
        """What has been painted into `planes`, which it holds, without a copy. On the thread that made this."""
        return av.VideoFrame.from_dlpack(planes, format="nv12", cuda_context=self._context)
