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

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

import msgpack
import numpy as np

from olympus.runtime.bus.ipc.pool import Loan, Pools
from olympus.runtime.bus.ipc.shelf import ALIGN, SHORT, Shelf
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Header, Hop, Message
from olympus.runtime.messages.codec import MAX_HEAD
from olympus.runtime.messages.parts import Parts, parts_of
from olympus.runtime.messages.schema import AnyArray
from olympus.runtime.quick import quick

HEAD = struct.Struct("<BBHIQQQQII")
LENGTH = struct.Struct("<I")
MANY = 0xFF
MOST_PACKET = 65_536
_LONG_BODY = 24_576
"""A body that is longer takes a slot."""
_UNPACKABLE = (UnicodeEncodeError, ValueError, OverflowError)
"""What msgpack raises."""
_pack_head = HEAD.pack
_GAPS = tuple(bytes(n) for n in range(ALIGN))
_pack_head_1 = struct.Struct("<BBHIQQQQIIQ").pack
"""A head with one slot after it."""


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


@dataclass(slots=True)
class Packed:
    """A record ready to go."""

    data: bytes
    slots: tuple[int, ...] = ()
    """Each held once for whoever made this, unless lent; `drop_taken` ends that."""
    taken: tuple[int, ...] = ()
    nbytes: int = 0
    """With its arrays."""


class Tail(NamedTuple):
    """The body of the picture before, and what it says: in a stream the next one says the same."""

    fields: list[Any]
    dtype: np.dtype[Any] | None
    shape: tuple[int, ...]
    start: int
    """Where the array begins in its slot, bytes."""
    packed: bytes


def make_outlet(parts: Parts, pack_body: Callable[..., bytes], channel: int, pools: Pools) -> Any:
    """Return what makes records of what is plain; None where that isn't built."""
    if quick is None or parts.plan is None:
        return None
    given = parts.plan, pack_body, channel, _LONG_BODY
    return quick.Outlet(*given, pools.owners, Loan, Packed)


Stamps: TypeAlias = tuple[int, int, int, int, int]
"""Tier, seq, stamp, expires and sent of a record."""
_PLAIN = frozenset((bool, int, str, bytes))
"""A field's type stays the same, and equal values of one of these are packed alike; of floats, 0.0
and -0.0 are not."""
_NO_TAIL = Tail([], None, (), 0, b"")


