"""The scheduler's counters as a host publishes them."""

from __future__ import annotations

from olympus.runtime.clock import NS_PER_S
from olympus.runtime.messages import LaneStats
from olympus.runtime.scheduler import Dispatcher, LaneCounts

NS_PER_MS = 1e6


def lane_stats(dispatcher: Dispatcher) -> tuple[LaneStats, ...]:
    """Return what became of the jobs of each lane that ever had one."""
    return tuple(_stats(name, lane) for name, lanes in dispatcher.lanes().items() for lane in lanes)


def _stats(resource: str, lane: LaneCounts) -> LaneStats:
    return LaneStats(
        resource=resource,
        tier=lane.tier.name,
        arrived=lane.arrived,
        ends={end.value: count for end, count in lane.ends.items()},
        preempted=lane.preempted,
        ran_s=lane.ran_ns / NS_PER_S,
        waiting=lane.waiting,
        starving_s=lane.idle_ns / NS_PER_S,
        delay_p50_ms=lane.delay_p50_ns / NS_PER_MS,
        delay_p99_ms=lane.delay_p99_ns / NS_PER_MS,
        delay_worst_ms=lane.delay_worst_ns / NS_PER_MS,
    )
