"""Tells the service manager that the guardian's loop turns; standard library only.

The protocol of sd_notify(3). Under `olympus launch` the launcher hears it, and hands it on to
systemd only while its own loop turns too: where one of them hangs, the whole launch is begun anew.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from olympus.runtime.errors import ConfigError

TURNS: Final = b"WATCHDOG=1"
SOCKET: Final = "NOTIFY_SOCKET"
PERIOD_US: Final = "WATCHDOG_USEC"
FOR_PID: Final = "WATCHDOG_PID"


class ServiceManager:
    """Who started us, if it wants to know that we live."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Look whether somebody wants to know.

        Args:
            environment: Where it left its wishes.

        Raises:
            ConfigError: What stands there makes no sense.
        """
        address = environment.get(SOCKET, "")
        if address and address[0] not in "/@":
            raise ConfigError(f"{SOCKET}={address!r} is neither a path nor abstract")
        try:
            whole_us = int(environment.get(PERIOD_US, "0"))
            meant_for = int(environment.get(FOR_PID, "0"))
        except ValueError as error:
            raise ConfigError(f"{PERIOD_US} and {FOR_PID} are numbers: {error}") from error
        self._address = "\0" + address[1:] if address[:1] == "@" else address
        self._every_ns = whole_us * 1000 // 2 if meant_for in (0, os.getpid()) else 0
        self._due_ns = 0
        self.lost = 0
        """Messages that did not go out: its socket is gone or full."""
        self._socket: socket.socket | None = None
        if self._address and self._every_ns:
            # Made at once: no descriptor may be left to make it of later.
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def feed(self, now_ns: int) -> None:
        """Say that the loop turns, if it is time to; never waits.

        Args:
            now_ns: CLOCK_MONOTONIC.
        """
        if self._socket is None or now_ns < self._due_ns:
            return
        self._due_ns = now_ns + self._every_ns
        try:
            self._socket.sendto(TURNS, self._address)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