class Packing:
    """Turns messages of one class into records of one channel; one at a time."""

    def __init__(self, cls: type[Message], channel: int, pools: Pools) -> None:
        self.channel = channel
        self.parts: Parts = parts_of(cls)
        self._pools = pools
        self._pack_fields = self.parts.pack
        self._pack_body: Callable[[list[Any]], bytes] = msgpack.Packer().pack
        self._tail = _NO_TAIL
        outlet = make_outlet(self.parts, self._pack_body, channel, pools)
        self._outlet = None if self.parts.has_arrays else outlet
        """Makes records of messages that have fields alone."""
        self.call_in_c: Any = outlet and outlet.call
        """Makes those of questions and answers, also with short arrays or one in a lent slot; what
        else it returns is for `call_in_python`."""

    def record(self, message: Message, header: Header) -> bytes | Packed:
        """Return the record of a message that has its final header; bytes if nothing else goes.

        Raises:
            MessageError: A field holds what its type does not allow, or too much.
            NoRoomError: Every slot is held.
        """
        outlet = self._outlet
        if outlet is not None and (plain := outlet.record(message, header)) is not None:
            return plain  # type: ignore[no-any-return]
        arrays: list[AnyArray] = []
        body, trace, flags = self._pack_fields(message, arrays), header.trace, 0
        if len(trace) > 1:
            flags = TRACE
            body.append(hops_of(trace[:-1]))
        stamps = header.tier, header.seq, header.stamp, header.expires, trace[-1].sent
        if arrays:
            if len(arrays) == 1 and arrays[0].nbytes > SHORT:
                return self._with_slot(0, body, arrays[0], flags, stamps)
            return self._with_arrays(0, body, arrays, flags, stamps)
        # From here on as `_alone`, which would be two more calls.
        try:
            packed: bytes = self._pack_body(body)
        except _UNPACKABLE as error:
            raise self._refusal(error) from error
        length = len(packed)
        if length > _LONG_BODY:
            return self._finish(0, flags, self._checked(packed), Shelf(self._pools), stamps)
        tier, seq, stamp, expires, sent = stamps
        head = _pack_head(0, tier, flags, self.channel, seq, stamp, expires, sent, 0, length)
        return head + packed

    def call(self, kind: int, message: Message, number: int) -> bytes | Packed:
        """Return the record of a question or an answer; bytes if nothing else goes.

        Args:
            kind: A `Kind`.
            message: The message; what a record has no place for in its header goes with the body.
            number: Of the call.

        Raises:
            MessageError: A field holds what its type does not allow, or too much.
            NoRoomError: Every slot is held.
        """
        found = self.call_in_c(kind, message, number) if self.call_in_c is not None else None
        if type(found) is bytes or type(found) is Packed:
            return found
        return self.call_in_python(kind, message, number, found)

    def call_in_python(
        self, kind: int, message: Message, number: int, found: tuple[Any, Any] | None = None
    ) -> bytes | Packed:
        """Do what `call` does, in Python.

        Args:
            kind: As for `call`.
            message: As for `call`.
            number: As for `call`.
            found: Body and arrays, where those are known already.

        Raises:
            MessageError: As for `call`.
            NoRoomError: As for `call`.
        """
        arrays: list[AnyArray] = []
        if found is not None:
            body, arrays = found
        else:
            body, header = self._pack_fields(message, arrays), message.header
            body.append([header.seq, header.source, hops_of(header.trace) if header.trace else ()])
        header = message.header
        stamps = header.tier, number, header.stamp, header.expires, 0
        if arrays:
            return self._with_arrays(kind, body, arrays, CALL, stamps)
        return self._alone(kind, body, CALL, stamps)

    def _alone(self, kind: int, body: list[Any], flags: int, stamps: Stamps) -> bytes | Packed:
        """Return the record of a message without arrays."""
        packed = self._packed(body)
        length = len(packed)
        if length > _LONG_BODY:
            return self._finish(kind, flags, packed, Shelf(self._pools), stamps)
        tier, seq, stamp, expires, sent = stamps
        head = _pack_head(kind, tier, flags, self.channel, seq, stamp, expires, sent, 0, length)
        return head + packed

    def _with_arrays(
        self, kind: int, body: list[Any], arrays: list[AnyArray], flags: int, stamps: Stamps
    ) -> bytes | Packed:
        """Return the record of a message with arrays, by the quickest way that they allow."""
        if len(arrays) == 1 and arrays[0].nbytes > SHORT:
            return self._with_slot(kind, body, arrays[0], flags, stamps)
        entries: list[list[Any]] = []
        pieces: list[bytes] = []
        start = 0
        for array in arrays:
            gap, nbytes = -start % ALIGN, array.nbytes
            entries.append([array.dtype.str, array.shape, -1, start + gap])
            start += gap + nbytes
            if start > SHORT:
                return self._pack_arrays(kind, body, arrays, flags, stamps)
            pieces += _GAPS[gap], array.tobytes()
        packed = self._packed([*body, entries])
        length = len(packed)
        if length > _LONG_BODY:
            return self._pack_arrays(kind, body, arrays, flags, stamps)
        tier, seq, stamp, expires, sent = stamps
        head = _pack_head(
            kind, tier, flags | ARRAYS, self.channel, seq, stamp, expires, sent, 0, length
        )
        return b"".join((head, packed, _GAPS[-(HEAD.size + length) % ALIGN], *pieces))

    def _with_slot(
        self, kind: int, body: list[Any], array: AnyArray, flags: int, stamps: Stamps
    ) -> Packed:
        """Return the record of a message with one long array; it is copied if it is not lent.

        Raises:
            MessageError: The other fields are too much.
            NoRoomError: Every slot is held.
        """
        state = array.flags
        found = self._pools.find(array) if state.c_contiguous else None
        if found is None:
            return self._pack_arrays(kind, body, [array], flags, stamps)
        slot, start = found
        dtype, shape, tail = array.dtype, array.shape, self._tail
        if (
            dtype is tail.dtype
            and shape == tail.shape
            and start == tail.start
            and body == tail.fields
        ):
            packed = tail.packed
        else:
            packed = self._packed([*body, [[dtype.str, shape, 0, start]]])
            if len(packed) > _LONG_BODY:
                return self._pack_arrays(kind, body, [array], flags, stamps)
            if _PLAIN.issuperset(map(type, body)):
                self._tail = Tail(body, dtype, shape, start, packed)
        state.writeable = False  # whoever looks at it now relies on that
        tier, seq, stamp, expires, sent = stamps
        data = _pack_head_1(
            kind, tier, flags | ARRAYS, self.channel, seq, stamp, expires, sent, 1, len(packed),
            slot,
        ) + packed  # fmt: skip
        return Packed(data, (slot,), (), len(data) + array.nbytes)

    def _packed(self, body: list[Any]) -> bytes:
        try:
            return self._checked(self._pack_body(body))
        except _UNPACKABLE as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> MessageError:
        return MessageError(f"a message on channel {self.channel}: {error}")

    def _checked(self, packed: bytes) -> bytes:
        if len(packed) > MAX_HEAD:
            raise MessageError(
                f"{len(packed)} bytes besides its arrays, at most {MAX_HEAD}; "
                "put what is long into an array"
            )
        return packed

    def _pack_arrays(
        self, kind: int, body: list[Any], arrays: list[AnyArray], flags: int, stamps: Stamps
    ) -> Packed:
        shelf = Shelf(self._pools)
        try:
            body.append([shelf.place(array) for array in arrays])
            packed = self._packed(body)
            return self._finish(kind, flags | ARRAYS, packed, shelf, stamps)
        except BaseException:
            for slot in shelf.taken:
                self._pools.drop(slot)
            raise

    def _finish(self, kind: int, flags: int, packed: bytes, shelf: Shelf, stamps: Stamps) -> Packed:
        length, nbytes = len(packed), shelf.nbytes
        if length > _LONG_BODY:
            shelf.place_bytes(packed)
            flags, packed, nbytes = flags | LONG, b"", nbytes + length
        tier, seq, stamp, expires, sent = stamps
        slots = shelf.slots
        head = HEAD.pack(
            kind, tier, flags, self.channel, seq, stamp, expires, sent, len(slots), length
        )
        if slots:
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


def hops_of(trace: Sequence[Hop]) -> list[list[Any]]:
    """Return hops as msgpack values."""
    return [[hop.topic, hop.seq, hop.stamp, hop.sent] for hop in trace]
