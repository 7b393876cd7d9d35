"""Streams: every topic's messages in the order of their capture, append-only, gap-checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

import lmdb

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Message, encode
from olympus.runtime.store.consumers import Mark, read_marks, write_mark
from olympus.runtime.store.environment import DEFAULT_MAP_BYTES, StoreFile
from olympus.runtime.store.layout import TOPIC, prepare, topic_database
from olympus.runtime.store.ledger import (
    Gap,
    GapFinder,
    Run,
    read_ends,
    read_pruned,
    read_runs,
    write_ends,
    write_gaps,
    write_run,
)
from olympus.runtime.store.locks import hold
from olympus.runtime.store.order import newest_late, write_late, write_news
from olympus.runtime.store.reading import LAST_KEY, RECORDING, StreamReader
from olympus.runtime.store.records import KEY, arrival_of, record_key, seal, unseal
from olympus.runtime.store.vault import StoreVault, is_encrypted, read_key, subject_number


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message on its way into the store, or one that did not make it."""

    topic: str
    stamp: int
    seq: int
    source: str
    arrived: int
    """When the recorder took it in, robot time in ns; 0 = at its stamp."""
    frame: bytes = b""
    missed: str = ""
    """Why it is not stored; empty when it is."""
    count: int = 1
    """How many messages in a row were missed, this one the last of them."""
    subject: int = 0

    @classmethod
    def of(cls, topic: str, message: Message, *, arrived: int = 0, subject: int = 0) -> Incoming:
        """Take a message in.

        Raises:
            MessageError: It can't be encoded.
        """
        header = message.header
        came = arrived or (header.trace[-1].sent if header.trace else 0)
        frame = encode(message)
        return cls(topic, header.stamp, header.seq, header.source, came, frame, subject=subject)


