"""How far each consumer has got: rows of a store, written with what is recorded and removed.

A consumer's position in a topic is the key of the newest record that came in order, and the arrival
of the newest that came late; see order.py. What is removed before a consumer has acknowledged it is
counted in its position by the same write that removes it, so that none is missed or counted twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import lmdb

from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import ConfigError
from olympus.runtime.store.environment import StoreFile, View
from olympus.runtime.store.layout import CONSUMERS
from olympus.runtime.store.order import drop_late
from olympus.runtime.store.records import KEY, arrival_of, is_late
from olympus.runtime.store.rows import pack_row, unpack_row

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,63}\Z")
_LONGEST_KEY = 500


@dataclass(frozen=True, slots=True)
class Position:
    """How far a consumer has got in a topic."""

    topic: str
    key: bytes = b""
    """Of the newest record that came in order."""
    late: int = 0
    """Arrival of the newest record that came late, ns."""
    told: int = 0
    """How many of `removed` it was told of."""
    removed: int = 0
    """How many were removed before it acknowledged them; only the store changes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a consumer has got."""

    consumer: str
    topics: tuple[str, ...]
    """Patterns of what it reads."""
    since: int = 0
    """First capture time that it wants, ns."""
    news: int = 0
    """Number of the newest gap it was told of."""
    at: int = 0
    """Robot time of its last acknowledgement, ns."""
    ends: Mapping[str, Position] = field(default_factory=dict)
    is_over: bool = False
    """Whether it is no more: the store is to forget it."""

    def position(self, topic: str) -> Position:
        """Return how far it has got in a topic."""
        return self.ends.get(topic) or Position(topic)

    def reads(self, topic: str) -> bool:
        """Tell whether it reads a topic."""
        return any(matches(pattern, topic) for pattern in self.topics)


def check_name(name: str) -> str:
    """Return `name` if a consumer may have it.

    Raises:
        ConfigError: It may not.
    """
    if not _NAME.match(name):
        raise ConfigError(
            f"consumer name {name!r}: use letters, digits, '_', '.', '-', '/'; at most 64"
        )
    return name


def read_marks(view: View) -> dict[str, Mark]:
    """Return all consumers of a store by name.

    Raises:
        DamageError: A row is damaged.
    """
    return _gathered(view.items(CONSUMERS))


def write_mark(file: StoreFile, transaction: lmdb.Transaction, mark: Mark) -> None:
    """Take an acknowledgement down, within a write; what was counted as removed stays."""
    database = file.database(CONSUMERS, transaction)
    if mark.is_over:
        _drop(transaction, database, mark.consumer)
        return
    head = {"topics": mark.topics, "since": mark.since, "news": mark.news, "at": mark.at}
    key = mark.consumer.encode()
    transaction.put(key, pack_row(key, head), db=database)
    for topic, end in mark.ends.items():
        key = _key(mark.consumer, topic)
        held = transaction.get(key, db=database)
        removed = _position(key, bytes(held)).removed if held is not None else 0
        _write_position(transaction, database, key, replace(end, removed=removed))


def on_removed(
    file: StoreFile,
    transaction: lmdb.Transaction,
    topic: str,
    rows: Sequence[tuple[bytes, bytes]],
) -> dict[str, int]:
    """Count for each consumer what it loses, within the write that removes records of a topic.

    Args:
        file: The store.
        transaction: The write.
        topic: Of the records.
        rows: Their keys, and at least the first `HEAD_BYTES` of their values.

    Returns:
        How many each consumer had not acknowledged; those that lose nothing are left out.
    """
    drop_late(file, transaction, topic, (arrival_of(value) for _, value in rows if is_late(value)))
    database, lost = file.database(CONSUMERS, transaction), {}
    with transaction.cursor(database) as cursor:
        marks = _gathered((bytes(key), bytes(value)) for key, value in cursor)
    for name, mark in marks.items():
        if not mark.reads(topic):
            continue
        end = mark.position(topic)
        count = sum(is_unread(mark, end, key, value) for key, value in rows)
        if count:
            lost[name] = count
            counted = replace(end, removed=end.removed + count)
            _write_position(transaction, database, _key(name, topic), counted)
    return lost


def is_unread(mark: Mark, end: Position, key: bytes, value: bytes) -> bool:
    """Tell whether a consumer has yet to acknowledge a record.

    Args:
        mark: Of the consumer.
        end: Its position in the record's topic.
        key: Of the record.
        value: At least the first `HEAD_BYTES` of what is stored there.
    """
    if KEY.unpack_from(key)[0] < mark.since:
        return False
    return arrival_of(value) > end.late if is_late(value) else key > end.key


def positions_of(view: View, name: str) -> Iterator[Position]:
    """Yield the positions of one consumer.

    Raises:
        DamageError: A row is damaged.
    """
    start = f"{name}\0".encode()
    for key, value in view.items(CONSUMERS, start):
        if not key.startswith(start):
            return
        yield _position(key, value)


def _gathered(rows: Iterable[tuple[bytes, bytes]]) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    for key, value in rows:
        name = key.partition(b"\0")[0].decode()
        if b"\0" not in key:
            row = unpack_row(key, value)
            marks[name] = Mark(consumer=name, **row | {"topics": tuple(row["topics"])}, ends={})
        elif name in marks:
            end = _position(key, value)
            mark = marks[name]
            marks[name] = replace(mark, ends={**mark.ends, end.topic: end})
    return marks


def _position(key: bytes, value: bytes) -> Position:
    row = unpack_row(key, value)
    return Position(**row | {"key": bytes.fromhex(row["key"])})


def _write_position(
    transaction: lmdb.Transaction, database: lmdb._Database, key: bytes, end: Position
) -> None:
    row = asdict(end) | {"key": end.key.hex()}
    transaction.put(key, pack_row(key, row), db=database)


def _drop(transaction: lmdb.Transaction, database: lmdb._Database, name: str) -> None:
    with transaction.cursor(database) as cursor:
        keys = [bytes(key) for key in cursor.iternext(values=False)]
    for key in keys:
        if key.partition(b"\0")[0] == name.encode():
            transaction.delete(key, db=database)


def _key(name: str, topic: str) -> bytes:
    key = f"{name}\0{topic}".encode()
    if len(key) <= _LONGEST_KEY:
        return key
    return key[: _LONGEST_KEY - 64] + hashlib.sha256(key).hexdigest().encode()
