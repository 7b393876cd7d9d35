"""Whether others want the core on which a host would stay awake.

To look again and again is worth it on a core that would idle meanwhile. Where another task wants
it, looking takes from that task, which may be the very one that is to answer. The kernel counts
how often a thread had to make room, also by `sched_yield`, and how long it ran (getrusage(2)): what
is missing of an interval in which it did not sleep, others had. What a hypervisor takes away
may be missing too, but makes nobody switch. A real-time thread makes room for no ordinary one, so
of it nothing is known: it may be awake for long for a share of the time only.
"""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Callable

LOOKS_BACK = 8
LOST = 0.25
"""With such a part of the last `LOOKS_BACK` intervals gone to others the core is crowded. An
endless loop beside it takes half; heartbeats and the like a twentieth."""
SHORTEST_S = 0.0005
"""An interval lasts so long at least: to ask the kernel takes microseconds."""
PAUSE_S = 0.25
"""How long it sleeps instead, before it tries again."""
SHARE = 0.1
"""Of the time that a real-time thread may be awake for long."""
_MOST_SAVED_S = 0.05


def ran() -> tuple[int, float]:
    """Return how often this thread had to make room for another, and how long it ran, s."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_nivcsw, usage.ru_utime + usage.ru_stime


def is_realtime() -> bool:
    """Tell whether this thread goes before all ordinary ones."""
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK in (os.SCHED_FIFO, os.SCHED_RR)


class Crowd:
    """Learns from how it went while it was awake; times are those of one steady clock, s."""

    def __init__(
        self,
        ran: Callable[[], tuple[int, float]] = ran,
        is_realtime: Callable[[], bool] = is_realtime,
    ) -> None:
        """Know nothing yet; asks about the thread that calls."""
        self._ran, self._is_realtime = ran, is_realtime
        self._recent: deque[tuple[float, float]] = deque(maxlen=LOOKS_BACK)
        """Of intervals in which it did not sleep: what others had of each, and its length, s."""
        self._switches, self._ran_s, self._at_s = 0, 0.0, 0.0
        self._has_slept = True
        self._away_until_s = 0.0
        self._saved_s, self._counted_s = 0.0, 0.0

    def slept(self) -> None:
        """Know that it has slept since the last call of `is_there`."""
        self._has_slept = True

    def is_there(self, now_s: float) -> bool:
        """Know that it is going to wait; returns whether it is better to sleep meanwhile."""
        if now_s < self._away_until_s:
            return True
        if now_s - self._at_s < SHORTEST_S:
            return False
        switches, ran_s = self._ran()
        if not self._has_slept:
            length_s = now_s - self._at_s
            lost_s = length_s - (ran_s - self._ran_s) if switches > self._switches else 0.0
            self._recent.append((lost_s, length_s))
        self._switches, self._ran_s, self._at_s = switches, ran_s, now_s
        self._has_slept = False
        if len(self._recent) < LOOKS_BACK:
            return False
        lost_s, length_s = (sum(parts) for parts in zip(*self._recent, strict=True))
        if lost_s < LOST * length_s:
            return False
        self._recent.clear()
        self._away_until_s = now_s + PAUSE_S
        return True

    def has_share(self, now_s: float) -> bool:
        """Tell whether this thread may be awake for long now."""
        if not self._is_realtime():
            return True
        self._saved_s = min(_MOST_SAVED_S, self._saved_s + (now_s - self._counted_s) * SHARE)
        self._counted_s = now_s
        return self._saved_s > 0

    def spend(self, seconds: float) -> None:
        """Know that it was awake for so long."""
        self._saved_s -= seconds
