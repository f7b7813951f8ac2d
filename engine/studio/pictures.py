"""Pictures that strangers send: what they are and how large is read from their bytes before anything decodes them."""

import struct
import zlib

import cv2
import numpy as np

from engine.errors import UsageError

MOST_BYTES = 20_000_000
MOST_PIXELS = 40_000_000
TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP"}
_SIDES = (32, 16_384)  # pixels, the least and the most

_JPEG_SIZES = {0xC0, 0xC1, 0xC2}  # start-of-frame markers that decoders here know: baseline, extended, progressive
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length (T.81, B.1.1.3)


def check(data: bytes, content_type: str) -> None:
    """Raises UsageError for all that is not a whole JPEG, PNG or WebP picture of a bearable size, as `content_type` says."""
    if content_type not in TYPES:
        raise UsageError("a picture is image/jpeg, image/png or image/webp")
    kind, size = measured(data)
    if TYPES[content_type] != kind:
        raise UsageError(f"this is no {TYPES[content_type]} picture")
    low, high = _SIDES
    if not (low <= min(size) and max(size) <= high and size[0] * size[1] <= MOST_PIXELS):
        raise UsageError(f"the picture is {size[0]}x{size[1]}; a style needs 32x32 to {MOST_PIXELS // 10**6} megapixels")


def measured(data: bytes) -> tuple[str, tuple[int, int]]:
    """Kind and (width, height). Raises UsageError."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return "JPEG", _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return "PNG", _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "WebP", _webp(data)
    except (struct.error, IndexError, zlib.error) as error:
        raise UsageError("the picture is cut off or damaged") from error
    raise UsageError("this is no JPEG, PNG or WebP picture")


def _jpeg(data: bytes) -> tuple[int, int]:
    """ITU-T T.81, B.1 and B.2.2: segments up to the start of the frame. The end of the image must be there."""
    if data.rfind(b"\xff\xd9") < len(data) - 4096:  # some cameras add a little behind it
        raise UsageError("the picture is cut off")
    at = 2
    while True:
        if data[at] != 0xFF:
            raise UsageError("the picture is damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):
            raise UsageError("the picture is damaged")
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _png(data: bytes) -> tuple[int, int]:
    """W3C PNG, 5.3: chunks, each with its checksum, from IHDR to IEND."""
    at, size = 8, None
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != checksum:
            raise UsageError("the picture is damaged")
        if size is None:
            if name != b"IHDR":
                raise UsageError("the picture is damaged")
            size = struct.unpack_from(">II", data, at + 8)
        if name == b"IEND":
            return size[0], size[1]
        at += 12 + length


def _webp(data: bytes) -> tuple[int, int]:
    """RFC 9649, 2.5 to 2.7: one picture, lossy, lossless or extended."""
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise UsageError("the picture is cut off")
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & 2:
            raise UsageError("a film is no style; send a picture that stands still")
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise UsageError("the picture is damaged")


def thumbnail(data: bytes, side: int = 320) -> bytes | None:
    """A kept picture as a small JPEG, its shorter side of `side` pixels; None for what cannot be read."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    factor = min(side / min(bgr.shape[:2]), 1)
    small = cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
