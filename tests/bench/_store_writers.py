"""The same messages into our store, into MCAP by its Python writer, and into SQLite; and back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from olympus.runtime.messages import Header, Image, Message, Reading, encode
from olympus.runtime.store import Incoming, StreamStore

STEP_NS = 1_000_000
"""From one message to the next."""
TOPICS = tuple(f"rover/sensor{n}/reading" for n in range(10))
CAMERA = "rover/camera/image"
MAP_BYTES = 64 * 2**30


class Store(Protocol):
    """What is measured of each."""

    def open(self) -> None:
        """Open a new file, or the one that is there."""

    def add(self, batch: Sequence[Incoming]) -> None:
        """Write a batch, and wait for the disk."""

    def close(self) -> None:
        """Close it."""

    def read(self, topic: str, since: int, until: int) -> Iterator[bytes]:
        """Yield the messages of a topic and a time."""


class Olympus:
    """Our store, as the recorder uses it."""

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        self._folder, self._is_durable = folder / "olympus", is_durable
        self._store: StreamStore | None = None

    def open(self) -> None:
        """Open it for writing, as a recorder does."""
        self._store = StreamStore(self._folder, map_bytes=MAP_BYTES, is_durable=self._is_durable)

    def add(self, batch: Sequence[Incoming]) -> None:
        """Write a batch in one transaction."""
        if self._store is not None:
            self._store.add(batch)

    def close(self) -> None:
        """Close it."""
        if self._store is not None:
            self._store.close()

    def read(self, topic: str, since: int, until: int) -> Iterator[bytes]:
        """Yield the messages of a topic and a time, each checked against its checksum."""
        with StreamStore(self._folder, read_only=True) as store:
            yield from (r.frame for r in store.records(topic, since=since, until=until))


class Mcap:
    """MCAP by its Python writer, in chunks of 1 MiB, which is its default."""

    def __init__(self, folder: Path, *, is_durable: bool = True, compression: str = "none") -> None:
        self._file, self._is_durable = folder / f"{compression}.mcap", is_durable
        self._compression = CompressionType[compression.upper()]
        self._channels: dict[str, int] = {}

    def open(self) -> None:
        """Begin a file; one that is there is only looked at, its writer can't go on with it."""
        if self._file.exists():
            with self._file.open("rb") as stream:
                make_reader(stream).get_summary()
            return
        self._stream = self._file.open("wb")
        self._writer = Writer(self._stream, compression=self._compression)
        self._writer.start()

    def add(self, batch: Sequence[Incoming]) -> None:
        """Write a batch; what is in a chunk that is not full yet stays in memory."""
        for one in batch:
            if one.topic not in self._channels:
                self._channels[one.topic] = self._writer.register_channel(one.topic, "olympus", 0)
            channel = self._channels[one.topic]
            self._writer.add_message(channel, one.stamp, one.frame, one.stamp, one.seq)
        self._stream.flush()
        if self._is_durable:
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Write the index."""
        if self._channels:
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._stream.close()

    def read(self, topic: str, since: int, until: int) -> Iterator[bytes]:
        """Yield the messages of a topic and a time."""
        with self._file.open("rb") as stream:
            found = make_reader(stream).iter_messages(topic, starting_at=since, ending_at=until)
            yield from (message.data for _, _, message in found)


class Sqlite:
    """SQLite with a write-ahead log and the tables of rosbag2, durable at each commit."""

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        self._file, self._is_durable = folder / "bag.db3", is_durable
        self._ids: dict[str, int] = {}

    def open(self) -> None:
        """Open it for writing."""
        self._base = sqlite3.connect(self._file, isolation_level=None)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute(f"PRAGMA synchronous={'FULL' if self._is_durable else 'OFF'}")
        self._base.executescript(
            "CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,"
            "  timestamp INTEGER NOT NULL, data BLOB NOT NULL);"
            "CREATE INDEX IF NOT EXISTS timestamp_idx ON messages (timestamp ASC);"
        )

    def add(self, batch: Sequence[Incoming]) -> None:
        """Write a batch in one transaction."""
        rows = [(_number(one.topic), one.stamp, one.frame) for one in batch]
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES(?,?,?)", rows
        )
        self._base.execute("COMMIT")

    def close(self) -> None:
        """Close it."""
        self._base.close()

    def read(self, topic: str, since: int, until: int) -> Iterator[bytes]:
        """Yield the messages of a topic and a time."""
        base = sqlite3.connect(self._file)
        rows = base.execute(
            "SELECT data FROM messages WHERE timestamp BETWEEN ? AND ? AND topic_id = ?"
            " ORDER BY timestamp",
            (since, until, _number(topic)),
        )
        yield from (row[0] for row in rows)
        base.close()


def _number(topic: str) -> int:
    return TOPICS.index(topic) if topic in TOPICS else len(TOPICS)


WRITERS: dict[str, Any] = {
    "Olympus": Olympus,
    "MCAP": Mcap,
    "MCAP, zstd": lambda folder, is_durable=True: Mcap(
        folder, is_durable=is_durable, compression="zstd"
    ),
    "SQLite": Sqlite,
}


def small(count: int) -> Iterator[Incoming]:
    """Yield readings of ten sensors in turn."""
    for n in range(1, count + 1):
        topic, seq = TOPICS[n % len(TOPICS)], n // len(TOPICS) + 1
        header = Header(seq=seq, stamp=n * STEP_NS, source=topic)
        reading = Reading(header=header, name="hall/temperature", value=n / 7, unit="Cel")
        yield _incoming(topic, reading)


def pictures(count: int) -> Iterator[Incoming]:
    """Yield pictures of 640x480 pixels, 15 different ones in turn."""
    luck = np.random.default_rng(1)
    kinds = [luck.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(15)]
    for n in range(1, count + 1):
        header = Header(seq=n, stamp=n * STEP_NS, source=CAMERA)
        yield _incoming(CAMERA, Image(header=header, data=kinds[n % 15]))


def batches(messages: Iterator[Incoming], size: int) -> Iterator[list[Incoming]]:
    """Yield messages in batches."""
    while batch := list(islice(messages, size)):
        yield batch


def _incoming(topic: str, message: Message) -> Incoming:
    h = message.header
    return Incoming(topic, h.stamp, h.seq, h.source, h.stamp, encode(message))
