"""What the studio answers, by its own schema, and what it refuses; nothing that is sent to it brings it down."""

import asyncio
import contextlib
import json
import random
import re
import struct
import time
import zlib
from dataclasses import fields

import cv2
import numpy as np
import pytest
from aiohttp import WSMsgType
from studios import SIZE, served

from engine.controls import Controls
from engine.studio import api as api_module
from engine.studio import pictures
from engine.stylizers import fitting, installed


def ask(folder, questions, **settings):
    """What `questions(client, api)` returns."""

    async def asked():
        async with served(folder, **settings) as (client, api):
            return await questions(client, api)

    return asyncio.run(asked())


def picture(kind: str = ".png", width: int = 96, height: int = 64) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return cv2.imencode(kind, cv2.resize(noise, (width, height)))[1].tobytes()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it is huge, with every checksum right."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_the_schema_is_that_of_the_engine_and_the_controls_keep_to_it(tmp_path):
    async def questions(client, api):
        schema = (await (await client.get("/api/schema")).json())["controls"]
        assert [entry["name"] for entry in schema] == [control.name for control in fields(Controls)]
        values = await (await client.get("/api/controls")).json()
        for entry in schema:
            kind = {"number": (int, float), "switch": bool, "text": str, "choice": str}[entry["kind"]]
            assert isinstance(values[entry["name"]], kind)
            if entry["kind"] == "number":
                for value, status in [(entry["low"], 200), (entry["high"], 200), (entry["high"] + 0.01, 400), (True, 400)]:
                    answer = await client.patch("/api/controls", json={entry["name"]: value})
                    assert answer.status == status
                    if status == 200:
                        assert (await answer.json())[entry["name"]] == value
            elif entry["kind"] == "choice":
                for value, status in ((entry["choices"][-1], 200), ("another", 400), (1, 400)):
                    assert (await client.patch("/api/controls", json={entry["name"]: value})).status == status
            elif entry["kind"] == "switch":
                assert (await client.patch("/api/controls", json={entry["name"]: True})).status == 200
                assert (await client.patch("/api/controls", json={entry["name"]: 1})).status == 400
        return await (await client.get("/api/status")).json()

    status = ask(tmp_path, questions)
    assert status["size"] == list(SIZE)
    assert (status["viewers"], status["camera"], status["network"], status["failing"]) == (0, False, "fast", None)


LOOKS = ["/etc/passwd", "../../x.jpg", "C:\\x.jpg", "no-such-style", "great-wave:1e9", "great-wave,", ""]


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_made_of_the_librarys_styles_and_never_a_path(tmp_path, look):
    async def questions(client, api):
        answer = await client.patch("/api/controls", json={"style": look})
        return answer.status, await answer.json(), api.desk.controls.style

    status, said, style = ask(tmp_path, questions)
    assert (status, list(said), style) == (400, ["error"], "starry-night")
    assert "\n" not in said["error"]


def test_a_change_is_all_or_nothing_and_a_mixture_is_taken(tmp_path):
    async def questions(client, api):
        refused = await client.patch("/api/controls", json={"strength": 0.5, "consistency": 7})
        assert (refused.status, api.desk.controls.strength) == (400, 1.0)
        taken = await client.patch("/api/controls", json={"style": "starry-night:0.6,great-wave:0.4"})
        return taken.status

    assert ask(tmp_path, questions) == 200


