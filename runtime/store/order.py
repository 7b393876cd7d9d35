"""What a reader needs who follows a store in the order of arrival: records that came late, news.

A topic is kept by capture time, and mostly that is the order of arrival too. A record that came
after one that was captured later is marked, and named in a table of its own; so whoever follows the
topic by capture time leaves those out, and takes them from the table. Gaps are kept by time as
well; here they stand in the order in which they were found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import lmdb

from olympus.runtime.store.environment import StoreFile, View
from olympus.runtime.store.layout import GAPS, LATE, NEWS
from olympus.runtime.store.ledger import Gap
from olympus.runtime.store.rows import pack_row, unpack_row

NUMBER_BYTES = 8
_TOPIC_BYTES = 8


def write_late(
    file: StoreFile, transaction: lmdb.Transaction, topic: str, arrived: int, record: bytes
) -> None:
    """Name a record that came late, within a write.

    Args:
        file: The store.
        transaction: The write.
        topic: Its topic.
        arrived: When it came, ns.
        record: What it is stored under.
    """
    key = _late_key(topic, arrived)
    transaction.put(key, pack_row(key, record.hex()), db=file.database(LATE, transaction))


def drop_late(
    file: StoreFile, transaction: lmdb.Transaction, topic: str, arrivals: Iterable[int]
) -> None:
    """Forget records that came late, within a write that removes them."""
    for arrived in arrivals:
        transaction.delete(_late_key(topic, arrived), db=file.database(LATE, transaction))


def read_late(view: View, topic: str, after: int) -> Iterator[tuple[int, bytes]]:
    """Yield arrival and key of the late records of a topic that came after `after`, in order.

    Raises:
        DamageError: A row is damaged.
    """
    whose = _late_key(topic, 0)[:_TOPIC_BYTES]
    for key, value in view.items(LATE, _late_key(topic, after + 1)):
        if not key.startswith(whose):
            return
        yield int.from_bytes(key[_TOPIC_BYTES:], "big"), bytes.fromhex(unpack_row(key, value))


def newest_late(view: View, topic: str) -> int:
    """Return the arrival of the newest late record of a topic, ns; 0 if there is none.

    Raises:
        DamageError: A page is damaged.
    """
    last = _late_key(topic, 2**64 - 1)
    key = next((key for key, _ in view.items(LATE, last, backwards=True)), b"")
    is_of_topic = key[:_TOPIC_BYTES] == last[:_TOPIC_BYTES]
    return int.from_bytes(key[_TOPIC_BYTES:], "big") if is_of_topic else 0


def write_news(
    file: StoreFile, transaction: lmdb.Transaction, gaps: Iterable[Gap], arrived: int
) -> None:
    """Add gaps in the order of their finding, within a write.

    Args:
        file: The store.
        transaction: The write.
        gaps: What was found.
        arrived: Newest arrival before what revealed them, ns.
    """
    found = list(gaps)
    if not found:
        return
    database = file.database(NEWS, transaction)
    with transaction.cursor(database) as cursor:
        number = int.from_bytes(cursor.key(), "big") if cursor.last() else 0
    for count, gap in enumerate(found, number + 1):
        key = count.to_bytes(NUMBER_BYTES, "big")
        transaction.put(key, pack_row(key, [arrived, asdict(gap)]), db=database, append=True)


def read_news(view: View, after: int) -> Iterator[tuple[int, int, Gap]]:
    """Yield number, arrival before it, and gap, those after the number `after`, in order.

    Gaps that were found before gaps were kept in order come first; their number is 0.

    Raises:
        DamageError: A row is damaged.
    """
    if not after:
        yield from ((0, 0, gap) for gap in _older(view))
    for key, value in view.items(NEWS, (after + 1).to_bytes(NUMBER_BYTES, "big")):
        arrived, row = unpack_row(key, value)
        yield int.from_bytes(key, "big"), arrived, Gap(**row)


def newest_news(view: View) -> int:
    """Return the number of the newest gap; 0 if there is none."""
    last = b"\xff" * NUMBER_BYTES
    return int.from_bytes(next((k for k, _ in view.items(NEWS, last, backwards=True)), b""), "big")


def _older(view: View) -> list[Gap]:
    """Return the gaps of a store that has not kept all of them in order."""
    kept = view.trees[NEWS].entries if NEWS in view.trees else 0
    if GAPS not in view.trees or view.trees[GAPS].entries <= kept:
        return []
    ordered = [Gap(**unpack_row(key, value)[1]) for key, value in view.items(NEWS)]
    every = (Gap(**unpack_row(key, value)) for key, value in view.items(GAPS))
    return [gap for gap in every if gap not in ordered]


def _late_key(topic: str, arrived: int) -> bytes:
    return hashlib.sha256(topic.encode()).digest()[:_TOPIC_BYTES] + arrived.to_bytes(8, "big")
