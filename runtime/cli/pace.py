"""How fast messages come, how much they weigh, and how old they are."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping

from olympus.runtime.clock import NS_PER_S, Clock, SystemClock
from olympus.runtime.messages import Message, encode
from olympus.runtime.telemetry.meters import quantile

REPORT_NS = NS_PER_S


class Pace:
    """Notes arrivals and sums them up about once a second."""

    def __init__(self) -> None:
        self._clock: Clock = SystemClock()
        self._arrived_ns: list[int] = []
        self._ages_ms: list[float] = []
        self._sizes: list[int] = []

    def use(self, clock: Clock) -> None:
        """Take the session's clock, which message stamps are in."""
        self._clock = clock

    def note(self, message: Message) -> bool:
        """Note an arrival; return whether a second has gone by since the first of this report."""
        now_ns = self._clock.now_ns()
        self._arrived_ns.append(now_ns)
        self._ages_ms.append((now_ns - message.header.stamp) / 1e6)
        self._sizes.append(len(encode(message)))
        return len(self._arrived_ns) > 1 and now_ns - self._arrived_ns[0] >= REPORT_NS

    def restart(self) -> None:
        """Begin the next report with the newest arrival."""
        for values in (self._arrived_ns, self._ages_ms, self._sizes):
            del values[:-1]

    def rate(self, *, as_json: bool) -> str:
        """Return messages per second and the spread of the time between two."""
        gaps_ms = [
            (b - a) / 1e6 for a, b in zip(self._arrived_ns, self._arrived_ns[1:], strict=False)
        ]
        values = {
            "rate_hz": len(gaps_ms) / self._span_s(),
            "gap_min_ms": min(gaps_ms),
            "gap_max_ms": max(gaps_ms),
            "gap_sd_ms": statistics.pstdev(gaps_ms),
        }
        text = "{rate_hz:.2f} Hz, gap {gap_min_ms:.1f}..{gap_max_ms:.1f} ms, sd {gap_sd_ms:.1f} ms"
        return _tell(values, text, as_json=as_json)

    def bandwidth(self, *, as_json: bool) -> str:
        """Return bytes per second and the mean size of a message."""
        later = self._sizes[1:]
        values = {
            "bytes_per_s": sum(later) / self._span_s(),
            "bytes_mean": statistics.fmean(later),
            "bytes_max": float(max(later)),
        }
        text = "{bytes_per_s:.0f} B/s, mean {bytes_mean:.0f} B, largest {bytes_max:.0f} B"
        return _tell(values, text, as_json=as_json)

    def delay(self, *, as_json: bool) -> str:
        """Return how old messages were on arrival, from their stamp on."""
        ages = sorted(self._ages_ms[1:])
        values = {
            "age_p50_ms": quantile(ages, 0.5),
            "age_p99_ms": quantile(ages, 0.99),
            "age_max_ms": ages[-1],
        }
        text = "age p50 {age_p50_ms:.1f} ms, p99 {age_p99_ms:.1f} ms, max {age_max_ms:.1f} ms"
        return _tell(values, text, as_json=as_json)

    def _span_s(self) -> float:
        return (self._arrived_ns[-1] - self._arrived_ns[0]) / NS_PER_S


def _tell(values: Mapping[str, float], text: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({name: round(value, 3) for name, value in values.items()})
    return text.format(**values)
