"""Running a single node in a test: real bus, real handlers, one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from olympus.runtime.bus import Bus, Publisher, PublisherOptions, SubscriptionOptions
from olympus.runtime.clock import Clock, SystemClock, VirtualLoop
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError, ConfigError
from olympus.runtime.messages import Message
from olympus.runtime.node.lifecycle import State, Transition
from olympus.runtime.node.node import Node, NodeContext
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.qos import QoS
from olympus.runtime.scheduler import Dispatcher, Pace, Profile

N = TypeVar("N", bound=Node)


class Bench(Generic[N]):
    """A node on a bench: send it messages, see what it publishes."""

    def __init__(self, node: N, runner: NodeRunner, bus: Bus) -> None:
        self.node, self.runner, self.bus = node, runner, bus
        self.crashes: list[str] = []
        self._publishers: dict[str, Publisher[Any]] = {}
        self._seen: dict[str, asyncio.Queue[Message]] = {}

    async def send(self, topic: str, message: Message) -> Message:
        """Publish `message` on `topic` (full name) as if from another node."""
        if topic not in self._publishers:
            options = PublisherOptions(node="bench")
            self._publishers[topic] = self.bus.publisher(topic, type(message), options)
        published: Message = self._publishers[topic].publish(message)
        return published

    def watch(self, topic: str) -> asyncio.Queue[Message]:
        """Return the queue of everything published on `topic` from now on."""
        if topic not in self._seen:
            queue: asyncio.Queue[Message] = asyncio.Queue()
            self._seen[topic] = queue
            options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
            self.bus.subscribe(topic, Message, queue.put_nowait, options)
        return self._seen[topic]

    async def receive(self, topic: str, *, timeout_s: float = 20.0) -> Message:
        """Return the next message on `topic`.

        Raises:
            BusError: None came within `timeout_s`.
        """
        try:
            return await asyncio.wait_for(self.watch(topic).get(), timeout_s)
        except TimeoutError:
            raise BusError(f"nothing came on {topic} within {timeout_s:g} s") from None


@asynccontextmanager
async def running(  # noqa: PLR0913  one for each thing a launch file may say
    node_class: type[N],
    *,
    params: Mapping[str, Any] | None = None,
    remaps: Mapping[str, str] | None = None,
    name: str = "node",
    namespace: str = "",
    clock: Clock | None = None,
    session: Session | None = None,
    bus: Bus | None = None,
    activate: bool = True,
    profiles: Mapping[str, Profile] = MappingProxyType({}),
    pace: Pace = Pace.MEDIAN,
    seed: int = 0,
) -> AsyncIterator[Bench[N]]:
    """Run one node, active, until the block ends.

    Outputs are watched from the start, so `receive` misses nothing. A `bus` of the caller's, such
    as one with a door to other processes, is closed in the end too. Under a virtual clock models
    take the time that `profiles` say, at the median, at worst, or drawn from a seed (`pace`), so
    a laptop shows what a board would do.

    Raises:
        ConfigError: There are profiles, but nobody who moves a virtual clock on.
    """
    clock = clock or SystemClock()
    if profiles and not isinstance(asyncio.get_running_loop(), VirtualLoop):
        raise ConfigError(
            "profiles only count where time is virtual; write run_virtual(story(), clock) in place "
            "of asyncio.run(story()), with clock = VirtualClock() for both"
        )
    bus = bus or Bus(clock, host="bench")
    dispatcher = Dispatcher(clock, pace=pace, seed=seed, profiles=profiles)
    crashes: list[str] = []
    node = node_class(
        NodeContext(
            name=name,
            namespace=namespace,
            params=params or {},
            remaps=remaps or {},
            bus=bus,
            clock=clock,
            dispatcher=dispatcher,
            session=session,
            on_crash=lambda who, error: crashes.append(f"{who}: {error}"),
        )
    )
    runner = NodeRunner(node, "bench")
    bench = Bench(node, runner, bus)
    bench.crashes = crashes
    runner.open_controls()
    for end in node.outputs.values():
        bench.watch(end.topic)
    try:
        await runner.change(Transition.CONFIGURE)
        if activate:
            await runner.change(Transition.ACTIVATE)
        yield bench
    finally:
        if runner.state is not State.FINALIZED:
            await runner.change(Transition.SHUTDOWN)
        dispatcher.close()
        await bus.close()
