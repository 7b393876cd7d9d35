"""One question to the guardian over its datagram socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_LARGEST_REPLY: Final = 262_144


class Call:
    """Sends one request once, and waits for its answer in as many pieces of time as wanted."""

    def __init__(self, path: Path, request: Mapping[str, object], mark: int) -> None:
        """Prepare a call; nothing is sent yet.

        Args:
            path: The guardian's socket.
            request: What to ask.
            mark: Comes back with the answer.
        """
        self._path = path
        self._raw = json.dumps({**request, "id": mark}).encode()
        self._mark = mark
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(
            ""
        )  # Linux gives it an abstract name of its own, with nothing to clean up
        self._is_connected = False
        self._is_sent = False

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self._socket.close()

    def wait(self, seconds: float) -> Mapping[str, Any] | None:
        """Send, unless that was done before, and wait for the answer.

        Args:
            seconds: At most this long.

        Returns:
            The answer; None when there was none in time, or (at once) when nobody listens.
        """
        deadline = time.monotonic() + seconds
        try:
            self._send(deadline)
            while time.monotonic() < deadline:
                self._socket.settimeout(_left_s(deadline))
                reply = _reply(self._socket.recv(_LARGEST_REPLY))
                if reply.get("id") == self._mark:
                    return reply
        except OSError:
            return None
        return None  # whoever answers, and answers something else, does not hold this up

    def _send(self, deadline: float) -> None:
        if not self._is_connected:
            self._socket.connect(str(self._path))
            self._is_connected = True
        if not self._is_sent:
            self._socket.settimeout(_left_s(deadline))
            self._socket.send(self._raw)
            self._is_sent = True


def _left_s(deadline: float) -> float:
    return max(deadline - time.monotonic(), 1e-6)


def _reply(raw: bytes) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        reply = json.loads(raw)
        if isinstance(reply, dict):
            return reply
    return {}
