"""Stores that were cut off, overwritten, filled up or shared: errors in our words, no crash."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from olympus.runtime.errors import DamageError, StoreError
from olympus.runtime.messages import Header, Reading
from olympus.runtime.store import DiskQueue, StreamStore

READER = """
import sys
from pathlib import Path
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.store import StreamStore

try:
    store = StreamStore(Path(sys.argv[1]), read_only=True)
    for topic in store.topics():
        print(store.count(topic), sum(1 for message in store.read(topic)), store.gaps())
except (MessageError, StoreError) as error:
    print(error)
"""


def reading(seq: int) -> Reading:
    return Reading(header=Header(seq=seq, stamp=seq, source="n"), name="a", value=1.0, unit="1")


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    with StreamStore(tmp_path / "whole") as store:
        store.append([("t", reading(n)) for n in range(1, 1000)])
        store.append([("u", reading(7)), ("u", reading(9))])
    return (tmp_path / "whole" / "data.mdb").read_bytes()


def read_in_a_process(folder: Path, data: bytes) -> str:
    folder.mkdir()
    (folder / "data.mdb").write_bytes(data)
    command = [sys.executable, "-c", READER, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.e2e
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_store_that_was_cut_off_is_refused_and_ends_no_process(
    tmp_path: Path, whole: bytes, share: float
) -> None:
    said = read_in_a_process(tmp_path / "cut", whole[: int(len(whole) * share) // 4096 * 4096])
    assert "is cut off" in said or "can't be opened" in said


@pytest.mark.e2e
def test_a_store_full_of_nonsense_is_an_error_of_ours(tmp_path: Path, whole: bytes) -> None:
    data = bytearray(whole)
    data[2 * 4096 :] = random.Random(1).randbytes(len(data) - 2 * 4096)
    assert "is damaged at page" in read_in_a_process(tmp_path / "nonsense", bytes(data))


def test_a_damaged_frame_is_refused_when_it_is_read(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(whole.replace(b"OLY1", b"OLY2"))
    with (
        StreamStore(tmp_path, read_only=True) as store,
        pytest.raises(DamageError, match="its checksum is wrong"),
    ):
        list(store.read("t"))


def test_a_time_before_all_times_is_the_beginning(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(1))])
        assert len(list(store.read("t", since=-1))) == 1


def test_hundreds_of_topics_find_a_place(tmp_path: Path) -> None:
    with StreamStore(tmp_path, is_durable=False) as store:
        store.append([(f"t{n}", reading(1)) for n in range(500)])
        assert len(store.topics()) == 500


def test_one_folder_has_one_writer_in_a_process(tmp_path: Path) -> None:
    with StreamStore(tmp_path), pytest.raises(StoreError, match="already open"):
        StreamStore(tmp_path)


TWO_WRITERS = """
import sys
from pathlib import Path
from olympus.runtime.store import DiskQueue

DiskQueue(Path(sys.argv[1])).append(b"theirs")
"""


@pytest.mark.e2e
def test_a_queue_that_another_process_adds_to_says_so_and_overwrites_nothing(
    tmp_path: Path,
) -> None:
    queue = DiskQueue(tmp_path)
    subprocess.run([sys.executable, "-c", TWO_WRITERS, str(tmp_path)], check=True)
    with pytest.raises(StoreError, match="another process adds to this queue"):
        queue.append(b"ours")
    queue.close()
    again = DiskQueue(tmp_path)
    assert again.popleft() == b"theirs"
    again.close()


def test_a_queue_with_foreign_keys_is_refused(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(1))])
    with pytest.raises(StoreError, match="reading"):
        DiskQueue(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be opened"):
        StreamStore(tmp_path / "file")
