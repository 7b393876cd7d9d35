"""Listening to a topic from a command: until enough was heard, or it stays silent too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import typer

from olympus.runtime.bus import Bus, Entity, Subscription, SubscriptionOptions
from olympus.runtime.bus.topics import check_topic, matches
from olympus.runtime.cli.connect import bus_of, graph_of
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.config import Session, find_session
from olympus.runtime.errors import BusError, did_you_mean
from olympus.runtime.messages import Message
from olympus.runtime.qos import QoS

QUEUE = QoS.queue(1000)
Joined = Callable[[Bus, list[Entity], Session], Awaitable[None] | None]


class Ear:
    """Hands the messages of a topic to `take` until it returns True."""

    def __init__(self, topic: str, take: Callable[[Message], bool], timeout_s: float) -> None:
        """Prepare.

        Args:
            topic: Full name or pattern.
            take: Gets each message; True ends it.
            timeout_s: How long the topic may be silent, s.

        Raises:
            ConfigError: `topic` is no topic name.
        """
        check_topic(topic.replace("*", "x"))
        self.topic, self._take, self._timeout_s = topic, take, timeout_s
        self._enough = asyncio.Event()
        self._last = 0.0

    def end(self) -> None:
        """Hear no more."""
        self._enough.set()

    async def hear(
        self,
        session: str | None,
        *,
        joined: Joined = lambda *_: None,
        begun: Callable[[Subscription[Message]], None] = lambda _: None,
    ) -> None:
        """Listen until it is enough.

        Args:
            session: Name of the session; None for the only one.
            joined: Called with the bus, who is there and the session, before listening begins.
            begun: Called with the subscription.

        Raises:
            BusError: Nothing came for too long.
        """
        loop = asyncio.get_running_loop()

        def on_message(message: Message) -> None:
            self._last = loop.time()
            if not self._enough.is_set() and self._take(message):
                self._enough.set()

        place = find_session(session)
        async with bus_of(place) as bus:
            graph = await graph_of(bus)
            ends = [one for one in graph if one.kind == "pub" and matches(self.topic, one.topic)]
            if not ends:
                told = f"{absent(self.topic, graph)}; waiting {self._timeout_s:g} s for it"
                typer.echo(told, err=True)
            learn({one.type for one in ends}, graph, place)
            if (work := joined(bus, graph, place)) is not None:
                await work
            self._last = loop.time()
            options = SubscriptionOptions(qos=QUEUE, keep_expired=True)
            begun(bus.subscribe(self.topic, Message, on_message, options))
            while not self._enough.is_set():
                left_s = self._last + self._timeout_s - loop.time()
                if left_s <= 0:
                    raise BusError(await _silence(bus, self.topic, self._timeout_s))
                await _wait(self._enough, left_s)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


async def _silence(bus: Bus, topic: str, timeout_s: float) -> str:
    """Say that nothing came, and whether anybody is there; what else there is was told before."""
    graph = await graph_of(bus)
    is_there = any(one.kind == "pub" and matches(topic, one.topic) for one in graph)
    why = "its publishers are silent" if is_there else "nobody publishes it"
    return f"{topic}: nothing came in {timeout_s:g} s; {why}"


def absent(topic: str, graph: list[Entity]) -> str:
    """Say that nobody publishes a topic, and which ones there are."""
    sent = {one.topic for one in graph if one.kind == "pub" and not one.topic.startswith("@")}
    return f"{topic}: nobody publishes it; {did_you_mean(topic, sent)}"
