"""What a script can have a stranger send: types, bodies, pictures, and how it is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import msgpack
import numpy as np

from olympus.runtime.bus.ipc.memory import Memory, make_memory
from olympus.runtime.bus.ipc.records import ARRAYS, HEAD
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Image, Message, Reading, message, schema_by_class
from olympus.runtime.qos import QoS

GOOD, BENT, RAW, PICTURE, SAY, MANY, LOOK, TURN = range(8)
"""What a step does, see wire_stage.py."""
START_NS = 10**18
SLOT, SLOTS, POOLS = 65_536, 4, 2


@message("fuzz/Picky")
class Picky(Message):
    """Refuses what is negative."""

    name: str
    number: int
    rows: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.number < 0:
            raise MessageError(f"number={self.number} is negative")


RULES: tuple[Callable[[], QoS], ...] = (
    lambda: QoS.queue(3), QoS.latest, lambda: QoS.queue(2, drop="newest"),
    lambda: QoS.block(2), lambda: QoS.lossless(4),
)  # fmt: skip
CLASSES: tuple[type[Message], ...] = (Reading, Image, Picky, Message)
TYPES: dict[int, type[Message] | None] = {1: Reading, 2: Image, 3: Picky, 4: None}
"""What the channels carry; the last one, a type that is unknown here."""
BODIES: dict[int, tuple[bytes, ...]] = {
    1: tuple(msgpack.packb([name, 1.5, "Cel", True, "", ""]) for name in ("", "raise", "wait")),
    2: tuple(
        msgpack.packb([0, "rgb8", "camera", [["|u1", shape, 0, start]]])
        for shape, start in (([90, 90, 3], 0), ([128, 128, 3], 0), ([90, 90, 3], 64))
    ),
    3: tuple(msgpack.packb(one) for one in (["", 1, [[1, 2], []]], ["raise", 0, []], ["", -1, []])),
    4: (b"\x90", b"\x91\x01", b"\x01"),
}  # fmt: skip

ODD = (0, 1, 2, 4, 5, 8, 255, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, START_NS + 1)
"""For a place in a head."""
_BITS = (8, 8, 16, 32, 64, 64, 64, 64, 32, 32)


class Script:
    """Bytes that are read as numbers."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        """Return some bytes, fewer at the end."""
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        """Return a number from 0 to 255."""
        return (self.take(1) or b"\0")[0]


def record(channel: int, seq: int, body: bytes, *, pictures: int) -> bytes:
    """Return a record; those of pictures have a slot."""
    slots = b""
    if channel == 2:
        slots = struct.pack("<Q", (pictures >> 2) % POOLS << 32 | pictures % SLOTS)
    flags, seq = ARRAYS if slots else 0, seq % 2**64
    head = (0, 2, flags, channel, seq, START_NS - 5, 0, START_NS - 4, bool(slots), len(body))
    return HEAD.pack(*head) + slots + body


def card(number: int) -> tuple[str, int, bytes]:
    """Return what a channel carries."""
    cls = TYPES.get(number)
    if cls is None:
        return "strange/Type", 1, b"12345678"
    schema = schema_by_class(cls)
    return schema.name, schema.version, schema.hash


def bent(record: bytes, place: int, which: int) -> bytes:
    """Return a record with another number in its head."""
    head = list(HEAD.unpack_from(record))
    place %= len(head)
    head[place] = ODD[which % len(ODD)] % 2 ** _BITS[place]
    return HEAD.pack(*head) + record[HEAD.size :]


@cache
def pictures() -> Memory:
    """Return the memory of the stranger's pools."""
    made = make_memory(SLOT * SLOTS)
    np.frombuffer(made.map, np.uint32)[:] = np.arange(SLOT * SLOTS // 4) * 2_654_435_761
    return made


def step(act: int, *given: int, detail: int = 0, later: bool = False) -> bytes:
    """Return the bytes of a step; `later`, the host reads only when another one has it read."""
    return bytes([detail << 4 | (0 if later else 8) | act, *given])
