"""Alerts that wait for one way outside: a bounded queue, tries with back-off, all counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from olympus.drivers.backoff import Backoff
from olympus.nodes.alert_ways import Alert, RefusedError, Way
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.errors import DeviceError


class Outbox:
    """One way outside. What it does, and how long it takes, touches no other."""

    def __init__(
        self,
        way: Way,
        clock: Clock,
        *,
        room: int,
        keep_s: float,
        backoff: Backoff,
        on_change: Callable[[bool, str], None],
    ) -> None:
        """Plan it; `run` sends.

        Args:
            way: Sends one.
            clock: Robot time.
            room: How many may wait; the oldest is lost then.
            keep_s: An alert that could not be told by then is lost.
            backoff: How long to wait after a failure.
            on_change: Told after each try whether it went well, and in words.
        """
        self._way, self._clock, self._on_change = way, clock, on_change
        self._waiting: deque[tuple[int, Alert]] = deque()
        self._room, self._keep_ns = room, round(keep_s * NS_PER_S)
        self._backoff = backoff
        self._news = asyncio.Event()  # varies: nothing that is replayed hears of alerts
        self.told = self.failed = self.refused = self.lost = 0
        """Alerts told; tries that failed; alerts that were not wanted; alerts given up."""

    def put(self, alert: Alert) -> None:
        """Hand an alert over; returns at once."""
        if len(self._waiting) >= self._room:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append((self._clock.now_ns(), alert))
        self._news.set()

    async def run(self) -> None:
        """Send what waits, in order, until cancelled."""
        while True:
            self._news.clear()
            while self._waiting:
                await self._send(self._waiting[0])
            await self._news.wait()

    def figures(self) -> dict[str, str]:
        """Return what was counted, as a diagnostic takes it."""
        counts = {"told": self.told, "failed": self.failed, "refused": self.refused}
        counts |= {"lost": self.lost, "waiting": len(self._waiting)}
        return {name: str(count) for name, count in counts.items()}

    async def _send(self, entry: tuple[int, Alert]) -> None:
        try:
            await self._way(entry[1])
        except RefusedError as error:
            self.refused += 1
            self._drop(entry)
            self._on_change(False, str(error))
        except DeviceError as error:
            self.failed += 1
            await self._wait(entry, error)
        else:
            self.told += 1
            self._drop(entry)
            self._backoff.reset()
            self._on_change(True, f"told {self.told}")

    async def _wait(self, entry: tuple[int, Alert], error: DeviceError) -> None:
        if self._clock.now_ns() - entry[0] >= self._keep_ns:
            self.lost += 1
            self._drop(entry)
            self._on_change(False, f"{error}; given up")
            return
        wait_s = self._backoff.next_s()
        self._on_change(False, f"{error}; next try in {wait_s:g} s")
        await self._clock.sleep(wait_s)

    def _drop(self, entry: tuple[int, Alert]) -> None:
        """Let an alert go, unless newer ones have pushed it out meanwhile."""
        if self._waiting and self._waiting[0] is entry:
            self._waiting.popleft()
