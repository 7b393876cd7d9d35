"""Reading on from where one stopped: each record at least once, in the order of arrival.

A consumer has a name, under which the store keeps how far it has got. It takes a batch, does its
work, and acknowledges the batch; one that dies in between is given the batch again. Once it has
read all there is, it goes on with what is being recorded.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

from olympus.runtime.errors import StoreError
from olympus.runtime.store.consumers import (
    Mark,
    Position,
    check_name,
    positions_of,
    read_marks,
    write_mark,
)
from olympus.runtime.store.environment import StoreFile, View
from olympus.runtime.store.layout import TOPIC, topic_database
from olympus.runtime.store.ledger import Gap
from olympus.runtime.store.locks import claim
from olympus.runtime.store.order import newest_late, newest_news, read_late, read_news
from olympus.runtime.store.reading import LAST_KEY, RECORDING
from olympus.runtime.store.records import KEY, Record, arrival_of, is_late, unseal
from olympus.runtime.store.streams import StreamStore
from olympus.runtime.store.vault import is_encrypted

MOST_RECORDS = 1000
MOST_BYTES = 8 * 2**20
MOST_COUNTED = 100_000
TURN_S = 1.0
"""How long one waits for others who acknowledge too."""


class Start(StrEnum):
    """Where a consumer that the store does not know yet begins."""

    BEGINNING = "beginning"
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a consumer takes at a time."""

    records: list[Record]
    """In the order of their arrival."""
    mark: Mark
    """How far it has got when it is done with this batch."""
    gaps: list[Gap] = field(default_factory=list)
    """What was never recorded, as far as it was found out since the last batch."""
    removed: dict[str, int] = field(default_factory=dict)
    """How many records of a topic were removed before they were acknowledged."""
    damaged: list[str] = field(default_factory=list)
    """Records that are not as they were written; they are left out of `records`."""

    def __bool__(self) -> bool:
        return bool(self.records or self.gaps or self.removed or self.damaged)