def test_a_thousand_malformed_messages_leave_it_running(tmp_path):
    chance = random.Random(5)
    whole = json.dumps({"type": "controls", "strength": 0.5, "style": "great-wave", "keep_color": True})

    def spoilt() -> str:
        if chance.random() < 0.3:
            return "".join(chr(chance.randrange(32, 1000)) for _ in range(chance.randrange(60)))
        if chance.random() < 0.5:
            junk = [None, [], {}, 1e999, -5, "x" * 2000, [1] * 50, {"a": {}}, True]
            name = chance.choice(["strength", "style", "consistency", "keep_color", "type", "__class__", "\x00"])
            return json.dumps({"type": "controls", name: chance.choice(junk), "nonsense": chance.choice(junk)})
        at = chance.randrange(len(whole))
        return whole[:at] + chr(chance.randrange(1, 128)) * chance.randrange(3) + whole[at + 1 + chance.randrange(4) :]

    async def questions(client, api):
        async with client.ws_connect("/api/live") as channel:
            for _ in range(1000):
                await channel.send_str(spoilt())
            await channel.send_str("[" * 30_000)
            await channel.send_str(json.dumps({"type": "controls", "strength": 0.25, "style": "great-wave"}))
            errors = 0
            while True:
                said = await channel.receive_json(timeout=10)
                errors += said["type"] == "error"
                if said["type"] == "controls" and said["strength"] == 0.25:
                    return errors, channel.closed

    errors, closed = ask(tmp_path, questions)
    assert errors > 700
    assert not closed


def test_what_is_likely_to_be_chosen_is_told_to_the_stage_and_only_that(tmp_path):
    async def questions(client, api):
        expected, before = [], api.desk.controls
        api.stage.expect = expected.append
        async with client.ws_connect("/api/live") as channel:
            for style in ("great-wave", "no-such", 7, "scream:0.5,udnie:0.5"):
                await channel.send_json({"type": "likely", "style": style})
            errors = []
            while len(errors) < 2:
                said = await channel.receive_json(timeout=10)
                errors += [said["error"]] if said["type"] == "error" else []
        while len(expected) < 2:
            await asyncio.sleep(0.01)
        return expected, errors, api.desk.controls == before

    expected, errors, unchanged = ask(tmp_path, questions)
    assert expected == ["great-wave", "scream:0.5,udnie:0.5"]
    assert errors == ["there is no style 'no-such'", "style is a text of at most 1000 characters"]
    assert unchanged


BODIES = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 20_000, b'{"strength": NaN}', b"7" * 5000]


@pytest.mark.parametrize("body", BODIES)
def test_malformed_bodies_are_refused_everywhere(tmp_path, body):
    async def questions(client, api):
        asked = [("PATCH", "/api/controls"), ("PATCH", "/api/stage"), ("POST", "/api/offer"), ("PUT", "/api/presets/x")]
        return [(await client.request(method, path, data=body)).status for method, path in asked if body or method != "PUT"]

    assert set(ask(tmp_path, questions)) == {400}


def test_what_is_too_large_or_not_there_is_refused_in_one_line(tmp_path):
    async def questions(client, api):
        large = await client.patch("/api/controls", data=b" " * (64 * 1024 + 1))
        said = await (await client.get("/api/nothing")).json()
        missing = [
            (await client.get(path)).status
            for path in ("/page/..%2Fapi.py", "/page/%2Fetc%2Fpasswd", "/api/styles/none.jpg", "/api/presets/none")
        ]
        ended = (await client.delete("/api/sessions/none")).status
        async with client.ws_connect("/api/live") as channel:
            await channel.send_str("x" * (64 * 1024 + 1))
            while (message := await channel.receive(timeout=5)).type == WSMsgType.TEXT:
                pass
        return large.status, list(said), missing, ended, message.data, (await client.get("/api/status")).status

    assert ask(tmp_path, questions) == (413, ["error"], [404] * 4, 404, 1009, 200)


def test_all_who_listen_hear_a_change_at_once_and_the_status_twice_a_second(tmp_path):
    async def questions(client, api):
        async with client.ws_connect("/api/live") as one, client.ws_connect("/api/live") as other:
            first = [(await channel.receive_json(timeout=2))["type"] for channel in (one, other) for _ in range(2)]
            await one.send_json({"type": "controls", "strength": 0.5})
            while (heard := await other.receive_json(timeout=2))["type"] != "controls":
                pass
            return first, heard["strength"]

    assert ask(tmp_path, questions) == (["controls", "status"] * 2, 0.5)


