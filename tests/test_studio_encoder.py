"""What the studio's pictures are encoded with: strokes stay, and the rate follows the line without a keyframe each time."""

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import sdp
from aiortc.codecs.vpx import Vp8Encoder, vp8_depayload

from engine.frame import plane_views
from engine.studio.encoder import LEAST, MOST, PER_PIXEL, PaintingEncoder, eager, rate

SIZE = (320, 240)
PIXELS = SIZE[0] * SIZE[1]


def strokes(number: int) -> av.VideoFrame:
    """Broad strokes that stand still, and faint fine ones that creep over them."""
    picture = av.VideoFrame(*SIZE, "yuv420p")
    luma, cb, cr = plane_views(picture)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    luma[:] = 120 + 40 * np.sin((x + 2 * y) / 9) + 8 * np.sin((2 * x - y + number / 2) / 3)
    cb[:], cr[:] = 110, 140
    picture.pts, picture.time_base = number * 3000, Fraction(1, 90_000)
    return picture


def error(encoder: Vp8Encoder) -> float:
    """Mean squared error in codes of luma, over frames that follow the first."""
    decoder, errors = av.CodecContext.create("libvpx", "r"), []
    for number in range(12):
        picture = strokes(number)
        drawn = plane_views(picture)[0].astype(float)
        data = b"".join(vp8_depayload(payload) for payload in encoder.encode(picture)[0])
        errors += [((plane_views(shown)[0] - drawn) ** 2).mean() for shown in decoder.decode(av.Packet(data))]
    return float(np.mean(errors[4:]))


def test_strokes_are_not_smoothed_into_the_frame_before() -> None:
    faces, paintings = Vp8Encoder(), PaintingEncoder()
    faces.target_bitrate = paintings.target_bitrate = PER_PIXEL * PIXELS
    assert error(paintings) < 0.4 * error(faces)


def test_a_picture_of_another_size_is_taken() -> None:
    encoder = PaintingEncoder()
    assert encoder.encode(strokes(0))[0]
    larger = strokes(1).reformat(640, 480)
    larger.pts, larger.time_base = 3000, Fraction(1, 90_000)
    assert encoder.encode(larger)[1] == 3000
    assert encoder.target_bitrate == PER_PIXEL * 640 * 480


@pytest.mark.parametrize(
    ("pixels", "estimate", "current", "taken"),
    [
        (640 * 480, MOST, None, PER_PIXEL * 640 * 480),
        (1920 * 1080, 10**9, None, MOST),
        (640 * 480, 10, None, LEAST),
        (640 * 480, 1_900_000, 2_000_000, 2_000_000),  # a little less is no reason for a keyframe
        (640 * 480, 1_000_000, 2_000_000, 1_000_000),
        (640 * 480, 2_900_000, 2_000_000, 2_000_000),
        (640 * 480, 3_500_000, 2_000_000, 3_500_000),
    ],
)
def test_the_rate_follows_the_picture_and_the_line(pixels: int, estimate: int, current: int | None, taken: int) -> None:
    assert rate(pixels, estimate, current) == taken


def test_an_answer_asks_for_a_good_camera_at_once() -> None:
    lines = [
        "v=0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    ]
    media = sdp.SessionDescription.parse(eager("\r\n".join([*lines, ""]))).media[0]
    assert media.rtp.codecs[0].parameters["x-google-start-bitrate"] == "2500"
    assert "x-google-start-bitrate" not in media.rtp.codecs[1].parameters
