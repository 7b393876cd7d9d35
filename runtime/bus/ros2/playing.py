"""Playing a bag: its messages in their time, as ours, onto a bus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.options import PublisherOptions
from olympus.runtime.bus.publisher import Publisher
from olympus.runtime.bus.ros2.bags import BagMessage, read_bag
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.travelling import BagTypes
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import Message


@dataclass(slots=True)
class Played:
    """What became of a bag."""

    messages: Counter[str] = field(default_factory=Counter)
    """Published, by topic."""
    refused: Counter[str] = field(default_factory=Counter)
    """Not published, by topic and reason."""
    latest_s: float = 0.0
    """How late the latest message was."""


class BagPlayer:
    """Publishes what a bag holds, each message so long after the first as when it was recorded."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        mapper: Mapper,
        *,
        rate: float = 1.0,
        prefix: str = "",
        is_wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Take a bus.

        Args:
            bus: Where to publish.
            clock: Robot time of that bus.
            mapper: Knows the types.
            rate: How many times as fast, above 0.
            prefix: Comes before each topic.
            is_wanted: Tells of a topic, without the prefix, whether it is played.
        """
        self._bus, self._clock, self._mapper = bus, clock, mapper
        self._rate, self._prefix, self._is_wanted = rate, prefix, is_wanted
        self._types = BagTypes(mapper)
        self._ends: dict[str, Publisher[Any]] = {}
        self.done = Played()

    def announce(self, bag: Path) -> None:
        """Become the publisher of all that will be played, so that listeners are there in time.

        Raises:
            StoreError: It is no bag, or damaged.
        """
        found = {(one.topic.strip("/"), one.type, one.told) for one in read_bag(bag)}
        for topic, type_, told in sorted(found, key=lambda one: one[:2]):
            if self._is_wanted(topic):
                self._end(topic, self._types.our_class(type_, told))

    async def play(self, bag: Path) -> Played:
        """Play a bag from its beginning to its end.

        A stamp is as old on arrival as it was then; so nothing that checks an age notices the years
        in between.

        Returns:
            What was published, and what could not be, by reason.

        Raises:
            StoreError: It is no bag, or damaged; what came before was published.
        """
        began, first = self._clock.now_ns(), -1
        for one in read_bag(bag):
            first = one.stamp_ns if first < 0 else first
            topic = one.topic.strip("/")
            if not self._is_wanted(topic):
                continue
            due = began + (one.stamp_ns - first) / self._rate
            await self._until(due)
            self._publish(topic, one)
        return self.done

    async def _until(self, due_ns: float) -> None:
        ahead_s = (due_ns - self._clock.now_ns()) / NS_PER_S
        await (self._clock.sleep(ahead_s) if ahead_s > 0 else asyncio.sleep(0))
        self.done.latest_s = max(self.done.latest_s, -ahead_s)

    def _publish(self, topic: str, one: BagMessage) -> None:
        try:
            for message in self._read(one):
                self._end(topic, type(message)).publish(message)
                self.done.messages[topic] += 1
        except (BusError, MessageError) as error:
            self.done.refused[f"{topic}: {error}"] += 1

    def _end(self, topic: str, cls: type[Message]) -> Publisher[Any]:
        if topic not in self._ends:
            name = f"{self._prefix}/{topic}" if self._prefix else topic
            options = PublisherOptions(node="bag", is_reliable=True)
            self._ends[topic] = self._bus.publisher(name, cls, options)
        return self._ends[topic]

    def _read(self, one: BagMessage) -> list[Message]:
        now = self._clock.now_ns()
        times = Times(lambda: now, lambda: one.stamp_ns)
        ctx = Context(self._mapper.codecs, times=times, sent_ns=now)
        return self._types.messages(one.type, one.told, one.cdr, ctx)
