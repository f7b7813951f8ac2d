"""What the studio answers, by its own schema, and what it refuses; nothing that is sent to it brings it down."""

import asyncio
import contextlib
import json
import random
import re
import time
from dataclasses import fields

import pytest
from aiohttp import WSMsgType
from studios import SIZE, ask, served

from engine.controls import Controls
from engine.studio import api as api_module
from engine.stylizers import fitting, installed


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
