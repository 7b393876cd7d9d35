"""What a consumer is given: in which order, from where on, and what it is told is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError, StoreError
from olympus.runtime.messages import Header, Reading, decode
from olympus.runtime.store import Incoming, StreamStore
from olympus.runtime.store.consumers import read_marks, write_mark
from olympus.runtime.store.consuming import Batch, Consumer, Start, unread_of
from olympus.runtime.store.environment import DATA
from olympus.runtime.store.records import record_key
from olympus.runtime.store.retention import Unread, make_room, prune_old, prune_topic
from olympus.runtime.store.upkeep import backup, forget

S = 10**9
EVERYTHING = ("**",)


def reading(seq: int, *, stamp: int | None = None, source: str = "n") -> Reading:
    header = Header(seq=seq, stamp=seq * S if stamp is None else stamp, source=source)
    return Reading(header=header, name="a", value=float(seq), unit="1")


def record(store: StreamStore, topic: str, *numbers: int) -> None:
    """Record readings in one commit."""
    store.append([(topic, reading(number)) for number in numbers])


def acknowledge(store: StreamStore, batch: Batch) -> None:
    store.file.write("a test", lambda txn: write_mark(store.file, txn, batch.mark))


def values(batch: Batch) -> list[float]:
    messages = [decode(record.frame) for record in batch.records]
    return [message.value for message in messages if isinstance(message, Reading)]


def taken(store: StreamStore, *, name: str = "c", most: int = 1000) -> Batch:
    """Return what a consumer that begins now is given first."""
    with Consumer(store, name, EVERYTHING) as consumer:
        return consumer.take(most_records=most)


def test_a_consumer_goes_on_behind_what_it_acknowledged(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 2, 3, 4)
        first = taken(store, most=2)
        assert values(first) == [1.0, 2.0]
        assert values(taken(store, most=2)) == [1.0, 2.0]  # it died before it acknowledged
        acknowledge(store, first)
        assert values(taken(store)) == [3.0, 4.0]
    with StreamStore(tmp_path) as store:
        record(store, "t", 5)
        assert values(taken(store)) == [3.0, 4.0, 5.0]


def test_a_consumer_goes_on_with_what_is_recorded_meanwhile(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store, Consumer(store, "c", EVERYTHING) as consumer:
        assert not consumer.take()
        record(store, "t", 1)
        assert values(consumer.take()) == [1.0]
        assert not consumer.take()
        record(store, "u", 2)
        assert values(consumer.take()) == [2.0]


def test_topics_come_in_the_order_of_arrival_and_others_not_at_all(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        for number in range(1, 7):
            record(store, ("a/x", "b/x", "a/y")[number % 3], number)
        with Consumer(store, "c", ("a/**",)) as consumer:
            assert values(consumer.take()) == [2.0, 3.0, 5.0, 6.0]


def test_what_comes_late_is_not_passed_over(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store, Consumer(store, "c", EVERYTHING) as consumer:
        store.append([("t", reading(5, stamp=50)), ("t", reading(6, stamp=60))])
        assert values(consumer.take()) == [5.0, 6.0]
        store.append([("t", reading(1, stamp=10, source="slow"))])
        store.append([("t", reading(7, stamp=70)), ("t", reading(2, stamp=20, source="slow"))])
        batch = consumer.take()
        assert values(batch) == [1.0, 7.0, 2.0]
        acknowledge(store, batch)
        consumer.close()
        assert not taken(store)


def test_late_records_keep_their_order_after_the_store_was_opened_anew(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(9, stamp=900))])
        store.append([("t", reading(1, stamp=10)), ("t", reading(2, stamp=20))])
        newest = store.file
        with newest.view() as view:
            assert view.trees[b"@late"].entries == 2
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(3, stamp=10, source="m"))])
        with store.file.view() as view:
            assert view.trees[b"@late"].entries == 3
        assert values(taken(store)) == [9.0, 1.0, 2.0, 3.0]


def test_each_gap_is_told_until_it_is_acknowledged(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1)
        record(store, "t", 5)
        told = taken(store)
        assert [(gap.after_seq, gap.missing, gap.reason) for gap in told.gaps] == [(1, 3, "lost")]
        assert len(taken(store).gaps) == 1
        acknowledge(store, told)
        record(store, "t", 9)
        assert [gap.after_seq for gap in taken(store).gaps] == [5]


def test_gaps_of_a_store_that_did_not_keep_them_in_order_are_told_too(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 5)

        def drop(transaction: object) -> None:
            database = store.file.database(b"@news", transaction)  # type: ignore[arg-type]
            transaction.drop(database, delete=False)  # type: ignore[attr-defined]

        store.file.write("as it was before", drop)
        record(store, "t", 9)
        assert [gap.after_seq for gap in taken(store).gaps] == [1, 5]


def test_what_is_removed_before_it_was_read_is_counted_and_told_once(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 2, 3, 4, 5, 6)
        acknowledge(store, taken(store, most=2))
        unread: Unread = Unread()
        prune_topic(store, "t", 5 * S, unread=unread)
        assert unread == {("c", "t"): 2}
        batch = taken(store)
        assert (batch.removed, values(batch)) == ({"t": 2}, [5.0, 6.0])
        acknowledge(store, batch)
        assert not taken(store)
        make_room(store, 1, unread=unread)  # all of it was read
        assert unread == {("c", "t"): 2}


def test_a_late_record_that_is_removed_unread_is_counted_too(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(5)), ("t", reading(6))])
        acknowledge(store, taken(store))
        store.append([("t", reading(1, source="slow"))])
        prune_topic(store, "t", 6 * S)
        assert (taken(store).removed, values(taken(store))) == ({"t": 1}, [])


def test_what_looks_older_than_all_that_was_removed_is_given_out_still(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(1, stamp=900))])
        acknowledge(store, taken(store))
        prune_topic(store, "t", 901)
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(2, stamp=500))])
        assert values(taken(store)) == [2.0]


def test_unread_messages_are_kept_a_while_longer(tmp_path: Path) -> None:
    hour = 3600
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 2 * hour, 4 * hour, 6 * hour)
        acknowledge(store, taken(store, most=1))
        now, ages = 8 * hour * S, {"state": 1.0}
        removed = prune_old(store, ages, now, keep_unread_h=5.5)
        assert removed["t"].messages == 1
        unread: Unread = Unread()
        prune_old(store, ages, now, keep_unread_h=4.0, unread=unread)
        assert unread == {("c", "t"): 1}
        prune_old(store, ages, now, unread=unread)
        assert unread == {("c", "t"): 3}


def test_a_consumer_may_begin_with_what_comes_now(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 5)
        store.append([("t", reading(2, source="slow"))])
        with Consumer(store, "c", EVERYTHING, start=Start.NOW) as consumer:
            assert not consumer.take()
            store.append([("t", reading(3, source="slow"))])
            record(store, "t", 6)
            batch = consumer.take()
            assert (values(batch), batch.gaps) == ([3.0, 6.0], [])


def test_a_consumer_may_begin_at_a_time(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 5, 6)
        store.append([("t", reading(2, source="slow")), ("t", reading(7))])
        with Consumer(store, "c", EVERYTHING, since=6 * S) as consumer:
            batch = consumer.take()
            assert (values(batch), batch.gaps) == ([6.0, 7.0], [])


def test_a_name_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store, Consumer(store, "c", EVERYTHING):
        with pytest.raises(StoreError, match="taken by another process"):
            Consumer(store, "c", EVERYTHING)
        Consumer(store, "d", EVERYTHING).close()
    with StreamStore(tmp_path) as store, pytest.raises(ConfigError, match="consumer name"):
        Consumer(store, "a b", EVERYTHING)


def test_a_damaged_record_is_named_and_the_rest_is_given_out(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 2, 3)
    file = tmp_path / DATA
    held = file.read_bytes()
    place = held.index(record_key(2 * S, 2, "n"))
    damaged = bytearray(held)
    damaged[place + 60] ^= 1
    file.write_bytes(bytes(damaged))
    with StreamStore(tmp_path) as store:
        batch = taken(store)
        assert values(batch) == [1.0, 3.0]
        assert len(batch.damaged) == 1
        assert "no. 2 of t" in batch.damaged[0]


def test_what_was_erased_about_somebody_counts_as_removed(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        number = store.subject("ann")
        store.add([Incoming.of("t", reading(1)), Incoming.of("t", reading(2), subject=number)])
        acknowledge(store, taken(store, most=1))
    assert forget(tmp_path, "ann") == 1
    with StreamStore(tmp_path) as store:
        assert (taken(store).removed, values(taken(store))) == ({"t": 1}, [])


def test_a_copy_of_a_store_knows_its_consumers(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "a") as store:
        record(store, "t", 1, 2, 3)
        acknowledge(store, taken(store, most=2))
    backup(tmp_path / "a", tmp_path / "b")
    with StreamStore(tmp_path / "b") as copy:
        with copy.file.view() as view:
            mark = read_marks(view)["c"]
        assert unread_of(copy, mark) == 1
        assert values(taken(copy)) == [3.0]
