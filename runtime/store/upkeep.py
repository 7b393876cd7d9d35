"""Looking after a store: what is in it, copies of it, making it smaller, forgetting somebody."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import lmdb

from olympus.runtime.errors import StoreError
from olympus.runtime.store.consumers import on_removed
from olympus.runtime.store.environment import DATA
from olympus.runtime.store.layout import SUBJECTS, topic_database
from olympus.runtime.store.locks import lock_folder
from olympus.runtime.store.records import HEAD_BYTES, KEY, subject_of
from olympus.runtime.store.rows import pack_row
from olympus.runtime.store.streams import StreamStore
from olympus.runtime.store.vault import subjects

_AT_ONCE = 2000
_COPY = "copy.tmp"
_ZEROS = bytes(2**20)


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One topic of a store."""

    topic: str
    messages: int
    first: int
    """Capture time of the oldest message, ns; 0 = none."""
    last: int
    missing: int
    """Sum of its gaps."""
    pruned: int
    """Removed to make room."""


def topic_rows(store: StreamStore) -> list[TopicRow]:
    """Return what is in a store, topic by topic.

    Raises:
        DamageError: It is damaged.
    """
    missing: dict[str, int] = {}
    for gap in store.gaps():
        missing[gap.topic] = missing.get(gap.topic, 0) + gap.missing
    pruned = {topic: one.messages for topic, one in store.pruned().items()}
    return [
        _row(store, topic, missing.get(topic, 0), pruned.get(topic, 0)) for topic in store.topics()
    ]


def _row(store: StreamStore, topic: str, missing: int, pruned: int) -> TopicRow:
    with store.file.view() as view:
        name = topic_database(topic)
        ends = [
            KEY.unpack_from(key)[0]
            for backwards in (False, True)
            for key, _ in islice(
                view.items(name, b"\xff" * 32 if backwards else b"", backwards=backwards), 1
            )
        ]
        count = view.trees[name].entries
    first, last = (ends[0], ends[1]) if len(ends) == 2 else (0, 0)
    return TopicRow(topic, count, first, last, missing, pruned)


def check_all(store: StreamStore) -> int:
    """Read every record of a store and check it; returns how many there are.

    Raises:
        DamageError: One is damaged; names the topic and the place.
        StoreError: It is encrypted and the key is missing.
    """
    return sum(1 for topic in store.topics() for _ in store.records(topic))


def backup(folder: Path, target: Path) -> int:
    """Copy a store, while a recorder may go on writing; returns the size of the copy, bytes.

    Raises:
        StoreError: `target` holds something, or can't be written.
    """
    _must_be_empty(target)
    with StreamStore(folder, read_only=True) as store:
        target.mkdir(parents=True, exist_ok=True)
        store.file.copy_to(target, compact=True)
    with StreamStore(target, read_only=True) as copied:
        copied.topics()
    return (target / DATA).stat().st_size


def restore(source: Path, folder: Path) -> int:
    """Put a backup in the place of a store; what stood there is kept as `FOLDER.before`.

    Returns:
        How many records were checked.

    Raises:
        StoreError: A recorder uses the store, an older `.before` is in the way, or the backup is
            no store.
        DamageError: The backup is damaged.
    """
    with StreamStore(source, read_only=True) as store:
        count = sum(len(list(store.rows(topic))) for topic in store.topics())
    before = folder.with_name(folder.name + ".before")
    if folder.exists() and any(folder.iterdir()):
        _must_be_empty(before)
        _alone(folder)
        folder.rename(before)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / DATA, folder / DATA)
    return count


def compact(folder: Path) -> tuple[int, int]:
    """Write a store anew without its free pages, and overwrite the old file with zeros.

    Nobody may use it meanwhile. On a disk that keeps old versions of its blocks (most flash, some
    file systems) overwriting reaches only the newest one.

    Returns:
        Size before and after, bytes.

    Raises:
        StoreError: Somebody uses it, or the disk is full.
    """
    _alone(folder)
    file, draft = folder / DATA, folder / _COPY
    before = file.stat().st_size
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    with StreamStore(folder, read_only=True) as store:
        store.file.copy_to(draft, compact=True)
    old = folder / (DATA + ".old")
    file.rename(old)
    (draft / DATA).rename(file)
    draft.rmdir()
    _overwrite(old)
    return before, file.stat().st_size


def forget(folder: Path, name: str, *, key: str = "") -> int:
    """Erase everything that was recorded about somebody, and the key it was encrypted with.

    Args:
        folder: Of the store; nobody may use it meanwhile.
        name: The subject, as the recorder's `subjects` name it.
        key: Of an encrypted store.

    Returns:
        How many records were erased; afterwards none is left, which was looked at.

    Raises:
        StoreError: There is no such subject, or somebody uses the store.
    """
    _alone(folder)
    with StreamStore(folder, key=key) as store:
        known = subjects(store.file)
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise StoreError(f"{folder} knows no subject {name!r}; it knows: {names}")
        number = int(known[name]["number"])
        _destroy_key(store, name, number)
        erased = sum(_erase(store, topic, number) for topic in store.topics())
    compact(folder)
    with StreamStore(folder, read_only=True) as store:
        left = [
            topic
            for topic in store.topics()
            for _, value in store.rows(topic)
            if subject_of(value) == number
        ]
    if left:
        raise StoreError(f"{len(left)} records of {name!r} are still there; tell the maintainers")
    return erased


def _destroy_key(store: StreamStore, name: str, number: int) -> None:
    row_key = name.encode()[:500]

    def work(transaction: lmdb.Transaction) -> None:
        row = pack_row(row_key, {"number": number, "key": ""})
        transaction.put(row_key, row, db=store.file.database(SUBJECTS, transaction))

    store.file.write(f"destroying the key of {name}", work)


def _erase(store: StreamStore, topic: str, number: int) -> int:
    rows = [
        (key, value[:HEAD_BYTES]) for key, value in store.rows(topic) if subject_of(value) == number
    ]
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]

        def work(transaction: lmdb.Transaction, part: list[tuple[bytes, bytes]] = part) -> None:
            database = store.file.database(topic_database(topic), transaction)
            for key, _ in part:
                transaction.delete(key, db=database)
            on_removed(store.file, transaction, topic, part)

        store.file.write(f"erasing records of {topic}", work)
    return len(rows)


def _alone(folder: Path) -> None:
    """See that nobody uses a store.

    Raises:
        StoreError: Somebody does.
    """
    descriptor = lock_folder(folder, alone=True)
    if descriptor is not None:
        os.close(descriptor)


def _must_be_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder} is not empty; name another folder, or move it away")


def _overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        left = file.stat().st_size
        while left > 0:
            left -= stream.write(_ZEROS[:left])
        stream.flush()
        os.fsync(stream.fileno())
    file.unlink()
