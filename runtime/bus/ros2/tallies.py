"""What was refused or lost on the way from a ROS 2 graph: counted, and loud."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict

from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.errors import OlympusError

_log = logging.getLogger(__name__)
_MOST_PUBLISHERS = 1024
_WIDEST = 1_000_000
"""A wider gap in a publisher's row is a wrong number, and not so many lost messages."""


class Tallies:
    """Counters of one participant, by topic."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        """Messages that are no valid messages of their topic's type."""
        self.lost: Counter[str] = Counter()
        """Messages missing in a publisher's row."""
        self._lock = threading.Lock()

    def refuse(self, topic: str, error: Exception) -> None:
        """Count a refusal; the 1st, 2nd, 4th, 8th, … is told too.

        Args:
            topic: Or the name of a service or action.
            error: Of one that is not ours it is told where it came from.
        """
        with self._lock:
            self.refused[topic] += 1
            count = self.refused[topic]
        if count & (count - 1) == 0:
            if isinstance(error, OlympusError):
                _log.warning("ROS %s: message no. %d refused: %s", topic, count, error)
                return
            text = f"{type(error).__name__}: {error}"
            _log.error("ROS %s: handling no. %d failed: %s", topic, count, text, exc_info=error)

    def lose(self, topic: str, number: int) -> None:
        """Count lost messages."""
        with self._lock:
            self.lost[topic] += number


class Row:
    """Watches the rows of all publishers of one topic for gaps."""

    def __init__(self) -> None:
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def gap(self, arrival: Arrival) -> int:
        """Return how many messages are missing before this one; 0 for a publisher's first."""
        if self._last.get(arrival.gid) == arrival.seq - 1:
            self._last[arrival.gid] = arrival.seq
            return 0
        if arrival.seq <= 0:
            return 0
        last = self._last.pop(arrival.gid, 0)
        self._last[arrival.gid] = max(arrival.seq, last)
        if len(self._last) > _MOST_PUBLISHERS:
            self._last.popitem(last=False)
        gap = arrival.seq - last - 1 if last else 0
        return gap if 0 < gap <= _WIDEST else 0
