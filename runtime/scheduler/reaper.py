"""Stops jobs that run past their deadline, where their lane says so."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

from olympus.runtime.clock import NS_PER_S, Clock


class Reaper:
    """A thread that calls something when a deadline has passed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = threading.Condition()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def watch(self, deadline_ns: int, abort: Callable[[], None]) -> None:
        """Have `abort` called once `deadline_ns` has passed; it checks itself if it still must."""
        with self._wake:
            self._count += 1
            heapq.heappush(self._due, (deadline_ns, self._count, abort))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)
                self._thread.start()
            if self._due[0][1] == self._count:
                self._wake.notify()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()

    def _run(self) -> None:
        while (abort := self._next()) is not None:
            abort()

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            while not self._is_closed:
                left_ns = self._due[0][0] - self._clock.now_ns() if self._due else None
                if left_ns is not None and left_ns < 0:
                    return heapq.heappop(self._due)[2]
                self._wake.wait(None if left_ns is None else (left_ns + 1) / NS_PER_S)
            return None
