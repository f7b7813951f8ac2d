"""A stand-in for the studio's server, for tests of its page: the same addresses and answers, a tint for a painting."""

import asyncio
import time
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import aioice.ice
import cv2
import numpy as np
from aiohttp import WSMsgType, web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from av import VideoFrame

PAGE = Path(__file__).parents[1] / "engine" / "studio" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SCHEMA = [
    {"name": "style", "kind": "text", "low": None, "high": None, "default": "red", "help": "a painting"},
    {"name": "strength", "kind": "number", "low": 0, "high": 1, "default": 1.0, "help": "0 the camera, 1 the painting"},
    {"name": "consistency", "kind": "number", "low": 0, "high": 1, "default": 0.9, "help": "1 the most still"},
    {"name": "keep_color", "kind": "switch", "low": None, "high": None, "default": False, "help": "keep the colours"},
    {
        "name": "network",
        "kind": "choice",
        "low": None,
        "high": None,
        "choices": ["auto", "fast", "fine"],
        "default": "auto",
        "help": "the finer one where there is time",
    },
]
TINTS = {"red": (1.0, 0.2, 0.2), "green": (0.2, 1.0, 0.2), "blue": (0.2, 0.2, 1.0)}  # R, G, B


@dataclass
class Entry:
    name: str
    title: str
    artist: str
    year: str
    rights: str = "public domain"
    own: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"thumbnail": f"/api/styles/{self.name}.jpg"}


@dataclass
class Studio:
    """What the mock shows and was told; tests read and set it."""

    source: str = "browser"
    sources: list[str] = field(default_factory=lambda: ["browser", "rtsp://camera/1"])
    asked: dict[str, Any] = field(default_factory=lambda: {"size": None, "backend": "auto"})
    token: str | None = None
    failing: str | None = None
    controls: dict[str, Any] = field(default_factory=lambda: {control["name"]: control["default"] for control in SCHEMA})
    styles: list[Entry] = field(
        default_factory=lambda: [Entry(name, f"The {name} hour", "A. Painter", "1900") for name in TINTS]
    )
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    peers: dict[str, RTCPeerConnection] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)  # of every offer
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    ready: bool = True  # whether it can paint
    camera: MediaStreamTrack | None = None
    sound: MediaStreamTrack | None = None
    relay: MediaRelay = field(default_factory=MediaRelay)

    def tint(self) -> np.ndarray:
        """What R, G and B are multiplied with: the shares of the look."""
        total = np.zeros(3)
        for part in str(self.controls["style"]).split(","):
            name, _, share = part.partition(":")
            total += np.array(TINTS.get(name, (1.0, 1.0, 0.0))) * float(share or 1)
        return total

    def status(self) -> dict[str, Any]:
        return {
            "fps": 29.0 + np.sin(time.monotonic()),
            "latency_ms": {"p50": 41.0 + 4 * np.cos(time.monotonic()), "p99": 66.0},
            "dropped": int(time.monotonic()) // 5,
            "carried": 0,
            "viewers": len(self.peers),
            "size": [640, 480] if self.ready else None,
            "style": self.controls["style"],
            "becoming": "",
            "refused": "",
            "backend": "openvino 2026.1, CPU, int8",
            "why": ["no GPU was found: openvino paints"],
            "cadence": 1,
            "network": "fast",
            "pacing": "fast on every frame: 12 of 33 ms; fine would take 45",
            "source": self.source,
            "camera": self.camera is not None,
            "asked": self.asked,
            "failing": self.failing,
        }


class Painted(MediaStreamTrack):
    """The camera's light in one colour; without one a grey picture, 20 a second. `compared`, what it was stands left."""

    kind = "video"

    def __init__(self, studio: Studio, compared: bool = False):
        super().__init__()
        self._studio, self._compared, self._count = studio, compared, 0
        camera = studio.camera if studio.source == "browser" else None
        self._camera = studio.relay.subscribe(camera, buffered=False) if camera else None

    async def recv(self) -> VideoFrame:
        if self._camera is None:
            await asyncio.sleep(0.05)
            rgb, pts, base = np.full((240, 320, 3), 200, np.uint8), self._count * 50, Fraction(1, 1000)
            self._count += 1
        else:
            frame = await self._camera.recv()
            rgb, pts, base = frame.to_ndarray(format="rgb24"), frame.pts, frame.time_base
        light = rgb.max(2, keepdims=True)
        shown = np.clip(light * self._studio.tint(), 0, 255).astype(np.uint8)
        shown = np.hstack([rgb, shown]) if self._compared else shown
        painted = VideoFrame.from_ndarray(shown, format="rgb24")
        painted.pts, painted.time_base = pts, base
        return painted


