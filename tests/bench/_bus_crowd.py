"""One host of the crowd that bus_kills.py kills: publishes, listens, asks, checks what it sees.

Started as a process that waits for lines on its standard input and forks a host for each, since a
fork is ready in milliseconds and a new interpreter in half a second.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus import Bus, Publisher, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import OlympusError
from olympus.runtime.lifeline import tie_to_parent
from olympus.runtime.messages import Array, Header, Message, message
from olympus.runtime.qos import QoS

T = TypeVar("T")
PICTURE = 300_000
LIFETIME_NS = 1_500_000_000
_PERIOD_S = 0.002


@message("crowd/Health")
class Health(Message):
    """How a host of the crowd is."""

    name: str
    pid: int
    descriptors: int
    mappings: int
    pairs: int
    complaint: str = ""


@message("crowd/Picture")
class Picture(Message):
    """Bytes that are all the same: the low byte of `number`."""

    number: int
    data: Annotated[NDArray[np.uint8], Array("u1", (None,))]


class Crowd:
    """Looks for anything that must never be delivered."""

    def __init__(self, clock: SystemClock) -> None:
        self.complaint, self.seen = "", 0
        self._clock = clock
        self._rows: dict[tuple[str, str], int] = {}

    def look(self, heard: Message) -> None:
        """Check one message."""
        self.seen += 1
        header = heard.header
        now = self._clock.now_ns()
        row = header.trace[-1].topic, header.source
        if header.seq <= self._rows.get(row, 0):
            self.complaint = f"{row}: {header.seq} after {self._rows[row]}"
        self._rows[row] = header.seq
        if (
            header.expires and header.expires + 1_000_000_000 < now
        ):  # a slow look is no late message
            self.complaint = f"{row}: {header.seq} came after its expiry"
        if isinstance(heard, Picture) and not (heard.data == heard.number & 0xFF).all():
            self.complaint = f"{row}: {header.seq} is torn"
        if isinstance(heard, Health) and heard.complaint:
            self.complaint = heard.complaint


def health(name: str, bus: Bus, complaint: str) -> Health:
    """Return how this process is."""
    text = Path("/proc/self/maps").read_text()
    maps = text.count("memfd:olympus")
    if "/dev/shm/" in text:
        complaint = complaint or "something of /dev/shm is in use, and would be left there"
    pairs = len(bus.near.pairs()) if bus.near is not None else 0
    return Health(
        name=name, pid=os.getpid(), descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        mappings=maps, pairs=pairs, complaint=complaint,
    )  # fmt: skip


def publish_picture(pictures: Publisher[Picture], number: int, now_ns: int) -> None:
    """Publish a picture, every other one written in place."""
    value = number & 0xFF
    if number % 2:
        data = pictures.loan((PICTURE,), np.uint8)
        data[:] = value
    else:
        data = np.full(PICTURE, value, np.uint8)
    header = Header(expires=now_ns + LIFETIME_NS)
    pictures.publish(Picture(header=header, number=number, data=data))


def run_in_bus_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run something in the loop that hosts have."""
    with asyncio.Runner(loop_factory=BusLoop) as runner:
        return runner.run(work)


async def live(door: Path, name: str) -> None:
    """Be one host until killed."""
    clock = SystemClock(0)
    bus, crowd = Bus(clock, host=name, door=door), Crowd(clock)
    source = f"{name}.{os.getpid()}"
    options = PublisherOptions(node=source)
    small = bus.publisher(f"health/{name}", Health, options)
    pictures = bus.publisher(f"picture/{name}", Picture, options)
    queue = SubscriptionOptions(qos=QoS.queue(20))
    bus.subscribe("health/*", Health, crowd.look, queue)
    bus.subscribe("picture/*", Picture, crowd.look)
    bus.serve(f"ask/{name}", Picture, lambda asked: asked)
    number = 0
    while True:
        number += 1
        small.publish(health(name, bus, crowd.complaint))
        for _ in range(4):
            publish_picture(pictures, number, clock.now_ns())
        if number % 8 == 0:
            await _ask(bus, number)
        await asyncio.sleep(_PERIOD_S)


async def _ask(bus: Bus, number: int) -> None:
    others = [e.topic for e in bus.graph() if e.kind == "srv"]
    data = np.full(PICTURE, 7, np.uint8)
    try:
        await bus.call(others[number % len(others)], Picture(number=7, data=data), timeout_s=0.5)
    except OlympusError:  # its host was killed meanwhile: that is what this is about
        return


def fork_hosts(door: Path, run: Callable[[str], None]) -> None:
    """Fork a host for each name on standard input; answer with its process."""
    tie_to_parent(None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            tie_to_parent(None)
            run(line.strip())
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    fork_hosts(place, lambda name: run_in_bus_loop(live(place, name)))
