"""Audio, subtitles, data and attachments that travel beside the picture, byte for byte."""

from collections.abc import Sequence
from io import BytesIO

import av
from av.container import OutputContainer
from av.stream import Stream

# Formats whose muxers take anything, or open a connection, so that trying them says nothing
_ALLOWED = {
    "mpegts": {
        "audio": {"aac", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus"},
        "subtitle": {"dvb_subtitle", "dvb_teletext"},
        "data": {"klv", "timed_id3", "scte_35", "smpte_2038"},
    },
    "rtsp": {"audio": {"aac", "mp2", "mp3", "ac3", "opus", "vorbis", "pcm_alaw", "pcm_mulaw"}},
    "whip": {"audio": {"opus"}},
}
_ROOMIER = {"matroska": ".mkv", "mov": ".mov", "mp4": ".mp4"}


class Companions:
    """The streams of `templates` that `container`, or the format called `form`, can hold, added to it.

    Those it cannot are named in `notes`. The containers that the templates belong to must stay open as long as this lives.
    """

    def __init__(
        self, container: OutputContainer, templates: Sequence[Stream], notes: list[str], form: str | None = None
    ) -> None:
        form = form or container.format.name
        self._streams: dict[Stream, Stream] = {}
        for template in templates:
            if not fits(form, (*self._streams, template)):
                notes.append(_left_out(form, template))
                continue
            stream = container.add_stream_from_template(template, opaque=True)
            stream.metadata.update(template.metadata)
            stream.disposition = template.disposition
            self._streams[template] = stream

    def packet(self, packet: av.Packet) -> av.Packet | None:
        """`packet` for this container: the same bytes and timestamps in an object of its own, since muxing rewrites the
        timestamps in place and another sink may still want them. None if there is nothing to write."""
        stream = self._streams.get(packet.stream)
        if stream is None or (packet.dts is None and packet.pts is None):
            return None  # left out, or the empty packet with which a demuxer ends a stream
        copy = av.Packet(packet)  # type: ignore[arg-type]  # any buffer will do; the payload is shared
        copy.stream = stream
        copy.time_base = packet.time_base
        copy.pts = packet.pts
        copy.dts = packet.pts if packet.dts is None else packet.dts
        copy.duration = packet.duration
        copy.is_keyframe = packet.is_keyframe
        for side_data in packet.iter_sidedata():  # such as how many samples to skip at the start
            copy.set_sidedata(side_data)
        return copy


def fits(name: str, templates: Sequence[Stream]) -> bool:
    """Whether the format called `name` holds these streams together: tried by writing a header to memory."""
    if name in _ALLOWED:
        allowed = _ALLOWED[name]
        return all(_codec(template) in allowed.get(template.type, ()) for template in templates)
    try:
        with av.open(BytesIO(), "w", format=name) as trial:
            for template in templates:
                trial.add_stream_from_template(template, opaque=True)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _codec(template: Stream) -> str:
    return template.codec_context.codec.canonical_name if template.codec_context else "unknown"


def _left_out(name: str, template: Stream) -> str:
    suffix = next((suffix for roomier, suffix in _ROOMIER.items() if roomier != name and fits(roomier, (template,))), None)
    advice = f"; write to {suffix} to keep it" if suffix else ""
    return f"{template.type} stream {template.index} ({_codec(template)}) is left out: {name} cannot hold it{advice}"
