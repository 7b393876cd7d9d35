"""Gathers the newest statistics of every host; they are latched, so they come at once."""

from __future__ import annotations

from collections.abc import Callable

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.cli.connect import settled
from olympus.runtime.messages import HostStats
from olympus.runtime.qos import QoS

STATS = "@olympus/stats/*"


class StatsBoard:
    """The newest HostStats of each host."""

    def __init__(self, bus: Bus, on_change: Callable[[], None] = lambda: None) -> None:
        """Follow all hosts.

        Args:
            bus: A joined bus.
            on_change: Called after each new HostStats.
        """
        self._newest: dict[str, HostStats] = {}
        self._on_change = on_change
        bus.subscribe(STATS, HostStats, self._take, SubscriptionOptions(qos=QoS.queue(100)))

    def hosts(self) -> list[HostStats]:
        """Return them by host name."""
        return [self._newest[name] for name in sorted(self._newest)]

    def _take(self, stats: HostStats) -> None:
        self._newest[stats.host] = stats
        self._on_change()


async def stats_of(bus: Bus) -> list[HostStats]:
    """Return the newest statistics of every host.

    Args:
        bus: A joined bus.
    """
    return await settled(StatsBoard(bus).hosts)
