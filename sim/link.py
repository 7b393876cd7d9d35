"""How simulated devices and the simulator talk: framed packets on a unix stream socket.

A packet is 13 bytes of head (length of the payload, kind, stamp; big endian) and the payload. The
client says HELLO (JSON: which device, which format); the server answers WELCOME (JSON) or REFUSED
(text), then sends PICTURE, SOUND or STATE packets. A base's client sends COMMAND and NEUTRAL.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError

_HEAD = struct.Struct("!IBq")
_SPEEDS = struct.Struct("!2d")
_MAX_PAYLOAD = 64 * 1024 * 1024
_MAX_PATH = 107
"""Linux takes no longer socket path."""


class Kind(IntEnum):
    """What a packet is."""

    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    PICTURE = 4
    """(H, W, 3) uint8."""
    SOUND = 5
    """int16 samples."""
    STATE = 6
    """float64: wheel speeds 2, wheel angles 2, accelerometer 3, gyro 3, V, A, charge, ranges."""
    COMMAND = 7
    """Two float64: wheel speeds left and right, rad/s."""
    NEUTRAL = 8


_KINDS = frozenset(int(kind) for kind in Kind)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as received."""

    kind: Kind
    payload: bytes
    stamp_ns: int
    """Robot time of the measurement; 0 where there is none."""


def frame(kind: Kind, payload: bytes = b"", stamp_ns: int = 0) -> bytes:
    """Put a head before a payload."""
    return _HEAD.pack(len(payload), kind, stamp_ns) + payload


def frame_json(kind: Kind, value: dict[str, object]) -> bytes:
    """Frame a small JSON object."""
    return frame(kind, json.dumps(value).encode())


def frame_command(left_radps: float, right_radps: float) -> bytes:
    """Frame wheel speeds."""
    return frame(Kind.COMMAND, _SPEEDS.pack(left_radps, right_radps))


def read_command(packet: Packet) -> tuple[float, float]:
    """Take the wheel speeds out of a COMMAND.

    Raises:
        DeviceError: The payload has the wrong size.
    """
    if len(packet.payload) != _SPEEDS.size:
        raise DeviceError(f"a command of {len(packet.payload)} bytes; {_SPEEDS.size} are right")
    left, right = _SPEEDS.unpack(packet.payload)
    return left, right


def receive(connection: socket.socket, *, limit: int = _MAX_PAYLOAD) -> Packet | None:
    """Wait for the next packet.

    Args:
        connection: A blocking stream socket.
        limit: Longest payload that is accepted, bytes.

    Returns:
        The packet, or None when the other side has gone.

    Raises:
        DeviceError: What came is no packet.
    """
    head = _receive_exactly(connection, _HEAD.size)
    if head is None:
        return None
    length, number, stamp_ns = _HEAD.unpack(head)
    if length > limit or number not in _KINDS:
        raise DeviceError(
            f"no packet of the simulator: {length} bytes, kind {number}; "
            "are both sides of the same version?"
        )
    payload = _receive_exactly(connection, length)
    return None if payload is None else Packet(Kind(number), bytes(payload), stamp_ns)


def receive_json(packet: Packet) -> dict[str, object]:
    """Read the JSON object of a packet.

    Raises:
        DeviceError: It is none.
    """
    try:
        value = json.loads(packet.payload)
    except ValueError as error:
        raise DeviceError(f"{packet.kind.name}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise DeviceError(f"{packet.kind.name}: a JSON object is needed, not {value!r:.40}")
    return value


def _receive_exactly(connection: socket.socket, count: int) -> bytearray | None:
    buffer = bytearray(count)
    view, have = memoryview(buffer), 0
    while have < count:
        try:
            got = connection.recv_into(view[have:])
        except (ConnectionError, TimeoutError):
            return None
        if got == 0:
            return None
        have += got
    return buffer


def socket_path(session: Session | None, override: str = "") -> Path:
    """Find the simulator's socket.

    Args:
        session: The running session; its folder holds `sim.sock`.
        override: A path that was given explicitly, with the option `socket`.

    Raises:
        ConfigError: Neither was given, or the path is too long for a socket.
    """
    if override:
        path = Path(override)
    elif session is not None:
        path = session.run_dir / "sim.sock"
    else:
        raise ConfigError(
            "a sim:// device outside a launch needs to know its simulator; "
            "add ?socket=PATH to the source"
        )
    if len(str(path)) > _MAX_PATH:
        raise ConfigError(
            f"{path}: a socket's path has at most {_MAX_PATH} characters; "
            "choose a shorter session name or folder"
        )
    return path
