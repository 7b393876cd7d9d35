"""Tells systemd how the launch is: ready, what it does, that its loop still turns, that it ends.

The protocol of sd_notify(3): a datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET`
names. Where nobody asks, nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.service import FOR_PID, PERIOD_US, SOCKET, TURNS


class Notifier:
    """Speaks to the service manager that started us, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ, pid: int | None = None) -> None:
        """Look whether somebody wants to know.

        Args:
            environment: Where the manager left its wishes.
            pid: This process, for which a watchdog may be meant; None for the real one.

        Raises:
            ConfigError: What stands there makes no sense.
        """
        self._address = environment.get(SOCKET, "")
        if self._address and self._address[0] not in "/@":
            raise ConfigError(f"{SOCKET}={self._address!r} is neither a path nor abstract")
        try:
            whole_us = int(environment.get(PERIOD_US, "0"))
            meant_for = int(environment.get(FOR_PID, "0"))
        except ValueError as error:
            raise ConfigError(f"{PERIOD_US} and {FOR_PID} are numbers: {error}") from error
        is_ours = meant_for in (0, os.getpid() if pid is None else pid)
        self.period_s = whole_us / 2e6 if is_ours and self._address else 0.0
        """How often the watchdog wants to hear: half its limit, as systemd advises; 0 for never."""
        self._ear: socket.socket | None = None
        self._heard_s = time.monotonic()
        self.lost = 0
        """Messages that did not go out: the manager's socket is gone or full."""

    def ready(self, status: str) -> None:
        """Say that all is up."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """Say in a line what goes on, as `systemctl status` shows it."""
        self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1", "STATUS=stopping")

    def hear_guardian(self, path: Path) -> dict[str, str]:
        """Be for the guardian what systemd is for us: hear whether its loop turns.

        Args:
            path: Where to listen.

        Returns:
            What its environment must say; empty where no watchdog asks us.
        """
        if self.period_s <= 0:
            return {}
        path.unlink(missing_ok=True)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._ear.setblocking(False)
        self._ear.bind(str(path))
        return {SOCKET: str(path), PERIOD_US: str(round(self.period_s * 2e6))}

    async def feed_watchdog(self) -> None:
        """Say again and again that this loop turns, and the guardian's, until cancelled.

        It is at once back if nobody asks.
        """
        while self.period_s > 0:
            if self._ear is None or self._has_heard(self._ear):
                self._send("WATCHDOG=1")
            else:
                self.status("the guardian's loop does not turn")
            await asyncio.sleep(self.period_s)

    def close(self) -> None:
        """Hear nothing more."""
        if self._ear is not None:
            Path(self._ear.getsockname()).unlink(missing_ok=True)
            self._ear.close()
            self._ear = None

    def _has_heard(self, ear: socket.socket) -> bool:
        """Tell whether the guardian has said that it turns within two of its periods."""
        now_s = time.monotonic()
        try:
            while ear.recv(64) == TURNS:
                self._heard_s = now_s
        except BlockingIOError:
            pass
        return now_s - self._heard_s < 2 * self.period_s

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(" ".join(line.splitlines()) for line in lines)
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), address)
        except OSError:
            self.lost += 1
