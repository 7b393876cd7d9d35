"""How fast messages come, how much they weigh, and how old they are: of the newest few."""

from __future__ import annotations

import statistics
from collections import deque
from itertools import islice, pairwise

from olympus.runtime.clock import NS_PER_S, Clock, SystemClock
from olympus.runtime.messages import Message, encode
from olympus.runtime.telemetry.meters import quantile

REPORT_NS = NS_PER_S
WINDOW = 1000
"""Messages that a report is about, if nobody says otherwise."""


class Pace:
    """Notes arrivals, and says about once a second that there is something to report."""

    def __init__(self, window: int = WINDOW) -> None:
        """Keep the newest `window` messages."""
        self._clock: Clock = SystemClock()
        self._arrived_ns: deque[int] = deque(maxlen=window)
        self._ages_ms: deque[float] = deque(maxlen=window)
        self._sizes: deque[int] = deque(maxlen=window)
        self._reported_ns = 0
        self.delivered = 0
        """Messages since the start."""
        self.late = 0
        """Of these, what came after its `expires`."""

    def use(self, clock: Clock) -> None:
        """Take the session's clock, which message stamps are in."""
        self._clock = clock

    @property
    def size(self) -> int:
        """Messages in the window."""
        return len(self._arrived_ns)

    def note(self, message: Message) -> bool:
        """Note an arrival; return whether a second has gone by since the last report."""
        now_ns = self._clock.now_ns()
        self._arrived_ns.append(now_ns)
        self._ages_ms.append((now_ns - message.header.stamp) / 1e6)
        self._sizes.append(len(encode(message)))
        self.delivered += 1
        self.late += message.header.has_expired(now_ns)
        self._reported_ns = self._reported_ns or now_ns
        is_time = self.size > 1 and now_ns - self._reported_ns >= REPORT_NS
        if is_time:
            self._reported_ns = now_ns
        return is_time

    def rate(self) -> dict[str, float]:
        """Return messages per second, and the time between two: least, most, mean, deviation."""
        gaps_ms = [(b - a) / 1e6 for a, b in pairwise(self._arrived_ns)]
        return {
            "rate_hz": len(gaps_ms) / self._span_s(),
            "gap_mean_ms": statistics.fmean(gaps_ms),
            "gap_min_ms": min(gaps_ms),
            "gap_max_ms": max(gaps_ms),
            "gap_sd_ms": statistics.pstdev(gaps_ms),
        }

    def bandwidth(self) -> dict[str, float]:
        """Return bytes per second, and the size of a message."""
        later = list(islice(self._sizes, 1, None))  # the first one opens the window
        return {
            "bytes_per_s": sum(later) / self._span_s(),
            "bytes_mean": statistics.fmean(later),
            "bytes_min": float(min(later)),
            "bytes_max": float(max(later)),
            "bytes_sd": statistics.pstdev(later),
        }

    def delay(self) -> dict[str, float]:
        """Return how old messages were on arrival, from their stamp on."""
        ages = sorted(self._ages_ms)
        return {
            "age_mean_ms": statistics.fmean(ages),
            "age_p50_ms": quantile(ages, 0.5),
            "age_p99_ms": quantile(ages, 0.99),
            "age_min_ms": ages[0],
            "age_max_ms": ages[-1],
            "age_sd_ms": statistics.pstdev(ages),
        }

    def _span_s(self) -> float:
        return (self._arrived_ns[-1] - self._arrived_ns[0]) / NS_PER_S
