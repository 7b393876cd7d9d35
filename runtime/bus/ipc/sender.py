"""The sending end of a topic towards the hosts of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus.ipc.outbox import PATIENT, Rule
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.records import Kind, Packed, Packing, bare
from olympus.runtime.bus.ipc.shelf import NoRoomError
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Message, schema_by_class

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.member import Member

PATIENCE_S = 1.0
"""How long a publisher whose messages must not be dropped waits for a reader that does not read."""
_LOOK_S = 0.0005
OnDropped = Callable[[str, int], None]
"""Told the reason and how many."""
Last = Callable[[], Message | None]


class Sender:
    """Packs each message once and sends it to every host that listens."""

    def __init__(
        self,
        member: Member,
        topic: str,
        cls: type[Message],
        *,
        source: str,
        incarnation: int,
        is_reliable: bool,
        on_dropped: OnDropped,
    ) -> None:
        self.topic = topic
        schema = schema_by_class(cls)
        self._member = member
        self._number = member.next_number()
        self._card = (topic, schema.name, schema.version, schema.hash, source, incarnation)
        self._record = Packing(cls, self._number, member.pools).record
        self._is_reliable, self._on_dropped = is_reliable, on_dropped
        self._routes: list[tuple[Pair, Rule]] = []
        self._version = -1
        self._is_closed = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody in another host of this machine listens."""
        if self._is_closed:
            return False
        return bool(
            self._routes if self._version == self._member.version else self._current_routes()
        )

    def send(self, message: Message) -> int:
        """Send a message that has its final header to all who listen; one at a time.

        Returns:
            Its size in bytes; 0 if nobody listens or it was dropped.

        Raises:
            MessageError: A field holds what its type does not allow.
            BusError: The publisher is closed.
        """
        routes = self._routes if self._version == self._member.version else self._current_routes()
        if not routes:
            return 0
        packed: bytes | Packed | None
        try:
            packed = self._record(message, message.header)
        except NoRoomError:
            packed = self._pack_later(message)
        number = self._number
        if packed is None:
            return 0
        if isinstance(packed, bytes):
            for pair, rule in routes:
                if number not in pair.opened or not pair.post(packed):
                    self._send_to(pair, Packed(packed), rule)
            return len(packed)
        return self._send_slots(packed, routes)

    def _send_slots(self, packed: Packed, routes: list[tuple[Pair, Rule]]) -> int:
        number = self._number
        data, slots, readers = packed.data, packed.slots, self._member.readers
        picture = slots[0] if len(slots) == 1 else None
        for pair, rule in routes:
            # What becomes of nearly every picture: the reader knows channel and pool, and reads.
            if (
                picture is not None
                and number in pair.opened
                and picture >> 32 in pair.lent
                and pair.holds.add_one(picture, readers)
            ):
                if pair.post(data):
                    continue
                pair.holds.give_back(picture)
            self._send_to(pair, packed, rule)
        for slot in packed.taken:
            self._member.pools.drop(slot)
        return packed.nbytes or len(data)

    def send_last(self, message: Message, pair: Pair) -> None:
        """Send the last value of a latched topic to a host that listens from now on.

        Raises:
            MessageError: A field holds what its type does not allow.
        """
        packed: bytes | Packed | None
        try:
            packed = self._record(message, message.header)
        except NoRoomError:
            packed = self._pack_later(message)
        if isinstance(packed, bytes):
            packed = Packed(packed)
        if packed is not None:
            self._send_to(pair, packed, PATIENT)
            for slot in packed.taken:
                self._member.pools.drop(slot)

    def loan(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write into; published, it travels without a copy."""
        member = self._member
        is_wanted = bool(self._routes) if self._version == member.version else self.is_wanted
        array = member.pools.loan(shape, dtype) if is_wanted else None
        return np.empty(shape, dtype) if array is None else array

    def close(self) -> None:
        """Stop being a publisher; again is harmless."""
        self._is_closed, self._version = True, -1
        for pair in self._member.pairs():
            if self._number in pair.opened:
                pair.opened.discard(self._number)
                pair.send(bare(Kind.SHUT, self._number), self._number, PATIENT)
        self._routes = []

    def _current_routes(self) -> list[tuple[Pair, Rule]]:
        if self._is_closed:
            raise BusError(f"{self.topic} can't be sent: its publisher is closed")
        version, found = self._member.routes(self.topic)
        # In this order: another thread that sees the new version sees the new routes too.
        self._routes = [(pair, PATIENT if self._is_reliable else rule) for pair, rule in found]
        self._version = version
        return self._routes

    def _pack_later(self, message: Message) -> bytes | Packed | None:
        """Return the record of a message once there is a slot for it; None if it is dropped."""
        deadline = time.monotonic() + PATIENCE_S
        while self._is_patient and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            try:
                return self._record(message, message.header)
            except NoRoomError:
                continue
        self._on_dropped("pool", 1)
        return None

    @property
    def _is_patient(self) -> bool:
        return self._is_reliable or any(rule.is_patient for _, rule in self._routes)

    def _send_to(self, pair: Pair, packed: Packed, rule: Rule) -> None:
        if self._number not in pair.opened:
            pair.opened.add(self._number)
            pair.tell("open", self._number, *self._card)
        if (packed.slots or not pair.has_room) and not self._find_room(pair, packed, rule):
            return
        if dropped := pair.send(packed, self._number, rule):
            self._on_dropped("slow_reader", dropped)

    def _find_room(self, pair: Pair, packed: Packed, rule: Rule) -> bool:
        """Have the slots held for the reader; a patient rule waits for room, others drop."""
        member = self._member
        for slot in packed.slots:
            if slot >> 32 not in pair.lent:
                member.lend(pair, packed.slots)
        deadline = 0.0
        while not (pair.has_room and pair.holds.add(packed.slots, member.readers)):
            deadline = deadline or time.monotonic() + PATIENCE_S
            if not rule.is_patient or pair.is_gone or time.monotonic() > deadline:
                self._on_dropped("slow_reader", 0 if pair.is_gone else 1)
                return False
            time.sleep(_LOOK_S)
            pair.push_on()
        return True
