"""Who may ask: the Host and Origin of every request are checked, and a token where others than this machine can reach us."""

import hmac
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from engine.errors import UsageError
from models.library import LibraryError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob: mediastream:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether what listens at `host` can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guardian:
    """The middleware. `host` is where we listen, `token` what must be shown, None where nothing must."""

    def __init__(self, host: str, token: str | None):
        self._local, self._token = is_loopback(host), token
        own = socket.gethostname().lower()
        self._names = {*_LOOPBACK_NAMES} | (set() if self._local else {host.lower(), own, f"{own}.local"})

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Status and reason where `request` is not to be answered.

        A page elsewhere that had its name point here (DNS rebinding) shows that name as the Host; one that asks across
        origins shows its own as the Origin. The page itself holds no secret and needs no token: it asks for it.
        """
        if not self._is_ours(request.host):
            return 403, "this host name is not ours"
        origin = request.headers.get("Origin")
        if origin is not None:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.host.lower():
                return 403, "asked from another page"
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and request.path.startswith("/api/"):
            return 403, "asked from another page"
        if self._token is not None and request.path.startswith("/api/") and not self._shown(request):
            return 401, "the token is missing or wrong; it stands in the address that the studio printed"
        return None

    def _is_ours(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if name in self._names:
            return True
        try:  # an address is no name that could be made to point here
            return not self._local and bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _shown(self, request: web.Request) -> bool:
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            shown = request.query.get("token", "")
        assert self._token is not None
        return hmac.compare_digest(shown.encode(), self._token.encode())

    def middleware(self):
        """All answers are JSON where something is wrong, and all have `HEADERS`."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                refused = self.refusal(request)
            except ValueError:  # what stands for a host or an origin is neither
                refused = 400, "this request makes no sense"
            if refused is not None:
                response: web.StreamResponse = problem(*refused)
            else:
                response = await _answered(request, handler)
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guard


def problem(status: int, line: str) -> web.Response:
    return web.json_response({"error": " ".join(line.split())[:300]}, status=status)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return problem(error.status, error.text or error.reason) if error.status >= 400 else error
    except (UsageError, LibraryError) as error:
        return problem(400, str(error))
    except ConnectionError:
        raise
    except Exception:
        _log.exception("%s %s failed", request.method, request.path)
        return problem(500, "the studio failed at this; its log says more")
