"""What can't be sent yet, because the other side does not read: bounded, by each topic's own rule.

Nothing waits here while the socket takes what comes; that is the normal case.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from olympus.runtime.bus.ipc.records import LENGTH, MANY
from olympus.runtime.qos import Overflow

MOST_NBYTES = 64 * 2**20
"""Of records that must not be dropped; beyond it their publisher waits, and then drops."""
_MANY_NBYTES = 48_000
_MOST_EMPTY = 256


@dataclass(slots=True, eq=False)
class Parcel:
    """A record that waits."""

    data: bytes
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """How a topic's records wait for one reader."""

    overflow: Overflow
    depth: int

    @property
    def is_patient(self) -> bool:
        """Whether nothing is dropped as long as there is any room."""
        return self.overflow in (Overflow.BLOCK, Overflow.LOSSLESS)


PATIENT = Rule(Overflow.LOSSLESS, 1)


def strictest(rules: list[Rule]) -> Rule:
    """Return the rule that leaves each of several subscriptions in one host what it wants."""
    if any(rule.is_patient for rule in rules):
        return PATIENT
    depth = max(rule.depth for rule in rules)
    if all(rule.overflow is Overflow.DROP_NEWEST for rule in rules):
        return Rule(Overflow.DROP_NEWEST, depth)
    return Rule(Overflow.DROP_OLDEST, depth)


@dataclass(slots=True)
class Outbox:
    """The records that wait for one reader, in the order they came."""

    _waiting: deque[Parcel] = field(default_factory=deque)
    _rows: dict[int, deque[Parcel]] = field(default_factory=dict)
    """Those of each channel that may be dropped."""
    nbytes: int = 0
    _empty: int = 0
    """Places in the queue whose record was dropped."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits, not even what must not be dropped."""
        return self.nbytes > MOST_NBYTES

    def put(self, parcel: Parcel, channel: int, rule: Rule) -> list[Parcel]:
        """Take in a record; returns what has to be dropped for it, maybe itself."""
        dropped: list[Parcel] = []
        if self.is_full:
            return [parcel]
        if not rule.is_patient:
            row = self._rows.setdefault(channel, deque())
            if len(row) >= rule.depth:
                if rule.overflow is Overflow.DROP_NEWEST:
                    return [parcel]
                old = row.popleft()
                dropped.append(Parcel(b"", old.slots))
                self.nbytes -= len(old.data)
                old.data, old.slots = b"", ()  # an empty place in the queue
                self._note_empty()
            row.append(parcel)
        self._waiting.append(parcel)
        self.nbytes += len(parcel.data)
        return dropped

    def packets(self) -> Iterator[tuple[bytes, int]]:
        """Yield each next packet and how many parcels it takes; `done` confirms that it went."""
        while self._waiting:
            yield self._next()

    def done(self, parcels: int) -> None:
        """Forget the oldest parcels."""
        for _ in range(parcels):
            parcel = self._waiting.popleft()
            self.nbytes -= len(parcel.data)
            self._empty -= not parcel.data
        if not self._waiting:
            self._rows.clear()

    def clear(self) -> list[Parcel]:
        """Forget everything; returns what was there."""
        left = [parcel for parcel in self._waiting if parcel.data]
        self._waiting.clear()
        self._rows.clear()
        self.nbytes = self._empty = 0
        return left

    def _note_empty(self) -> None:
        """Count an empty place, and close the ranks where there are more of them than of others.

        A reader may be stopped for a day, while a topic that keeps its newest goes on.
        """
        self._empty += 1
        if self._empty > max(_MOST_EMPTY, len(self._waiting) // 2):
            self._waiting = deque(parcel for parcel in self._waiting if parcel.data)
            self._empty = 0

    def _next(self) -> tuple[bytes, int]:
        """Return the next packet, several small records in one; empty if all were dropped."""
        records: list[bytes] = []
        total = taken = 0
        for parcel in self._waiting:
            if records and total + len(parcel.data) > _MANY_NBYTES:
                break
            taken += 1
            if parcel.data:
                records.append(parcel.data)
                total += len(parcel.data) + LENGTH.size
        if len(records) < 2:
            return (records[0] if records else b""), taken
        parts = [bytes((MANY,))]
        for record in records:
            parts += [LENGTH.pack(len(record)), record]
        return b"".join(parts), taken
