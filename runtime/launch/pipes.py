"""Lines from a child process, whatever it writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

_LONGEST = 64 * 1024


class LineProtocol(asyncio.Protocol):
    """Cuts a stream of bytes into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Hand each line, without its end, to `on_line`."""
        self._on_line = on_line
        self._rest = b""
        self.closed = asyncio.Event()
        """Set when the last writer has closed its end and every line was handed on."""

    def data_received(self, data: bytes) -> None:
        """Take what came; a line longer than 64 KiB comes in pieces."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_on(line)
        while len(self._rest) > _LONGEST:
            self._hand_on(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on what is left."""
        if self._rest:
            self._hand_on(self._rest)
        self.closed.set()

    def _hand_on(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        if text:
            self._on_line(text)


class LinePipe:
    """A pipe whose writing end goes to a child."""

    def __init__(self, protocol: LineProtocol, transport: asyncio.ReadTransport, fd: int) -> None:
        """Use `open_pipe` instead."""
        self._protocol = protocol
        self._transport = transport
        self.child_fd = fd
        """The writing end; -1 once it was handed over."""

    def handed_over(self) -> None:
        """Close our copy of the writing end, after the child was started."""
        if self.child_fd >= 0:
            os.close(self.child_fd)
            self.child_fd = -1

    async def drain(self, timeout_s: float) -> None:
        """Wait for the last line of a child that has ended, then close.

        Args:
            timeout_s: How long, when a grandchild still holds the pipe.
        """
        self.handed_over()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._protocol.closed.wait(), timeout_s)
        self._transport.close()


async def open_pipe(on_line: Callable[[str], None]) -> LinePipe:
    """Make a pipe and read lines from it in the running loop.

    Args:
        on_line: Called with each line.
    """
    ours, theirs = os.pipe()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_read_pipe(
        lambda: LineProtocol(on_line), os.fdopen(ours, "rb", buffering=0)
    )
    return LinePipe(protocol, transport, theirs)
