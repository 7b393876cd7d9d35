"""A participant of a ROS 2 graph: nodes with typed ends of topics and services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from olympus.runtime.bus.handling import call_handler
from olympus.runtime.bus.link import Closable, Payload
from olympus.runtime.bus.ros2.backend import (
    Arrival,
    Backend,
    NodeId,
    RawClient,
    RawPublisher,
    Reply,
)
from olympus.runtime.bus.ros2.cdr import Codec, Codecs
from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.names import check_topic, join, split_node
from olympus.runtime.bus.ros2.qos import DEFAULT, RosQos
from olympus.runtime.bus.ros2.record import Record
from olympus.runtime.bus.ros2.tallies import Row, Tallies
from olympus.runtime.errors import BusError, MessageError, OlympusError

E = TypeVar("E", bound=Closable)
TakeValue = Callable[[Any, Arrival], None]
"""Called from any thread with a decoded value; must return soon."""
ServiceHandler = Callable[[Any], Awaitable[Any] | Any]
_LOOK_S = 0.01
_GONE_S = 3.0
"""Somebody who serves may be unseen for so long, as while the graph heals, before he is gone."""
MOST_REQUESTS = 1000
"""So many requests of one service are being answered at once; more are refused, and counted."""


class RosPublisher:
    """The sending end of a ROS topic."""

    def __init__(self, topic: str, codec: Codec, raw: RawPublisher) -> None:
        self.topic, self.codec, self._raw = topic, codec, raw

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens, or a latched topic keeps it for who comes later."""
        return self._raw.is_wanted

    def publish(self, value: Record) -> None:
        """Send a value, from any thread; never waits for a receiver.

        Raises:
            MessageError: A field holds what its type does not allow.
            BusError: It is closed.
        """
        self._raw.put(self.codec.encode(value))

    def publish_cdr(self, cdr: bytes) -> None:
        """Send what is CDR of this topic's type already, as from a bag.

        Raises:
            BusError: It is closed.
        """
        self._raw.put(cdr)

    def close(self) -> None:
        """Stop being a publisher; again is harmless."""
        self._raw.close()


class RosClient:
    """The asking end of a ROS service."""

    def __init__(
        self, of: Participant, name: str, request: Codec, response: Codec, raw: RawClient
    ) -> None:
        self.name, self.request, self.response, self._raw = name, request, response, raw
        self._of = of

    async def call(self, request: Record | None = None, *, timeout_s: float | None = 2.0) -> Any:
        """Ask, and return the response.

        Args:
            request: The question; None for one with all its defaults.
            timeout_s: How long to wait, s, first for somebody who serves it; None without end.

        Raises:
            BusError: Nobody answers in time, or the service failed.
            MessageError: Request or response are no values of their type.
        """
        cdr = self.request.encode(self.request.cls() if request is None else request)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.wait_served(timeout_s)
        if timeout_s is not None:
            timeout_s = max(0.001, began + timeout_s - loop.time())
        answer: asyncio.Future[bytes] = loop.create_future()

        def settle(result: bytes | str) -> None:
            if answer.done():
                return
            if isinstance(result, str):
                answer.set_exception(BusError(result))
            else:
                answer.set_result(result)

        def on_reply(result: bytes | str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result)

        self._raw.call(cdr, on_reply, timeout_s)
        try:
            return self.response.decode(await self._awaited(answer, timeout_s))
        except MessageError as error:
            self._of.tallies.refuse(self.name, error)
            raise

    async def _awaited(self, answer: asyncio.Future[bytes], timeout_s: float | None) -> bytes:
        if timeout_s is None:
            watch = self._of.spawn(self._give_up_when_gone(answer))
            try:
                return await answer
            finally:
                watch.cancel()
        try:
            return await asyncio.wait_for(answer, timeout_s + 0.5)
        except TimeoutError:
            raise BusError(f"service {self.name} gave no answer in {timeout_s:g} s") from None

    async def _give_up_when_gone(self, answer: asyncio.Future[bytes]) -> None:
        """End a wait without end, such as for an action's result, when nobody can answer it."""
        gone_s = 0.0
        while gone_s < _GONE_S:
            await asyncio.sleep(_GONE_S / 10)
            gone_s = 0.0 if self._raw.is_ready else gone_s + _GONE_S / 10
        if not answer.done():
            answer.set_exception(BusError(f"who served {self.name} is gone"))

    async def wait_served(self, timeout_s: float | None = 2.0) -> None:
        """Wait until somebody serves it.

        Raises:
            BusError: Nobody does within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while not self._raw.is_ready:
            if deadline is not None and loop.time() >= deadline:
                raise BusError(
                    f"nobody serves {self.name} with the type {self.type_name} (waited "
                    f"{timeout_s:g} s); see `olympus ros2 service list`"
                )
            await asyncio.sleep(_LOOK_S)

    @property
    def type_name(self) -> str:
        """Full name of the service's type."""
        return self.request.name.removesuffix("_Request")

    def close(self) -> None:
        """Close it; again is harmless."""
        self._raw.close()


