"""Nodes that send each other messages from host to host, for bus.py."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import numpy as np
from _bus_trials import FRAME, LOUD, QUIET, SMALL
from numpy.typing import NDArray

from olympus.runtime.bus import Publisher, PublisherOptions, SubscriptionOptions
from olympus.runtime.messages import Array, Empty, Message, message
from olympus.runtime.node import Node, NodeParams, output, service, subscribe
from olympus.runtime.qos import QoS

PATIENCE_S = 30.0
TOPICS = 64
CROWDS = (1, 2, 4, 8, 16)
BURST = 50


@message("bench/Small")
class Small(Message):
    """A few bytes."""

    data: bytes


@message("bench/Blob")
class Blob(Message):
    """Bytes of any length."""

    data: Annotated[NDArray[np.uint8], Array("u1", (None,))]


@message("bench/Echo")
class Echo(Message):
    """The answer: how many messages came so far, and when the handler was called."""

    number: int
    called_ns: int
    """Of the machine's steady clock."""


@message("bench/Trial")
class Trial(Message):
    """What is to be measured."""

    nbytes: int = SMALL
    count: int = 0
    """Round trips."""
    seconds: float = 0.0
    hz: float = 0.0
    """Frames per second."""
    is_copied: bool = True
    is_idle: bool = False
    """Keep time and send nothing."""
    among: int = 1
    """Topics, or subscribers."""


@message("bench/Times")
class Times(Message):
    """What was measured."""

    ns: Annotated[NDArray[np.int64], Array("i8", (None,))]


def memcpy_ns(source: NDArray[np.uint8], there: NDArray[np.uint8], count: int) -> list[int]:
    """Return how long each of some copies took, ns."""
    times = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        np.copyto(there, source)
        times.append(time.perf_counter_ns() - begun)
    return times


class Near(Node):
    """Sends and waits for echoes."""

    small = output("small", Small, is_reliable=True)
    blob = output("blob", Blob)

    async def on_configure(self) -> None:
        """Expect nothing yet."""
        self._frame, self._copy = np.full(FRAME, LOUD, np.uint8), np.zeros(FRAME, np.uint8)
        self._text = bytes([LOUD]) * SMALL
        self._times: list[int] = []
        self._sent_ns = 0
        self._trial = Trial()
        self._last: Echo | None = None
        self._over: asyncio.Future[None] | None = None

    @subscribe("echo", qos=QoS.queue(64))
    def on_echo(self, echo: Echo) -> None:
        """Note that a round trip is over, and begin the next."""
        self._times.append(time.perf_counter_ns() - self._sent_ns)
        self._last = echo
        if len(self._times) < self._trial.count:
            self._send()
        elif self._over is not None and not self._over.done():
            self._over.set_result(None)

    @service("trips")
    async def trips(self, trial: Trial) -> Times:
        """Return how long each of some round trips took, from publish to handler and back."""
        return Times(ns=np.array(await self._round(trial), np.int64))

    @service("memcpys")
    async def memcpys(self, trial: Trial) -> Times:
        """Return how long each of some copies of a picture takes in this process, ns."""
        return Times(ns=np.array(memcpy_ns(self._frame, self._copy, trial.count), np.int64))

    @service("flood")
    async def flood(self, trial: Trial) -> Times:
        """Send small messages as fast as they go; return how many arrived, and in what time."""
        quiet, clock = Small(data=bytes([QUIET]) * SMALL), time.perf_counter
        await self._round(Trial(count=1))
        before, begun = self._arrived(), clock()
        while clock() - begun < trial.seconds:
            for _ in range(BURST):
                self.small.publish(quiet)
            await asyncio.sleep(0)
        await self._round(Trial(count=1))
        elapsed_ns = int((clock() - begun) * 1e9)
        return Times(ns=np.array([self._arrived() - before, elapsed_ns], np.int64))

    @service("frames")
    async def frames(self, trial: Trial) -> Times:
        """Send pictures at a steady rate; return how many."""
        count = int(trial.seconds * trial.hz)
        due = time.perf_counter()
        self._frame[0] = QUIET
        for _ in range(count):
            due += 1 / trial.hz
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if not trial.is_idle:
                self.blob.publish(Blob(data=self._picture(FRAME, trial.is_copied)))
        self._frame[0] = LOUD
        return Times(ns=np.array([count], np.int64))

    async def _round(self, trial: Trial) -> list[int]:
        self._times, self._trial = [], trial
        self._over = asyncio.get_running_loop().create_future()
        self._send()
        await asyncio.wait_for(self._over, PATIENCE_S)
        return self._times

    def _send(self) -> None:
        trial = self._trial
        self._sent_ns = time.perf_counter_ns()
        if trial.nbytes == SMALL:
            self.small.publish(Small(data=self._text))
        else:
            self.blob.publish(Blob(data=self._picture(trial.nbytes, trial.is_copied)))

    def _picture(self, nbytes: int, is_copied: bool) -> NDArray[np.uint8]:
        if is_copied:
            return self._frame[:nbytes]
        made = self.blob.loan((nbytes,), np.uint8)
        made[0], made[-1] = self._frame[0], self._frame[nbytes - 1]
        return made

    def _arrived(self) -> int:
        return self._last.number if self._last is not None else 0


