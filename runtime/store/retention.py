"""Removing what is old: by age, by class of topic, or to make room; noted by topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import lmdb

from olympus.runtime.store.layout import topic_database
from olympus.runtime.store.ledger import Pruned, write_pruned
from olympus.runtime.store.records import KEY
from olympus.runtime.store.room import PATTERNS, TopicClass, class_of
from olympus.runtime.store.streams import StreamStore

NS_PER_H = 3600 * 10**9
_AT_ONCE = 2000
"""Messages removed in one transaction: the recorder must not wait long for its turn."""


def prune_old(
    store: StreamStore,
    max_age_h: Mapping[str, float],
    now_ns: int,
    *,
    patterns: Mapping[str, Iterable[str]] = PATTERNS,
) -> dict[str, Pruned]:
    """Remove what is older than its class may become.

    Args:
        store: Open for writing.
        max_age_h: Hours by class; a class that is not named is kept for ever.
        now_ns: Robot time.
        patterns: Which topics are of which class.

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
        removed = prune_topic(store, topic, now_ns - round(hours * NS_PER_H))
        if removed.messages:
            found[topic] = removed
    return found


def prune_topic(store: StreamStore, topic: str, before: int) -> Pruned:
    """Remove the messages of a topic that were captured before robot time `before`, ns.

    Raises:
        StoreError: The store can't be read or written.
    """
    total = Pruned(0, 0)
    while before > 0:
        rows = store.rows(topic, until=before - 1)
        keys = [key for key, _ in islice(rows, _AT_ONCE)]
        if not keys:
            break
        total = Pruned(KEY.unpack_from(keys[-1])[0], total.messages + len(keys))
        _remove(store, topic, keys)
    return total


def make_room(
    store: StreamStore,
    wanted_bytes: int,
    *,
    patterns: Mapping[str, Iterable[str]] = PATTERNS,
) -> dict[str, Pruned]:
    """Remove the oldest messages, sensors before states, never of safety.

    Args:
        store: Open for writing.
        wanted_bytes: How much room to make, about.
        patterns: Which topics are of which class.

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
            _remove(store, topic, [key for key, _ in rows])
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


def _remove(store: StreamStore, topic: str, keys: list[bytes]) -> None:
    def work(transaction: lmdb.Transaction) -> None:
        database = store.file.database(topic_database(topic), transaction)
        for key in keys:
            transaction.delete(key, db=database)
        last = KEY.unpack_from(keys[-1])[0]
        write_pruned(store.file, transaction, topic, Pruned(last, len(keys)))

    store.file.write(f"removing old messages of {topic}", work)
