"""Who may come in: the page itself, from a name we know; no other site, no rebound name.

A browser tells the truth about `Host` and `Origin`. An unknown `Host` means that some other name
was made to point here (DNS rebinding); a foreign `Origin` means that some other page asks. A
program without a browser sends no `Origin`; it runs as a local process anyway.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_HEADER = "x-olympus-token"
_HEADERS = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' blob: data:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-cache",
}


class Door:
    """ASGI middleware that lets in only who asks by a known name and from our own page."""

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        """Let in requests to the loopback names, and to `names` (without a port)."""
        self._app = app
        self._names = frozenset(LOOPBACK) | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        problem = self._problem(Headers(scope=scope))
        if problem is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": problem})
        else:
            await PlainTextResponse(problem + "\n", status_code=403)(scope, receive, send)

    def _problem(self, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if _name_of(f"http://{host}") not in self._names:
            return f"Host {host!r:.80} is not served here; name it in the viewer's param 'names'"
        origin = headers.get("origin")
        if origin is not None and _place_of(origin) != host.lower():
            return f"Origin {origin!r:.80} is another site; only the viewer's own page may ask"
        return None


def _name_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _place_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((name, value) for name, value in _HEADERS.items() if name not in given),
            ]
        await send(message)

    return wrapped


class Token:
    """A secret of this process that only the page it serves knows."""

    def __init__(self) -> None:
        self.text = secrets.token_urlsafe(24)  # varies: it shall not be guessed

    def is_right(self, headers: Headers) -> bool:
        """Tell whether a request carries it."""
        given = headers.get(TOKEN_HEADER, "")
        return hmac.compare_digest(given.encode(), self.text.encode())