class Far(Node):
    """Answers what is loud, and counts everything."""

    echo = output("echo", Echo, is_reliable=True)

    async def on_configure(self) -> None:
        """Start counting."""
        self._count = self._last = 0

    @subscribe("small", qos=QoS.queue(64))
    def on_small(self, small: Small) -> None:
        """Take in a few bytes."""
        self._take(small.data[0], small.data[-1])

    @subscribe("blob")
    def on_blob(self, blob: Blob) -> None:
        """Take in an array."""
        self._take(int(blob.data[0]), int(blob.data[-1]))

    def _take(self, first: int, last: int) -> None:
        self._count += 1
        self._last = last
        if first != QUIET:
            self.echo.publish(Echo(number=self._count, called_ns=time.monotonic_ns()))


class Hub(Node):
    """Sends on many topics, or to many subscribers."""

    async def on_configure(self) -> None:
        """Become a publisher of all that is needed."""
        options = PublisherOptions(node=self.name)
        self._many = [self._publisher(f"many/{n}", options) for n in range(TOPICS)]
        self._crowds = {n: self._publisher(f"crowd/{n}", options) for n in CROWDS}
        self._waited, self._latest = 0, 0
        self._over: asyncio.Future[None] | None = None

    @subscribe("echo", qos=QoS.queue(64))
    def on_echo(self, echo: Echo) -> None:
        """Note when another handler was called."""
        self._latest = max(self._latest, echo.called_ns)
        self._waited -= 1
        if not self._waited and self._over is not None and not self._over.done():
            self._over.set_result(None)

    @service("topics")
    async def topics(self, trial: Trial) -> Times:
        """Return how long it took until the handler was called, `among` topics in turn, ns."""
        ends = self._many[: trial.among]
        return await self._measured([ends[n % len(ends)] for n in range(trial.count)], 1)

    @service("crowd")
    async def crowd(self, trial: Trial) -> Times:
        """Return how long it took until the last of `among` handlers was called, ns."""
        return await self._measured([self._crowds[trial.among]] * trial.count, trial.among)

    async def _measured(self, ends: list[Publisher[Small]], answers: int) -> Times:
        text, times = bytes(SMALL), []
        for end in ends:
            self._waited, self._latest = answers, 0
            self._over = asyncio.get_running_loop().create_future()
            begun = time.monotonic_ns()
            end.publish(Small(data=text))
            await asyncio.wait_for(self._over, PATIENCE_S)
            times.append(self._latest - begun)
        return Times(ns=np.array(times, np.int64))

    def _publisher(self, topic: str, options: PublisherOptions) -> Publisher[Small]:
        return self.bus.publisher(topic, Small, options)


class Spoke(Node):
    """One of the many that answer a hub."""

    class Params(NodeParams):
        """Which one."""

        number: int = 0

    params: Params
    echo = output("echo", Echo, is_reliable=True)

    async def on_activate(self) -> None:
        """Listen to every crowd that this one belongs to; the first also to all topics."""
        number = self.params.number
        wanted = [f"crowd/{n}" for n in CROWDS if n > number]
        wanted += [] if number else [f"many/{n}" for n in range(TOPICS)]
        options = SubscriptionOptions(node=self.name, qos=QoS.queue(64))
        for topic in wanted:
            self.bus.subscribe(topic, Small, self._on_small, options)

    @service("ready")
    def ready(self, _request: Empty) -> Empty:
        """Answer, so that others know that this one listens."""
        return Empty()

    def _on_small(self, _small: Small) -> None:
        self.echo.publish(Echo(number=1, called_ns=time.monotonic_ns()))
