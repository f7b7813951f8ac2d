"""What a browser sends, as soon as it is whole. What counts live is now; what is late is left out, not waited for."""

import aiortc.rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt


class PromptBuffer(JitterBuffer):
    """See `aiortc.jitterbuffer.JitterBuffer`, which gives a picture away when the next one begins, and sound when three more
    packets of it have come: 33 and 80 ms late.

    The last packet of a picture says that it is (the marker: RFC 7741, 4.1), and each packet of sound is whole (RFC 7587,
    4.2). Lost sound is not waited for either: the receiving browser fills gaps in.
    """

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Whether to ask for a keyframe, and the oldest frame that is whole, if there is one."""
        if self._is_video:
            return super().add(packet)
        if self._origin is not None and not uint16_gt(packet.sequence_number, self._origin):
            return False, None
        self._origin = packet.sequence_number
        return False, _joined([packet])

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        packets: list[RtpPacket] = []
        assert self._origin is not None
        for place in range(self.capacity):
            packet = self._packets[(self._origin + place) % self.capacity]
            if packet is None:
                return None
            if packets and packet.timestamp != packets[0].timestamp:
                break  # a sender that marks nothing
            packets.append(packet)
            if packet.marker:
                break
        else:
            return None
        self.remove(len(packets))
        return _joined(packets)


def _joined(packets: list[RtpPacket]) -> JitterFrame:
    # where aiortc puts the payload without its codec's descriptor
    return JitterFrame(b"".join(packet._data for packet in packets), packets[0].timestamp)  # type: ignore[attr-defined]


def install() -> None:
    """Have aiortc use it."""
    aiortc.rtcrtpreceiver.JitterBuffer = PromptBuffer  # type: ignore[misc]
