"""Where the hosts of a session find each other: the one socket that has a name.

A thread in the launcher's process stands there. Who comes in shows its credentials and says its
name; then everybody who is inside already and the newcomer get the two ends of two sockets, one for
data and one for talk about it, and need the door no more.

The door speaks msgpack over SEQPACKET. Newcomer: `[version, host]`. Door: `[id, host]` with two
descriptors for each peer, and `[]` once the newcomer has met all; or `[0, why]` to who may not come
in.
"""

from __future__ import annotations

import array
import contextlib
import logging
import os
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack

from olympus.runtime.errors import BusError

VERSION = 2
_PATIENCE_S = 5.0
_MOST = 4096
_MOST_NAME = 200
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_log = logging.getLogger(__name__)


class DoorError(OSError):
    """The door says something that ends in no meeting; the text tells what."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another host, and our ends of the sockets to it."""

    number: int
    """Of this session, never used twice."""
    host: str
    data: socket.socket
    talk: socket.socket


@contextlib.contextmanager
def open_door(path: Path) -> Iterator[None]:
    """Let the hosts of a session find each other.

    Args:
        path: Of the socket; what lies there is removed. Its folder must be ours alone.

    Yields:
        Nothing; hosts can come in meanwhile.

    Raises:
        BusError: The socket can't be opened.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise BusError(f"no bus at {path}: {error}") from error
    keeper = _Keeper(listener)
    thread = threading.Thread(target=keeper.run, name="ipc door", daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.stop()
        thread.join()
        path.unlink(missing_ok=True)


def enter(path: Path, host: str) -> tuple[socket.socket, list[Peer]]:
    """Come in.

    Args:
        path: Of the door.
        host: Our name.

    Returns:
        The socket on which later comers are announced, and who is inside already.

    Raises:
        BusError: Nobody opens, or we are refused.
    """
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peers: list[Peer] = []
    try:
        door.settimeout(_PATIENCE_S)
        door.connect(str(path))
        door.send(msgpack.packb([VERSION, host]))
        while (peer := next_peer(door)) is not None:
            peers.append(peer)
    except OSError as error:
        for end in (door, *(end for peer in peers for end in (peer.data, peer.talk))):
            end.close()
        hint = "" if isinstance(error, DoorError) else "; is the session running?"
        raise BusError(f"no bus at {path}: {error}{hint}") from error
    door.setblocking(False)
    return door, peers


def next_peer(door: socket.socket) -> Peer | None:
    """Take in one announcement; None when there are no more for now.

    Raises:
        OSError: Nothing is waiting there.
        ConnectionResetError: The door is closed.
        DoorError: We may not come in, or have no descriptors left for the sockets.
    """
    data, descriptors, _, _ = socket.recv_fds(door, _MOST, 2, socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise ConnectionResetError("the door is closed")
    told = msgpack.unpackb(data)
    if not told:
        return None
    number, text = told
    ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    if not number:
        raise DoorError(f"we may not come in: {text}")
    if len(ends) < 2:  # the system lets those drop that find no place here
        for end in ends:
            end.close()
        raise DoorError(
            f"host {text} can't be met, since this process has no descriptors left; let it have "
            "more (ulimit -n)"
        )
    for end in ends:
        end.setblocking(False)
    return Peer(number, text, ends[0], ends[1])


class _Keeper:
    """Stands at the door."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._inside: dict[int, tuple[socket.socket, str]] = {}
        self._arrivals = self._refused = 0
        self._wake, self._stop = socket.socketpair()

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.close()

    def run(self) -> None:
        with selectors.DefaultSelector() as selector, self._wake, self._listener:
            selector.register(self._listener, selectors.EVENT_READ, 0)
            selector.register(self._wake, selectors.EVENT_READ, -1)
            while True:
                for key, _ in selector.select():
                    if key.data < 0:
                        return self._send_all_home()
                    if not key.data:
                        self._welcome(selector)
                    else:
                        self._hear(selector, key.data)

    def _welcome(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(OSError):  # it has gone again
            guest, _ = self._listener.accept()
            raw = guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(raw)
            if uid not in (os.getuid(), 0):
                _log.warning("process %d of user %d was refused at the bus", pid, uid)
                guest.close()
                return
            guest.setblocking(False)
            self._arrivals += 1
            self._inside[self._arrivals] = guest, ""
            selector.register(guest, selectors.EVENT_READ, self._arrivals)

    def _hear(self, selector: selectors.BaseSelector, number: int) -> None:
        guest, host = self._inside[number]
        try:
            said = guest.recv(_MOST)
            if not said:
                raise ConnectionResetError("it is gone")
            if host:
                raise ValueError("it had come in already")
            host = _name_in(said)
            self._introduce(number, guest, host)
            self._inside[number] = guest, host
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError):
                self._refuse(guest, str(error))
            else:
                _log.debug("host %s has left: %s", host, error)
            selector.unregister(guest)
            del self._inside[number]
            guest.close()

    def _refuse(self, guest: socket.socket, why: str) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # 1, 2, 4, 8, …: loud, but no flood
            _log.warning("no. %d was refused at the bus: %s", self._refused, why)
        with contextlib.suppress(OSError):  # it is gone already
            guest.send(msgpack.packb([0, why]))

    def _introduce(self, number: int, guest: socket.socket, host: str) -> None:
        for other, (friend, name) in self._inside.items():
            if not name:
                continue
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
            mine, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            try:
                with contextlib.suppress(OSError):  # it is dying; its end says so to the newcomer
                    _announce(friend, number, host, theirs)
                _announce(guest, other, name, mine)
            finally:
                for end in (*mine, *theirs):
                    end.close()
        guest.send(msgpack.packb([]))

    def _send_all_home(self) -> None:
        for guest, _ in self._inside.values():
            guest.close()


def _name_in(said: bytes) -> str:
    """Return the name of a newcomer.

    It is shown to people and sent to every other host, so not any text is one.

    Raises:
        ValueError: It speaks another version, or has no name.
    """
    try:
        words = msgpack.unpackb(said)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise ValueError(f"{said[:20]!r} is no msgpack") from error
    match words:
        case [int(version), str(host)] if version == VERSION:
            if not 0 < len(host) <= _MOST_NAME or not host.isprintable():
                raise ValueError(
                    f"{host!r:.60} is no name of a host: 1 to {_MOST_NAME} printable characters"
                )
            return host
        case [int(version), *_] if version != VERSION:
            raise ValueError(f"version {version!r:.20} of the bus where {VERSION} is needed")
    raise ValueError(f"{words!r:.60} where [{VERSION}, host] is needed")


def _announce(to: socket.socket, number: int, host: str, ends: list[socket.socket]) -> None:
    descriptors = array.array("i", [end.fileno() for end in ends])
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
    to.sendmsg([msgpack.packb([number, host])], ancillary)
