"""Two nodes of two hosts that send each other messages, for bus.py."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages import Array, Empty, Message, message
from olympus.runtime.node import Node, output, service, subscribe
from olympus.runtime.qos import QoS

PATIENCE_S = 5.0


@message("bench/Blob")
class Blob(Message):
    """Bytes of any length."""

    data: Annotated[NDArray[np.uint8], Array("u1", (None,))]


@message("bench/Echo")
class Echo(Message):
    """The answer to a blob: its number and its last byte."""

    number: int
    last: int


@message("bench/Trial")
class Trial(Message):
    """What is to be measured."""

    nbytes: int
    count: int = 0
    """Round trips."""
    seconds: float = 0.0
    """Of sending as fast as it goes."""


@message("bench/Times")
class Times(Message):
    """What was measured."""

    ns: Annotated[NDArray[np.int64], Array("i8", (None,))]


class Near(Node):
    """Sends blobs and waits for echoes."""

    blob = output("blob", Blob, is_reliable=True)

    async def on_configure(self) -> None:
        """Expect nothing yet."""
        self._echo: asyncio.Future[Echo] | None = None

    @subscribe("echo")
    def on_echo(self, echo: Echo) -> None:
        """Note that a round trip is over."""
        if self._echo is not None and not self._echo.done():
            self._echo.set_result(echo)

    @service("round_trips")
    async def round_trips(self, trial: Trial) -> Times:
        """Return how long each of some round trips took."""
        data = np.zeros(trial.nbytes, np.uint8)
        return Times(ns=np.array([await self._trip(data) for _ in range(trial.count)], np.int64))

    @service("flood")
    async def flood(self, trial: Trial) -> Times:
        """Send for a while as fast as the bus takes it; return how many were sent."""
        return Times(ns=np.array([await asyncio.to_thread(self._send_on, trial)], np.int64))

    async def _trip(self, data: NDArray[np.uint8]) -> int:
        self._echo = asyncio.get_running_loop().create_future()
        begun = time.perf_counter_ns()
        self.blob.publish(Blob(data=data))
        await asyncio.wait_for(self._echo, PATIENCE_S)
        return time.perf_counter_ns() - begun

    def _send_on(self, trial: Trial) -> int:
        data, sent = np.zeros(trial.nbytes, np.uint8), 0
        end = time.perf_counter() + trial.seconds
        while time.perf_counter() < end:
            self.blob.publish(Blob(data=data))
            sent += 1
        return sent


class Far(Node):
    """Answers blobs, and counts them."""

    echo = output("echo", Echo, is_reliable=True)

    async def on_configure(self) -> None:
        """Start counting."""
        self._count = 0

    @subscribe("blob", qos=QoS.queue(64))
    def on_blob(self, blob: Blob) -> None:
        """Read the last byte and answer."""
        self._count += 1
        self.echo.publish(Echo(number=self._count, last=int(blob.data[-1])))

    @service("count")
    def count(self, _request: Empty) -> Times:
        """Return how many blobs came so far."""
        return Times(ns=np.array([self._count], np.int64))
