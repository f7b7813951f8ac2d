"""What comes by RTP is given away as soon as it is whole, in order, and what is late is left out."""

import pytest

rtp = pytest.importorskip("aiortc.rtp", reason="the studio needs aiohttp and aiortc: pip install '.[studio]'")

from engine.studio.jitter import PromptBuffer  # noqa: E402


def packet(sequence: int, timestamp: int, marker: int = 0):
    made = rtp.RtpPacket(sequence_number=sequence % 65536, timestamp=timestamp, marker=marker)
    made._data = bytes([sequence % 256])
    return made


def given(buffer: PromptBuffer, *packets) -> list[tuple[bytes, int] | None]:
    """The frame that each packet lets out."""
    frames = [buffer.add(one)[1] for one in packets]
    return [frame and (frame.data, frame.timestamp) for frame in frames]


def video() -> PromptBuffer:
    return PromptBuffer(capacity=16, is_video=True)


def sound() -> PromptBuffer:
    return PromptBuffer(capacity=16, prefetch=4)


def test_a_picture_is_given_with_its_last_packet():
    assert given(video(), packet(1, 90), packet(2, 90, 1), packet(3, 180, 1)) == [None, (b"\1\2", 90), (b"\3", 180)]


def test_a_picture_waits_for_the_packet_that_it_lacks():
    late = [packet(1, 90), packet(3, 90, 1), packet(2, 90)]
    assert given(video(), *late) == [None, None, (b"\1\2\3", 90)]


def test_pictures_come_in_order_and_none_is_lost():
    buffer = video()
    frames = given(buffer, packet(1, 90), packet(3, 180, 1), packet(2, 90, 1), packet(4, 270, 1), packet(5, 360, 1))
    assert frames == [None, None, (b"\1\2", 90), (b"\3", 180), (b"\4", 270)]


def test_a_picture_without_a_mark_is_given_when_the_next_one_begins():
    assert given(video(), packet(1, 90), packet(2, 90), packet(3, 180)) == [None, None, (b"\1\2", 90)]


def test_a_picture_may_begin_before_the_sequence_numbers_do_anew():
    assert given(video(), packet(65535, 90), packet(65536, 90, 1)) == [None, (b"\xff\0", 90)]


def test_sound_is_never_held_back_whatever_is_lost_and_what_comes_late_is_left_out():
    frames = given(
        sound(), packet(65535, 0), packet(65536, 960), packet(65539, 3840), packet(65537, 1920), packet(65540, 4800)
    )
    assert frames == [(b"\xff", 0), (b"\0", 960), (b"\3", 3840), None, (b"\4", 4800)]
