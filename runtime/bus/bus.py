"""The bus of one host: what a node sees.

Within the host messages go by reference; a link carries them to other hosts where somebody listens.
A node can't tell which.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus.astray import astray
from olympus.runtime.bus.failure import failure_bytes, failure_of
from olympus.runtime.bus.ipc.member import Member
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.letters import DeadLetters
from olympus.runtime.bus.link import All, AnswerHistory, Closable, Entity, Link, Origin
from olympus.runtime.bus.options import PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.publisher import Publisher
from olympus.runtime.bus.service import AtOnce, Service, ServiceHandler, checked
from olympus.runtime.bus.subscription import Handler, Subscription
from olympus.runtime.bus.topics import ByTopic, check_topic, matches, type_name
from olympus.runtime.clock import Clock
from olympus.runtime.errors import BusError, OlympusError, did_you_mean
from olympus.runtime.messages import Message, TopicStats, decode, encode

M = TypeVar("M", bound=Message)
A = TypeVar("A", bound=Message)


class Bus:
    """Publishers, subscriptions and services of one host."""

    def __init__(
        self, clock: Clock, *, host: str = "", link: Link | None = None, door: Path | None = None
    ) -> None:
        """Make an empty bus.

        Args:
            clock: Robot time.
            host: Name of this host, for others to see.
            link: What reaches other machines; None for a bus that ends at this one.
            door: Where the other hosts of this machine are met; None for a bus without them.

        Raises:
            BusError: Nobody opens the door.
        """
        self.clock, self.host = clock, host
        self._link = link
        self.letters = DeadLetters(clock)
        """What subscriptions here could not handle."""
        self._publishers: list[Publisher[Any]] = []
        self._subscriptions: list[Subscription[Any]] = []
        self._listeners: dict[int, list[Closable]] = {}
        self._services: dict[str, Service] = {}
        self._signs: list[Closable] = []
        self._routes = ByTopic(self._routes_of)
        self._routing = threading.Lock()
        """Held while routes are found or forgotten: publishers may be on other threads."""
        self.near: Member | None = None
        if door is not None:
            self.near = Member(door, host, on_listener=self._on_listener)

    def publisher(
        self, topic: str, cls: type[M], options: PublisherOptions | None = None
    ) -> Publisher[M]:
        """Become a publisher of a topic.

        Raises:
            ConfigError: `topic` is no topic name.
            MessageError: `cls` is no message type.
        """
        check_topic(topic)
        made = Publisher(
            topic,
            cls,
            clock=self.clock,
            options=options or PublisherOptions(),
            subscribers=partial(self._routes.__getitem__, topic),
        )
        if self._link is not None:
            made.remote = self._link.advertise(
                topic,
                type_name(cls),
                tier=made.options.tier,
                is_reliable=made.options.is_reliable or made.options.latched,
                last=(lambda: _last(made)) if made.options.latched else None,
                on_dropped=made.count_dropped,
            )
        if self.near is not None:
            made.near = self.near.advertise(
                topic,
                cls,
                source=made.options.node,
                incarnation=made.incarnation,
                is_reliable=made.options.is_reliable or made.options.latched,
                on_dropped=made.count_dropped,
            )
        made.announced = [self._announce("pub", made.options.node, topic, cls)]
        self._publishers.append(made)
        return made

    def subscribe(
        self,
        topic: str,
        cls: type[M],
        handler: Handler[M],
        options: SubscriptionOptions | None = None,
    ) -> Subscription[M]:
        """Have `handler` called with each message of a topic, one at a time, in order.

        Args:
            topic: Full name; `*` stands for one part, `**` for any number of them.
            cls: Type to expect; `Message` for any.
            handler: Function or coroutine function.
            options: Node name, QoS, error handler.

        Returns:
            The subscription; `unsubscribe` ends it.

        Raises:
            ConfigError: `topic` is no topic name.
        """
        check_topic(topic.replace("**", "x").replace("*", "x"))
        made = Subscription(
            topic,
            cls,
            handler,
            clock=self.clock,
            options=options or SubscriptionOptions(),
            letters=self.letters,
        )
        with self._routing:
            self._subscriptions.append(made)
            self._routes.clear()
        self._replay_latched(made)
        ends: list[Closable] = []
        if self.near is not None:
            ends.append(self.near.listen(topic, made))
        if self._link is not None:
            ends.append(self._link.listen(topic, made.push))
            self._link.fetch_last(topic, made.push)
        if made.options.node:
            ends.append(self._announce("sub", made.options.node, topic, cls))
        self._listeners[id(made)] = ends
        return made

    async def unsubscribe(self, subscription: Subscription[Any]) -> None:
        """End a subscription; again is harmless, and so is its own handler asking for it."""
        if subscription in self._subscriptions:
            with self._routing:
                self._subscriptions.remove(subscription)
                self._routes.clear()
            for end in self._listeners.pop(id(subscription), []):
                end.close()
            await subscription.close()

    def withdraw(self, publisher: Publisher[Any]) -> None:
        """Stop being a publisher; again is harmless."""
        if publisher in self._publishers:
            self._publishers.remove(publisher)
            publisher.close()

    def serve(
        self,
        name: str,
        request: type[Message],
        handler: ServiceHandler,
        *,
        response: type[Message] = Message,
        node: str = "",
        at_once: AtOnce | None = None,
    ) -> Service:
        """Answer the questions that come to the service `name`, several at a time.

        Args:
            name: Full name.
            request: Type of the questions.
            handler: Function or coroutine function; cancelled when its caller gives up or dies.
            response: Type of the answers; `Message` for any.
            node: Full name of the node that answers.
            at_once: Asked first, and without a task, where a question of another host came alone.

        Raises:
            BusError: This host serves it already.
            ConfigError: `name` is no service name.
        """
        check_topic(name)
        if name in self._services:
            raise BusError(f"service {name!r} is served already in this host; remap one of the two")
        made = Service(name, request, handler, response, at_once)
        if self.near is not None:
            made.ends.append(self.near.serve(made))
        if self._link is not None:
            made.ends.append(self._link.serve(name, made.answer_frame))
        made.ends.append(self._announce("srv", node, name, request))
        self._services[name] = made
        return made

    def withdraw_service(self, service: Service) -> None:
        """Stop answering; again is harmless."""
        if self._services.get(service.name) is service:
            del self._services[service.name]
            service.close()

    def answer_history(self, answer: AnswerHistory) -> Closable:
        """Answer questions of outside clients about the past of any topic, until it is closed."""
        return self._link.answer_history(answer) if self._link is not None else All([])

    @overload
    def call(
        self, name: str, request: Message, answer: None = None, *, timeout_s: float = 2.0
    ) -> Coroutine[Any, Any, Message]: ...
    @overload
    def call(
        self, name: str, request: Message, answer: type[A], *, timeout_s: float = 2.0
    ) -> Coroutine[Any, Any, A]: ...
    def call(
        self,
        name: str,
        request: Message,
        answer: type[Message] | None = None,
        *,
        timeout_s: float = 2.0,
    ) -> Coroutine[Any, Any, Message]:
        """Ask a service and return its answer, once that is awaited.

        Who is cancelled meanwhile, or waits in vain, has the service's handler cancelled too.

        Args:
            name: Full name of the service.
            request: The question.
            answer: Type of the answer; None for whatever the service gives.
            timeout_s: How long to wait, s.

        Returns:
            The answer.

        Raises:
            BusError: Nobody answers in time.
            ServiceError: The service failed; the error is also of the class that it raised.
            ConfigError: `name` is no service name.
            MessageError: The answer is no message, or of another type.
        """
        near, cls = self.near, answer or Message
        pair = near.known_server_of(name) if near and name not in self._services else None
        if near is not None and pair is not None:  # as nearly always: one coroutine less
            return near.calls.ask(pair, name, request, cls, timeout_s)
        return self._answer(name, request, cls, timeout_s)

    async def _answer(self, name: str, request: Message, cls: type[A], timeout_s: float) -> A:
        local = self._services.get(name)
        if local is not None:
            try:
                found = await asyncio.wait_for(local.answer(request), timeout_s)
            except TimeoutError:
                raise BusError(f"service {name!r} gave no answer in {timeout_s:g} s") from None
            except OlympusError as error:  # as it would come from another host
                raise failure_of(failure_bytes(error), name) from error
            return checked(found, cls, name)
        if (near := self.near) is not None:
            pair = await near.server_of(check_topic(name))
            if pair is not None:
                return await near.calls.ask(pair, name, request, cls, timeout_s)
        check_topic(name)
        if self._link is None:
            raise BusError(f"no service {name!r}; {did_you_mean(name, self._services)}")
        answer = decode(await self._link.request(name, encode(request), timeout_s))
        return checked(answer, cls, name)

    def announce_node(self, node: str, uses: str) -> Closable:
        """Make a node visible in the session until the sign is closed or the bus is."""
        sign = self._announce("node", node, "", uses)
        self._signs.append(sign)
        return sign

    def graph(self) -> list[Entity]:
        """Return all nodes, publishers, subscribers and services alive in the session."""
        found = {one for link in (self._link, self.near) if link for one in link.entities()}
        return sorted(found, key=lambda e: (e.kind, e.topic, e.node, e.host, e.type))

    def stats(self, now_ns: int) -> tuple[TopicStats, ...]:
        """Return the statistics of every end of a topic in this host, and of what went astray."""
        rows = [publisher.stats(now_ns) for publisher in self._publishers]
        rows += [subscription.stats(now_ns) for subscription in self._subscriptions]
        return (*rows, *astray(self.host, self.near))

    async def close(self) -> None:
        """End all publishers, subscriptions and services; the link too."""
        for subscription in list(self._subscriptions):
            await self.unsubscribe(subscription)
        for publisher in list(self._publishers):
            self.withdraw(publisher)
        for service in list(self._services.values()):
            self.withdraw_service(service)
        for sign in self._signs:
            sign.close()
        if self.near is not None:
            self.near.close()
        if self._link is not None:
            self._link.close()

    def loan(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write into, for the arrays of a question or an answer.

        In a message to another host of this machine it is not copied. Its content is not defined;
        once sent it can only be read.
        """
        array = self.near.pools.loan(shape, dtype) if self.near is not None else None
        return np.empty(shape, dtype) if array is None else array

    def _routes_of(self, topic: str) -> list[Subscription[Any]]:
        with self._routing:
            routes = [s for s in self._subscriptions if matches(s.topic, topic)]
            self._routes[topic] = routes
        return routes

    def _replay_latched(self, subscription: Subscription[Any]) -> None:
        for publisher in self._publishers:
            last = publisher.last()
            if last is not None and matches(subscription.topic, publisher.topic):
                subscription.push(*last)

    def _announce(self, kind: str, node: str, topic: str, of: type[Message] | str) -> Closable:
        name = of if isinstance(of, str) else type_name(of)
        entity = Entity(kind, self.host, node, topic, name)
        signs: list[Closable] = []
        if self.near is not None:
            signs.append(self.near.announce(entity))
        if self._link is not None:
            signs.append(self._link.announce(entity))
        return All(signs)

    def _on_listener(self, pattern: str, pair: Pair) -> None:
        for publisher in self._publishers:
            if matches(pattern, publisher.topic):
                publisher.replay(pair)


def _last(publisher: Publisher[Any]) -> tuple[bytes, Origin] | None:
    last = publisher.last()
    return None if last is None else (encode(last[0]), last[1])
