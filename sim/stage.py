"""The world in real time: steps it by the robot's clock and hands out what its sensors give."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from olympus.runtime.clock import Clock
from olympus.runtime.messages import Header
from olympus.sim.building import Building
from olympus.sim.feed import Feed
from olympus.sim.hearing import BLOCK_NS, Ear
from olympus.sim.messages import TruePose, Truth
from olympus.sim.rover import Measurement
from olympus.sim.world import TICK_NS, World

LATE_NS = 250_000_000
"""Falling behind by more than this skips the lost time instead of racing after it."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a client wants of the camera."""

    width: int
    height: int
    fps: float


@dataclass(frozen=True, slots=True, eq=False)
class Stamped:
    """Bytes of a sensor and when they were measured."""

    payload: bytes
    stamp_ns: int
    """Robot time."""


class _Stream:
    """A camera format that somebody wants."""

    def __init__(self, format_: PictureFormat) -> None:
        self.format = format_
        self.feed: Feed[Stamped] = Feed()
        self.due_ns = 0


class Stage:
    """Runs one world against a clock.

    `run` belongs to one thread; the feeds, `command` and `neutral` may be used from any.
    """

    def __init__(
        self, world: World, clock: Clock, *, realtime_factor: float = 1.0, max_fps: float = 50.0
    ) -> None:
        """Take a world, at whatever time it is, to be run from now on.

        Args:
            world: Used by nobody else from now on, but for what it allows to any thread.
            clock: Robot time.
            realtime_factor: World seconds in a robot second.
            max_fps: Most pictures a second for any camera.
        """
        self.world, self._clock, self._factor = world, clock, realtime_factor
        self._ear = Ear(world)
        self._max_fps = max_fps
        self._origin_ns = clock.now_ns() - round(world.time_ns / realtime_factor)
        self._streams: dict[PictureFormat, _Stream] = {}
        self._lock = threading.Lock()
        self._next_block = -(-world.time_ns // BLOCK_NS)
        self._truth = self._observe()
        self.sound: Feed[Stamped] = Feed(depth=20)
        self.base: Feed[Stamped] = Feed()
        self.lost_ns = 0
        """World time skipped because the machine was too slow, ns."""
        self.missed = 0
        """Frames that slow clients never got."""

    @property
    def building(self) -> Building:
        """What the world is built of."""
        return self.world.building

    def truth(self) -> Truth:
        """Return how things were at the last tick; safe from any thread."""
        return self._truth

    def pictures(self, format_: PictureFormat) -> Feed[Stamped]:
        """Return the feed of a camera format; rendered only while somebody reads it."""
        with self._lock:
            return self._streams.setdefault(format_, _Stream(format_)).feed

    def run(self, stop: threading.Event) -> None:
        """Keep up with the clock until told to stop."""
        while not stop.is_set():
            self.catch_up()
            wait_s = (self._due_ns() - self._clock.now_ns()) / 1e9
            if wait_s > 0:
                stop.wait(wait_s)
        self.close()

    def close(self) -> None:
        """End all feeds."""
        for feed in (self.sound, self.base, *(s.feed for s in self._all_streams())):
            feed.close()

    def catch_up(self) -> None:
        """Do all ticks that are due, then take the pictures that are."""
        behind = self._clock.now_ns() - self._due_ns()
        if behind > LATE_NS:
            self.lost_ns += behind
            self._origin_ns += behind
        while self._due_ns() <= self._clock.now_ns():
            self._tick()
        self._take_pictures()

    def _observe(self) -> Truth:
        world = self.world
        pose, (speed, turn) = world.rover.pose, world.rover.velocity
        stamp = self._robot_ns(world.time_ns)
        return Truth(
            header=Header(stamp=stamp),
            time_s=world.time_s,
            rover=TruePose(x_m=pose.x, y_m=pose.y, yaw_rad=pose.yaw),
            linear_mps=speed,
            angular_radps=turn,
            people=tuple(TruePose(x_m=p.x, y_m=p.y, yaw_rad=p.yaw) for p in world.people),
            collisions=world.collisions,
            faults=world.faults.active(),
        )

    def _due_ns(self) -> int:
        """Robot time at which the next tick is due."""
        return self._robot_ns(self.world.time_ns + TICK_NS)

    def _robot_ns(self, world_ns: int) -> int:
        return self._origin_ns + round(world_ns / self._factor)

    def _tick(self) -> None:
        self.world.tick()
        self._truth = self._observe()
        stamp = self._robot_ns(self.world.time_ns)
        self.base.put(Stamped(pack_measurement(self.world.measurement), stamp))
        while (self._next_block + 1) * BLOCK_NS <= self.world.time_ns:
            if not self.world.faults.microphone_silent:
                samples = self._ear.block(self._next_block)
                began = self._robot_ns(self._next_block * BLOCK_NS)
                self.sound.put(Stamped(samples.tobytes(), began))
            self._next_block += 1

    def _take_pictures(self) -> None:
        for stream in self._all_streams():
            now_ns = self.world.time_ns
            if stream.feed.readers == 0 or now_ns < stream.due_ns:
                continue
            period_ns = round(1e9 / min(stream.format.fps, self._max_fps))
            stream.due_ns = max(stream.due_ns + period_ns, now_ns + period_ns // 2)
            if self.world.faults.camera_silent:
                continue
            stamp = self._clock.now_ns()
            view = self.world.look(stream.format.width, stream.format.height)
            stream.feed.put(Stamped(view.rgb.tobytes(), stamp))

    def _all_streams(self) -> list[_Stream]:
        with self._lock:
            return list(self._streams.values())


def pack_measurement(measurement: Measurement) -> bytes:
    """Write a measurement as float64, in the order of a `STATE` packet (see link.py)."""
    m = measurement
    head = (*m.wheel_radps, *m.wheel_rad, *m.accel_mps2, *m.gyro_radps)
    return np.array([*head, m.voltage_v, m.current_a, m.charge, *m.ranges_m]).tobytes()
