import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Header, Reading, encode
from olympus.runtime.store import Gap, StreamStore


def reading(seq: int, stamp: int | None = None, source: str = "n") -> Reading:
    header = Header(seq=seq, stamp=seq if stamp is None else stamp, source=source)
    return Reading(header=header, name="a", value=float(seq), unit="1")


def test_a_stream_is_read_in_the_order_of_capture(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(2, stamp=20)), ("t", reading(1, stamp=10)), ("u", reading(1))])
        assert store.topics() == ["t", "u"]
        assert [m.header.stamp for m in store.read("t")] == [10, 20]
        assert [m.header.stamp for m in store.read("t", since=11)] == [20]
        assert [m.header.stamp for m in store.read("t", until=19)] == [10]
        assert store.count("t") == 2


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    message = reading(7)
    with StreamStore(tmp_path) as store:
        store.append([("t", message)])
    with StreamStore(tmp_path, read_only=True) as again:
        assert [encode(m) for m in again.read("t")] == [encode(message)]
        assert again.gaps() == []


def test_a_gap_is_named_counted_and_kept(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        assert store.append([("t", reading(1)), ("t", reading(2))]) == []
        expected = Gap("t", "n", after_seq=2, missing=3, stamp=6)
        assert store.append([("t", reading(6))]) == [expected]
    with StreamStore(tmp_path, read_only=True) as again:
        assert again.gaps() == [expected]


def test_a_publisher_that_starts_again_makes_no_gap(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        assert store.append([("t", reading(5)), ("t", reading(1, stamp=9))]) == []


def test_two_publishers_at_the_same_instant_do_not_overwrite_each_other(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(1, source="a")), ("t", reading(1, source="b"))])
        assert sorted(m.header.source for m in store.read("t")) == ["a", "b"]


def test_a_missing_topic_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("rover/image", reading(1))])
        with pytest.raises(StoreError, match="did you mean 'rover/image'"):
            list(store.read("rover/imgae"))


def test_a_full_store_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with StreamStore(tmp_path, map_bytes=2**17) as store:
        store.append([("t", reading(1))])
        with pytest.raises(StoreError, match="the store is full"):
            store.append([("t", reading(n)) for n in range(2, 5000)])
        assert store.count("t") == 1


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.integers(1, 50), max_size=5), max_size=6))
def test_every_missing_number_is_counted_once(batches: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, StreamStore(Path(folder)) as store:
        numbers = sorted({n for batch in batches for n in batch})
        missing = sum(
            gap.missing
            for i in range(0, len(numbers), 3)
            for gap in store.append([("t", reading(n)) for n in numbers[i : i + 3]])
        )
        expected = numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0
        assert missing == expected


WRITER = """
import itertools, sys
from pathlib import Path
from olympus.runtime.messages import Header, Reading
from olympus.runtime.store import StreamStore

store = StreamStore(Path(sys.argv[1]), is_durable=False)
for n in itertools.count(1):
    header = Header(seq=n, stamp=n, source="n")
    store.append([("t", Reading(header=header, name="a", value=float(n), unit="1"))])
    if n % 100 == 0:
        print(n, flush=True)
"""


@pytest.mark.e2e
def test_a_killed_writer_loses_nothing_it_has_committed(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    committed = [int(writer.stdout.readline()) for _ in range(5)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with StreamStore(tmp_path, read_only=True) as store:
        numbers = [m.header.seq for m in store.read("t")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= committed