def test_a_studio_that_is_closed_says_so_to_all_who_listen(tmp_path):
    async def scene() -> tuple[int | None, float]:
        async with contextlib.AsyncExitStack() as stack:
            client, _ = await stack.enter_async_context(served(tmp_path))
            channel = await client.ws_connect("/api/live")
            since = time.monotonic()
            closing = asyncio.create_task(client.server.close())
            while (await channel.receive(timeout=5)).type == WSMsgType.TEXT:
                pass
            took = time.monotonic() - since
            await closing
            return channel.close_code, took

    code, took = asyncio.run(scene())
    assert code == 1001
    assert took < 2


def test_there_are_only_so_many_live_channels(tmp_path, monkeypatch):
    monkeypatch.setattr(api_module, "MOST_LISTENERS", 1)

    async def questions(client, api):
        async with client.ws_connect("/api/live"):
            refused = (await client.get("/api/live")).status
        await asyncio.sleep(0.1)
        async with client.ws_connect("/api/live") as channel:
            return refused, (await channel.receive_json(timeout=2))["type"]

    assert ask(tmp_path, questions) == (429, "controls")


def test_only_this_machine_and_the_page_itself_may_ask(tmp_path):
    async def questions(client, api):
        own = f"http://127.0.0.1:{client.port}"
        asked = {
            "plain": {},
            "own page": {"Origin": own},
            "by name": {"Host": f"localhost:{client.port}"},
            "rebound": {"Host": f"evil.example:{client.port}"},
            "other page": {"Origin": "http://evil.example"},
            "other port": {"Origin": "http://127.0.0.1:1"},
            "sandboxed": {"Origin": "null"},
            "embedded": {"Sec-Fetch-Site": "cross-site"},
            "no sense": {"Origin": "http://[x"},
        }
        return {name: (await client.get("/api/status", headers=headers)).status for name, headers in asked.items()}

    answers = ask(tmp_path, questions)
    assert [name for name, status in answers.items() if status == 200] == ["plain", "own page", "by name"]
    assert {status for status in answers.values() if status != 200} == {400, 403}


def test_a_token_is_asked_for_where_there_is_one_and_no_page_holds_a_secret(tmp_path):
    async def questions(client, api):
        ways = [
            ({}, ""),
            ({"Authorization": "Bearer wrong"}, ""),
            ({"Authorization": "Bearer hm"}, ""),
            ({}, "?token=hm"),
            ({}, "?token=%C3%A4"),
        ]
        return [(await client.get(f"/api/status{query}", headers=headers)).status for headers, query in ways]

    assert ask(tmp_path, questions, token="hm") == [401, 401, 200, 200, 401]


def test_every_answer_keeps_other_pages_out(tmp_path):
    async def questions(client, api):
        return [(await client.get(path)).headers for path in ("/api/status", "/api/nothing", "/page/none.js")]

    for headers in ask(tmp_path, questions):
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_is_served_and_all_that_it_names(tmp_path):
    async def questions(client, api):
        named = set()
        for path in ("/", "/overlay?style=great-wave"):
            answer = await client.get(path)
            assert (answer.status, answer.content_type) == (200, "text/html")
            named |= set(re.findall(r'(?:src|href)="(/page/[^"]+)"', await answer.text()))
        return named, [path for path in sorted(named) if (await client.get(path)).status != 200]

    named, missing = ask(tmp_path, questions)
    assert named
    assert missing == []


