"""Writing batches when room may run out: decides what is kept, and says what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from olympus.runtime.errors import StoreError, StoreFullError
from olympus.runtime.store.consumers import Mark
from olympus.runtime.store.ledger import FULL, THINNED, Gap
from olympus.runtime.store.room import (
    PATTERNS,
    Ballast,
    TopicClass,
    class_of,
    fill_of,
    free_bytes,
    keep_every,
)
from olympus.runtime.store.streams import Incoming, StreamStore

_OVERHEAD = 1.5
"""What a record takes at most in relation to its frame, besides `_OVERHEAD_BYTES`: pages are not
always full."""
_OVERHEAD_BYTES = 160
_TIGHT = 10
"""A disk begins to be full when it has this many reserves left."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    recorded: int
    gaps: list[Gap]
    fill: float
    """Share of the room in use afterwards, 0..1 and beyond."""
    missed: dict[str, int] = field(default_factory=dict)
    """What was left out, by reason."""
    trouble: str = ""
    """What a person should know; empty when all is well."""
    error: StoreError | None = None
    """Why nothing at all could be written."""


class BatchWriter:
    """Writes to a store that has a largest size and a reserve."""

    def __init__(
        self,
        store: StreamStore,
        *,
        max_bytes: int,
        reserve_bytes: int,
        patterns: Mapping[str, Sequence[str]] = PATTERNS,
    ) -> None:
        """Take charge of a store.

        Args:
            store: Opened with a largest size of `max_bytes` and `reserve_bytes`.
            max_bytes: What sensors and states may fill.
            reserve_bytes: What only safety records may use, in the store and on the disk.
            patterns: Which topics are of which class.
        """
        self.store = store
        self.fill = 0.0
        self._max, self._reserve, self._patterns = max_bytes, reserve_bytes, patterns
        self._ballast = Ballast(store.folder, reserve_bytes)
        self._classes: dict[str, TopicClass] = {}
        self._seen: Counter[str] = Counter()
        self._owed: dict[tuple[str, str], Incoming] = {}

    def write(
        self, batch: Sequence[Incoming], *, now_ns: int, marks: Sequence[Mark] = ()
    ) -> Written:
        """Write a batch, or as much of it as may be; called from one thread at a time.

        Args:
            batch: In order of arrival.
            now_ns: Robot time.
            marks: What consumers have acknowledged.

        Returns:
            What became of it; what could not be written is noted with the next one that can.
        """
        try:
            used = self.store.file.used_bytes()
            self.fill = self._fill(used)
            trouble = self._watch_reserve()
            chosen = self._choose(batch, used)
            return self._store([*self._owed.values(), *chosen], now_ns, trouble, marks)
        except StoreError as error:
            return self._give_up(batch, error)

    def class_of(self, topic: str) -> TopicClass:
        """Return the class of a topic."""
        if topic not in self._classes:
            self._classes[topic] = class_of(topic, self._patterns)
        return self._classes[topic]

    def _fill(self, used: int) -> float:
        apart = 0 if self._ballast.is_there else self._reserve
        spare = free_bytes(self.store.folder) - apart
        return fill_of(used, self._max, spare_bytes=spare, tight_bytes=_TIGHT * self._reserve)

    def _watch_reserve(self) -> str:
        if not self._reserve or self._ballast.is_there:
            return ""
        try:
            self._ballast.set_aside()
        except StoreFullError as error:
            return str(error)
        return ""

    def _choose(self, batch: Sequence[Incoming], used: int) -> list[Incoming]:
        """Mark what is left out."""
        room, chosen = self._max - used, []
        for one in batch:
            cls = self.class_of(one.topic)
            size = round(len(one.frame) * _OVERHEAD) + _OVERHEAD_BYTES
            every = keep_every(cls, self.fill)
            self._seen[one.topic] += 1
            if one.missed or cls is TopicClass.SAFETY:
                chosen.append(one)
            elif every == 0 or size > room:
                chosen.append(replace(one, frame=b"", missed=FULL))
            elif self._seen[one.topic] % every:
                chosen.append(replace(one, frame=b"", missed=THINNED))
            else:
                chosen.append(one)
                room -= size
        return chosen

    def _store(
        self, batch: Sequence[Incoming], now_ns: int, trouble: str, marks: Sequence[Mark]
    ) -> Written:
        try:
            gaps = self.store.add(batch, now_ns=now_ns, marks=marks)
        except StoreFullError as error:
            if not self._ballast.give_back():
                raise
            trouble = f"{error}; safety records now use the reserve"
            batch = [self._without(one) for one in batch]
            gaps = self.store.add(batch, now_ns=now_ns, marks=marks)
        self._owed.clear()
        missed: Counter[str] = Counter()
        for one in batch:
            missed[one.missed] += one.count
        recorded = missed.pop("", 0)
        if missed and not trouble:
            counts = ", ".join(f"{number} {reason}" for reason, number in missed.items())
            fill = self._fill(self.store.file.used_bytes())
            trouble = f"the store is {fill:.0%} full; messages not recorded: {counts}"
        return Written(recorded, gaps, self.fill, dict(missed), trouble)

    def _without(self, one: Incoming) -> Incoming:
        is_kept = one.missed or self.class_of(one.topic) is TopicClass.SAFETY
        return one if is_kept else replace(one, frame=b"", missed=FULL)

    def _give_up(self, batch: Sequence[Incoming], error: StoreError) -> Written:
        """Keep in mind what is owed: one line for each publisher's messages in a row."""
        for one in batch:
            key = one.topic, one.source
            before = self._owed.get(key)
            count = one.count
            if before is not None and before.seq < one.seq:
                count = one.seq - before.seq + before.count
            self._owed[key] = replace(one, frame=b"", missed=one.missed or FULL, count=count)
        return Written(0, [], self.fill, {FULL: sum(one.count for one in batch)}, str(error), error)
