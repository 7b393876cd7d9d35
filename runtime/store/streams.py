"""Streams: every topic's messages in the order of their capture, append-only, gap-checked.

One LMDB environment per robot, one database per topic. The key is the capture time, the sequence
number (both unsigned 64-bit) and the CRC-32 of the source's name, big endian, so that LMDB's order
is time's order and two publishers never overwrite each other. The value is the frame as it travels.
Gaps are rows of the database `@gaps`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import lmdb

from olympus.runtime.errors import StoreError, did_you_mean
from olympus.runtime.messages import Header, Message, decode, encode
from olympus.runtime.store.environment import DEFAULT_MAP_BYTES, open_environment, store_errors

_KEY = struct.Struct(">QQI")
_GAPS = b"@gaps"
_TOPIC = b"topic:"


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that a recording lacks."""

    topic: str
    source: str
    after_seq: int
    missing: int
    stamp: int
    """Capture time of the first message after the gap, ns."""


class StreamStore:
    """Appends and reads streams."""

    def __init__(
        self,
        folder: Path,
        *,
        map_bytes: int = DEFAULT_MAP_BYTES,
        read_only: bool = False,
        is_durable: bool = True,
    ) -> None:
        """Open the robot's streams.

        Args:
            folder: Of the LMDB environment.
            map_bytes: Largest size, bytes.
            read_only: Only read; a recorder may write meanwhile.
            is_durable: Wait for the disk at each `append`.

        Raises:
            StoreError: It can't be opened.
        """
        self.folder = folder
        self._environment = open_environment(
            folder, map_bytes=map_bytes, read_only=read_only, is_durable=is_durable
        )
        self._databases: dict[str, lmdb._Database] = {}
        self._last: dict[tuple[str, str], tuple[int, int]] = {}
        self._read_only = read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, batch: Sequence[tuple[str, Message]]) -> list[Gap]:
        """Write messages in one transaction: all or none.

        Args:
            batch: Topic and message, in order of arrival.

        Returns:
            The gaps that the batch revealed; they are stored too.

        Raises:
            StoreError: The disk or the store is full; nothing of the batch is written.
            MessageError: A message can't be encoded.
        """
        databases = [self._database(topic) for topic, _ in batch]
        last = dict(self._last)
        gaps = [gap for topic, message in batch if (gap := _gap_before(last, topic, message))]
        with (
            store_errors(f"recording to {self.folder}"),
            self._environment.begin(write=True) as transaction,
        ):
            for (_, message), database in zip(batch, databases, strict=True):
                key = _key(message.header)
                transaction.put(key, encode(message), db=database)
            for gap in gaps:
                self._write_gap(transaction, gap)
        self._last = last
        return gaps

    def topics(self) -> list[str]:
        """Return the recorded topics.

        Raises:
            StoreError: The store is damaged.
        """
        names = (name for name in self._names() if name.startswith(_TOPIC))
        return [name[len(_TOPIC) :].decode(errors="replace") for name in names]

    def read(self, topic: str, *, since: int = 0, until: int = 2**64 - 1) -> Iterator[Message]:
        """Yield the messages of a topic in the order of their capture.

        Args:
            topic: Full name.
            since: First capture time, robot time in ns.
            until: Last capture time, inclusive.

        Raises:
            StoreError: There is no such topic, or the store is damaged.
            MessageError: A stored frame is damaged or of a type that is not known here.
        """
        database = self._existing(topic)
        with (
            store_errors(f"reading {topic} in {self.folder}"),
            self._environment.begin(db=database) as transaction,
            transaction.cursor() as cursor,
        ):
            if not cursor.set_range(_KEY.pack(max(since, 0), 0, 0)):
                return
            for key, value in cursor.iternext():
                if _KEY.unpack(key)[0] > until:
                    return
                yield decode(bytes(value))

    def count(self, topic: str) -> int:
        """Return how many messages of a topic there are.

        Raises:
            StoreError: There is no such topic, or the store is damaged.
        """
        database = self._existing(topic)
        with store_errors(f"counting {topic}"), self._environment.begin() as transaction:
            return int(transaction.stat(database)["entries"])

    def gaps(self) -> list[Gap]:
        """Return every gap that was found while recording.

        Raises:
            StoreError: The store is damaged.
        """
        if self._read_only and _GAPS not in self._names():
            return []
        database = self._open(_GAPS)
        with (
            store_errors(f"reading the gaps in {self.folder}"),
            self._environment.begin(db=database) as transaction,
            transaction.cursor() as cursor,
        ):
            rows = [bytes(value) for _, value in cursor.iternext()]
        try:
            return [Gap(**json.loads(row)) for row in rows]
        except (ValueError, TypeError) as error:
            raise StoreError(f"the gaps in {self.folder} are damaged: {error}") from error

    def sync(self) -> None:
        """Wait until everything appended is on the disk.

        Raises:
            StoreError: The disk refuses.
        """
        with store_errors(f"syncing {self.folder}"):
            self._environment.sync(True)

    def close(self) -> None:
        """Close the store; again is harmless."""
        self._environment.close()

    def _names(self) -> list[bytes]:
        with (
            store_errors(f"reading {self.folder}"),
            self._environment.begin() as transaction,
            transaction.cursor() as cursor,
        ):
            return [bytes(key) for key in cursor.iternext(values=False)]

    def _write_gap(self, transaction: lmdb.Transaction, gap: Gap) -> None:
        row = {name: getattr(gap, name) for name in Gap.__slots__}
        key = _KEY.pack(gap.stamp, gap.after_seq, 0) + gap.topic.encode()
        transaction.put(key, json.dumps(row).encode(), db=self._open(_GAPS, transaction))

    def _existing(self, topic: str) -> lmdb._Database:
        if topic not in self._databases and topic not in (known := self.topics()):
            raise StoreError(f"no topic {topic!r} in {self.folder}; {did_you_mean(topic, known)}")
        return self._database(topic)

    def _database(self, topic: str) -> lmdb._Database:
        if topic not in self._databases:
            self._databases[topic] = self._open(_TOPIC + topic.encode())
        return self._databases[topic]

    def _open(self, name: bytes, transaction: lmdb.Transaction | None = None) -> lmdb._Database:
        with store_errors(f"opening {name.decode()} in {self.folder}"):
            return self._environment.open_db(name, txn=transaction, create=not self._read_only)


def _key(header: Header) -> bytes:
    return _KEY.pack(header.stamp, header.seq, zlib.crc32(header.source.encode()))


def _gap_before(
    last: dict[tuple[str, str], tuple[int, int]], topic: str, message: Message
) -> Gap | None:
    """Compare a message with the one before it of the same publisher, and remember it."""
    header = message.header
    key = (topic, header.source)
    previous, _ = last.get(key, (0, 0))
    last[key] = (header.seq, header.stamp)
    missing = header.seq - previous - 1
    if not previous or missing <= 0:  # the first one, or a publisher that was started again
        return None
    return Gap(topic, header.source, previous, missing, header.stamp)