def test_a_picture_becomes_a_style_that_can_be_wished_shown_and_removed(tmp_path):
    async def questions(client, api):
        made = []
        for kind in ("jpg", "webp"):
            content = {"Content-Type": f"image/{kind}".replace("jpg", "jpeg")}
            answer = await client.post("/api/styles?name=My Dog!", data=picture(f".{kind}"), headers=content)
            assert answer.status == 201, await answer.text()
            made.append(await answer.json())
        names = [entry["name"] for entry in made]
        listed = await (await client.get("/api/styles")).json()
        assert sorted(entry["name"] for entry in listed if entry["own"]) == names
        assert all(entry.keys() == made[0].keys() for entry in listed)
        thumbnail = await client.get(made[0]["thumbnail"])
        assert thumbnail.content_type == "image/jpeg"
        assert cv2.imdecode(np.frombuffer(await thumbnail.read(), np.uint8), cv2.IMREAD_COLOR) is not None
        assert (await client.patch("/api/controls", json={"style": f"{names[0]},starry-night"})).status == 200
        gone = [(await client.delete(f"/api/styles/{name}")).status for name in (*names, "great-wave", "none")]
        return names, gone

    names, gone = ask(tmp_path, questions)
    assert names == ["my-dog", "my-dog-2"]
    assert gone == [409, 200, 400, 400]