class StreamStore(StreamReader):
    """Appends and reads streams."""

    def __init__(
        self,
        folder: Path,
        *,
        map_bytes: int = DEFAULT_MAP_BYTES,
        read_only: bool = False,
        is_durable: bool = True,
        key: str = "",
    ) -> None:
        """Open the robot's streams.

        Args:
            folder: Of the LMDB environment.
            map_bytes: Largest size, bytes.
            read_only: Only read; a recorder may write meanwhile.
            is_durable: Wait for the disk at each `append`.
            key: File or `command:` of the key, for a store that is encrypted; a new store given
                one is.

        Raises:
            StoreError: It can't be opened, or it is encrypted with another key.
            DamageError: Its ends are damaged.
            ConfigError: The key can't be read.
        """
        self.folder = folder
        self.file = StoreFile(
            folder, max_bytes=map_bytes, read_only=read_only, is_durable=is_durable
        )
        try:
            prepare(self.file)
            self.vault: StoreVault | None = StoreVault(self.file, read_key(key)) if key else None
            if not key and not read_only and is_encrypted(self.file):
                raise StoreError(f"{folder} is encrypted; give its key to write to it")
            self._finder = GapFinder()
            self._run: Run | None = None
            self._sign: int | None = None
            self._newest: dict[str, bytes] = {}
            self._floors = self._read_floors()
            self._arrived = self._last_arrival()
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begin_run(self, run: Run) -> Run:
        """Begin a recording: what is appended from now on belongs to it.

        In a session that was recorded before, what came between is a gap.

        Args:
            run: What is known of it; its `number` is given here.

        Returns:
            The run as stored.

        Raises:
            StoreError: The disk or the store is full.
        """
        with self.file.view() as view:
            before = read_runs(view)
            same = bool(before) and before[-1].session == run.session
            self._finder = GapFinder(read_ends(view) if same else None)
        made = self._run = replace(run, number=before[-1].number + 1 if before else 1)
        self.file.write("beginning a run", lambda txn: write_run(self.file, txn, made))
        self._put_down_sign()
        self._sign = hold(self.folder / RECORDING)
        return made

    def tell(self, about: Mapping[str, str]) -> None:
        """Add to what is known of the run that goes on; nothing where none does.

        Raises:
            StoreError: The disk or the store is full.
        """
        if self._run is not None:
            told = self._run = replace(self._run, about={**self._run.about, **about})
            self.file.write("telling of a run", lambda txn: write_run(self.file, txn, told))

    def end_run(self, now_ns: int) -> Run | None:
        """End the recording.

        Returns:
            It, as stored; None if none was begun.

        Raises:
            StoreError: The disk or the store is full.
        """
        if self._run is None:
            return None
        ended, self._run = replace(self._run, ended=now_ns, seen=now_ns), None
        self.file.write("ending a run", lambda txn: write_run(self.file, txn, ended))
        self._put_down_sign()
        return ended

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
        return self.add([Incoming.of(topic, message) for topic, message in batch])

    def add(
        self, batch: Sequence[Incoming], *, now_ns: int = 0, marks: Sequence[Mark] = ()
    ) -> list[Gap]:
        """Write what came, and note what was missed, in one transaction: all or none.

        Args:
            batch: In order of arrival.
            now_ns: Robot time, for the row of the run.
            marks: What consumers have acknowledged.

        Returns:
            The gaps that the batch revealed; they are stored too.

        Raises:
            StoreFullError: The disk or the store is full; nothing of the batch is written.
            StoreError: LMDB refused; likewise.
        """
        if not batch and not marks:
            return []
        finder = GapFinder(self._finder.ends)
        for one in batch:
            missed = one.count if one.missed else 0
            finder.take(one.topic, one.source, one.seq, one.stamp, missed=missed, reason=one.missed)
        run = self._run and replace(
            self._run,
            seen=max(now_ns, self._run.seen),
            recorded=self._run.recorded + sum(not one.missed for one in batch),
            missing=self._run.missing + sum(gap.missing for gap in finder.gaps),
        )
        arrived, newest = self.file.write(
            f"recording to {self.folder}", lambda txn: self._write(txn, batch, finder, run, marks)
        )
        self._arrived, self._newest, self._run = arrived, newest, run
        self._finder = GapFinder(finder.ends)
        return finder.gaps

    def subject(self, name: str) -> int:
        """Return the number under which records about somebody are kept.

        Raises:
            StoreError: The store can't be written.
        """
        return subject_number(self.file, name, self.vault)

    def sync(self) -> None:
        """Wait until everything appended is on the disk.

        Raises:
            StoreError: The disk refuses.
        """
        self.file.sync()

    def close(self) -> None:
        """Close the store; again is harmless."""
        self._put_down_sign()
        self.file.close()

    def _put_down_sign(self) -> None:
        if self._sign is not None:
            os.close(self._sign)
            self._sign = None

    def _write(
        self,
        txn: lmdb.Transaction,
        batch: Sequence[Incoming],
        finder: GapFinder,
        run: Run | None,
        marks: Sequence[Mark],
    ) -> tuple[int, dict[str, bytes]]:
        arrived, newest = self._arrived, dict(self._newest)
        write_news(self.file, txn, finder.gaps, arrived)
        for one in batch:
            if not one.missed:
                arrived = max(arrived + 1, one.arrived or one.stamp)
                self._put(txn, one, arrived, newest)
        write_gaps(self.file, txn, finder.gaps, arrived)
        write_ends(self.file, txn, finder.changed)
        if run is not None:
            write_run(self.file, txn, run)
        for mark in marks:
            write_mark(self.file, txn, mark)
        return arrived, newest

    def _put(
        self, txn: lmdb.Transaction, one: Incoming, arrived: int, newest: dict[str, bytes]
    ) -> None:
        database = self.file.database(topic_database(one.topic), txn)
        if one.topic not in newest:
            with txn.cursor(database) as cursor:
                last = bytes(cursor.key()) if cursor.last() else b""
            newest[one.topic] = max(last, self._floors.get(one.topic, b""))
        key = record_key(one.stamp, one.seq, one.source)
        while key <= newest[one.topic] and (held := txn.get(key, db=database)) is not None:
            if unseal(one.topic, key, bytes(held), self.vault).frame == one.frame:
                return  # the same message once more
            key = _next_to(key)
        is_newest = key > newest[one.topic]
        value = seal(
            one.topic,
            key,
            one.frame,
            arrived=arrived,
            subject=one.subject,
            vault=self.vault,
            late=not is_newest,
        )
        txn.put(key, value, db=database, append=is_newest)
        if is_newest:
            newest[one.topic] = key
        else:
            write_late(self.file, txn, one.topic, arrived, key)

    def _read_floors(self) -> dict[str, bytes]:
        """Return by topic the newest key that was ever there, as far as that matters.

        What comes after a record that has been removed must not look older than it to a consumer.
        """
        with self.file.view() as view:
            floors = {
                topic: KEY.pack(one.until, 2**64 - 1, 2**32 - 1)
                for topic, one in read_pruned(view).items()
            }
            for mark in read_marks(view).values():
                for topic, end in mark.ends.items():
                    floors[topic] = max(floors.get(topic, b""), end.key)
        return floors

    def _last_arrival(self) -> int:
        """Return the largest arrival there is: a bound for the next ones."""
        with self.file.view() as view:
            names = [name for name in view.trees if name.startswith(TOPIC)]
            in_order = (
                arrival_of(value)
                for name in names
                for _, value in islice(view.items(name, LAST_KEY, backwards=True), 1)
            )
            late = (newest_late(view, name[len(TOPIC) :].decode()) for name in names)
            return max(chain(in_order, late), default=0)


def _next_to(key: bytes) -> bytes:
    """Return the key behind one that another message of the same instant and number has."""
    number = int.from_bytes(key[KEY.size :], "big") + 1 if len(key) > KEY.size else 1
    return key[: KEY.size] + number.to_bytes(2, "big")
