"""One message between two hosts of a machine, as bytes.

A packet is one record, or several: `0xFF`, then for each a u32 length and the record. A record is

    u8 kind, u8 tier, u16 flags, u32 channel, u64 seq, u64 stamp, u64 expires, u64 sent,
    u32 number of slots, u32 length of the body;  the slots, u64 each: pool << 32 | slot
    the body, msgpack: the fields, then what the flags announce: trace, call, arrays
    (in the last slot instead, if it is LONG)
    the short arrays, each at the next multiple of 16 bytes from the start of the record

all little endian. An array is `[dtype, shape, place, start]`: place -1 means `start` bytes into the
short arrays, otherwise `start` bytes into the slot of that number. What a record does not say was
said once when its channel was opened (see talk.py): topic, type and its hash, source, incarnation.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack
import numpy as np

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Header, Message, schema_by_class
from olympus.runtime.messages.codec import MAX_HEAD, checked_array
from olympus.runtime.messages.parts import Parts, parts_of
from olympus.runtime.messages.schema import MAX_ITEMS, AnyArray

HEAD = struct.Struct("<BBHIQQQQII")
LENGTH = struct.Struct("<I")
MANY = 0xFF
MOST_PACKET = 65_536
SHORT = 16_384
"""An array of at most so many bytes travels in the packet."""
_SHORT_SUM = 24_576
_LONG_BODY = 24_576
"""A body that is longer takes a slot."""
ALIGN = 16
_pack_head = HEAD.pack
_NO_ARRAYS: list[AnyArray] = []


class Kind(IntEnum):
    """What a record is."""

    DATA = 0
    ASK = 1
    ANSWER = 2
    FAILURE = 3
    CANCEL = 4
    SHUT = 5
    """Nothing more comes on this channel."""


ARRAYS, TRACE, CALL, LONG = 1, 2, 4, 8


class NoRoomError(Exception):
    """Every slot is held; who sends decides what that means."""


@dataclass(slots=True)
class Packed:
    """A record ready to go."""

    data: bytes
    slots: tuple[int, ...] = ()
    """Each held once for whoever made this, unless lent; `drop_taken` ends that."""
    taken: tuple[int, ...] = ()
    nbytes: int = 0
    """With its arrays."""


class Packing:
    """Turns messages of one class into records of one channel; one at a time."""

    def __init__(self, cls: type[Message], channel: int, pools: Pools) -> None:
        self.channel = channel
        self.parts: Parts = parts_of(cls)
        self._pools = pools
        self._packer = msgpack.Packer()
        self.is_plain = "array(" not in schema_by_class(cls).kind.text
        """Whether there is no array in such a message."""

    def record(self, message: Message, header: Header) -> bytes | None:
        """Return the record of a plain message without a past; None if it is too long for one.

        Raises:
            MessageError: A field holds what its type does not allow, or too much.
        """
        body = self._packed(self.parts.pack(message, _NO_ARRAYS))
        length = len(body)
        if length > _LONG_BODY:
            return None
        sent = header.trace[0].sent
        return (
            _pack_head(
                0, header.tier, 0, self.channel, header.seq, header.stamp, header.expires, sent, 0,
                length,
            )
            + body
        )  # fmt: skip

    def pack(
        self, kind: int, message: Message, stamps: tuple[int, int, int, int, int], **more: Any
    ) -> Packed:
        """Return the record of a message.

        Args:
            kind: A `Kind`.
            message: The message; what its header says comes from `stamps`.
            stamps: tier, seq, stamp, expires, sent.
            more: `trace` and `call`, msgpack values, if there are such.

        Raises:
            MessageError: A field holds what its type does not allow, or too much.
            NoRoomError: Every slot is held.
        """
        arrays: list[AnyArray] = []
        body = self.parts.pack(message, arrays)
        flags = 0
        for flag, word in ((TRACE, "trace"), (CALL, "call")):
            if word in more:
                flags |= flag
                body.append(more[word])
        if arrays:
            return self._pack_arrays(kind, body, arrays, flags, stamps)
        packed = self._packed(body)
        if len(packed) > _LONG_BODY:
            return self._finish(kind, flags, packed, _Shelf(self._pools), stamps)
        tier, seq, stamp, expires, sent = stamps
        head = HEAD.pack(kind, tier, flags, self.channel, seq, stamp, expires, sent, 0, len(packed))
        return Packed(head + packed)

    def _packed(self, body: list[Any]) -> bytes:
        try:
            packed: bytes = self._packer.pack(body)
        except (UnicodeEncodeError, ValueError, OverflowError) as error:
            raise MessageError(f"a message on channel {self.channel}: {error}") from error
        if len(packed) > MAX_HEAD:
            raise MessageError(
                f"{len(packed)} bytes besides its arrays, at most {MAX_HEAD}; "
                "put what is long into an array"
            )
        return packed

    def _pack_arrays(
        self, kind: int, body: list[Any], arrays: list[AnyArray], flags: int, stamps: Sequence[int]
    ) -> Packed:
        shelf = _Shelf(self._pools)
        try:
            body.append([shelf.place(array) for array in arrays])
            packed = self._packed(body)
            return self._finish(kind, flags | ARRAYS, packed, shelf, stamps)
        except BaseException:
            for slot in shelf.taken:
                self._pools.drop(slot)
            raise

    def _finish(
        self, kind: int, flags: int, packed: bytes, shelf: _Shelf, stamps: Sequence[int]
    ) -> Packed:
        length, nbytes = len(packed), shelf.nbytes
        if length > _LONG_BODY:
            shelf.place_bytes(packed)
            flags, packed, nbytes = flags | LONG, b"", nbytes + length
        tier, seq, stamp, expires, sent = stamps
        slots = shelf.slots
        head = HEAD.pack(
            kind, tier, flags, self.channel, seq, stamp, expires, sent, len(slots), length
        )
        head += struct.pack(f"<{len(slots)}Q", *slots)
        if shelf.short:
            gap = -(len(head) + len(packed)) % ALIGN
            data = b"".join((head, packed, bytes(gap), *shelf.short))
        else:
            data = head + packed
        return Packed(data, tuple(slots), tuple(shelf.taken), len(data) + nbytes)


def bare(kind: Kind, channel: int, number: int = 0, text: bytes = b"") -> Packed:
    """Return a record without a message."""
    return Packed(HEAD.pack(kind, 0, 0, channel, number, 0, 0, 0, 0, len(text)) + text)


class _Shelf:
    """Finds a place for each array of a message."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.short: list[bytes | memoryview] = []
        self._short_nbytes = 0
        self.slots: list[int] = []
        self.taken: list[int] = []
        self.nbytes = 0

    def place(self, array: AnyArray) -> list[Any]:
        nbytes = array.nbytes
        if nbytes <= SHORT and self._short_nbytes + nbytes <= _SHORT_SUM:
            start = self._short_nbytes
            self.short.append(array.tobytes())
            gap = -nbytes % ALIGN
            if gap:
                self.short.append(bytes(gap))
            self._short_nbytes = start + nbytes + gap
            return [array.dtype.str, array.shape, -1, start]
        self.nbytes += nbytes
        found = self._pools.find(array) if array.flags.c_contiguous else None
        slot, start = found if found is not None else self._copy(array)
        if found is not None:
            array.flags.writeable = False  # whoever looks at it now relies on that
        if slot not in self.slots:
            self.slots.append(slot)
        return [array.dtype.str, array.shape, self.slots.index(slot), start]

    def place_bytes(self, data: bytes) -> None:
        """Put bytes into a slot of their own, the last one.

        Raises:
            NoRoomError: Every slot is held.
        """
        slot = self._pools.take(len(data))
        if slot is None:
            raise NoRoomError
        self.taken.append(slot)
        self.slots.append(slot)
        pool, start = self._pools.place_of(slot)
        pool.memory.map[start : start + len(data)] = data

    def _copy(self, array: AnyArray) -> tuple[int, int]:
        slot = self._pools.take(array.nbytes)
        if slot is None:
            raise NoRoomError
        self.taken.append(slot)
        pool, start = self._pools.place_of(slot)
        there = np.frombuffer(pool.memory.map, array.dtype, array.size, start)
        np.copyto(there.reshape(array.shape), array)
        return slot, 0


