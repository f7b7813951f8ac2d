"""A stand-in for NVDEC: pictures that look like CUDA's, in host memory, and a codec that gives them."""

from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel

from engine.frame import plane_views
from engine.sources import decoding

_OPEN, _CODEC_OF = av.open, decoding._codec_of


def nv12(picture: av.VideoFrame) -> av.VideoFrame:
    """A yuv420p picture as NV12."""
    stored = av.VideoFrame(picture.width, picture.height, "nv12")
    luma, cb, cr = plane_views(picture)
    chroma = np.stack([cb, cr], -1).reshape(len(cb), -1)
    for plane, samples in zip(stored.planes, (luma, chroma), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
        rows[:, : samples.shape[1]] = samples
    stored.colorspace, stored.color_range = picture.colorspace, picture.color_range
    return stored


def _stored(picture: av.VideoFrame) -> av.VideoFrame:
    """As NVDEC has it in memory."""
    if picture.format.name == "nv12":
        return picture
    return picture.reformat(format="p010le") if picture.format.name == "yuv420p10le" else nv12(picture)


class CudaPicture:
    """Has what the engine asks of a picture on a GPU. `gpu` says whether that has lost it, and counts the downloads."""

    def __init__(self, picture: av.VideoFrame, gpu: "Nvdec"):
        self._gpu, self._stored = gpu, _stored(picture)
        self.pts, self.time_base, self.duration = picture.pts, picture.time_base, picture.duration
        self.width, self.height = picture.width, picture.height
        self.format, self.sw_format = av.VideoFormat("cuda"), self._stored.format
        self.colorspace, self.color_range = picture.colorspace, picture.color_range
        self.color_primaries, self.color_trc = picture.color_primaries, picture.color_trc
        self.side_data = picture.side_data
        self.planes = self._stored.planes

    def reformat(self, **how: Any) -> av.VideoFrame:
        if self._gpu.lost:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        self._gpu.downloads += 1
        return self._stored.reformat(**how)


class _Codec:
    """A decoder on the CPU whose pictures are put on the GPU."""

    is_hwaccel = True

    def __init__(self, codec: Any, gpu: "Nvdec"):
        self._codec, self._gpu = codec, gpu
        self.codec, self.thread_type, self.thread_count = codec.codec, "AUTO", 0

    def decode(self, packet: av.Packet) -> list[Any]:
        pictures: list[Any] = []
        for picture in self._codec.decode(packet):
            if self._gpu.decoded == self._gpu.breaks_after:
                raise av.error.ExternalError(-542398533, "Generic error in an external library")
            self._gpu.decoded += 1
            taken = self._gpu.takes(picture)
            pictures.append(CudaPicture(picture, self._gpu) if taken else picture)
        return pictures


class Nvdec:
    """Installs itself for the time of a test. `refuses` is what opening raises; pictures that are not taken (`takes`) come
    from the CPU; after so many the decoder breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.refuses: Exception | None = None
        self.takes = lambda picture: True
        self.breaks_after = -1
        self.lost = False
        self.decoded = self.downloads = 0
        self._containers: list[Any] = []
        monkeypatch.setattr(av, "open", self._open)
        monkeypatch.setattr(decoding, "_codec_of", self._codec_of)

    def _open(self, *what: Any, hwaccel: HWAccel | None = None, **how: Any) -> Any:
        if hwaccel is None:
            return _OPEN(*what, **how)
        assert hwaccel.is_hw_owned
        assert hwaccel.options == {"primary_ctx": "0", "current_ctx": "1"}  # that of CuPy, which exists already
        if self.refuses:
            raise self.refuses
        self._containers.append(_OPEN(*what, **how))
        return self._containers[-1]

    def _codec_of(self, stream: Any) -> Any:
        codec = _CODEC_OF(stream)
        return _Codec(codec, self) if any(stream.container is each for each in self._containers) else codec
