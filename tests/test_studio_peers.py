"""Browsers, played by aiortc: a camera goes in and comes back painted, others look on, and some vanish."""

import asyncio
import time

import av
import numpy as np
import pytest
from aiortc import sdp
from studios import SIZE, Browser, read, served

from engine.studio import peers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def played(folder, scene, **settings):
    async def play():
        async with served(folder, **settings) as (client, api):
            return await scene(client, api)

    return asyncio.run(play())


async def watched(browser: Browser, count: int) -> list[tuple[int, float]]:
    return [read(await browser.see()) for _ in range(count)]


def test_a_camera_comes_back_painted_and_the_painting_follows_it(tmp_path):
    async def scene(client, api):
        browser = Browser(client)
        await browser.join("camera", sound=True)
        await watched(browser, 5)
        behind = []
        for _ in range(20):
            picture = await browser.see()
            number, light = read(picture)
            behind.append((browser.camera.number - number) % 256)
            assert (picture.width, picture.height) == SIZE
            assert light > 150  # the camera's is 30
        sound = await browser.see("audio")
        await browser.leave()
        return behind, sound.sample_rate

    behind, rate = played(tmp_path, scene)
    assert max(behind) < 25
    assert rate == 48_000


def test_a_style_that_is_wished_shows_in_the_browser(tmp_path):
    async def scene(client, api):
        browser = Browser(client)
        await browser.join("camera")
        before = (await watched(browser, 10))[-1][1]
        assert (await client.patch("/api/controls", json={"style": "great-wave"})).status == 200
        frames = 0
        while frames < 60 and (await watched(browser, 1))[0][1] <= before + 8:
            frames += 1
        await browser.leave()
        return frames

    assert played(tmp_path, scene) < 50  # of 25 a second, with 0.6 s of morph, on a busy machine


def test_a_viewer_sees_the_same_and_a_slow_one_slows_nobody(tmp_path):
    async def scene(client, api):
        camera, viewer, slow = Browser(client), Browser(client), Browser(client)
        await camera.join("camera")
        await watched(camera, 3)
        await viewer.join("viewer")
        await slow.join("viewer")
        assert len(api.peers.sessions) == 3
        codecs = sdp.SessionDescription.parse(viewer.connection.remoteDescription.sdp).media[0].rtp.codecs
        assert codecs[0].mimeType == "video/VP8"  # the cheapest to encode
        encoders = [session for session in api.peers.sessions.values() if session.id == slow.session]
        listener = encoders[0].tracks[0]._listener
        listener.next = lambda: asyncio.sleep(3600)  # an encoder that never comes back for more
        before, since = api.stage.broadcast.count, time.monotonic()
        seen = await watched(viewer, 15)
        rate = (api.stage.broadcast.count - before) / (time.monotonic() - since)
        for browser in (camera, viewer, slow):
            await browser.leave()
        return seen, rate

    seen, rate = played(tmp_path, scene)
    assert all(light > 150 for _, light in seen)
    assert rate > 5


def test_before_and_after_are_of_the_same_instant_and_sent_only_where_they_are_asked_for(tmp_path):
    async def scene(client, api):
        camera, both = Browser(client), Browser(client)
        await camera.join("camera")
        await watched(camera, 3)
        quiet = len(api.stage.broadcast.hall.listeners)
        await both.join("compare")
        pictures = [await both.see() for _ in range(8)]
        viewers = (await (await client.get("/api/status")).json())["viewers"]
        for browser in (camera, both):
            await browser.leave()
        return pictures, quiet, viewers

    pictures, quiet, viewers = played(tmp_path, scene)
    assert (quiet, viewers) == (1, 1)
    for picture in pictures:
        assert (picture.width, picture.height) == (2 * SIZE[0], SIZE[1])
        before, after = (read(half) for half in halves(picture))
        assert before[0] == after[0]
        assert before[1] < 60 < 150 < after[1]


def halves(picture: av.VideoFrame) -> list[av.VideoFrame]:
    planes = picture.to_ndarray(format="rgb24")
    return [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(half), "rgb24").reformat(format="yuv420p")
        for half in np.hsplit(planes, 2)
    ]


def test_a_viewer_that_vanishes_is_closed_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.1)

    async def scene(client, api):
        camera, viewer = Browser(client), Browser(client)
        await camera.join("camera")
        await viewer.join("viewer")
        await watched(viewer, 2)
        for transport in viewer.connection._RTCPeerConnection__iceTransports:  # gone without a word
            for protocol in transport._connection._protocols:
                protocol.transport.abort()
        for _ in range(100):
            if viewer.session not in api.peers.sessions:
                break
            await asyncio.sleep(0.1)
        left = list(api.peers.sessions)
        await watched(camera, 3)
        await camera.leave()
        await viewer.leave()
        return left == [camera.session]

    assert played(tmp_path, scene)


def test_the_newest_camera_is_shown_and_the_one_before_when_it_goes(tmp_path):
    async def scene(client, api):
        one, other = Browser(client), Browser(client)
        await one.join("camera")
        await other.join("camera")
        sessions = [api.peers.sessions[browser.session] for browser in (one, other)]
        newest = api.peers._camera
        assert (await client.delete(f"/api/sessions/{other.session}")).status == 200
        then = api.peers._camera
        await one.leave()
        await other.leave()
        return newest is sessions[1], then is sessions[0]

    assert played(tmp_path, scene) == (True, True)


def test_a_camera_that_falls_silent_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "SILENT", 0.5)

    async def scene(client, api):
        browser = Browser(client)
        await browser.join("camera")
        await watched(browser, 2)
        well = (await (await client.get("/api/status")).json())["failing"]
        browser.camera.recv = lambda: asyncio.sleep(3600)
        await asyncio.sleep(1.0)
        ill = (await (await client.get("/api/status")).json())["failing"]
        await browser.leave()
        return well, ill

    well, ill = played(tmp_path, scene)
    assert well is None
    assert ill.startswith("camera: no picture for")


def test_there_are_only_so_many_sessions_and_idle_ones_are_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "MOST", 1)
    monkeypatch.setattr(peers, "IDLE", 0.0)

    async def scene(client, api):
        browser, second = Browser(client), Browser(client)
        await browser.join("camera")
        with pytest.raises(AssertionError, match="there are 1 sessions already"):
            await second.join("viewer")
        await asyncio.sleep(0.01)
        await api.peers.sweep()
        left = len(api.peers.sessions)
        await browser.leave()
        await second.leave()
        return left

    assert played(tmp_path, scene) == 0


def test_names_that_only_multicast_dns_knows_are_left_out_of_an_offer():
    lines = [
        "a=candidate:1 1 udp 2113937151 4f2c.local 50000 typ host generation 0",
        "a=candidate:2 1 udp 2113937151 127.0.0.1 50000 typ host",
        "a=end-of-candidates",
        "a=mid:0",
    ]
    assert peers._without_names("\r\n".join([*lines, ""])) == "\r\n".join([lines[1], lines[3], ""])
