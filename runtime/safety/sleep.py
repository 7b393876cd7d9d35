"""Notices that the computer was asleep: what was permitted before is not permitted after.

CLOCK_MONOTONIC stands still while a computer sleeps, so leases, heartbeats and commands are as
fresh after an hour as before it. CLOCK_BOOTTIME goes on: what it gains on the other was sleep.

Source: clock_gettime(2).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LEAST_NS: Final = 1_000_000
"""A shorter sleep is none; nothing can wake up so soon."""


def boottime_ns() -> int:
    """Return the time since the machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SleepWatch:
    """Compares the two clocks, in less than a microsecond."""

    def __init__(
        self,
        now_ns: Callable[[], int] = time.monotonic_ns,
        boot_ns: Callable[[], int] = boottime_ns,
    ) -> None:
        """Begin awake.

        Args:
            now_ns: CLOCK_MONOTONIC; tests hand in another.
            boot_ns: CLOCK_BOOTTIME.
        """
        self._now_ns, self._boot_ns = now_ns, boot_ns
        _, self._known_ns = self._bounds()

    def look(self) -> int:
        """Return for how long the computer has slept since the last look, ns; 0 if it was awake.

        Whoever is put aside between the two clocks does not take that for sleep; a sleep at just
        that moment is told by the next look.
        """
        least_ns, most_ns = self._bounds()
        slept_ns = least_ns - self._known_ns
        if slept_ns < LEAST_NS:
            self._known_ns = min(self._known_ns, most_ns)
            return 0
        self._known_ns = most_ns
        return slept_ns

    def _bounds(self) -> tuple[int, int]:
        """Return the least and the most that one clock may be ahead of the other."""
        before_ns = self._now_ns()
        boot_ns = self._boot_ns()
        return boot_ns - self._now_ns(), boot_ns - before_ns
