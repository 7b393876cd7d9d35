"""Slots that are claimed in C: the same array and the same notes as in Python, or left to it."""

from __future__ import annotations

import gc
import mmap
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus.ipc.frames import Lent, View
from olympus.runtime.bus.ipc.pool import share
from olympus.runtime.quick import quick, why_not

from .ends import End
from .test_call_lifetimes import opened, slotted
from .test_lifetimes import check_nothing_is_left

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
NBYTES = 4096
SLOT = 1 << 32 | 2
"""The one that `slotted` says."""


class Board:
    """Keeps what is given back."""

    def __init__(self) -> None:
        self.released: list[int] = []

    def release(self, slot: int) -> None:
        """Note it."""
        self.released.append(slot)


class Other(Lent):
    """No pool that C knows."""


def lent(count: int, kind: type[Lent] = Lent) -> Lent:
    """Return a pool in which each slot holds its number and then 1, 2, 3, …"""
    made = mmap.mmap(-1, NBYTES * count)
    for slot in range(count):
        there = np.frombuffer(made, np.uint8, NBYTES, slot * NBYTES)
        there[:] = np.arange(NBYTES) + slot
    return kind(NBYTES, count, made, Board())  # type: ignore[arg-type]


def come(end: End, record: bytes) -> Any:
    """Return the message of a record, or None where it was left to Python altogether."""
    end.send(record)
    end.wire.read()
    if not end.calls:
        assert end.records.pop() == record
        return None
    return end.calls.pop()[3]


def of_slot(index: int) -> bytes:
    """Return the record of an answer whose array is in a slot of pool 1."""
    record = slotted(b"")
    place = record.index(SLOT.to_bytes(8, "little"))
    return record[:place] + (1 << 32 | index).to_bytes(8, "little") + record[place + 8 :]


def pair_of(count: int, readers: int, kind: type[Lent] = Lent) -> tuple[End, Lent]:
    """Return an end, and the pool that it reads slots of."""
    end, pool = End(), lent(count, kind)
    opened(end)
    end.pools[1], end.readers = pool, readers
    return end, pool


@pytest.mark.parametrize("readers", [0, 1, 3, 20])
@pytest.mark.parametrize("count", [1, 3, 8, 64])
def test_slots_are_looked_at_and_given_back_as_in_python(count: int, readers: int) -> None:
    seen = []
    for index in (False, True):
        end, pool = pair_of(count, readers, Other if index else Lent)
        held: list[Any] = []
        notes: list[Any] = []
        for slot in [*range(count), 0, count - 1, count, 2**32 - 1]:
            message = come(end, of_slot(slot))
            held.append(message)
            data = message.tensors[0].data if message is not None else None
            base = data.base if data is not None else None
            notes.append(
                (
                    slot,
                    None if data is None else (data.tobytes(), data.flags.writeable, data.strides),
                    None if base is None else type(base.base),
                    len(pool.views),
                    pool.copied,
                    list(pool.board.released),  # type: ignore[attr-defined]
                )
            )
            del message, data, base
        assert {(id(view), view.slot) for view in pool.views.values()} == {
            (number, view.slot) for number, view in pool.views.items()
        }
        assert all(type(one) is View and one.lent is pool for one in pool.views.values())
        most = share(count, readers) // 2 or 1
        assert len(pool.views) == min(most, count + 2)
        held.clear()
        gc.collect()
        assert not pool.views
        notes.append(("end", sorted(pool.board.released)))  # type: ignore[attr-defined]
        seen.append(notes)
        end.end()
    assert seen[0] == seen[1]


def test_python_is_asked_only_where_it_has_to_see_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Lent, "view", lambda _, slot, __: asked.append(slot))
    end, pool = pair_of(8, 0)
    held = [come(end, of_slot(2)), come(end, of_slot(3))]
    assert not asked and len(pool.views) == 2
    for slot in (4, 9):  # more than half of its share, and none
        assert come(end, of_slot(slot)) is None
    assert asked == [1 << 32 | 4, 1 << 32 | 9]
    held.clear()
    assert sorted(pool.board.released) == [SLOT, SLOT + 1]  # type: ignore[attr-defined]
    end.end()


def test_it_lives_as_long_as_somebody_looks_at_it() -> None:
    end, pool = pair_of(8, 0)
    part = come(end, of_slot(5)).tensors[0].data[1:3]
    end.pools.clear()
    assert part.tolist() == [9 + 5, 10 + 5] and len(pool.views) == 1
    released = pool.board.released  # type: ignore[attr-defined]
    views = pool.views
    del pool
    gc.collect()
    assert part.tolist() == [14, 15] and not released
    del part
    assert released == [1 << 32 | 5] and not views
    end.end()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bytes", None), ("bytes", b"x"), ("bytes", np.zeros((2, NBYTES), np.uint8)),
        ("bytes", np.zeros(NBYTES * 8, np.uint8)), ("count", None), ("count", 0), ("count", -1),
        ("count", 2**70), ("views", None),
    ],
)  # fmt: skip
def test_what_is_odd_is_for_python(name: str, value: Any) -> None:
    end, pool = pair_of(8, 0)
    setattr(pool, name, value)
    message = come(end, of_slot(2))
    if name == "bytes":
        assert message.tensors[0].data.tolist() == [10, 11, 12, 13]
        assert len(pool.views) == 1
    else:
        assert (message is None) == (name == "views" or value in (None, 0, -1))
    end.end()


def test_nothing_is_left_behind() -> None:
    end, pool = pair_of(8, 0)
    good, bad = of_slot(2), of_slot(99)

    def act(_: int) -> None:
        assert come(end, good) is not None
        assert come(end, bad) is None
        pool.board.released.clear()  # type: ignore[attr-defined]

    check_nothing_is_left(act, pool, pool.map, pool.bytes, pool.views, end.wire, times=3000)
    assert not pool.views
    end.end()