def make_app(studio: Studio) -> web.Application:
    """The application; run it with `aiohttp.web`."""
    routes = web.RouteTableDef()

    def styles() -> list[dict[str, Any]]:
        return [entry.as_json() for entry in studio.styles]

    async def tell_all() -> None:
        for socket in list(studio.sockets):
            await socket.send_json({"type": "controls", **studio.controls})

    @routes.get("/")
    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    @routes.get("/overlay")
    async def overlay(_: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "overlay.html")

    @routes.get("/api/schema")
    async def schema(_: web.Request) -> web.Response:
        return web.json_response({"controls": SCHEMA})

    @routes.get("/api/styles")
    async def list_styles(_: web.Request) -> web.Response:
        return web.json_response(styles())

    @routes.get("/api/styles/{name}.jpg")
    async def thumbnail(request: web.Request) -> web.Response:
        colour = np.array(TINTS.get(request.match_info["name"], (1, 1, 0)))[::-1]
        ramp = np.linspace(60, 255, 128)[None, :, None] * colour
        picture = np.repeat(ramp, 128, 0).astype(np.uint8)
        return web.Response(body=cv2.imencode(".jpg", picture)[1].tobytes(), content_type="image/jpeg")

    @routes.post("/api/styles")
    async def add_style(request: web.Request) -> web.Response:
        if cv2.imdecode(np.frombuffer(await request.read(), np.uint8), cv2.IMREAD_COLOR) is None:
            return web.json_response({"error": "this is no picture that can be read"}, status=400)
        name = request.query["name"]
        studio.styles.append(Entry(name, name.replace("-", " ").capitalize(), "", "", "", own=True))
        return web.json_response(studio.styles[-1].as_json())

    @routes.delete("/api/styles/{name}")
    async def remove_style(request: web.Request) -> web.Response:
        studio.styles = [entry for entry in studio.styles if entry.name != request.match_info["name"]]
        return web.json_response({})

    @routes.get("/api/controls")
    async def get_controls(_: web.Request) -> web.Response:
        return web.json_response(studio.controls)

    @routes.patch("/api/controls")
    async def set_controls(request: web.Request) -> web.Response:
        values = await request.json()
        if unknown := set(values) - set(studio.controls):
            return web.json_response({"error": f"there is no control '{min(unknown)}'"}, status=400)
        studio.controls |= values
        await tell_all()
        return web.json_response(studio.controls)

    @routes.get("/api/stage")
    async def choices(_: web.Request) -> web.Response:
        return web.json_response({"sources": studio.sources, "backends": ["auto", "openvino", "torch"]})

    @routes.patch("/api/stage")
    async def restage(request: web.Request) -> web.Response:
        wish = await request.json()
        if wish.get("backend") == "torch":
            return web.json_response({"error": "torch does not run here"}, status=400)
        studio.source = wish.pop("source", studio.source)
        studio.asked |= wish
        return web.json_response(studio.status())

    @routes.get("/api/presets")
    async def presets(_: web.Request) -> web.Response:
        return web.json_response(studio.presets)

    @routes.put("/api/presets/{name}")
    async def put_preset(request: web.Request) -> web.Response:
        studio.presets[request.match_info["name"]] = await request.json()
        return web.json_response({})

    @routes.delete("/api/presets/{name}")
    async def delete_preset(request: web.Request) -> web.Response:
        studio.presets.pop(request.match_info["name"], None)
        return web.json_response({})

    @routes.post("/api/offer")
    async def offer(request: web.Request) -> web.Response:
        asked = await request.json()
        studio.roles.append(asked["role"])
        peer, name = RTCPeerConnection(), str(len(studio.roles))
        studio.peers[name] = peer

        @peer.on("track")
        def arrived(track: MediaStreamTrack) -> None:
            if asked["role"] != "camera":
                return
            if track.kind == "video":
                studio.camera = track
                peer.addTrack(Painted(studio))
            else:
                studio.sound = track
                peer.addTrack(studio.relay.subscribe(track))

        if asked["role"] != "camera":
            peer.addTrack(Painted(studio, asked["role"] == "compare"))
        await peer.setRemoteDescription(RTCSessionDescription(asked["sdp"], asked["type"]))
        await peer.setLocalDescription(await peer.createAnswer())
        return web.json_response({"sdp": peer.localDescription.sdp, "type": "answer", "session": name})

    @routes.delete("/api/sessions/{name}")
    async def hang_up(request: web.Request) -> web.Response:
        if peer := studio.peers.pop(request.match_info["name"], None):
            await peer.close()
        return web.json_response({})

    @routes.get("/api/live")
    async def live(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        studio.sockets.add(socket)
        try:
            await socket.send_json({"type": "controls", **studio.controls})
            while not socket.closed:
                await socket.send_json({"type": "status", **studio.status()})
                try:
                    message = await socket.receive(timeout=0.5)
                except TimeoutError:
                    continue
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                    break
        finally:
            studio.sockets.discard(socket)
        return socket

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token")
        if studio.token and request.path.startswith("/api/") and shown != studio.token:
            return web.json_response({"error": "the token is missing or wrong"}, status=401)
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = CSP
        return response

    async def close(_: web.Application) -> None:
        await asyncio.gather(*(peer.close() for peer in studio.peers.values()))
        studio.peers.clear()
        for socket in list(studio.sockets):
            await socket.close()

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # nothing leaves the machine
    app = web.Application(client_max_size=20_000_000, middlewares=[guard])
    app.add_routes(routes)
    app.router.add_static("/page", PAGE)
    app.on_shutdown.append(close)
    return app
