"""A store of an older version becomes one of today's, and says so where it can't."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Header, Hop, Reading, encode
from olympus.runtime.store import StreamStore
from olympus.runtime.store.consuming import Consumer
from olympus.runtime.store.environment import StoreFile
from olympus.runtime.store.layout import META, SCHEMA, schema_of, topic_database
from olympus.runtime.store.records import record_key

S = 10**9


def reading(seq: int, *, sent: int = 0) -> Reading:
    trace = (Hop(topic="t", seq=seq, stamp=seq * S, sent=sent),) if sent else ()
    header = Header(seq=seq, stamp=seq * S, source="n", trace=trace)
    return Reading(header=header, name="a", value=float(seq), unit="1")


def frames() -> dict[bytes, bytes]:
    """Return what layout 1 held: bare frames, one of a type that nobody knows any more."""
    first, second, third = reading(1), reading(2, sent=5 * S), reading(2)
    strange = encode(reading(3)).replace(b"olympus/Reading", b"olympus/Forgone")
    return {
        record_key(S, 1, "n"): encode(first),
        record_key(2 * S, 2, "n"): encode(second),
        record_key(2 * S, 2, "n") + b"\0\1": encode(third),
        record_key(3 * S, 3, "n"): strange,
    }


def write_raw(folder: Path, database: bytes, rows: dict[bytes, bytes]) -> None:
    with closing(StoreFile(folder)) as file:

        def put(transaction: lmdb.Transaction) -> None:
            where = file.database(database, transaction)
            for key, value in rows.items():
                transaction.put(key, value, db=where)

        file.write("as it was", put)


def test_bare_frames_are_put_into_envelopes_and_nothing_is_lost(tmp_path: Path) -> None:
    held = frames()
    write_raw(tmp_path, topic_database("t"), held)
    with pytest.raises(StoreError, match=r"has layout 1, today's is \d+; run `olympus store mig"):
        StreamStore(tmp_path, read_only=True)
    with StreamStore(tmp_path) as store:
        assert schema_of(store.file) == SCHEMA
    with StreamStore(tmp_path, read_only=True) as store:
        records = list(store.records("t"))
        assert [one.frame for one in records] == list(held.values())
        assert [one.arrived for one in records] == [S, 5 * S, 2 * S, 3 * S]
        with Consumer(store, "c", ("**",)) as consumer:
            assert len(consumer.take().records) == len(held)
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(9))])  # it is recorded to as before
        assert len(list(store.records("t"))) == len(held) + 1


def test_a_store_of_a_newer_version_or_of_none_is_refused(tmp_path: Path) -> None:
    write_raw(tmp_path, META, {b"schema": b"%d" % (SCHEMA + 1)})
    for read_only in (True, False):
        with pytest.raises(StoreError, match="newer Olympus"):
            StreamStore(tmp_path, read_only=read_only)
    write_raw(tmp_path, META, {b"schema": b"two"})
    with pytest.raises(StoreError, match="bring back a copy"):
        StreamStore(tmp_path, read_only=True)
