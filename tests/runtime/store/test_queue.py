from pathlib import Path

import pytest

from olympus.runtime.errors import StoreError
from olympus.runtime.store import DiskQueue


def test_what_goes_in_first_comes_out_first(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path)
    for number in range(300):
        queue.append(str(number).encode())
    assert len(queue) == 300
    assert [queue.popleft() for _ in range(300)] == [str(n).encode() for n in range(300)]
    assert len(queue) == 0
    queue.close()


def test_it_survives_its_process(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path)
    for item in (b"a", b"b", b"c"):
        queue.append(item)
    queue.popleft()
    queue.close()
    again = DiskQueue(tmp_path)
    assert len(again) == 2
    again.append(b"d")
    assert [again.popleft() for _ in range(3)] == [b"b", b"c", b"d"]
    again.close()


def test_taking_from_an_empty_queue_is_a_clear_error(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path)
    with pytest.raises(StoreError, match="is empty"):
        queue.popleft()
    queue.close()