class Consumer:
    """Reads a store on under a name; one process at a time has that name."""

    def __init__(
        self,
        store: StreamStore,
        name: str,
        topics: tuple[str, ...],
        *,
        start: Start = Start.BEGINNING,
        since: int = 0,
    ) -> None:
        """Take up the name, and find out how far it had got.

        Args:
            store: Open, for reading at least.
            name: Of the consumer.
            topics: Patterns of what it reads, `*` for one part and `**` for any number.
            start: Where it begins if the store does not know it yet.
            since: First capture time of interest, ns; likewise.

        Raises:
            ConfigError: It can't have that name.
            StoreError: Another process has it, or the store is damaged.
        """
        self.store, self.name = store, check_name(name)
        file = store.folder / f"consumer-{name.replace('/', '%')}.lock"
        self._claim = claim(file, f"the consumer {name!r} of {store.folder}")
        try:
            if store.vault is None and is_encrypted(store.file):
                raise StoreError(f"{store.folder} is encrypted; give its key")
            with store.file.view() as view:
                known = read_marks(view).get(name)
                self.is_new = known is None
                made = Mark(consumer=name, topics=topics, since=since)
                if known is not None:
                    made = replace(known, topics=topics)
                elif start is Start.NOW:
                    made = _at_the_end(view, made)
        except StoreError:
            self.close()
            raise
        self.mark = made
        """How far it has read."""
        self._seen = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the name back; again is harmless. The store stays open."""
        self._claim.close()

    def take(self, *, most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES) -> Batch:
        """Read on; the batch is empty when there is nothing new.

        Args:
            most_records: At most so many.
            most_bytes: No further record once there are so many bytes.

        Raises:
            DamageError: A page of the store is damaged.
            StoreError: The store can't be read.
        """
        with self.store.file.view() as view:
            if view.state.transaction == self._seen:
                return Batch(records=[], mark=self.mark)
            mark, removed = self._told(view)
            found: list[_Found] = []
            size, seen = 0, view.state.transaction
            for one in heapq.merge(*_sources(view, mark), key=_order):
                if len(found) >= most_records or size >= most_bytes:
                    seen = -1
                    break
                found.append(one)
                size += len(one.value)
        batch = self._opened(found, mark, removed)
        self.mark, self._seen = batch.mark, seen
        return batch

    def _told(self, view: View) -> tuple[Mark, dict[str, int]]:
        """Return what was removed since one was told, and the mark that knows of it."""
        ends, removed = dict(self.mark.ends), {}
        for stored in positions_of(view, self.name):
            known = self.mark.position(stored.topic)
            if stored.removed > known.told:
                removed[stored.topic] = stored.removed - known.told
                ends[stored.topic] = replace(known, told=stored.removed)
        return replace(self.mark, ends=ends), removed

    def _opened(self, found: list[_Found], mark: Mark, removed: dict[str, int]) -> Batch:
        ends, news = dict(mark.ends), mark.news
        records, gaps, damaged = [], [], []
        for one in found:
            if one.gap is not None:
                news = max(news, one.number)
                if mark.reads(one.gap.topic) and one.gap.stamp >= mark.since:
                    gaps.append(one.gap)
                continue
            end = ends.get(one.topic) or Position(one.topic)
            moved = replace(end, late=one.arrived) if one.is_late else replace(end, key=one.key)
            ends[one.topic] = moved
            try:
                records.append(unseal(one.topic, one.key, one.value, self.store.vault))
            except StoreError as error:
                damaged.append(str(error))
        return Batch(
            records=records,
            gaps=gaps,
            removed=removed,
            damaged=damaged,
            mark=replace(mark, ends=ends, news=news),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """A record, or a gap, in its place among the others."""

    arrived: int
    topic: str = ""
    key: bytes = b""
    value: bytes = b""
    is_late: bool = False
    number: int = 0
    gap: Gap | None = None


def acknowledge_here(folder: Path, mark: Mark) -> bool:
    """Write an acknowledgement to a store that nobody records to.

    Args:
        folder: Of the store; this process must not have it open.
        mark: How far the consumer has got.

    Returns:
        Whether it was written; not when a recorder has the store, which must be asked to then.

    Raises:
        StoreError: It can't be written.
    """
    try:
        turn = claim(folder / RECORDING, "recording", wait_s=TURN_S)
    except StoreError:
        return False
    with turn, closing(StoreFile(folder)) as file:
        file.write(f"acknowledging for {mark.consumer}", lambda txn: write_mark(file, txn, mark))
    return True


def unread_of(store: StreamStore, mark: Mark, *, most: int = MOST_COUNTED) -> int:
    """Count what a consumer has not acknowledged, up to `most`.

    Raises:
        StoreError: The store can't be read.
    """
    with store.file.view() as view:
        rows = chain.from_iterable(
            chain(_in_order(view, mark, topic), _late(view, mark, topic))
            for topic in _topics(view, mark)
        )
        return sum(1 for _ in islice(rows, most))


def _order(one: _Found) -> tuple[int, bool]:
    return one.arrived, one.gap is not None


def _topics(view: View, mark: Mark) -> list[str]:
    names = (name[len(TOPIC) :].decode() for name in view.trees if name.startswith(TOPIC))
    return [topic for topic in names if mark.reads(topic)]


def _sources(view: View, mark: Mark) -> Iterator[Iterator[_Found]]:
    yield (
        _Found(arrived, number=number, gap=gap)
        for number, arrived, gap in read_news(view, mark.news)
    )
    for topic in _topics(view, mark):
        yield _in_order(view, mark, topic)
        yield _late(view, mark, topic)


def _in_order(view: View, mark: Mark, topic: str) -> Iterator[_Found]:
    end = mark.position(topic)
    start = max(end.key + b"\0" if end.key else b"", KEY.pack(max(mark.since, 0), 0, 0))
    for key, value in view.items(topic_database(topic), start):
        if not is_late(value):
            yield _Found(arrival_of(value), topic, key, value)


def _late(view: View, mark: Mark, topic: str) -> Iterator[_Found]:
    for arrived, key in read_late(view, topic, mark.position(topic).late):
        value = view.get(topic_database(topic), key)
        if value is not None and KEY.unpack_from(key)[0] >= mark.since:
            yield _Found(arrived, topic, key, value, is_late=True)


def _at_the_end(view: View, mark: Mark) -> Mark:
    """Return the mark of a consumer that has read all there is."""
    ends = {}
    for topic in _topics(view, mark):
        last = next(view.items(topic_database(topic), LAST_KEY, backwards=True), (b"", b""))[0]
        ends[topic] = Position(topic, last, newest_late(view, topic))
    return replace(mark, ends=ends, news=newest_news(view))