class RosNode:
    """One node in the graph."""

    def __init__(self, participant: Participant, node: NodeId) -> None:
        self._of, self._id = participant, node
        self._ends: list[Closable] = []

    @property
    def name(self) -> str:
        """Full name, `/rover/camera`."""
        return join(self._id.namespace, self._id.name)

    def publisher(self, topic: str, type_: str, qos: RosQos = DEFAULT) -> RosPublisher:
        """Become a publisher of a topic, by its full name.

        Raises:
            ConfigError: `topic` is no ROS name.
            MessageError: The type has no definition.
        """
        topic, codec = check_topic(topic), self._of.codecs.get(type_)
        raw = self._of.backend.advertise(self._id, topic, codec.name, qos)
        return self._keep(RosPublisher(topic, codec, raw))

    def subscribe(
        self,
        topic: str,
        type_: str,
        take: TakeValue,
        qos: RosQos = DEFAULT,
        *,
        ignore_own: bool = False,
    ) -> Closable:
        """Have `take` called with each value of a topic, from the thread that received it.

        Args:
            topic: Full name.
            type_: Name of its type.
            take: Called in the order of arrival; an exception is counted and told.
            qos: Quality of service.
            ignore_own: Leave out what this participant itself published.

        Raises:
            ConfigError: `topic` is no ROS name.
            MessageError: The type has no definition.
        """
        topic, codec = check_topic(topic), self._of.codecs.get(type_)
        tallies, row = self._of.tallies, Row()

        def deliver(payload: Payload, arrival: Arrival) -> None:
            if arrival.is_own and ignore_own:
                return
            try:
                if lost := row.gap(arrival):
                    tallies.lose(topic, lost)
                take(codec.decode(payload.to_bytes()), arrival)
            except Exception as error:  # noqa: BLE001  the node boundary: counted, told
                tallies.refuse(topic, error)

        return self._keep(self._of.backend.subscribe(self._id, topic, codec.name, qos, deliver))

    def serve(self, name: str, type_: str, handler: ServiceHandler) -> Closable:
        """Answer a service; the handler runs in the participant's event loop.

        Raises:
            ConfigError: `name` is no ROS name.
            MessageError: The type has no definition.
        """
        name, type_ = check_topic(name), check_type_name(type_)
        request = self._of.codecs.get(f"{type_}_Request")
        response = self._of.codecs.get(f"{type_}_Response")
        loop, answering = self._of.loop, set[asyncio.Task[None]]()

        async def work(cdr: bytes, reply: Reply) -> None:
            try:
                answer = await call_handler(handler, request.decode(cdr))
                reply(response.encode(answer))
            except OlympusError as error:
                self._of.tallies.refuse(name, error)
                reply(f"{name}: {error}")
            except Exception as error:  # noqa: BLE001  the node boundary: counted, told to who asked
                self._of.tallies.refuse(name, error)
                reply(f"{name}: the service failed: {type(error).__name__}: {error}")

        def begin(cdr: bytes, reply: Reply) -> None:
            if len(answering) >= MOST_REQUESTS:
                error = BusError(f"{MOST_REQUESTS} requests are being answered; no more at once")
                self._of.tallies.refuse(name, error)
                reply(f"{name}: {error}")
                return
            task = self._of.spawn(work(cdr, reply))
            answering.add(task)
            task.add_done_callback(answering.discard)

        def answer(cdr: bytes, reply: Reply) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(begin, cdr, reply)

        return self._keep(self._of.backend.serve(self._id, name, type_, answer))

    def client(self, name: str, type_: str) -> RosClient:
        """Open the asking end of a service.

        Raises:
            ConfigError: `name` is no ROS name.
            MessageError: The type has no definition.
        """
        name, type_ = check_topic(name), check_type_name(type_)
        request = self._of.codecs.get(f"{type_}_Request")
        response = self._of.codecs.get(f"{type_}_Response")
        raw = self._of.backend.client(self._id, name, type_)
        return self._keep(RosClient(self._of, name, request, response, raw))

    def close(self) -> None:
        """Take the node and all its ends back; again is harmless."""
        while self._ends:
            self._ends.pop().close()
        self._of.backend.close_node(self._id)

    def _keep(self, end: E) -> E:
        self._ends.append(end)
        return end


class Participant:
    """What the nodes of one process in a ROS 2 graph share."""

    def __init__(self, backend: Backend, codecs: Codecs, tallies: Tallies) -> None:
        """Take a backend into use; within a running event loop."""
        self.backend, self.codecs, self.tallies = backend, codecs, tallies
        self.loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def node(self, name: str) -> RosNode:
        """Make a node visible, by its full name; `rover/camera` is `/rover/camera`."""
        return RosNode(self, self.backend.open_node(*split_node(name)))

    def new(self, type_: str, /, **fields: Any) -> Any:
        """Return a new value of a ROS type."""
        return self.codecs.new(type_, **fields)

    def now_ns(self) -> int:
        """Return the wall clock, Unix time, which ROS stamps by."""
        return time.time_ns()

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine until it ends or the participant is closed."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Leave the graph; again is harmless."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.backend.close()  # every end goes with it, faster than one by one
