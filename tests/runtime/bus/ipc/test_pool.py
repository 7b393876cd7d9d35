"""Slots: the newest free one first, never one that somebody holds."""

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.board import Board, OtherBoard
from olympus.runtime.bus.ipc.memory import make_memory, map_memory
from olympus.runtime.bus.ipc.pool import MOST_PLANS, SMALLEST, Holds, Pools, share, slot_size
from olympus.runtime.errors import BusError


def test_the_slot_that_became_free_last_is_taken_first() -> None:
    pools = Pools()
    first, second = pools.take(10), pools.take(10)
    assert first is not None and second is not None
    pools.drop(first)
    pools.drop(second)
    assert (pools.take(10), pools.take(10)) == (second, first)
    pools.close()


def test_when_all_are_held_there_is_none() -> None:
    pools = Pools()
    taken = [pools.take(10) for _ in range(64)]
    assert None not in taken
    assert len(set(taken)) == 64
    assert pools.take(10) is None
    assert pools.loan((4,), np.uint8) is None
    pools.close()


def test_a_view_keeps_a_loan_and_its_death_frees_it() -> None:
    pools = Pools()
    array = pools.loan((100, 3), np.float32)
    assert array is not None
    part = array[10:20, 1]
    found = pools.find(array[5:])
    assert found is not None and found[1] == 5 * 3 * 4
    assert pools.find(np.zeros(3)) is None
    del array
    gc.collect()
    assert pools.held() == 1
    del part
    gc.collect()
    assert pools.held() == 0
    pools.close()


@pytest.mark.parametrize(
    ("shape", "dtype", "why"),
    [((-1, 3), "u1", "negative"), ((2, 2), "O", "objects"), ((2,), "u1,O", "objects")],
)
def test_a_loan_that_can_t_be_made_holds_no_slot(
    shape: tuple[int, ...], dtype: str, why: str
) -> None:
    pools = Pools()
    with pytest.raises(ValueError, match=why):
        pools.loan(shape, dtype)
    assert pools.held() == 0
    pools.close()


@pytest.mark.parametrize("shape", [(3, 5), [3, 5]])
@pytest.mark.parametrize("dtype", [np.uint8, "u1", np.dtype("u1"), [("r", "u1"), ("g", "<u2")]])
def test_shapes_and_dtypes_in_any_writing_may_be_asked_for_again(shape: Any, dtype: Any) -> None:
    pools = Pools()
    for _ in range(3):
        array = pools.loan(shape, dtype)
        assert array is not None
        assert (array.shape, array.dtype) == ((3, 5), np.dtype(dtype))
    pools.close()


def test_more_shapes_than_are_remembered_may_be_asked_for() -> None:
    pools = Pools()
    for n in [*range(1, MOST_PLANS + 10), 1]:
        array = pools.loan((n,), np.uint8)
        assert array is not None and array.shape == (n,)
    pools.close()


def test_a_reader_holds_no_more_than_its_share_and_gives_back_only_what_it_has() -> None:
    pools = Pools()
    holds = Holds(pools)
    slots = [slot for _ in range(64) if (slot := pools.take(10)) is not None]
    granted = [slot for slot in slots if holds.add([slot], 2)]
    assert len(granted) == share(64, 2) == 16
    for slot in slots:
        pools.drop(slot)
    assert pools.held() == 16
    holds.give_back(slots[-1])
    holds.give_back(2**63)
    assert pools.held() == 16
    holds.give_back(granted[0])
    assert pools.held() == 15
    holds.clear()
    assert pools.held() == 0
    assert not holds.add([], 2)
    pools.close()


@given(st.integers(1, 2**28))
def test_a_slot_is_large_enough_and_not_much_larger(nbytes: int) -> None:
    size = slot_size(nbytes)
    assert nbytes <= size
    assert size == SMALLEST or size < 2 * nbytes


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["take", "drop", "hold"]), max_size=80), st.randoms())
def test_no_slot_is_ever_handed_out_twice(acts: list[str], random: object) -> None:
    pools = Pools()
    holds: list[int] = []
    for act in acts:
        if act == "take" and (slot := pools.take(10)) is not None:
            assert slot not in holds
            holds.append(slot)
        elif act == "hold" and holds:
            slot = random.choice(holds)  # type: ignore[attr-defined]
            pools.hold(slot)
            holds.append(slot)
        elif act == "drop" and holds:
            pools.drop(holds.pop(random.randrange(len(holds))))  # type: ignore[attr-defined]
        assert pools.held() == len(set(holds))
    pools.close()


def test_memory_that_could_be_shrunk_is_refused() -> None:
    import os

    descriptor = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 4096)
    with pytest.raises(BusError, match="must be sealed"):
        map_memory(descriptor, 4096)


def test_nobody_else_can_write_sealed_memory() -> None:
    import mmap
    import os

    memory = make_memory(4096)
    with pytest.raises(PermissionError):
        mmap.mmap(memory.descriptor, 4096)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 10)
    with pytest.raises(BusError, match="4096 bytes where 8192"):
        map_memory(os.dup(memory.descriptor), 8192)
    memory.map[0] = 7
    assert map_memory(os.dup(memory.descriptor), 4096)[0] == 7
    memory.close()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=3000), st.integers(1, 900))
def test_what_is_given_back_is_seen_once_and_in_order(slots: list[int], step: int) -> None:
    import os

    board = Board()
    other = OtherBoard(os.dup(board.memory.descriptor))
    seen: list[int] = []
    for start in range(0, len(slots), step):
        for slot in slots[start : start + step]:
            board.release(slot)
        seen += other.releases()
    assert seen == slots
    board.memory.close()


def test_a_board_full_of_nonsense_ends() -> None:
    import os

    board = Board()
    other = OtherBoard(os.dup(board.memory.descriptor))
    board.cells[8] = 2**64 - 1
    assert len(list(other.releases())) <= 1024
    board.cells[8] = 3
    assert len(list(other.releases())) <= 1024
    board.memory.close()
