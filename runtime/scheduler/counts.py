"""What became of the jobs of one resource, by tier; starvation shows here."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import End, Job

RECENT = 512
"""Delays that the quantiles of a lane are taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCounts:
    """One lane, since the start."""

    tier: Tier
    arrived: int
    ends: dict[End, int]
    """Jobs by how they ended; `late` and what is after `failed` is not as anybody wanted it."""
    preempted: int
    ran_ns: int
    """Time its jobs ran."""
    waiting: int
    """Jobs that wait now."""
    oldest_ns: int
    """How long the one that waits longest has waited, ns."""
    idle_ns: int
    """How long jobs have waited since one of the lane last ran, ns: grows where it starves."""
    delay_p50_ns: int
    """From arrival to start, over the last jobs that started, ns."""
    delay_p99_ns: int
    delay_worst_ns: int
    """Since the start."""


class Counts:
    """Counters of a queue; its lock guards them."""

    def __init__(self) -> None:
        self.ends: dict[Tier, Counter[End]] = {tier: Counter() for tier in Tier}
        self._arrived = [0] * len(Tier)
        self._preempted = [0] * len(Tier)
        self._ran_ns = [0] * len(Tier)
        self._worst_ns = [0] * len(Tier)
        self._served_ns = [0] * len(Tier)
        self._delays: list[deque[int]] = [deque(maxlen=RECENT) for _ in Tier]

    def total(self) -> Counter[End]:
        """Return the jobs of all tiers by how they ended."""
        return sum(self.ends.values(), Counter())

    def arrived(self, job: Job) -> None:
        """A job came."""
        self._arrived[job.tier] += 1

    def started(self, job: Job, now_ns: int) -> None:
        """A job ran for the first time."""
        delay_ns = now_ns - job.arrived_ns
        self._delays[job.tier].append(delay_ns)
        self._served_ns[job.tier] = now_ns
        self._worst_ns[job.tier] = max(self._worst_ns[job.tier], delay_ns)

    def began(self, job: Job) -> None:
        """A job came and ran at once."""
        tier = job.tier
        self._arrived[tier] += 1
        self._delays[tier].append(0)
        self._served_ns[tier] = job.arrived_ns

    def finished(self, tier: Tier, end: End, ran_ns: int, now_ns: int) -> None:
        """A job ended that began as it came."""
        self._ran_ns[tier] += ran_ns
        self.ends[tier][end] += 1
        self._served_ns[tier] = now_ns

    def preempted(self, job: Job) -> None:
        """A job made way."""
        self._preempted[job.tier] += 1

    def ran(self, tier: Tier, ran_ns: int) -> None:
        """A job ran for a while."""
        self._ran_ns[tier] += ran_ns

    def ended(self, job: Job, end: End, now_ns: int) -> None:
        """A job ended, one way or the other."""
        self.ends[job.tier][end] += 1
        if end in (End.DONE, End.LATE, End.FAILED, End.ABORTED):
            self._served_ns[job.tier] = now_ns

    def lanes(self, waiting: tuple[Job, ...], now_ns: int) -> tuple[LaneCounts, ...]:
        """Return the counters of all lanes that ever had a job."""
        return tuple(self._lane(tier, waiting, now_ns) for tier in Tier if self._arrived[tier])

    def _lane(self, tier: Tier, waiting: tuple[Job, ...], now_ns: int) -> LaneCounts:
        since = [job.arrived_ns for job in waiting if job.tier is tier]
        oldest_ns = now_ns - min(since) if since else 0
        delays = sorted(self._delays[tier])
        return LaneCounts(
            tier=tier,
            arrived=self._arrived[tier],
            ends=dict(self.ends[tier]),
            preempted=self._preempted[tier],
            ran_ns=self._ran_ns[tier],
            waiting=len(since),
            oldest_ns=oldest_ns,
            idle_ns=min(oldest_ns, now_ns - self._served_ns[tier]),
            delay_p50_ns=delays[len(delays) // 2] if delays else 0,
            delay_p99_ns=delays[len(delays) * 99 // 100] if delays else 0,
            delay_worst_ns=self._worst_ns[tier],
        )
