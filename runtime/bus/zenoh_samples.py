"""How a frame lies in a Zenoh sample: key, encoding, attachment; and how one is read.

The payload is a frame (see messages/codec.py), its encoding `application/x-olympus;<type>`. The
attachment says who sent it: u64 seq, u64 incarnation, both little endian, then the node's name in
UTF-8.
"""

from __future__ import annotations

import struct
from typing import Any

import zenoh

from olympus.runtime.bus.link import Deliver, Origin

FRAME = zenoh.Encoding("application/x-olympus")
MAX_NAME = 256
"""Longest name of a node, bytes."""
_ORIGIN = struct.Struct("<QQ")
_MAX_NUMBER = 2**63


class Declared:
    """A declared Zenoh entity that is taken back once."""

    def __init__(self, entity: Any) -> None:
        self._entity = entity

    def close(self) -> None:
        """Take it back; again is harmless."""
        entity, self._entity = self._entity, None
        if entity is not None:
            entity.undeclare()


def encoding_of(type_name: str) -> zenoh.Encoding:
    """Return the encoding of frames that hold messages of a type, such as `olympus/Image`."""
    return FRAME.with_schema(type_name) if type_name != "*" else FRAME


def origin_bytes(origin: Origin) -> bytes:
    """Return the attachment that says where a frame comes from."""
    return _ORIGIN.pack(origin.seq, origin.incarnation) + origin.source.encode()


def origin_of(topic: str, attachment: zenoh.ZBytes | None) -> Origin:
    """Return where a sample comes from.

    Args:
        topic: Its key.
        attachment: What came with it, from anybody.

    Returns:
        The origin; one with seq 0, which has no place in a row, for an attachment that is not ours.
    """
    raw = attachment.to_bytes() if attachment is not None else b""
    if not _ORIGIN.size <= len(raw) <= _ORIGIN.size + MAX_NAME:
        return Origin(topic, "", 0, 0)
    seq, incarnation = _ORIGIN.unpack_from(raw)
    if seq >= _MAX_NUMBER or incarnation >= _MAX_NUMBER:
        return Origin(topic, "", 0, 0)
    return Origin(topic, raw[_ORIGIN.size :].decode(errors="replace"), incarnation, seq)


def hand_over(sample: zenoh.Sample, deliver: Deliver) -> None:
    """Pass a sample on; a deletion says nothing and is left out."""
    if sample.kind == zenoh.SampleKind.PUT:
        deliver(sample.payload, origin_of(str(sample.key_expr), sample.attachment))
