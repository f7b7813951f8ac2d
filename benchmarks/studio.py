"""How live the studio is: `python -m benchmarks.studio [--json FILE]`.

The real `allaprima studio` paints the fake camera of a headless Chromium on the same machine; camera, page and server share
its cores. The camera plays the code-made scene at 640x480 and 30 frames a second, with a clock drawn into every frame
(`benchmarks.glass`), in the default controls: the clock survives the painting, the network runs at its full cost.

Glass to glass is from the capture time that the browser's camera gives a frame (`captureTime` of
`requestVideoFrameCallback`; when the fake device made it) to the moment at which the browser expects the painting of that
very frame to be visible (`expectedDisplayTime`). So everything is contained but a real camera's exposure and transfer, and
the light of a real display: encoder and network in both directions, the whole chain, jitter buffers, decoder, compositing.
The probe's own work, reading two pictures a frame, is contained as well. Frames for which there was no time, so that the
paint was carried along by motion, show no number of their own: they count as shown, but not as painted anew.

A style is switched by the mouse, which rests on the painting for a quarter of a second before it clicks, as a hand does; and
by a script, without such a warning. The networks were compiled before, as they are once the studio was in use for three
minutes on a machine. Frames missed at a switch are those beyond what is usual without one. How many were shown says the
browser's own count (`presentedFrames`), since the page itself does not come to look at every one.

Sound is the browser's microphone, a click every second: how much later a click comes back than it went in, less how much
later the painted picture is shown than it was captured. The buffers of a real microphone and of a loudspeaker, which are
equal with any page, are not contained. Linux only.
"""

import argparse
import base64
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import glass
from benchmarks.chain import Row
from benchmarks.rig import SIZE, Browser, Server, all_busy, busy, show, studio, write
from engine.controls import Controls
from engine.errors import AllaPrimaError, SourceError

LOOKS = ("great-wave", "scream", "woman-with-hat", Controls().style)  # one after the other, of very different colours
BEFORE, SETTLED, AFTER = 1.5, 2.0, 3.5  # seconds around a switch: before it, until it is over, and until the next


def dropped_picture() -> bytes:
    """A picture that no shipped style looks like: broad strokes of red, orange and violet. PNG."""
    noise = np.random.default_rng(3).random((24, 32, 3), np.float32) * (160, 110, 255)  # B, G, R
    strokes = cv2.blur(cv2.resize(noise, (512, 384), interpolation=cv2.INTER_NEAREST), (31, 7))
    return cv2.imencode(".png", strokes.astype(np.uint8))[1].tobytes()


