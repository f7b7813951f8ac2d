"""What a browser, a script or a MIDI box may ask: the page, its controls, the styles, presets, sessions, and a live channel.

All bodies are JSON but for pictures, and `{"error": "one line"}` where something is wrong.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from engine.errors import UsageError
from engine.studio import schema
from engine.studio.desk import Desk
from engine.studio.gallery import Gallery
from engine.studio.peers import Full, Peers
from engine.studio.pictures import MOST_BYTES
from engine.studio.presets import Presets
from engine.studio.safety import Guardian, problem
from engine.studio.stage import Stage
from engine.stylizers import BACKENDS, fitting, installed

MOST_MESSAGE = 64 * 1024  # bytes of JSON
MOST_LISTENERS = 32  # live channels at once
STATUS_EVERY = 0.5  # seconds
_SWEEP_EVERY = 5.0  # seconds
_SIDES = (64, 1920)  # pixels that may be asked for, the least and the most
_SUFFIXES = {".html", ".css", ".js", ".svg", ".png", ".ico", ".woff2", ".webmanifest"}  # of the page's files


class Api:
    """The routes. `sources` are what may be shown, by name: "browser" always, and what the command was given."""

    def __init__(self, stage: Stage, desk: Desk, gallery: Gallery, presets: Presets, sources: dict[str, Any]):
        self.stage, self.desk, self.gallery, self.presets, self.sources = stage, desk, gallery, presets, sources
        self.peers = Peers(stage)
        folder = Path(str(resources.files("engine.studio") / "page"))
        self._page = {path.name: path for path in folder.glob("*") if path.suffix in _SUFFIXES}
        self._channels: set[web.WebSocketResponse] = set()

    def application(self, guardian: Guardian) -> web.Application:
        app = web.Application(middlewares=[guardian.middleware()], client_max_size=MOST_MESSAGE)
        app.cleanup_ctx.append(self._tended)
        app.on_shutdown.append(self._hang_up)
        app.add_routes(
            [
                web.get("/", self.show("index.html")),
                web.get("/overlay", self.show("overlay.html")),
                web.get("/page/{file}", self.file),
                web.get("/api/schema", self.schema),
                web.get("/api/styles", self.styles),
                web.get("/api/styles/{name}.jpg", self.thumbnail),
                web.post("/api/styles", self.add_style),
                web.delete("/api/styles/{name}", self.remove_style),
                web.get("/api/controls", self.controls),
                web.patch("/api/controls", self.turn),
                web.get("/api/status", self.status),
                web.get("/api/stage", self.choices),
                web.patch("/api/stage", self.restage),
                web.get("/api/presets", self.all_presets),
                web.get("/api/presets/{name}", self.preset),
                web.put("/api/presets/{name}", self.keep_preset),
                web.delete("/api/presets/{name}", self.forget_preset),
                web.post("/api/offer", self.offer),
                web.delete("/api/sessions/{id}", self.end_session),
                web.get("/api/live", self.live),
            ]
        )
        return app

    async def _tended(self, app: web.Application) -> AsyncIterator[None]:
        """While the server runs, sessions that nobody uses are closed; with it, all."""

        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_EVERY)
                await self.peers.sweep()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        await self.peers.close_all()

    async def _hang_up(self, app: web.Application) -> None:
        await asyncio.gather(*(channel.close(code=WSCloseCode.GOING_AWAY) for channel in tuple(self._channels)))

    # the page

    def show(self, name: str):
        async def handler(request: web.Request) -> web.StreamResponse:
            return self._send(name)

        return handler

    async def file(self, request: web.Request) -> web.StreamResponse:
        return self._send(request.match_info["file"])

    def _send(self, name: str) -> web.StreamResponse:
        if name not in self._page:
            raise web.HTTPNotFound(text="there is no such page")
        return web.FileResponse(self._page[name], headers={"Cache-Control": "no-cache"})

    # controls and status

    async def schema(self, request: web.Request) -> web.Response:
        return web.json_response({"controls": schema.describe_controls()})

    async def controls(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self.desk.controls))

    async def turn(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self.desk.turn(await _json(request))))

    async def status(self, request: web.Request) -> web.Response:
        return web.json_response(self._status())

    def _status(self) -> dict[str, Any]:
        status = self.stage.status()
        status["failing"] = status["failing"] or self.peers.failing
        asked = {"size": self.stage.size, "backend": self.stage.backend}
        return status | {"viewers": self.peers.viewers, "camera": self.peers.has_camera, "asked": asked}

    async def choices(self, request: web.Request) -> web.Response:
        """What a stage can be: {"sources": names, "backends": auto and those that are installed}."""
        backends = ["auto", *(name for name in fitting() if installed(name))]
        return web.json_response({"sources": list(self.sources), "backends": backends})

    async def restage(self, request: web.Request) -> web.Response:
        """{"source": one of the sources, "size": [width, height] or null, "backend": name}, or some of them."""
        wish = await _json(request)
        if not isinstance(wish, dict) or wish.keys() - {"source", "size", "backend"}:
            raise UsageError("a stage has source, size and backend")
        source, size = wish.get("source", self.stage.source), wish.get("size", self.stage.size)
        backend = wish.get("backend", self.stage.backend)
        if source not in tuple(self.sources):
            raise UsageError(f"source is one of {', '.join(self.sources)}")
        if backend not in ("auto", *BACKENDS):
            raise UsageError(f"backend is one of auto, {', '.join(BACKENDS)}")
        self.stage.change(_size(size), backend)
        if source != self.stage.source:
            self.stage.play(source, self.sources[source])
        return web.json_response(self._status())

    # styles

    async def styles(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self.gallery.all))

    async def thumbnail(self, request: web.Request) -> web.Response:
        picture = await asyncio.to_thread(self.gallery.thumbnail, request.match_info["name"])
        if picture is None:
            raise web.HTTPNotFound(text="there is no picture of that style")
        return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "no-cache"})

    async def add_style(self, request: web.Request) -> web.Response:
        data = bytearray()
        async for part in request.content.iter_chunked(256 * 1024):
            data += part
            if len(data) > MOST_BYTES:
                raise web.HTTPRequestEntityTooLarge(MOST_BYTES, len(data), text=f"more than {MOST_BYTES // 10**6} MB")
        name = request.query.get("name", "picture")
        return web.json_response(await self.gallery.add(bytes(data), request.content_type, name), status=201)

    async def remove_style(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if schema.uses(self.desk.controls.style, name):
            return problem(409, f"'{name}' is what is painted now; choose another style first")
        await asyncio.to_thread(self.gallery.remove, name)
        return web.json_response({})

    # presets

    async def all_presets(self, request: web.Request) -> web.Response:
        return web.json_response(self.presets.all())

    async def preset(self, request: web.Request) -> web.Response:
        kept = self.presets.get(request.match_info["name"])
        if kept is None:
            raise web.HTTPNotFound(text="there is no such preset")
        return web.json_response(kept)

    async def keep_preset(self, request: web.Request) -> web.Response:
        """The controls of the body, and the others as they are now; without a body, all as they are now."""
        values = await _json(request) if request.can_read_body else {}
        controls = asdict(schema.changed(self.desk.controls, values, self.desk.library))
        self.presets.put(request.match_info["name"], controls)
        return web.json_response(controls)

    async def forget_preset(self, request: web.Request) -> web.Response:
        if not self.presets.delete(request.match_info["name"]):
            raise web.HTTPNotFound(text="there is no such preset")
        return web.json_response({})

    # sessions

    async def offer(self, request: web.Request) -> web.Response:
        offer = await _json(request)
        texts = [offer.get(key) for key in ("sdp", "type", "role")] if isinstance(offer, dict) else []
        if not texts or not all(isinstance(text, str) for text in texts) or texts[1] != "offer":
            raise UsageError("an offer is {sdp, type: offer, role: camera, viewer or compare}")
        try:
            session, answer = await self.peers.answer(str(texts[0]), str(texts[2]))
        except Full as error:
            return problem(429, str(error))
        return web.json_response({"sdp": answer, "type": "answer", "session": session.id})

    async def end_session(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.peers.sessions:
            raise web.HTTPNotFound(text="there is no such session")
        await self.peers.close(request.match_info["id"])
        return web.json_response({})

    async def live(self, request: web.Request) -> web.StreamResponse:
        """WebSocket: sends the status twice a second and the controls when they change; takes controls, and what is about to
        be chosen."""
        if len(self._channels) >= MOST_LISTENERS:
            return problem(429, f"there are {MOST_LISTENERS} live channels already")
        channel = web.WebSocketResponse(heartbeat=20, max_msg_size=MOST_MESSAGE)
        await channel.prepare(request)
        self._channels.add(channel)
        teller = asyncio.create_task(self._tell(channel))
        try:
            async for message in channel:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._heard(channel, message.data)
        finally:
            self._channels.discard(channel)
            teller.cancel()
        return channel

    async def _tell(self, channel: web.WebSocketResponse) -> None:
        told, loop = -1, asyncio.get_running_loop()
        due = loop.time()
        with contextlib.suppress(ConnectionError):  # who does not read is not waited for by anyone else
            while not channel.closed:
                if told != self.desk.version:
                    told = self.desk.version
                    await channel.send_json({"type": "controls", **asdict(self.desk.controls)})
                if loop.time() >= due:
                    due = loop.time() + STATUS_EVERY
                    await channel.send_json({"type": "status", **self._status()})
                await self.desk.turned(max(due - loop.time(), 0))

    async def _heard(self, channel: web.WebSocketResponse, text: str | bytes) -> None:
        try:
            message = _parsed(text)
            kind = message.pop("type", None) if isinstance(message, dict) else None
            if kind != "controls":
                raise UsageError("a message is {type: controls, ...}")
            self.desk.turn(message)
        except UsageError as error:
            with contextlib.suppress(ConnectionError):
                await channel.send_json({"type": "error", "error": str(error)[:300]})


def _size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    low, high = _SIDES
    whole = isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int for side in size)
    if not whole or not all(low <= side <= high and side % 2 == 0 for side in size):
        raise UsageError(f"size is [width, height], even numbers from {low} to {high}, or null")
    return size[0], size[1]


async def _json(request: web.Request) -> Any:
    return _parsed(await request.read())


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("this is no JSON") from error
