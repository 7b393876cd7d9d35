"""What is where in a store, and how a store of an older version becomes one of today's.

| database | key | value |
|---|---|---|
| `topic:<name>` | stamp, seq, CRC-32 of the source: 20 bytes; 2 more if taken | envelope, frame |
| `@ends` | topic, 0, source | JSON `[seq, stamp]` of the newest |
| `@gaps` | stamp, after_seq, arrival, topic | JSON of a Gap |
| `@runs` | number, u64 | JSON of a Run |
| `@news` | number, u64 | JSON: newest arrival before, and a Gap, as they were found |
| `@late` | topic's SHA-256, 8 bytes; arrival, u64 | JSON: key of a record that came late |
| `@consumers` | name | JSON of a Mark without its positions |
| `@consumers` | name, 0, topic | JSON of a Position |
| `@pruned` | topic | JSON: until when it was removed, and how much |
| `@subjects` | name | JSON: number, wrapped key or nothing |
| `@meta` | `schema`, `key` | version of this layout; the wrapped data key |
"""

from __future__ import annotations

from collections.abc import Callable

import lmdb

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import read_header
from olympus.runtime.store.environment import StoreFile
from olympus.runtime.store.records import KEY, seal

SCHEMA = 2
TOPIC = b"topic:"
META, ENDS, GAPS, RUNS, PRUNED = b"@meta", b"@ends", b"@gaps", b"@runs", b"@pruned"
SUBJECTS, NEWS, LATE, CONSUMERS = b"@subjects", b"@news", b"@late", b"@consumers"
_SCHEMA_KEY = b"schema"


def topic_database(topic: str) -> bytes:
    """Return the name of a topic's database."""
    return TOPIC + topic.encode()


def prepare(file: StoreFile) -> None:
    """Bring a store to the layout of today; a new one gets it at once.

    Args:
        file: The store, just opened.

    Raises:
        StoreError: It is of a newer version, or of an older one and opened only to be read.
    """
    version = schema_of(file)
    if version == SCHEMA:
        return
    if version > SCHEMA:
        raise StoreError(
            f"{file.folder} was written by a newer Olympus (layout {version}, here {SCHEMA}); "
            "update this one"
        )
    if file.read_only:
        if version:
            raise StoreError(
                f"{file.folder} has layout {version}, today's is {SCHEMA}; "
                f"run `olympus store migrate {file.folder}` once"
            )
        return
    file.write(f"migrating {file.folder}", lambda txn: _migrate(file, txn, version))


def schema_of(file: StoreFile) -> int:
    """Return the layout version of a store; 0 for one that is empty.

    Raises:
        StoreError: It can't be read.
    """
    with file.view() as view:
        held = view.get(META, _SCHEMA_KEY)
        if held is None:
            return 1 if any(name.startswith(TOPIC) for name in view.trees) else 0
    if not held.isdigit():
        raise StoreError(f"{file.folder}: its layout version is {held!r:.20}; bring back a copy")
    return int(held)


def _migrate(file: StoreFile, transaction: lmdb.Transaction, version: int) -> None:
    for step in range(version, SCHEMA):
        if step in _STEPS:
            _STEPS[step](file, transaction)
    meta = file.database(META, transaction)
    transaction.put(_SCHEMA_KEY, str(SCHEMA).encode(), db=meta)


def _put_into_envelopes(file: StoreFile, transaction: lmdb.Transaction) -> None:
    """Layout 1 kept bare frames."""
    with transaction.cursor() as cursor:
        names = [bytes(name) for name in cursor.iternext(values=False)]
    for name in names:
        if not name.startswith(TOPIC):
            continue
        topic, database = name[len(TOPIC) :].decode(), file.database(name, transaction)
        with transaction.cursor(database) as cursor:
            for key, frame in cursor:
                trace = read_header(bytes(frame))[1].trace
                arrived = trace[-1].sent if trace else KEY.unpack_from(key)[0]
                sealed = seal(
                    topic, bytes(key), bytes(frame), arrived=arrived, subject=0, vault=None
                )
                cursor.replace(bytes(key), sealed)


_STEPS: dict[int, Callable[[StoreFile, lmdb.Transaction], None]] = {1: _put_into_envelopes}
"""Layout version -> what makes the next of it."""
