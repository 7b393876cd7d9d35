"""Serves the page from inside a node's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from olympus.runtime.errors import ConfigError
from olympus.runtime.telemetry import StructuredLog

CLOSE_S = 1
"""How long a browser may take to let go when the viewer stops."""
IDLE_S = 10.0
BACKLOG = 64
"""Connections that may wait to be taken; so many are taken in one turn of the loop."""
MOST_IDLE = 128
"""Connections that may be open without a request: descriptors are not endless, and a process that
has none left can't even say so."""


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Address to listen at.
        port: 0 for any free one.

    Raises:
        ConfigError: The address or port can't be had; says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ConfigError(_explained(host, port, error)) from error
    made.listen(BACKLOG)
    return made


def _explained(host: str, port: int, error: OSError) -> str:
    what = f"the viewer can't listen at {host}:{port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{what}; close what listens there, or take another port: viewer.port:=0 (any free one)"
        )
    if error.errno == errno.EACCES:
        return f"{what}; set its param 'port' to one above 1023"
    return f"{what}; set its param 'host' to an address of this machine, such as 127.0.0.1"


class _Server(uvicorn.Server):
    """A server that leaves signals to the host process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Line(H11Protocol):
    """A connection that is cut off when no whole request comes, or too many such are open."""

    def __init__(self, *, idle_s: float, most: int, lines: dict[_Line, None], **rest: Any) -> None:
        super().__init__(**rest)
        self._idle_s, self._most = idle_s, most
        self._was_idle = False
        self._lines = lines
        """All that are open, the oldest first."""

    @property
    def _is_open(self) -> bool:
        # A web socket has a protocol of its own by now, which pings.
        return not self.transport.is_closing() and self.transport.get_protocol() is self

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._lines[self] = None
        if len(self._lines) > self._most:
            self._make_room()
        self.loop.call_later(self._idle_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.pop(self, None)
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Cut off those that were idle longest: who comes now may want to stop the robot."""
        for line in [line for line in self._lines if not line._is_open]:
            del self._lines[line]
        excess = len(self._lines) - self._most
        for line in [line for line in self._lines if line._is_idle][: max(0, excess)]:
            del self._lines[line]
            line.transport.abort()

    def _look(self) -> None:
        if not self._is_open:
            self._lines.pop(self, None)
            return
        if self._is_idle and self._was_idle:
            self.transport.close()
            return
        self._was_idle = self._is_idle
        self.loop.call_later(self._idle_s, self._look)


class _Forward(logging.Handler):
    """Hands the web server's warnings to the node's log."""

    def __init__(self, log: StructuredLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self.is_muted = False
        """Whether the server is being stopped: browsers that are cut off then are no news."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.is_muted:
            return
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        why = record.exc_info[1] if record.exc_info else None
        say(record.getMessage().strip(), cause=repr(why) if why else "")


async def serve(
    app: ASGIApp,
    at: socket.socket,
    log: StructuredLog,
    *,
    idle_s: float = IDLE_S,
    most_idle: int = MOST_IDLE,
) -> None:
    """Serve until cancelled, then let go of every browser.

    Args:
        app: What to serve.
        at: A listening socket; closed at the end.
        log: Where the web server's warnings go.
        idle_s: A connection is cut off when it is found without a request twice, so far apart.
        most_idle: Beyond so many open connections the longest idle ones are cut off at once.

    Raises:
        CancelledError: It was cancelled, and every browser was let go.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=partial(_Line, idle_s=idle_s, most=most_idle, lines={}),  # type: ignore[arg-type]
        backlog=BACKLOG,
        ws="websockets-sansio",
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_S,
    )
    logger, forward = logging.getLogger("uvicorn.error"), _Forward(log)
    logger.addHandler(forward)
    logger.propagate = False
    server = _Server(config)
    try:
        await server.serve(sockets=[at])
    except asyncio.CancelledError:
        forward.is_muted = True
        if server.started:
            await server.shutdown(sockets=[at])
        raise
    finally:
        logger.removeHandler(forward)
        at.close()
