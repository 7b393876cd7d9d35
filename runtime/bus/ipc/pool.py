"""Slots for arrays in shared memory, and who still needs which.

A slot is free when nobody holds it: neither who writes it, nor a packet on its way, nor a view at a
receiver. The slot that became free last is taken first, so a stream lives in as few slots as it
needs and those stay in the processor's cache.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus.ipc.memory import make_memory

SMALLEST = 65_536
MOST_SLOTS = 64
MOST_PLANS = 256
BUDGET = 512 * 2**20
"""A pool has as many slots as fit into this, 8 at least; only those that are used cost memory."""
_FEWEST = 8
_SLOT_BITS = 32


class Pool:
    """Slots of one size in one piece of shared memory."""

    def __init__(self, number: int, slot_nbytes: int) -> None:
        """Make it.

        Raises:
            BusError: The system grants no memory.
        """
        self.number, self.slot_nbytes = number, slot_nbytes
        self.count = min(MOST_SLOTS, max(_FEWEST, BUDGET // slot_nbytes))
        self.memory = make_memory(self.count * slot_nbytes)
        self.bytes = np.frombuffer(self.memory.map, np.uint8)
        self.address = int(self.bytes.ctypes.data)
        self.free = list(range(self.count))[::-1]
        """The last one is taken first."""
        self.holds = [0] * self.count

    def drop(self, index: int) -> None:
        """Need a slot no longer; under the lock of the pools."""
        holds = self.holds
        left = holds[index] = holds[index] - 1
        if not left:
            self.free.append(index)


class Loan(weakref.ref[NDArray[Any]]):
    """Notices that nobody in this process looks at a slot any more."""

    __slots__ = ("owner", "slot")
    owner: int
    slot: int


class Pools:
    """All pools of one host; its methods may be called from any thread."""

    def __init__(self) -> None:
        self.pools: list[Pool] = []
        self._of_size: dict[int, Pool] = {}
        self.reclaim: Callable[[], None] = lambda: None
        """Called under the lock before a slot is taken: gives back what receivers let go."""
        self.lock = threading.RLock()
        self._loans: dict[int, Loan] = {}
        self.owners: dict[int, Loan] = {}
        """The same by `id` of the array that owns the slot; such a number may be used again."""
        self._plans: dict[tuple[Any, Any], tuple[np.dtype[Any], Pool]] = {}
        """Where arrays of a shape and dtype that were asked for before belong."""
        self._dead: deque[Any] = deque()
        """Loans whose array nobody looks at any more."""

    def take(self, nbytes: int) -> int | None:
        """Return a slot of at least `nbytes`, held once; None when all are held."""
        with self.lock:
            return self._take_from(self._pool_for(nbytes))

    def loan(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any] | None:
        """Return an array to write into, in a slot that lives as long as it or a view of it does.

        None when all slots are held.

        Raises:
            ValueError: There can be no array of that shape and dtype there.
        """
        try:
            kind, pool = self._plans[shape, dtype]
        except (KeyError, TypeError):  # new, or a list, which can't be looked up
            kind, pool = self._plan(shape, dtype)
        self.lock.acquire()  # quicker than `with`
        try:
            slot = self._take_from(pool)
        finally:
            self.lock.release()
        if slot is None:
            return None
        start = (slot & 0xFFFFFFFF) * pool.slot_nbytes
        try:
            array = np.ndarray(shape, kind, pool.memory.map, start)
        except BaseException:  # there is no such array: with an axis below 0, say
            self.drop(slot)
            raise
        # The array that owns, not a memoryview of it: numpy keeps its own memoryview, so that one
        # would die, and free the slot, while somebody still reads. Every view of it keeps it.
        # Its end may come anywhere, also while this thread holds the lock: that leaves only a note.
        loan = Loan(array, self._dead.append)
        loan.slot, loan.owner = slot, id(array)
        self._loans[slot] = loan
        self.owners[id(array)] = loan
        return array

    def is_lent(self, slot: int) -> bool:
        """Tell whether a slot was lent to this process and is still looked at here."""
        return slot in self._loans

    def find(self, array: NDArray[Any]) -> tuple[int, int] | None:
        """Return the lent slot in which a contiguous array lies, and where; None if in none."""
        if not self._loans:
            return None
        loan = self.owners.get(id(array))
        if loan is not None and loan() is array:
            return loan.slot, 0
        owner = array.base
        loan = self.owners.get(id(owner))
        if (
            loan is not None
            and owner is not None
            and loan() is owner
            and owner.nbytes == array.nbytes
        ):
            return loan.slot, 0
        address = array.__array_interface__["data"][0]
        for pool in self.pools:
            offset = address - pool.address
            if 0 <= offset < pool.memory.nbytes:
                index, start = divmod(offset, pool.slot_nbytes)
                slot = pool.number << _SLOT_BITS | index
                return (slot, start) if slot in self._loans else None
        return None

    def place_of(self, slot: int) -> tuple[Pool, int]:
        """Return the pool of a slot and where it starts there, bytes."""
        pool = self.pools[slot >> _SLOT_BITS]
        return pool, (slot & 0xFFFFFFFF) * pool.slot_nbytes

    def hold(self, slot: int) -> None:
        """Need a slot that is held already once more."""
        with self.lock:
            self.pools[slot >> _SLOT_BITS].holds[slot & 0xFFFFFFFF] += 1

    def drop(self, slot: int) -> None:
        """Need a slot no longer."""
        with self.lock:
            self.pools[slot >> _SLOT_BITS].drop(slot & 0xFFFFFFFF)

    def held(self) -> int:
        """Return how many slots somebody holds now."""
        with self.lock:
            self._settle()
            return sum(pool.count - len(pool.free) for pool in self.pools)

    def close(self) -> None:
        """Let go of the descriptors; the memory ends with the last array in it, here or there."""
        for pool in self.pools:
            pool.memory.close()

    def _plan(self, shape: Sequence[int], dtype: DTypeLike) -> tuple[np.dtype[Any], Pool]:
        kind = np.dtype(dtype)
        if kind.hasobject:  # what they refer to is in this process alone
            raise ValueError(f"objects of dtype {kind} can't be shared; use numbers")
        with self.lock:
            plan = kind, self._pool_for(max(1, math.prod(shape) * kind.itemsize))
            if isinstance(shape, tuple) and isinstance(dtype, type | str | np.dtype):
                if len(self._plans) >= MOST_PLANS:
                    self._plans.clear()
                self._plans[shape, dtype] = plan
        return plan

    def _take_from(self, pool: Pool) -> int | None:
        """Return a slot of a pool, held once; None when all are held. Under the lock."""
        self._settle()
        if not pool.free:
            return None
        index = pool.free.pop()
        pool.holds[index] = 1
        return pool.number << _SLOT_BITS | index

    def _settle(self) -> None:
        dead, owners = self._dead, self.owners
        while dead:
            loan: Loan = dead.popleft()
            slot, owner = loan.slot, loan.owner
            del self._loans[slot]
            if owners.get(owner) is loan:
                del owners[owner]
            self.pools[slot >> _SLOT_BITS].drop(slot & 0xFFFFFFFF)
        self.reclaim()

    def _pool_for(self, nbytes: int) -> Pool:
        size = slot_size(nbytes)
        found = self._of_size.get(size)
        if found is None:
            found = self._of_size[size] = Pool(len(self.pools), size)
            self.pools.append(found)
        return found


class Holds:
    """The slots that one reader has not given back yet; guarded by the lock of the pools."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._slots: dict[int, int] = {}
        self._in_pool: dict[int, int] = {}
        self._is_over = False

    def add(self, slots: Sequence[int], readers: int) -> bool:
        """Hold some slots for the reader, all or none; refuses what is more than its share.

        Args:
            slots: Held already by who asks.
            readers: How many there may be: each has its share, and two shares stay free.
        """
        pools, have = self._pools, self._in_pool
        with pools.lock:
            if self._is_over:
                return False
            for slot in slots:
                number = slot >> _SLOT_BITS
                if have.get(number, 0) >= share(pools.pools[number].count, readers):
                    pools.reclaim()
                    if have.get(number, 0) >= share(pools.pools[number].count, readers):
                        return False
            for slot in slots:
                number = slot >> _SLOT_BITS
                have[number] = have.get(number, 0) + 1
                self._slots[slot] = self._slots.get(slot, 0) + 1
                pools.pools[number].holds[slot & 0xFFFFFFFF] += 1
        return True

    def add_one(self, slot: int, readers: int) -> bool:
        """Do what `add` does, for one slot."""
        pools, have, number = self._pools, self._in_pool, slot >> _SLOT_BITS
        pools.lock.acquire()  # quicker than `with`
        try:
            pool, count = pools.pools[number], have.get(number, 0)
            if self._is_over or count >= share(pool.count, readers):
                return False
            have[number] = count + 1
            self._slots[slot] = self._slots.get(slot, 0) + 1
            pool.holds[slot & 0xFFFFFFFF] += 1
            return True
        finally:
            pools.lock.release()

    def give_back(self, slot: int) -> None:
        """Take back a slot from the reader; one that it does not have is ignored."""
        pools, slots = self._pools, self._slots
        with pools.lock:
            count = slots.get(slot, 0)
            if not count:
                return
            if count == 1:
                del slots[slot]
            else:
                slots[slot] = count - 1
            number = slot >> _SLOT_BITS
            self._in_pool[number] -= 1
            pools.pools[number].drop(slot & 0xFFFFFFFF)

    def clear(self) -> None:
        """Take back everything, for good: the reader is gone."""
        with self._pools.lock:
            self._is_over = True
            for slot, count in list(self._slots.items()):
                for _ in range(count):
                    self.give_back(slot)


@lru_cache(256)
def share(count: int, readers: int) -> int:
    """Return how many of a pool's `count` slots one of `readers` readers may hold."""
    return max(1, count // (readers + 2))


@lru_cache(256)
def slot_size(nbytes: int) -> int:
    """Return the size of slot for `nbytes`: a power of two, or one and a half times one."""
    size = max(SMALLEST, 1 << (nbytes - 1).bit_length())
    smaller = size // 4 * 3
    return smaller if nbytes <= smaller and smaller >= SMALLEST else size
