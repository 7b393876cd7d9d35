"""The guardian's socket: unix datagrams, with the sender's user attached by the kernel."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.protocol import LARGEST, SOCKET

_CREDENTIALS: Final = struct.Struct("3i")
_CONTROL_BYTES: Final = socket.CMSG_SPACE(_CREDENTIALS.size)


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram and where it came from."""

    raw: bytes
    is_oversized: bool
    """Whether it was larger than may be read."""
    uid: int | None
    """User id of the sender as the kernel knows it; None when unknown."""
    pid: int | None
    """Its process, as the kernel knows it; None when unknown."""
    sender: object
    """Address to answer to; empty or None when the sender bound none."""


class Mailbox:
    """Receives requests and answers them; never blocks."""

    def __init__(self, directory: Path) -> None:
        """Bind the socket, replacing one that an ended guardian left behind.

        Args:
            directory: The safety directory; the caller holds its lock.

        Raises:
            SafetyError: The socket can't be bound.
        """
        self._path = directory / SOCKET
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.unanswered = 0
        """Answers that the asker did not take."""
        try:
            self._path.unlink(missing_ok=True)
            self._socket.bind(str(self._path))
            self._path.chmod(0o600)
            self._about = self._path.stat()
        except OSError as error:
            self._socket.close()
            raise SafetyError(
                f"can't bind {self._path}: {error}; use a shorter or another safety directory"
            ) from error

    def is_displaced(self) -> bool:
        """Tell whether nobody comes here by its name: deleted, moved, taken, or closed to us."""
        try:
            return _identity(self._path.stat()) != _identity(self._about)
        except OSError:
            return True

    def fileno(self) -> int:
        """The socket's descriptor, for poll."""
        return self._socket.fileno()

    def receive(self) -> Datagram | None:
        """Take the next datagram, or None when there is none."""
        try:
            raw, control, flags, sender = self._socket.recvmsg(LARGEST, _CONTROL_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        pid, uid = _credentials(control)
        return Datagram(raw, bool(flags & socket.MSG_TRUNC), uid, pid, sender)

    def answer(self, sender: object, reply: Mapping[str, object]) -> None:
        """Answer, if the sender can be answered; one that does not read is left behind."""
        if not isinstance(sender, str | bytes) or not sender:
            return
        try:
            self._socket.sendto(json.dumps(reply).encode(), sender)
        except OSError:
            self.unanswered += 1

    def close(self) -> None:
        """Close the socket and remove its name, unless that is another guardian's by now."""
        self._socket.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(self._path.stat(), self._about):
                self._path.unlink()


def _identity(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_mode, about.st_uid


def _credentials(control: list[tuple[int, int, bytes]]) -> tuple[int | None, int | None]:
    pid = uid = None
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
        elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            _drop_descriptors(data)
    return pid, uid


def _drop_descriptors(data: bytes) -> None:
    descriptors = array.array("i", data[: len(data) - len(data) % 4])
    for descriptor in descriptors:
        os.close(descriptor)
