"""A stored message: a frame in an envelope that tells when its bytes or its place have changed.

The envelope is version u8, flags u8, subject u16, CRC-32 u32, arrival u64, little endian; then the
frame. The CRC is over topic, key, envelope and frame, so that a record under a wrong key or in a
wrong topic is found out too. An encrypted frame is a nonce of 12 bytes, then AES-256-GCM with topic
and key as associated data. A record is late when one that was captured after it was stored before.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Protocol

from olympus.runtime.errors import DamageError

KEY = struct.Struct(">QQI")
"""Capture time, sequence number, CRC-32 of the source's name: LMDB's order is time's order."""
_ENVELOPE = struct.Struct("<BBHIQ")
_VERSION = 1
_ENCRYPTED, _LATE = 1, 2
HEAD_BYTES = _ENVELOPE.size


class Vault(Protocol):
    """What turns frames into secrets and back."""

    def seal(self, subject: int, place: bytes, frame: bytes) -> bytes:
        """Encrypt a frame with the key of a subject; 0 is the store's own."""

    def open(self, subject: int, place: bytes, secret: bytes) -> bytes:
        """Decrypt what `seal` made of a frame.

        Raises:
            StoreError: The key is missing, was destroyed, or is another.
        """


@dataclass(frozen=True, slots=True)
class Record:
    """A stored message."""

    topic: str
    stamp: int
    """Capture time, ns."""
    seq: int
    arrived: int
    """When the recorder took it in, robot time in ns; no two records of a store have the same."""
    subject: int
    """Whom it is about, as a number of the store's list; 0 = nobody in particular."""
    frame: bytes


def record_key(stamp: int, seq: int, source: str) -> bytes:
    """Return the key that a message is stored under."""
    return KEY.pack(stamp, seq, zlib.crc32(source.encode()))


def seal(
    topic: str,
    key: bytes,
    frame: bytes,
    *,
    arrived: int,
    subject: int,
    vault: Vault | None,
    late: bool = False,
) -> bytes:
    """Put a frame into its envelope.

    Args:
        topic: Full name.
        key: What it will be stored under.
        frame: The message.
        arrived: When it came, ns.
        subject: Whom it is about.
        vault: What encrypts it; None leaves it as it is.
        late: Whether one that was captured after it is stored already.

    Returns:
        What is stored.
    """
    place = topic.encode() + key
    flags = _LATE if late else 0
    if vault is not None:
        flags, frame = flags | _ENCRYPTED, vault.seal(subject, place, frame)
    crc = _crc(place, flags, subject, arrived, frame)
    return _ENVELOPE.pack(_VERSION, flags, subject, crc, arrived) + frame


def unseal(topic: str, key: bytes, value: bytes, vault: Vault | None) -> Record:
    """Take a frame out of its envelope.

    Args:
        topic: Full name.
        key: What it was stored under.
        value: What was stored.
        vault: What decrypts it.

    Returns:
        The record.

    Raises:
        DamageError: It is not what was stored there.
        StoreError: It is encrypted and the key is missing, destroyed, or another.
    """
    place = topic.encode() + key
    if len(key) < KEY.size or len(value) < _ENVELOPE.size or value[0] != _VERSION:
        raise DamageError(f"a record of {topic} is damaged: {len(value)} bytes under {key.hex()}")
    stamp, seq, _ = KEY.unpack_from(key)
    _, flags, subject, crc, arrived = _ENVELOPE.unpack_from(value)
    frame = value[_ENVELOPE.size :]
    if crc != _crc(place, flags, subject, arrived, frame):
        raise DamageError(
            f"record no. {seq} of {topic} at {stamp} ns is damaged: its checksum is wrong"
        )
    if flags & _ENCRYPTED:
        if vault is None:
            raise DamageError(
                f"record no. {seq} of {topic} is encrypted and no key was given; use --key"
            )
        frame = vault.open(subject, place, frame)
    return Record(topic, stamp, seq, arrived, subject, frame)


def subject_of(value: bytes) -> int:
    """Return whom a stored value is about, without a look at the rest."""
    return int.from_bytes(value[2:4], "little")


def arrival_of(value: bytes) -> int:
    """Return when a stored value came, ns, without a look at the rest."""
    return int.from_bytes(value[8:16], "little")


def is_late(value: bytes) -> bool:
    """Tell whether a stored value came after one that was captured later."""
    return bool(value[1] & _LATE)


def _crc(place: bytes, flags: int, subject: int, arrived: int, frame: bytes) -> int:
    head = _ENVELOPE.pack(_VERSION, flags, subject, 0, arrived)
    return zlib.crc32(frame, zlib.crc32(head, zlib.crc32(place)))
