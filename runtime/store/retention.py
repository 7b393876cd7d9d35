"""Removing what is old: by age, by class of topic, or to make room; noted by topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

import lmdb

from olympus.runtime.store.consumers import Mark, on_removed, read_marks
from olympus.runtime.store.layout import topic_database
from olympus.runtime.store.ledger import Pruned, write_pruned
from olympus.runtime.store.order import read_late
from olympus.runtime.store.reading import END_OF_TIME
from olympus.runtime.store.records import HEAD_BYTES, KEY
from olympus.runtime.store.room import PATTERNS, TopicClass, class_of
from olympus.runtime.store.streams import StreamStore

Unread = Counter[tuple[str, str]]
"""How many messages were removed before a consumer had acknowledged them, by consumer and topic."""
NS_PER_H = 3600 * 10**9
_AT_ONCE = 2000
"""Messages removed in one transaction: the recorder must not wait long for its turn."""


def prune_old(
    store: StreamStore,
    max_age_h: Mapping[str, float],
    now_ns: int,
    *,
    patterns: Mapping[str, Iterable[str]] = PATTERNS,
    keep_unread_h: float = 0.0,
    unread: Unread | None = None,
) -> dict[str, Pruned]:
    """Remove what is older than its class may become.

    Args:
        store: Open for writing.
        max_age_h: Hours by class; a class that is not named is kept for ever.
        now_ns: Robot time.
        patterns: Which topics are of which class.
        keep_unread_h: Hours more for what a consumer has not acknowledged.
        unread: Takes in how much of that was removed all the same.

    Returns:
        By topic what was removed.

    Raises:
        StoreError: The store can't be read or written.
    """
    found: dict[str, Pruned] = {}
    lists = {name: list(group) for name, group in patterns.items()}
    for topic in store.topics():
        hours = max_age_h.get(class_of(topic, lists))
        if hours is None:
            continue
        before = now_ns - round(hours * NS_PER_H)
        if keep_unread_h:
            latest = before - round(keep_unread_h * NS_PER_H)
            before = max(latest, min(before, oldest_unread(store, topic)))
        removed = prune_topic(store, topic, before, unread=unread)
        if removed.messages:
            found[topic] = removed
    return found


def prune_topic(
    store: StreamStore, topic: str, before: int, *, unread: Unread | None = None
) -> Pruned:
    """Remove the messages of a topic that were captured before robot time `before`, ns.

    Args:
        store: Open for writing.
        topic: Full name.
        before: Robot time, ns.
        unread: Takes in how much was removed before consumers had acknowledged it.

    Raises:
        StoreError: The store can't be read or written.
    """
    total = Pruned(0, 0)
    while before > 0:
        rows = store.rows(topic, until=before - 1)
        heads = [(key, value[:HEAD_BYTES]) for key, value in islice(rows, _AT_ONCE)]
        if not heads:
            break
        total = Pruned(KEY.unpack_from(heads[-1][0])[0], total.messages + len(heads))
        _remove(store, topic, heads, unread)
    return total


def make_room(
    store: StreamStore,
    wanted_bytes: int,
    *,
    patterns: Mapping[str, Iterable[str]] = PATTERNS,
    unread: Unread | None = None,
) -> dict[str, Pruned]:
    """Remove the oldest messages, sensors before states, never of safety.

    Args:
        store: Open for writing.
        wanted_bytes: How much room to make, about.
        patterns: Which topics are of which class.
        unread: Takes in how much was removed before consumers had acknowledged it.

    Returns:
        By topic what was removed.

    Raises:
        StoreError: The store can't be read or written.
    """
    found: dict[str, Pruned] = {}
    lists = {name: list(group) for name, group in patterns.items()}
    for cls in (TopicClass.SENSOR, TopicClass.STATE):
        topics = [topic for topic in store.topics() if class_of(topic, lists) is cls]
        while wanted_bytes > 0 and (oldest := _oldest(store, topics)) is not None:
            topic, rows = oldest
            _remove(store, topic, rows, unread)
            wanted_bytes -= sum(len(key) + len(value) for key, value in rows)
            before = found.get(topic, Pruned(0, 0))
            until = KEY.unpack_from(rows[-1][0])[0]
            found[topic] = Pruned(until, before.messages + len(rows))
    return found


def _oldest(
    store: StreamStore, topics: Iterable[str]
) -> tuple[str, list[tuple[bytes, bytes]]] | None:
    """Return the topic that goes back furthest, and its first messages."""
    firsts = [(row[0], topic) for topic in topics for row in islice(store.rows(topic), 1)]
    if not firsts:
        return None
    topic = min(firsts)[1]
    return topic, list(islice(store.rows(topic), 64))


def _remove(
    store: StreamStore, topic: str, rows: list[tuple[bytes, bytes]], unread: Unread | None
) -> None:
    def work(transaction: lmdb.Transaction) -> dict[str, int]:
        database = store.file.database(topic_database(topic), transaction)
        for key, _ in rows:
            transaction.delete(key, db=database)
        last = KEY.unpack_from(rows[-1][0])[0]
        write_pruned(store.file, transaction, topic, Pruned(last, len(rows)))
        return on_removed(store.file, transaction, topic, rows)

    lost = store.file.write(f"removing old messages of {topic}", work)
    if unread is not None:
        for name, count in lost.items():
            unread[name, topic] += count


def remove_oldest(store: StreamStore, topic: str, count: int) -> int:
    """Remove the oldest messages of a topic; returns how many.

    Raises:
        StoreError: There is no such topic, or the store can't be written.
    """
    rows = [(key, value[:HEAD_BYTES]) for key, value in islice(store.rows(topic), count)]
    if rows:
        _remove(store, topic, rows, None)
    return len(rows)


def oldest_unread(store: StreamStore, topic: str) -> int:
    """Return the capture time of the oldest message that a consumer has not acknowledged, ns.

    Raises:
        StoreError: The store can't be read.
    """
    with store.file.view() as view:
        marks = [mark for mark in read_marks(view).values() if mark.reads(topic)]
        late = [
            KEY.unpack_from(key)[0]
            for mark in marks
            for _, key in read_late(view, topic, mark.position(topic).late)
        ]
    in_order = [_next_in_order(store, topic, mark) for mark in marks]
    return min([*in_order, *late], default=END_OF_TIME)


def _next_in_order(store: StreamStore, topic: str, mark: Mark) -> int:
    end = mark.position(topic).key
    row = next(store.rows(topic, since=mark.since, after=end), None)
    return KEY.unpack_from(row[0])[0] if row is not None else END_OF_TIME
