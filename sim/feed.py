"""From the world's one thread to many readers: a short memory, and nobody waits for the slow."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """One thing that was put."""

    value: T
    seq: int
    """Counts what was put, from 1."""
    missed: int
    """How many were forgotten since the reader's last one."""


class Feed(Generic[T]):
    """Keeps the newest `depth` things; each reader remembers the number of its last one.

    Safe from any thread.
    """

    def __init__(self, depth: int = 1) -> None:
        self._changed = threading.Condition()
        self._kept: deque[T] = deque(maxlen=depth)
        self._seq = 0
        self._is_closed = False
        self._readers = 0

    @property
    def readers(self) -> int:
        """How many read at present; nothing need be made for nobody."""
        return self._readers

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count as a reader for a while."""
        with self._changed:
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1

    @property
    def seq(self) -> int:
        """Number of the newest thing, 0 before the first."""
        return self._seq

    def put(self, value: T) -> None:
        """Add a thing and forget the oldest beyond `depth`; never waits."""
        with self._changed:
            self._kept.append(value)
            self._seq += 1
            self._changed.notify_all()

    def after(self, seq: int, timeout_s: float) -> Item[T] | None:
        """Wait for the oldest kept thing newer than number `seq`.

        Returns:
            It, or None when none came in time or the feed is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._seq > seq or self._is_closed, timeout_s)
            if self._seq <= seq or self._is_closed:
                return None
            oldest = self._seq - len(self._kept) + 1
            number = max(oldest, seq + 1)
            return Item(self._kept[number - oldest], number, number - seq - 1)

    def close(self) -> None:
        """Wake all readers; nothing comes any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._is_closed
