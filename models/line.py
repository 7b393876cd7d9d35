"""One question to another machine and its answer, which another thread may cut off."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

LONGEST_ANSWER: Final = 1 << 20
"""What is longer is cut off, bytes."""


class LineError(Exception):
    """There is no answer."""


class Line:
    """A connection for one POST."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Plan it; opens nothing.

        Args:
            url: Base address, with `http` or `https`.
            timeout_s: How long connecting may take, and then the answer as a whole.
        """
        self._parts, self._timeout_s = urlsplit(url), timeout_s
        self._connection = self._made()
        self._socket: socket.socket | None = None
        self._why = ""

    def post(
        self, path: str, headers: Mapping[str, str], text: str, on_reached: Callable[[], None]
    ) -> tuple[int, bytes]:
        """Ask, and wait for the answer.

        Args:
            path: What to add to the address.
            headers: To be sent.
            text: To be sent, ASCII.
            on_reached: Called before the first byte is sent to whom it is meant for.

        Returns:
            Status and body.

        Raises:
            LineError: There is none, it takes too long, or `cut` was called.
        """
        late = f"it took longer than {self._timeout_s:g} s"
        timer = threading.Timer(self._timeout_s, self.cut, (late,))  # varies: so does what is far
        timer.daemon = True
        try:
            self._connection.connect()
            self._socket = self._connection.sock  # the connection itself may let go of it earlier
            self._go_on()
            on_reached()
            timer.start()
            self._connection.request("POST", self._parts.path + path, text, dict(headers))
            reply = self._connection.getresponse()
            raw = reply.read(LONGEST_ANSWER)
            self._go_on()  # what was cut off can look like an end
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LineError(self._why or str(error)) from error
        else:
            return reply.status, raw
        finally:
            timer.cancel()
            self._connection.close()

    def cut(self, why: str) -> None:
        """End it, from whichever thread; `post` raises soon."""
        self._why = why
        if self._socket is None:
            return
        with suppress(OSError):  # it may have ended by itself
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # below TLS: that may be reading

    def _go_on(self) -> None:
        if self._why:
            raise LineError(self._why)

    def _made(self) -> http.client.HTTPConnection:
        host, port, timeout_s = str(self._parts.hostname), self._parts.port, self._timeout_s
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
