"""Kill -9 of a random host, again and again, under load: nothing may leak, and nothing be torn.

    ./run bench bus_kills
    ./run bench bus_kills --kills 25

A few hosts publish pictures and small messages, listen to each other and ask each other. One of
them is killed at a random instant and another takes its place. In the end: no message came twice,
out of order, torn or after its expiry, at any host; no slot, descriptor, mapping or socket file is
left that was not there before, and no host ever used /dev/shm (which other programs of the machine
do, so that what lies there says nothing). The seed decides who is killed and when.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from _bus_crowd import Crowd, Health, Picture, health, publish_picture, run_in_bus_loop

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import QoS

NAMES = ("one", "two", "three", "four")
PATIENCE_S = 60.0
MOST_DESCRIPTORS = 120
"""Of one host with five others: two sockets a pair, and memory."""


@dataclass(slots=True)
class Outcome:
    """What the campaign found."""

    kills: int
    seconds: float
    messages: int
    """Checked by the watching host alone."""
    complaints: list[str]


def main() -> None:
    """Kill and tell."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        outcome = run_in_bus_loop(Campaign(Path(folder), options.seed).run(options.kills))
    text = json.dumps(asdict(outcome)) if options.json else str(outcome)
    sys.stdout.write(text + "\n")
    raise SystemExit(bool(outcome.complaints))


class Campaign:
    """One series of kills, seen from a host that is never killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._door = folder, folder / "ipc.sock"
        self._random = random.Random(seed)
        self._clock = SystemClock(0)
        self._crowd = Crowd(self._clock)
        self._healths: dict[str, Health] = {}
        self._pids: dict[str, int] = {}
        self.complaints: list[str] = []

    async def run(self, kills: int) -> Outcome:
        """Kill so many, one after the other."""
        begun = time.monotonic()
        with open_door(self._door), self._nursery() as nursery:
            bus = Bus(self._clock, host="watch", door=self._door)
            before = health("watch", bus, "")
            pictures = bus.publisher("picture/watch", Picture, PublisherOptions(node="watch"))
            bus.subscribe(
                "health/*", Health, self._on_health, SubscriptionOptions(qos=QoS.queue(50))
            )
            bus.subscribe("picture/*", Picture, self._crowd.look)
            for name in NAMES:
                await self._start(nursery, name)
            await self._until_all_are_heard()
            for number in range(kills):
                await self._kill_one(nursery, pictures, number)
            await self._until_all_are_heard()
            self._look_at_survivors()
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)
            await self._until(lambda: bus.near is not None and not bus.near.pairs(), "all are gone")
            bus.withdraw(pictures)
            self._look_at_self(bus, before)
            left = sorted(path.name for path in self._folder.iterdir())
            await bus.close()
        self._check(left == ["ipc.sock"], f"files are left: {left}")
        self._check(not any(self._folder.iterdir()), "the door is left")
        seconds = time.monotonic() - begun
        return Outcome(kills, round(seconds, 1), self._crowd.seen, self.complaints)

    async def _kill_one(self, nursery: Nursery, pictures: object, number: int) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 0.1))
        publish_picture(pictures, number, self._clock.now_ns())  # type: ignore[arg-type]
        victim = self._random.choice(NAMES)
        os.kill(self._pids[victim], signal.SIGKILL)
        await self._start(nursery, victim)

    async def _start(self, nursery: Nursery, name: str) -> None:
        self._pids[name] = await asyncio.to_thread(nursery.start, name)

    def _on_health(self, told: Health) -> None:
        self._healths[told.name] = told
        self._crowd.look(told)
        self._check(not self._crowd.complaint, self._crowd.complaint)

    async def _until_all_are_heard(self) -> None:
        await self._until(
            lambda: all(
                name in self._healths
                and self._healths[name].pid == self._pids[name]
                and self._healths[name].pairs == len(NAMES)
                for name in NAMES
            ),
            "all hosts meet all others",
        )

    async def _until(self, is_so: object, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while callable(is_so) and not is_so():
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE_S} s: {what}; {self._healths}")
            await asyncio.sleep(0.01)

    def _look_at_survivors(self) -> None:
        for told in self._healths.values():
            few = told.descriptors <= MOST_DESCRIPTORS and told.mappings <= MOST_DESCRIPTORS
            self._check(few, f"{told} holds too much")

    def _look_at_self(self, bus: Bus, before: Health) -> None:
        gc.collect()
        pools = bus.near.pools if bus.near is not None else None
        if pools is None:
            return
        self._check(pools.held() == 0, f"{pools.held()} slots are held for nobody")
        now = health("watch", bus, "")
        own = 2 * len(pools.pools)  # a pool's memory and its mapping
        self._check(now.descriptors <= before.descriptors + own, f"descriptors: {before} → {now}")
        self._check(now.mappings <= before.mappings + own, f"mappings: {before} → {now}")

    def _check(self, is_right: bool, complaint: str) -> None:
        if not is_right and complaint not in self.complaints:
            self.complaints.append(complaint)

    @contextmanager
    def _nursery(self) -> Iterator[Nursery]:
        script = Path(__file__).with_name("_bus_crowd.py")
        with subprocess.Popen(
            [sys.executable, str(script), str(self._door)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Nursery(process)
            finally:
                process.kill()


class Nursery:
    """Forks hosts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, name: str) -> int:
        """Start a host and return its process."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the nursery has no pipes")
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
