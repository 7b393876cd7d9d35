"""A place on the bus of a launched robot, to watch it from and to wait for what it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.errors import LaunchError
from olympus.runtime.messages import HostStats, Message
from olympus.runtime.qos import QoS

Check = Callable[[str, float], None]
"""Raises LaunchError when it is in vain to wait for something any longer; see `Launched.check`."""
_LOOK_S = 0.02


class Watch:
    """Every message of one topic since somebody began to watch it, oldest first."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        """Of the topic's type; those of other types than expected are the test's to notice."""

    @property
    def newest(self) -> Any:
        """The newest message.

        Raises:
            LaunchError: None has come yet.
        """
        if not self.messages:
            raise LaunchError("nothing has come on this topic yet; wait for `messages` first")
        return self.messages[-1]

    def forget(self) -> None:
        """Drop what came so far."""
        self.messages.clear()


class Seat:
    """A place on the bus of a launched robot, for one event loop."""

    def __init__(self, bus: Bus, check: Check) -> None:
        """Take a place on `bus`; `check` tells whether waiting still makes sense."""
        self.bus, self._check = bus, check
        self.hosts: dict[str, HostStats] = {}
        """The newest statistics of each host."""
        bus.subscribe("@olympus/stats/*", HostStats, self._on_stats)

    def watch(self, topic: str) -> Watch:
        """Keep every message of a topic from now on, the last one of a latched topic too."""
        watch = Watch()
        options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
        self.bus.subscribe(topic, Message, watch.messages.append, options)
        return watch

    async def until(self, is_so: Callable[[], object], what: str, within_s: float = 30.0) -> float:
        """Wait for something to become true.

        Args:
            is_so: Looked at every 20 ms.
            what: In words, for the error.
            within_s: How long to wait, s.

        Returns:
            How long it took, s.

        Raises:
            LaunchError: It did not happen in time, or the launcher ended.
        """
        begun = time.monotonic()
        while not is_so():
            self._check(what, begun + within_s)
            await asyncio.sleep(_LOOK_S)
        return time.monotonic() - begun

    async def during(self, seconds: float, always: Callable[[], object], what: str) -> None:
        """See that something stays true for a while.

        Raises:
            LaunchError: It was not.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not always():
                raise LaunchError(f"not so any more: {what}")
            await asyncio.sleep(_LOOK_S)

    async def call(self, service: str, request: Message) -> Any:
        """Ask a service and return its answer.

        Raises:
            BusError: Nobody answers.
        """
        return await self.bus.call(service, request, timeout_s=20.0)

    def _on_stats(self, stats: HostStats) -> None:
        self.hosts[stats.host] = stats
