"""What a navigator sees and is told in its tests, in virtual time or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from olympus.nodes.navigator import Navigator
from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.messages import (
    Ack,
    Command,
    Header,
    MissionState,
    Odometry,
    Percept,
    Ranges,
    Twist,
)
from olympus.runtime.node.testing import Bench, running
from olympus.sim.rover import BEARINGS_RAD

ROUTE = [[1.5, 0.0], [5.0, 0.0], [9.0, 0.0]]
SITE: dict[str, Any] = {"route": ROUTE, "places": {"home": [0.0, 0.0]}}


class Senses:
    """Feeds a navigator in a wide empty hall, ten times a second, until told otherwise."""

    def __init__(self, bench: Bench[Navigator]) -> None:
        self.bench = bench
        self.x_m = self.yaw_rad = 0.0
        self.distances = np.full(19, 6.0, np.float32)
        self.people: list[tuple[float, float]] = []
        self.has_pictures = self.has_ranges = self.has_odometry = True
        self.ahead_s = 0.0
        for topic in ("cmd_vel", "mission"):
            bench.watch(topic)

    async def pass_time(self, seconds: float) -> Twist:
        """Let time pass and return the last command to the wheels."""
        for _ in range(round(seconds * 10)):
            await self._feed()
            await self.bench.node.clock.sleep(0.1)
        return self.last_twist()

    def last_twist(self) -> Twist:
        queue, twist = self.bench.watch("cmd_vel"), None
        while not queue.empty():
            twist = queue.get_nowait()
        assert isinstance(twist, Twist), "the wheels were commanded nothing"
        return twist

    @property
    def state(self) -> MissionState:
        """The newest state of the mission."""
        queue = self.bench.watch("mission")
        while not queue.empty():
            self._state = queue.get_nowait()
        assert isinstance(self._state, MissionState)
        return self._state

    async def _feed(self) -> None:
        send, now_ns = self.bench.send, self.bench.node.clock.now_ns()
        header = Header(stamp=now_ns + round(self.ahead_s * 1e9))
        if self.has_odometry:
            await send(
                "odometry",
                Odometry(
                    header=header,
                    x_m=self.x_m,
                    y_m=0.0,
                    yaw_rad=self.yaw_rad,
                    linear_mps=0.0,
                    angular_radps=0.0,
                ),
            )
        if self.has_ranges:
            scan = Ranges(
                header=header, bearings_rad=BEARINGS_RAD, distances_m=self.distances, max_m=6.0
            )
            await send("ranges", scan)
        for i, (bearing, distance) in enumerate(self.people):
            await send("percepts", self._person(i + 1, bearing, distance))
        if self.has_pictures:
            view = Percept(header=header, kind="view", label="clear", confidence=1.0)
            await send("percepts", view)

    def _person(self, track: int, bearing: float, distance: float) -> Percept:
        stamp = self.bench.node.clock.now_ns()
        return Percept(
            header=Header(stamp=stamp, expires=stamp + 600_000_000),
            kind="object",
            label="person",
            confidence=0.9,
            bearing_rad=bearing,
            distance_m=distance,
            track=track,
        )


def in_virtual_time(story: Any, **params: Any) -> None:
    """Run `story(bench, senses)` on a navigator without a session, in virtual time."""
    clock = VirtualClock()

    async def main() -> None:
        async with running(Navigator, params=SITE | params, clock=clock) as bench:
            senses = Senses(bench)
            await senses.pass_time(0.5)
            await story(bench, senses)
            assert bench.crashes == []
            assert bench.node.errors == 0

    run_virtual(main(), clock)


def say(bench: Bench[Navigator], sentence: str) -> Ack:
    return bench.node.obey(Command(text=sentence, verb=""))


def is_still(twist: Twist) -> bool:
    return (twist.linear_mps, twist.angular_radps) == (0.0, 0.0)
