"""Pictures sent to the studio become styles, and no broken one brings it down."""

import struct
import zlib

import cv2
import numpy as np
from studios import ask

from engine.studio import api as api_module
from engine.studio import pictures


def picture(kind: str = ".png", width: int = 96, height: int = 64) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return cv2.imencode(kind, cv2.resize(noise, (width, height)))[1].tobytes()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it is huge, with every checksum right."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


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
