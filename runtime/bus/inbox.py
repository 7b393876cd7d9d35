"""The queue of one subscription: bounded, filled from any thread, emptied by one loop.

Nothing leaves it unseen: what does not fit is counted by reason.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Generic, TypeVar

from olympus.runtime.bus.spill import Spill
from olympus.runtime.qos import Overflow, QoS

T = TypeVar("T")

MOST = 2**63 - 1
"""Where a counter stays: the largest number every reader of the figures can hold."""


class Inbox(Generic[T]):
    """Keeps items by the rule of a QoS.

    `put` and `count` may be called from any thread and never block.
    """

    def __init__(self, qos: QoS, spill: Spill[T] | None = None) -> None:
        self.qos = qos
        self._dropped: Counter[str] = Counter()
        self._items: deque[T] = deque()
        self._spill = spill
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing, neither here nor in the spill."""
        return not self._items and not self._spill

    def __len__(self) -> int:
        return len(self._items) + (len(self._spill) if self._spill is not None else 0)

    @property
    def has_room(self) -> bool:
        """Whether the next item would find a place without pushing another out."""
        return len(self._items) < self.qos.depth or self.qos.overflow is Overflow.LOSSLESS

    @property
    def dropped(self) -> dict[str, int]:
        """How many items did not make it, by reason."""
        with self._lock:
            return {reason: count for reason, count in self._dropped.items() if count}

    def count(self, reason: str, number: int = 1) -> int:
        """Count items that did not make it; returns how many that are now for this reason."""
        with self._lock:
            self._dropped[reason] = min(self._dropped[reason] + number, MOST)
            return self._dropped[reason]

    def put(self, item: T) -> bool:
        """Take in one item; drop by the rule of the QoS what does not fit, and count it.

        Returns:
            Whether nothing was at hand before, so that somebody must be told.

        Raises:
            StoreError: The spill can't keep the item; it is not taken in.
            MessageError: The item can't be made into bytes for the spill; likewise.
        """
        with self._lock:
            was_empty = not self._items
            self._place(item)
        return was_empty

    def take(self) -> T | None:
        """Return the oldest item, or None when there is none.

        Raises:
            StoreError: The spill can't be read; what is in memory stays.
        """
        with self._lock:
            if self._spill:
                self._items.append(self._spill.popleft())
            return self._items.popleft() if self._items else None

    def forget_spill(self) -> int:
        """Do without the spill from now on; returns how many items are left in it."""
        with self._lock:
            spill, self._spill = self._spill, None
        if spill is None:
            return 0
        count = len(spill)
        spill.close()
        return count

    def clear(self) -> int:
        """Forget everything in memory; returns how many items that were, counted as `cleared`."""
        with self._lock:
            count = len(self._items)
            self._items.clear()
            self._dropped["cleared"] += count
            return count

    def _place(self, item: T) -> None:
        if len(self._items) < self.qos.depth and not self._spill:
            self._items.append(item)
        elif self.qos.overflow is Overflow.LOSSLESS:
            self._spill_or_keep(item)
        elif self.qos.overflow in (Overflow.LATEST, Overflow.DROP_OLDEST):
            self._items.popleft()
            self._items.append(item)
            reason = "superseded" if self.qos.overflow is Overflow.LATEST else "overflow"
            self._dropped[reason] += 1
        else:
            self._dropped["overflow"] += 1

    def _spill_or_keep(self, item: T) -> None:
        if self._spill is None:
            self._items.append(item)
        else:
            self._spill.append(item)