def unpack_body(data: Any, start: int, length: int) -> list[Any]:
    """Return the msgpack list of a body.

    Raises:
        MessageError: It is none.
    """
    try:
        body = msgpack.unpackb(
            memoryview(data)[start : start + length],
            strict_map_key=True,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise MessageError(f"the body is no msgpack: {error}") from error
    if type(body) is not list:
        raise MessageError("the body is no list")
    return body


def read_arrays(
    entries: object, record: bytes | memoryview, tail: int, bases: Sequence[AnyArray]
) -> list[AnyArray]:
    """Return the arrays of a record: views that can only be read.

    Args:
        entries: As in the body.
        record: The whole record.
        tail: Where its short arrays start.
        bases: The bytes of its slots, in their order.

    Raises:
        MessageError: An entry is none, or goes beyond its place.
    """
    if type(entries) is not list:
        raise MessageError("the arrays are no list")
    return [_read_array(entry, index, record, tail, bases) for index, entry in enumerate(entries)]


def _read_array(
    entry: Any, index: int, record: bytes | memoryview, tail: int, bases: Sequence[AnyArray]
) -> AnyArray:
    if type(entry) is not list or len(entry) != 4:
        raise MessageError(f"array {index} is not [dtype, shape, place, start]: {entry!r:.60}")
    place, start = entry[2], entry[3]
    dtype, shape = checked_array(entry[:2], index)
    if type(place) is not int or type(start) is not int or start < 0:
        raise MessageError(f"array {index} has no place: {entry!r:.60}")
    if not -1 <= place < len(bases):
        raise MessageError(f"array {index} lies in slot {place} of {len(bases)}")
    nbytes = math.prod(shape) * dtype.itemsize
    if not nbytes:
        return _empty(dtype, shape)
    if place >= 0:
        base = bases[place]
        if start + nbytes > len(base):
            raise MessageError(f"array {index} of shape {shape} goes beyond its slot")
        return base[start : start + nbytes].view(dtype).reshape(shape)
    start += tail
    if start + nbytes > len(record):
        raise MessageError(f"array {index} of shape {shape} goes beyond its record")
    return np.frombuffer(record, dtype, nbytes // dtype.itemsize, start).reshape(shape)


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
    made = np.zeros(shape, dtype)
    made.flags.writeable = False
    return made