def of_camera(entries: Sequence[dict], pairs: Sequence[dict]) -> list[glass.Seen]:
    """The camera's frames at their capture times. `pairs` are frames of which the page's clock is known as well."""
    stamps = {_number(entry): entry["stamp"] for entry in entries[: glass.NUMBERS // 2]}
    apart = [stamps[number] - pair["captureTime"] for pair in pairs if (number := _number(pair)) in stamps]
    offset = float(np.median(apart))
    return [glass.Seen(_number(entry), entry["stamp"] - offset, np.array(entry["colours"])) for entry in entries]


def of_page(entries: Sequence[dict]) -> list[glass.Seen]:
    """The painted frames when they were shown; those that may have been another than the one announced are left out."""
    return [
        glass.Seen(_number(entry), entry["expectedDisplayTime"], np.array(entry["colours"]))
        for entry in entries
        if entry["same"]
    ]


def shown(entries: Sequence[dict], begin: float, end: float) -> int:
    """How many painted frames the browser has shown from `begin` to `end`."""
    return glass.counted([(entry["expectedDisplayTime"], entry["presentedFrames"]) for entry in entries], begin, end)


def _number(entry: dict) -> int | None:
    return glass.read(np.array(entry["levels"]).reshape(2, glass.COLUMNS))


def of_switch(camera: Sequence[glass.Seen], painted: Sequence[dict], asked: float, usual: float) -> dict[str, float]:
    """What became of a look asked for at `asked`: see `glass.Switch`. And from then until it is settled, how many frames
    fewer were shown than the camera took, beyond the `usual` ones a second, and the longest that one stood still."""
    page = of_page(painted)
    end = asked + SETTLED * 1e3
    found = asdict(glass.switch(_between(page, asked - BEFORE * 1e3, asked + AFTER * 1e3), asked, end))
    missing = len(_between(camera, asked, end)) - shown(painted, asked, end)
    longest = np.diff([asked, *(frame.time for frame in _between(page, asked, end)), end]).max()
    return found | {"missed": max(missing - usual * SETTLED, 0.0), "longest": float(longest)}


def _between(frames: Sequence[glass.Seen], begin: float, end: float) -> list[glass.Seen]:
    return [frame for frame in frames if begin <= frame.time < end]


def watch(server: Server, browser: Browser, seconds: float) -> tuple[float, float, dict[str, Any]]:
    """Let it run; from when to when on the page's clock, and what was busy meanwhile."""
    pids = {"server": server.process.pid, "browser": browser.driver.service.process.pid}
    begin, before, sent = browser.now, server.status(), browser.statistics()
    work, all_work, since = {name: busy(pid) for name, pid in pids.items()}, all_busy(), time.monotonic()
    cadences: list[float] = []
    while (took := time.monotonic() - since) < seconds:
        time.sleep(min(1.0, seconds - took))
        cadence = server.status()["cadence"]
        cadences.append(cadence)
    cores = {name: (busy(pid) - work[name]) / took for name, pid in pids.items()}
    cores["others"] = (all_busy() - all_work) / took - sum(cores.values())
    now, after, end = browser.statistics(), server.status(), browser.now
    facts: dict[str, Any] = {"cores": cores, "cadence": float(np.median(cadences))}
    facts |= {key: after[key] - before[key] for key in ("dropped", "carried")}
    facts |= {key: after[key] for key in ("fps", "latency_ms", "backend", "network", "failing")}
    facts["webrtc"] = of_webrtc(sent, now, took)
    return begin, end, facts


def of_webrtc(before: dict[str, dict], after: dict[str, dict], seconds: float) -> dict[str, Any]:
    """What the browser says of the picture that it sent and received meanwhile; milliseconds are per frame."""

    def grown(kind: str, key: str) -> float:
        return after[kind][key] - before[kind].get(key, 0)

    def each(kind: str, total: str, count: str) -> float:
        return grown(kind, total) / max(grown(kind, count), 1) * 1e3

    out, into = "video sent", "video received"
    playing = [after[f"{kind} received"].get("estimatedPlayoutTimestamp") for kind in ("audio", "video")]
    return {
        "sent_size": [after[out]["frameWidth"], after[out]["frameHeight"]],
        "up_kbit": grown(out, "bytesSent") * 8e-3 / seconds,
        "down_kbit": grown(into, "bytesReceived") * 8e-3 / seconds,
        "encode_ms": each(out, "totalEncodeTime", "framesEncoded"),
        "jitter_buffer_ms": each(into, "jitterBufferDelay", "jitterBufferEmittedCount"),
        "decode_ms": each(into, "totalDecodeTime", "framesDecoded"),
        "keyframes": grown(into, "keyFramesDecoded"),
        "frames_dropped": grown(into, "framesDropped"),
        # by the senders' clocks, the loudspeaker's buffer included
        "sound_behind_ms": playing[1] - playing[0] if None not in playing else None,
    }


def measure(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, ready for JSON. Raises AllaPrimaError."""
    picture = ["POST", "/api/styles?name=dropped", base64.b64encode(dropped_picture()).decode(), "image/png"]
    with studio() as (server, browser):
        say(f"watching for {seconds:g} s")
        begin, end, facts = watch(server, browser, seconds)
        asked = []
        for look in LOOKS * 2:
            say(f"switching to {look}")
            time.sleep(BEFORE)
            by_mouse = len(asked) < len(LOOKS)
            asked.append(browser.choose(look) if by_mouse else browser.ask(["PATCH", "/api/controls", {"style": look}]))
            time.sleep(AFTER)
        say("dropping a picture")
        asked.append(browser.ask(picture, ["PATCH", "/api/controls", {"style": "dropped"}]))
        time.sleep(AFTER)
        seen, memory = browser.seen(), {"now": server.memory, "peak": server.peak}
    camera, page = of_camera(seen["camera"], seen["offset"]), of_page(seen["painted"])
    taken, readable = _between(camera, begin, end), _between(page, begin, end)
    frames = shown(seen["painted"], begin, end)
    delays = glass.latencies(camera, readable)
    if not delays.size:
        raise SourceError("the clock cannot be read in what is painted")
    usual = (len(taken) - frames) * 1e3 / (end - begin)
    *switches, drop = [of_switch(camera, seen["painted"], one["began"], usual) for one in asked]
    switched = [{"look": look} | one for look, one in zip(LOOKS * 2, switches, strict=True)]
    heard = glass.behind(seen["clicks"]["local"], seen["clicks"]["painted"])
    lag = float(np.median(delays))
    return {
        "size": list(SIZE),
        "seconds": (end - begin) / 1e3,
        "camera_fps": len(taken) * 1e3 / (end - begin),
        "shown_fps": frames * 1e3 / (end - begin),
        "painted_anew_fps": len(delays) * 1e3 / (end - begin),
        "unreadable": sum(frame.number is None for frame in readable),
        "uncertain": sum(not entry["same"] for entry in seen["painted"]),
        "latency_ms": {f"p{share}": float(np.percentile(delays, share)) for share in (1, 50, 90, 99, 100)},
        "memory_mb": memory,
        "facts": facts,
        "switches": {"mouse": switched[: len(LOOKS)], "script": switched[len(LOOKS) :]},
        "drop": {"answered": asked[-1]["took"]} | drop,
        "sound": {
            "clicks": len(heard),
            "behind_ms": float(np.median(heard) - lag) if len(heard) else None,
            "spread_ms": float(np.ptp(np.percentile(heard, (5, 95)))) if len(heard) else None,
        },
    }


def rows(result: dict[str, Any]) -> list[Row]:
    """The figures that were asked for. Where only one bound was named, the aim is the same."""

    def of_switches(way: str) -> list[Row]:
        first, missed = ([one[key] for one in result["switches"][way]] for key in ("first", "missed"))
        return [
            Row(f"switch by {way}: until it shows, median", float(np.median(first)), "ms", 300, 300, higher=False),
            Row("  the slowest", max(first), "ms", 300, 300, higher=False),
            Row("  frames missed meanwhile, most", max(missed), "", 3, 0, higher=False),
        ]

    found = [
        Row("painted and shown", result["shown_fps"], "fps", 24, 30),
        Row("  of them painted anew, not carried along", result["painted_anew_fps"], "fps", 24, 30),
        Row("glass to glass, median", result["latency_ms"]["p50"], "ms", 150, 150, higher=False),
        Row("glass to glass, p99", result["latency_ms"]["p99"], "ms", 250, 250, higher=False),
        *of_switches("mouse"),
        *of_switches("script"),
        Row("picture dropped: until 90 % painted in it", result["drop"]["arrived"], "ms", 2000, 2000, higher=False),
    ]
    if result["sound"]["clicks"]:
        # within what ITU-R BT.1359 found nobody to notice
        found.append(Row("sound away from the picture", abs(result["sound"]["behind_ms"]), "ms", 45, 20, higher=False))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of watching before the switches (default %(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    result = measure(options.seconds, lambda line: print(line, file=sys.stderr, flush=True))
    found = rows(result)
    show(found, result)
    if options.json:
        write(options.json, found, result)


if __name__ == "__main__":
    try:
        main()
    except AllaPrimaError as error:
        sys.exit(f"studio: {error}")
