"""Places for the arrays of a message: in its record, or in slots of shared memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.messages.schema import AnyArray

SHORT = 16_384
"""An array of at most so many bytes travels in the packet."""
_SHORT_SUM = 24_576
ALIGN = 16


class NoRoomError(Exception):
    """Every slot is held; who sends decides what that means."""


class Shelf:
    """Finds a place for each array of a message."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.short: list[bytes | memoryview] = []
        self._short_nbytes = 0
        self.slots: list[int] = []
        self.taken: list[int] = []
        self.nbytes = 0

    def place(self, array: AnyArray) -> list[Any]:
        """Find a place for an array; returns its entry for the body.

        Raises:
            NoRoomError: Every slot is held.
        """
        nbytes = array.nbytes
        if nbytes <= SHORT and self._short_nbytes + nbytes <= _SHORT_SUM:
            start = self._short_nbytes
            self.short.append(array.tobytes())
            gap = -nbytes % ALIGN
            if gap:
                self.short.append(bytes(gap))
            self._short_nbytes = start + nbytes + gap
            return [array.dtype.str, array.shape, -1, start]
        self.nbytes += nbytes
        slot, start = self.slot_of(array)
        if slot not in self.slots:
            self.slots.append(slot)
        return [array.dtype.str, array.shape, self.slots.index(slot), start]

    def slot_of(self, array: AnyArray) -> tuple[int, int]:
        """Return the slot that an array lies in, and where; it is copied into one if need be.

        Raises:
            NoRoomError: Every slot is held.
        """
        flags = array.flags
        found = self._pools.find(array) if flags.c_contiguous else None
        if found is None:
            return self._copy(array)
        flags.writeable = False  # whoever looks at it now relies on that
        return found

    def place_bytes(self, data: bytes) -> None:
        """Put bytes into a slot of their own, the last one.

        Raises:
            NoRoomError: Every slot is held.
        """
        slot = self._pools.take(len(data))
        if slot is None:
            raise NoRoomError
        self.taken.append(slot)
        self.slots.append(slot)
        pool, start = self._pools.place_of(slot)
        pool.memory.map[start : start + len(data)] = data

    def _copy(self, array: AnyArray) -> tuple[int, int]:
        slot = self._pools.take(array.nbytes)
        if slot is None:
            raise NoRoomError
        self.taken.append(slot)
        pool, start = self._pools.place_of(slot)
        there = np.frombuffer(pool.memory.map, array.dtype, array.size, start)
        np.copyto(there.reshape(array.shape), array)
        return slot, 0
