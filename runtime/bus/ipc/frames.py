"""What arrives: channels, and frames that are read only when their turn comes."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Sequence
from mmap import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.board import Board
from olympus.runtime.bus.ipc.pool import share
from olympus.runtime.bus.ipc.reading import make_asked, read_arrays, unpack_body
from olympus.runtime.bus.ipc.records import ARRAYS, CALL, HEAD, LONG, TRACE
from olympus.runtime.bus.ipc.shelf import ALIGN
from olympus.runtime.errors import MessageError, SchemaError
from olympus.runtime.messages import Header, Hop, Message, encode
from olympus.runtime.messages.base import MAX_HOPS
from olympus.runtime.messages.codec import checked_array, frame_of, schema_for
from olympus.runtime.messages.parts import Parts, make_header, make_hop, parts_of
from olympus.runtime.messages.schema import AnyArray, record_kind
from olympus.runtime.qos import Tier

if TYPE_CHECKING:
    from olympus.runtime.bus.subscription import Subscription

_log = logging.getLogger(__name__)
_TIERS = tuple(Tier)
_WANTED = tuple(bin(flags & (ARRAYS | CALL | TRACE)).count("1") for flags in range(8))
"""How many parts of a body its flags announce."""
_HOP = record_kind(Hop)
_BYTE = np.dtype(np.uint8)
_AFTER_SLOT = HEAD.size + 8
"""Where the body of a record with one slot begins, bytes."""
_LASTING = frozenset((bool, int, float, str, bytes, type(None)))
"""Fields of these types can be shared by messages."""


class Known(NamedTuple):
    """What the body of the picture before said: in a stream, that of the next says the same."""

    body: bytes
    fields: list[Any]
    """All but what belongs to its array; nothing in it that could be changed."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    """Where the array begins in the slot, bytes."""
    end: int


class Channel:
    """One row of messages from one publisher of another host."""

    __slots__ = (
        "asked", "incarnation", "key", "kind", "known", "parts", "plan", "source", "targets",
        "topic", "type", "unknown", "unlike",
    )  # fmt: skip

    def __init__(
        self, topic: str, kind: tuple[str, int, bytes], source: str, incarnation: int
    ) -> None:
        """Know it.

        Args:
            topic: Full name.
            kind: Name, version and hash of the message type.
            source: Full name of the node that publishes.
            incarnation: Another number after each start of the publisher.
        """
        self.topic, self.type, self.source, self.incarnation = topic, kind[0], source, incarnation
        self.kind, self.key = kind, (topic, source)
        self.targets: list[Subscription[Any]] = []
        self.unknown = ""
        """Why no message of this type can be read here."""
        self.known: Known | None = None
        self.unlike = b""
        """The last body that was not as `known`: one that comes twice in a row is worth knowing."""
        self.parts: Parts | None = None
        try:
            self.parts = parts_of(schema_for(*kind).cls)
        except MessageError as error:
            self.unknown = str(error)
        self.plan: Any = self.parts.plan if self.parts is not None else None
        self.asked: Any = make_asked(self.plan, self.type)

    def refusal(self, why: str) -> MessageError:
        """Return the error for one of its messages, a new one each time.

        One that is raised again keeps all that it was raised through before, and so the memory of
        every message that it refused.

        Args:
            why: The reason, if the type is known.
        """
        return SchemaError(self.unknown) if self.unknown else MessageError(why)


class Lent:
    """A pool of another host, mapped to read."""

    __slots__ = ("board", "bytes", "copied", "count", "map", "nbytes", "views")

    def __init__(self, nbytes: int, count: int, mapped: mmap, board: Board) -> None:
        self.nbytes, self.count, self.map, self.board = nbytes, count, mapped, board
        self.bytes: NDArray[np.uint8] = np.ndarray((nbytes * count,), _BYTE, mapped)
        """All slots, one after the other: of use to quick/slots.c, which does what `view` does."""
        self.views: dict[int, View] = {}
        self.copied = 0
        """How many slots were copied because too many are looked at."""

    def view(self, slot: int, readers: int) -> NDArray[np.uint8]:
        """Return the bytes of a slot; it is given back when nobody looks at them any more.

        Who looks at more than half of its share is given copies, so that it starves nobody.

        Raises:
            MessageError: There is no such slot.
        """
        index = slot & 0xFFFFFFFF
        if index >= self.count:
            raise MessageError(f"slot {index} of {self.count}")
        # Of the map itself: an array of another array would keep that one alive instead of this.
        base: NDArray[Any] = np.ndarray((self.nbytes,), _BYTE, self.map, index * self.nbytes)
        if len(self.views) >= (share(self.count, readers) // 2 or 1):
            self._note_copy()
            base = base.copy()
            base.flags.writeable = False
            self.board.release(slot)
            return base
        view = View(base, let_go)
        view.lent, view.slot = self, slot
        self.views[id(view)] = view
        return base

    def _note_copy(self) -> None:
        self.copied += 1
        if self.copied & (self.copied - 1) == 0:  # 1, 2, 4, 8, …: loud, but no flood
            _log.info(
                "%d arrays of this host are looked at at once, so no. %d was copied; what is kept "
                "for long, keep a copy of it",
                len(self.views),
                self.copied,
            )


class View(weakref.ref["NDArray[np.uint8]"]):
    """Notices that nobody looks at a slot any more."""

    __slots__ = ("lent", "slot")
    lent: Lent
    slot: int


def let_go(view: weakref.ref[NDArray[np.uint8]]) -> None:
    """Give its slot back; may run anywhere, in the middle of anything."""
    if isinstance(view, View):
        view.lent.views.pop(id(view), None)
        view.lent.board.release(view.slot)


class Frame:
    """A message of another host that nobody has read yet; however many read it, once."""

    __slots__ = ("_bases", "_message", "_record", "channel", "head")

    def __init__(
        self,
        channel: Channel,
        head: tuple[int, ...],
        record: bytes | memoryview,
        bases: Sequence[NDArray[np.uint8]],
    ) -> None:
        self.channel, self.head = channel, head
        self._record, self._bases = record, bases
        self._message: Message | None = None

    @property
    def expires(self) -> int:
        """When it is worth nothing any more, robot time, ns; 0 = never."""
        return self.head[6]

    def to_bytes(self) -> bytes:
        """Return it as every link knows it, also when its type is unknown here.

        Raises:
            MessageError: It is no valid message.
        """
        if self.channel.parts is None:
            header, body, arrays = self._opened()
            return frame_of(self.channel.kind, header, body, arrays)
        return encode(self.message())

    def as_it_came(self) -> bytes:
        """Return the record that it is read from, without long arrays, which lie elsewhere."""
        return bytes(self._record)

    def message(self) -> Message:
        """Return the message.

        Raises:
            MessageError: It is no valid message of its type, or the type is unknown here.
        """
        made: Message | None = self._message
        if made is not None:
            return made
        head, channel = self.head, self.channel
        _, tier, flags, _, seq, stamp, expires, sent, slots, _ = head
        if flags or slots:
            is_picture = flags == ARRAYS and slots == 1
            made = self._message = self._read_picture(head) if is_picture else self._read()
            return made
        # What has nothing but fields, most of all there is: no more calls than it takes.
        if channel.parts is None or tier >= len(_TIERS):
            raise channel.refusal(f"{channel.type}: tier {tier}")
        try:
            body = msgpack.unpackb(self._record[HEAD.size :])
        except (ValueError, msgpack.UnpackException, RecursionError) as error:
            raise MessageError(f"the body is no msgpack: {error}") from error
        plain: Message = channel.parts.received(
            body, [], channel.type, channel.topic, seq, stamp, sent, expires, _TIERS[tier],
            channel.source,
        )  # fmt: skip
        self._message = plain
        return plain

    def _read_picture(self, head: tuple[int, ...]) -> Message:
        """Do what `_read` does, for a record of one slot that says what the one before said.

        Raises:
            MessageError: As for `message`.
        """
        channel, bases, body = self.channel, self._bases, self._record[_AFTER_SLOT:]
        known, parts = channel.known, channel.parts
        _, tier, _, _, seq, stamp, expires, sent, _, length = head
        if (
            known is None
            or parts is None
            or body != known.body
            or length != len(body)
            or not bases
            or known.end > len(bases[0])
            or tier >= len(_TIERS)
        ):
            made = self._read()
            if length == len(body) and body == channel.unlike:
                channel.known = _known_of(channel.unlike)
            channel.unlike = bytes(body)
            return made
        array = np.ndarray(known.shape, known.dtype, bases[0], known.start)
        message: Message = parts.received(
            known.fields, [array], channel.type, channel.topic, seq, stamp, sent, expires,
            _TIERS[tier], channel.source,
        )  # fmt: skip
        return message

    def asked(self) -> Message:
        """Return the message of a question or an answer, which says itself what its header is.

        Raises:
            MessageError: As for `message`.
        """
        made, channel = self._message, self.channel
        if made is None and channel.asked is not None:
            made = self._message = channel.asked.message(self._record, tuple(self._bases))
        if made is None:
            if channel.parts is None:
                raise channel.refusal(f"{channel.type} is unknown")
            body, arrays, call, _ = self._taken_apart()
            header = _asked_header(call, self.head, channel.type)
            made = self._message = channel.parts.unpack(body, arrays, channel.type, header)
        return made

    def _read(self) -> Message:
        channel = self.channel
        if channel.parts is None:
            raise channel.refusal(f"{channel.type} is unknown")
        header, body, arrays = self._opened()
        message: Message = channel.parts.unpack(body, arrays, channel.type, header)
        return message

    def _opened(self) -> tuple[Header, list[Any], list[AnyArray]]:
        """Return header, fields and arrays; nobody has checked the latter two yet.

        Raises:
            MessageError: There is less than it announces.
        """
        channel = self.channel
        _, tier, _, _, seq, stamp, expires, sent, _, _ = self.head
        body, arrays, _, past = self._taken_apart()
        trace = (*_past(past, channel.type), make_hop(channel.topic, seq, stamp, sent))
        header = make_header(seq, stamp, expires, _TIERS[tier], channel.source, trace)
        return header, body, arrays

    def _taken_apart(self) -> tuple[list[Any], list[AnyArray], object, object]:
        """Return fields and arrays, what belongs to a call, and past hops, all unchecked.

        Raises:
            MessageError: There is less than it announces.
        """
        channel = self.channel
        _, tier, flags, _, _, _, _, _, slots, length = self.head
        start = HEAD.size + 8 * slots
        if flags & LONG and self._bases:
            body, end = unpack_body(self._bases[-1], 0, length), start
        else:
            body, end = unpack_body(self._record, start, length), start + length
        if len(body) < _WANTED[flags & 7] or tier >= len(_TIERS):
            raise MessageError(f"{channel.type}: a record without what it announces")
        arrays: list[AnyArray] = []
        if flags & ARRAYS:
            tail = -(-end // ALIGN) * ALIGN
            arrays = read_arrays(body.pop(), self._record, tail, self._bases)
        call = body.pop() if flags & CALL else None
        return body, arrays, call, body.pop() if flags & TRACE else []


def _known_of(body: bytes) -> Known | None:
    """Return what the body of a picture says that could just be read; None if it is not plain."""
    *fields, entries = unpack_body(body, 0, len(body))
    if len(entries) != 1 or entries[0][2] or any(type(one) not in _LASTING for one in fields):
        return None
    dtype, shape = checked_array(entries[0][:2], 0)
    start = entries[0][3]
    end = start + math.prod(shape) * dtype.itemsize
    return Known(body, fields, dtype, shape, start, end) if end > start else None


def _past(hops: object, where: str) -> tuple[Hop, ...]:
    if type(hops) is not list or len(hops) >= MAX_HOPS:
        raise MessageError(f"{where}: a trace is a list of less than {MAX_HOPS} hops")
    return tuple(_HOP.unpack(hop, [], f"{where}.trace") for hop in hops)


def _asked_header(call: object, head: tuple[int, ...], where: str) -> Header:
    """Return the header of a question or an answer: what a record has no place for is in `call`.

    Raises:
        MessageError: It is not `[seq, source, trace]`.
    """
    match call:
        case [int(seq), str(source), list(hops)] if 0 <= seq < 2**63 and len(hops) <= MAX_HOPS:
            trace = tuple([_HOP.unpack(hop, [], f"{where}.trace") for hop in hops]) if hops else ()
            return make_header(seq, head[5], head[6], _TIERS[head[1]], source, trace)
    raise MessageError(f"{where}: {call!r:.60} is not [seq, source, trace]")
