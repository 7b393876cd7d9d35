"""The reader that trusts no page agrees with LMDB, and so does what stands on it."""

from __future__ import annotations

import random
from pathlib import Path

import lmdb

from olympus.runtime.messages import Header, Reading
from olympus.runtime.store import StreamStore
from olympus.runtime.store.pages import PageFile


def test_it_reads_what_lmdb_wrote_with_a_free_list_of_many_transactions(tmp_path: Path) -> None:
    luck = random.Random(3)
    env = lmdb.open(str(tmp_path), max_dbs=2, map_size=2**28)
    names = env.open_db(b"names")
    pages = PageFile(tmp_path / "data.mdb")
    with env.begin() as held:  # keeps freed pages in the list, so that it grows over many pages
        held.stat(names)
        for turn in range(700):
            with env.begin(db=names, write=True) as txn:
                for _ in range(4):
                    key = luck.randbytes(luck.randint(1, 40))
                    txn.put(key, luck.randbytes(luck.choice((3, 900, 9000))))
                for key, _ in list(txn.cursor())[: turn % 9]:
                    txn.delete(key)
    state = pages.snapshots()[0]
    freed = [int.from_bytes(key) for key, _, _ in pages.items(state, state.free)]
    assert state.free.depth > 1
    assert freed == sorted(freed)
    assert freed[-1] - freed[0] > 256
    tree = pages.subtrees(state)[b"names"]
    with env.begin(db=names) as txn:
        assert [(key, value) for key, value, _ in pages.items(state, tree)] == list(txn.cursor())
    start = freed[300].to_bytes(8)
    later = [int.from_bytes(key) for key, _, _ in pages.items(state, state.free, start)]
    assert later == freed[300:]
    pages.close()
    env.close()


def test_a_store_opens_after_any_number_of_transactions(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        for seq in range(1, 600):
            header = Header(seq=seq, stamp=seq, source="n")
            store.append([("t", Reading(header=header, name="a", value=1.0, unit="1"))])
            assert store.file.used_bytes() > 0
    with StreamStore(tmp_path) as again:  # looks at both ends of each tree
        assert again.count("t") == 599
