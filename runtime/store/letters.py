"""Dead letters in a store: a stream like others, with a bound of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import lmdb

from olympus.runtime.bus.letters import TOPIC
from olympus.runtime.errors import StoreError, did_you_mean
from olympus.runtime.messages import Ack, decode
from olympus.runtime.messages.letters import DeadLetter, ForgetLetters
from olympus.runtime.store.consumers import on_removed
from olympus.runtime.store.environment import StoreFile
from olympus.runtime.store.layout import topic_database
from olympus.runtime.store.records import HEAD_BYTES, arrival_of
from olympus.runtime.store.retention import remove_oldest
from olympus.runtime.store.streams import StreamStore

ID_BYTES = 4
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter in a store."""

    id: str
    """The last digits of its arrival in ns, in hex."""
    arrived: int
    letter: DeadLetter


def read_letters(store: StreamStore) -> list[Kept]:
    """Return the dead letters of a store, in the order of their arrival.

    Raises:
        StoreError: It is damaged.
    """
    if TOPIC not in store.topics():
        return []
    kept = []
    for record in store.records(TOPIC):
        letter = decode(record.frame)
        if isinstance(letter, DeadLetter):
            kept.append(Kept(letter_id(record.arrived), record.arrived, letter))
    return sorted(kept, key=lambda one: one.arrived)


def letter_id(arrived: int) -> str:
    """Return what a letter is called that arrived at `arrived`, ns."""
    return (arrived & (1 << 8 * ID_BYTES) - 1).to_bytes(ID_BYTES, "big").hex()


def find_letter(store: StreamStore, name: str) -> Kept:
    """Return a dead letter by its id.

    Raises:
        StoreError: There is none.
    """
    letters = {one.id: one for one in read_letters(store)}
    if name not in letters:
        raise StoreError(f"no dead letter {name!r}; {did_you_mean(name, letters)}")
    return letters[name]


def forget_letters(store: StreamStore, ids: Iterable[str] | None) -> int:
    """Remove dead letters; returns how many.

    Args:
        store: Open for writing.
        ids: Which ones; None for all.

    Raises:
        StoreError: It can't be written.
    """
    wanted = None if ids is None else set(ids)
    rows = [
        (key, value[:HEAD_BYTES])
        for key, value in (store.rows(TOPIC) if TOPIC in store.topics() else ())
        if wanted is None or letter_id(arrival_of(value)) in wanted
    ]
    if rows:
        store.file.write("forgetting dead letters", partial(_remove, store.file, rows))
    return len(rows)


def forgotten(store: StreamStore, question: ForgetLetters) -> Ack:
    """Answer who wants dead letters removed.

    Raises:
        StoreError: The store can't be written.
    """
    own = str(store.folder.resolve())
    if question.folder != own:
        return Ack(ok=False, text=f"here it is recorded to {own}")
    count = forget_letters(store, None if question.is_everything else question.ids)
    return Ack(ok=True, text=f"{count} dead letters are forgotten")


def bound_letters(store: StreamStore, max_bytes: int) -> int:
    """Remove the oldest dead letters until the others take no more than `max_bytes`.

    Returns:
        How many were removed; they are counted as removed, as those of any topic.

    Raises:
        StoreError: The store can't be read or written.
    """
    removed = 0
    while _size(store) > max_bytes:
        removed += remove_oldest(store, TOPIC, AT_ONCE)
    return removed


def _size(store: StreamStore) -> int:
    with store.file.view() as view:
        tree = view.trees.get(topic_database(TOPIC))
        pages = tree.branches + tree.leaves + tree.overflows if tree is not None else 0
        return pages * view.state.page_bytes if tree is not None and tree.entries else 0


def _remove(
    file: StoreFile, rows: list[tuple[bytes, bytes]], transaction: lmdb.Transaction
) -> None:
    database = file.database(topic_database(TOPIC), transaction)
    for key, _ in rows:
        transaction.delete(key, db=database)
    on_removed(file, transaction, TOPIC, rows)
