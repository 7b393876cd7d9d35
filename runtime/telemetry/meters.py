"""Counters that cost next to nothing: one addition per message, arithmetic once a second.

A meter belongs to one event loop: all its calls come from there. `snapshot` is meant to be called
about once a second; rates and ages are those of the last `window_s` seconds, so a topic that comes
every other second does not flicker between 0 and 1 Hz, and one that died soon shows 0.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from olympus.runtime.messages import TopicStats

WINDOW_S = 5.0
AGES_KEPT = 512
_NS_PER_S = 1e9
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a counter stood at some time."""

    at_ns: int
    count: int
    nbytes: int


class _Window:
    """Turns ever-growing counters into rates over the last few seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = int(window_s * _NS_PER_S)
        self._marks: deque[_Mark] = deque()

    def move_to(self, mark: _Mark) -> tuple[float, float, int]:
        """Add a mark; return messages per second, bytes per second, messages in the window."""
        marks = self._marks
        marks.append(mark)
        while len(marks) > 2 and mark.at_ns - marks[0].at_ns > self._window_ns:
            marks.popleft()
        first = marks[0]
        elapsed_s = (mark.at_ns - first.at_ns) / _NS_PER_S
        fresh = mark.count - first.count
        if elapsed_s <= 0:
            return 0.0, 0.0, mark.count
        return fresh / elapsed_s, (mark.nbytes - first.nbytes) / elapsed_s, fresh


class _Meter:
    """What both ends of a topic count."""

    role = ""

    def __init__(
        self, topic: str, type: str, node: str, *, now_ns: int = 0, window_s: float = WINDOW_S
    ) -> None:
        """Start at zero.

        Args:
            topic: Full name of the topic.
            type: Name of the message type, such as `olympus/Image`.
            node: Full name of the node at this end.
            now_ns: Robot time, ns; without it, rates begin with the second snapshot.
            window_s: Length of the window that rates and ages are taken over, s.
        """
        self.topic, self.type, self.node = topic, type, node
        self.count = 0
        self.nbytes = 0
        self.dropped: dict[str, int] = {}
        self._window = _Window(window_s)
        if now_ns:
            self._window.move_to(_Mark(now_ns, 0, 0))

    def on_dropped(self, reason: str, count: int = 1) -> None:
        """Count messages that went no further, by reason."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def snapshot(self, now_ns: int) -> TopicStats:
        """Return what happened up to robot time `now_ns`; moves the window there."""
        rate_hz, bytes_per_s, fresh = self._window.move_to(_Mark(now_ns, self.count, self.nbytes))
        ages_ns = self._newest_ages(fresh)
        return TopicStats(
            topic=self.topic,
            type=self.type,
            role=self.role,
            node=self.node,
            count=self.count,
            rate_hz=rate_hz,
            bytes_per_s=bytes_per_s,
            age_p50_ms=quantile(ages_ns, 0.5) / _NS_PER_MS,
            age_p99_ms=quantile(ages_ns, 0.99) / _NS_PER_MS,
            dropped=dict(self.dropped),
        )

    def _newest_ages(self, count: int) -> list[int]:
        """Return the ages of the newest `count` messages, smallest first, ns."""
        return []


class TopicMeter(_Meter):
    """Counts what one node publishes on one topic."""

    role = "pub"

    def on_publish(self, nbytes: int, now_ns: int = 0) -> None:
        """Count one published message of `nbytes` bytes; `now_ns` is not needed for the rate."""
        self.count += 1
        self.nbytes += nbytes


class SubscriptionMeter(_Meter):
    """Counts what one subscription delivers and drops, and how old messages are on delivery.

    Ages are 0 while nothing was delivered within the window.
    """

    role = "sub"

    def __init__(
        self, topic: str, type: str, node: str, *, now_ns: int = 0, window_s: float = WINDOW_S
    ) -> None:
        """Start at zero; arguments as for `TopicMeter`, `node` being the one that subscribes."""
        super().__init__(topic, type, node, now_ns=now_ns, window_s=window_s)
        self.ages_ns: deque[int] = deque(maxlen=AGES_KEPT)

    def on_delivered(self, age_ns: int, nbytes: int = 0) -> None:
        """Count one message handed to its handler, `age_ns` after it was published."""
        self.count += 1
        self.nbytes += nbytes
        self.ages_ns.append(age_ns)

    def _newest_ages(self, count: int) -> list[int]:
        return sorted(islice(reversed(self.ages_ns), count))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values don't exceed.

    Args:
        ordered: Values, smallest first.
        share: 0..1; 0.99 for p99.

    Returns:
        One of the values (nearest rank); 0.0 when there are none.
    """
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