def spoilt_pictures() -> list[tuple[str, bytes]]:
    chance = np.random.default_rng(3)
    whole = [("image/jpeg", picture(".jpg")), ("image/png", picture(".png")), ("image/webp", picture(".webp"))]
    spoilt = [(kind, data[: int(len(data) * share)]) for kind, data in whole for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9)]
    spoilt += [(kind, chance.bytes(500)) for kind, _ in whole]
    spoilt += [(kind, data[:12] + chance.bytes(len(data))) for kind, data in whole]
    spoilt += [(kind, data) for kind, _ in whole for other, data in whole if other != kind]
    sizes = [(60_000, 60_000), (16_000, 16_000), (8_000, 8_000), (1, 10**6), (0, 0), (31, 31), (2**31, 2**31)]
    spoilt += [("image/png", bomb(*size)) for size in sizes]
    spoilt += [("image/gif", b"GIF89a" + bytes(20)), ("text/html", whole[0][1]), ("image/svg+xml", b"<svg/>"), ("", b"")]
    spoilt += [("image/jpeg", b"\xff\xd8\xff" + bytes(3)), ("image/jpeg", b"\xff\xd8" + b"\xff" * 9000 + b"\xff\xd9")]
    spoilt += [("image/png", picture(".png", 16, 16)), ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x00" * 5 + b"\xff\xd9")]
    spoilt += [("image/png", whole[1][1][:-12]), ("image/webp", whole[2][1][:25] + bytes(5) + whole[2][1][30:])]
    return spoilt


def test_fifty_broken_pictures_and_bombs_are_refused_and_leave_nothing(tmp_path):
    broken = spoilt_pictures()
    assert len(broken) >= 50

    async def questions(client, api):
        wrong = []
        for kind, data in broken:
            answer = await client.post("/api/styles?name=x", data=data, headers={"Content-Type": kind or "image/png"})
            if answer.status != 400 or list(await answer.json()) != ["error"]:
                wrong.append((kind, data[:30], answer.status))
        return wrong, (await client.get("/api/status")).status

    assert ask(tmp_path, questions) == ([], 200)
    assert not list(tmp_path.rglob("*.*"))


def test_an_upload_that_is_too_long_is_cut_off_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(api_module, "MOST_BYTES", 1_000_000)
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 40_000_000:
            sent += 100_000
            yield bytes(100_000)

    async def questions(client, api):
        try:
            answer = await client.post("/api/styles?name=x", data=endless(), headers={"Content-Type": "image/png"})
            return answer.status
        except ConnectionError:  # it was hung up on before it had said all
            return 413

    assert ask(tmp_path, questions) == 413
    assert sent < 40_000_000


def test_sizes_are_read_without_decoding():
    data = {"image/jpeg": picture(".jpg", 320, 200), "image/png": picture(".png", 320, 200)}
    grey = np.zeros((200, 320, 3), np.uint8)
    data["image/webp"] = cv2.imencode(".webp", grey, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()  # lossless
    for content, whole in data.items():
        assert pictures.measured(whole)[1] == (320, 200), content
    assert pictures.measured(picture(".webp", 320, 200)) == ("WebP", (320, 200))


def test_presets_are_kept_recalled_and_forgotten_and_their_names_reach_no_other_file(tmp_path):
    async def questions(client, api):
        await client.patch("/api/controls", json={"strength": 0.5})
        kept = await (await client.put("/api/presets/night", json={"style": "great-wave"})).json()
        assert (kept["style"], kept["strength"]) == ("great-wave", 0.5)
        assert api.desk.controls.style == "starry-night"
        assert await (await client.put("/api/presets/now")).json() == await (await client.get("/api/controls")).json()
        assert list(await (await client.get("/api/presets")).json()) == ["night", "now"]
        recalled = await (await client.get("/api/presets/night")).json()
        assert (await client.patch("/api/controls", json=recalled)).status == 200
        bad = [(await client.put(f"/api/presets/{name}")).status for name in ("A", "a.b", "..%2Fx", "a" * 41, "%00")]
        unfit = (await client.put("/api/presets/x", json={"strength": 2})).status
        return bad, unfit, [(await client.delete("/api/presets/night")).status for _ in range(2)]

    assert ask(tmp_path, questions) == ([400] * 5, 400, [200, 404])
    assert [path.name for path in (tmp_path / "presets").iterdir()] == ["now.json"]


def test_a_stage_says_what_it_can_be_and_what_it_was_asked_to_be(tmp_path):
    async def questions(client, api):
        choices = await (await client.get("/api/stage")).json()
        asked = [(await (await client.get("/api/status")).json())["asked"]]
        for wish in ({"size": [320, 240]}, {"backend": choices["backends"][-1]}, {"size": None}):
            answer = await client.patch("/api/stage", json=wish)
            assert answer.status == 200
            asked.append((await answer.json())["asked"])
        return choices, asked

    choices, asked = ask(tmp_path, questions)
    assert choices["sources"] == ["browser"]
    assert choices["backends"] == ["auto", *(name for name in fitting() if installed(name))]
    assert "openvino" in choices["backends"]
    last = choices["backends"][-1]
    assert [(each["size"], each["backend"]) for each in asked] == [
        (list(SIZE), "auto"),
        ([320, 240], "auto"),
        ([320, 240], last),
        (None, last),
    ]


@pytest.mark.parametrize(
    "wish",
    [
        {"source": "/dev/video0"},
        {"size": [0, 0]},
        {"size": [641, 480]},
        {"size": [10**9, 64]},
        {"size": "640x480"},
        {"size": [True, 64]},
        {"backend": "magic"},
        {"backend": []},
        {"source": {}},
        {"more": 1},
    ],
)
def test_a_stage_is_only_what_there_is(tmp_path, wish):
    async def questions(client, api):
        return (await client.patch("/api/stage", json=wish)).status, (await client.patch("/api/stage", json={})).status

    assert ask(tmp_path, questions) == (400, 200)


@pytest.mark.parametrize(
    "offer",
    [
        {"sdp": "", "type": "offer", "role": "camera"},
        {"sdp": "v=0", "type": "offer", "role": "viewer"},
        {"sdp": "x" * 3000, "type": "offer", "role": "viewer"},
        {"sdp": "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "type": "offer", "role": "viewer"},
        {"sdp": "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "type": "offer", "role": "viewer"},
        {"sdp": "v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 3, "type": "offer", "role": "viewer"},
        {"sdp": 5, "type": "offer", "role": "viewer"},
        {"type": "answer"},
    ],
)
def test_what_is_no_offer_is_refused_and_leaves_no_session(tmp_path, offer):
    async def questions(client, api):
        return (await client.post("/api/offer", json=offer)).status, len(api.peers.sessions)

    assert ask(tmp_path, questions) == (400, 0)
