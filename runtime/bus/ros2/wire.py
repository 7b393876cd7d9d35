"""The wire of rmw_zenoh: keys, liveliness tokens, publishers' ids, attachments.

Source: rmw_zenoh, releases of July 2026: src/detail/liveliness_utils.cpp, attachment_helpers.cpp.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import xxhash

from olympus.runtime.bus.ros2.names import dds_type, type_of_dds
from olympus.runtime.bus.ros2.qos import RosQos
from olympus.runtime.errors import MessageError

NO_HASH: Final = "TypeHashNotSupported"
"""What Humble writes where later distributions have a type's hash."""
BACKENDS: Final = "backends:cpu:"
"""Fourteenth part of a subscriber's token since Lyrical, for types with large byte arrays."""
BUFFER_SUFFIX: Final = "_buf_cpu"
"""Last part of the key on which Lyrical sends such types to subscribers that can take them."""
_ROOT: Final = "@ros2_lv"
GID_SIZE: Final = 16
_ATTACHMENT: Final = struct.Struct(f"<qqB{GID_SIZE}s")
_KINDS: Final = ("NN", "MP", "MS", "SS", "SC")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosEntity:
    """A node, or a publisher, subscriber, service or client of one: what a token says."""

    kind: str
    """`NN` node, `MP` publisher, `MS` subscriber, `SS` service, `SC` client."""
    domain: int
    session: str
    """Zenoh's id of the session it lives in."""
    node_id: int | str
    """A number in rmw_zenoh, which yet reads any text; dora's bridge writes the node's name."""
    entity_id: int
    namespace: str
    """`/` for none."""
    node: str
    enclave: str = "/"
    topic: str = ""
    """Full name, with its first slash."""
    type: str = ""
    """Full name, such as `std_msgs/msg/String`."""
    hash: str = ""
    qos: RosQos | None = None
    backends: str = ""

    @property
    def full_node(self) -> str:
        """Name of the node with its namespace."""
        return f"{self.namespace.rstrip('/')}/{self.node}"

    @property
    def token(self) -> str:
        """The key of its liveliness token."""
        head = (
            f"{_ROOT}/{self.domain}/{self.session}/{self.node_id}/{self.entity_id}/{self.kind}/"
            f"{_mangled(self.enclave)}/{_mangled(self.namespace)}/{self.node}"
        )
        if self.kind == "NN" or self.qos is None:
            return head
        tail = f"{_mangled(self.topic)}/{dds_type(self.type)}/{self.hash}/{self.qos.text}"
        return f"{head}/{tail}/{self.backends}" if self.backends else f"{head}/{tail}"

    @property
    def gid(self) -> bytes:
        """Its id: 16 bytes, the xxh3-128 of its token, low half first."""
        return xxhash.xxh3_128_digest(self.token.encode())[::-1]

    @property
    def key(self) -> str:
        """The Zenoh key on which its topic or service travels."""
        return f"{self.domain}/{self.topic.strip('/')}/{dds_type(self.type)}/{self.hash}"


def entity_of(token: str) -> RosEntity | None:
    """Return what a token says; None for a key that is no token, or not in printable ASCII."""
    if not (token.isascii() and token.isprintable()):
        return None  # a name that a terminal would obey
    parts = token.split("/")
    if len(parts) < 9 or parts[0] != _ROOT or parts[5] not in _KINDS:
        return None
    try:
        found = RosEntity(
            kind=parts[5],
            domain=int(parts[1]),
            session=parts[2],
            node_id=int(parts[3]) if parts[3].isdecimal() else parts[3],
            entity_id=int(parts[4]),
            enclave=_plain(parts[6]),
            namespace=_plain(parts[7]),
            node=parts[8],
        )
        if found.kind == "NN":
            return found
        return replace(
            found,
            topic=_plain(parts[9]),
            type=type_of_dds(parts[10]),
            hash=parts[11],
            qos=RosQos.parse(parts[12]),
            backends=parts[13] if len(parts) > 13 else "",
        )
    except (ValueError, IndexError, MessageError):
        return None


class Attachment(NamedTuple):
    """What travels beside each message, request and reply; a tuple, to be made quickly."""

    seq: int
    """Counts from 1; of a reply: that of its request."""
    stamp_ns: int
    """When it was sent, Unix time."""
    gid: bytes
    """Who sent it; of a reply: who asked."""

    def to_bytes(self) -> bytes:
        """Return the 33 bytes that travel."""
        return _ATTACHMENT.pack(self.seq, self.stamp_ns, GID_SIZE, self.gid)


def read_attachment(raw: bytes) -> tuple[int, int, bytes]:
    """Read an attachment: the parts of an `Attachment`, bare, since every message has one.

    Raises:
        MessageError: The bytes are none.
    """
    if len(raw) != _ATTACHMENT.size:
        raise MessageError(f"an attachment of {len(raw)} bytes; rmw_zenoh's has 33")
    if raw[16] != GID_SIZE:
        raise MessageError(f"an attachment with an id of {raw[16]} bytes; rmw_zenoh's has 16")
    seq, stamp_ns, _, gid = _ATTACHMENT.unpack(raw)
    return seq, stamp_ns, gid


def _mangled(name: str) -> str:
    return name.replace("/", "%") or "%"


def _plain(name: str) -> str:
    return name.replace("%", "/")
