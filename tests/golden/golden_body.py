"""The robot's body and the world in virtual time: what devices would bring, as one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from olympus.drivers.base import Frame
from olympus.drivers.decoder import ReadingDecoder
from olympus.drivers.mqtt import Delivery
from olympus.drivers.readings import ReadingRule
from olympus.nodes.frozen import Repetition
from olympus.nodes.odometry import DeadReckoning, Pose
from olympus.nodes.wheels import WheelBase
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.messages import (
    Actuation,
    AudioChunk,
    Battery,
    Command,
    Header,
    Image,
    Imu,
    Odometry,
    Ranges,
    Reading,
    SafetyState,
    Twist,
)
from olympus.runtime.node import Node, output, subscribe, timer
from olympus.runtime.qos import Tier
from olympus.runtime.safety import gate
from olympus.runtime.safety.acks import Reason
from olympus.runtime.safety.lease import LeaseReader, LeaseWriter
from olympus.runtime.safety.limits import Category, Limits, Rules
from olympus.runtime.safety.state import Mode
from olympus.sim import figures
from olympus.sim.hearing import BLOCK_NS, Ear
from olympus.sim.iot import all_devices
from olympus.sim.rover import BEARINGS_RAD, RANGE_MAX_M
from olympus.sim.world import TICK_S, World

EXPOSURE_S = 0.04
"""How long a picture takes from the lens to the bus, about as on a real machine."""
FROZEN_S = 0.5
LEASE_NS = 100_000_000
LOW_CHARGE = 0.08
WHEELS = WheelBase(figures.WHEEL_RADIUS_M, figures.TRACK_M, 10.0)
RULES = Rules((Limits(-10.0, 10.0, 10.0),) * 2, max_age_ns=300_000_000, category=Category.BRAKE)


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that happens to the robot at a set time."""

    at_s: float
    fault: str = ""
    """A fault of the simulator that begins,"""
    say: str = ""
    """or what an operator says."""


class Body(Node):
    """Camera, microphone, IoT devices, base, operator and guardian; all by the virtual clock."""

    is_replayed = False

    images = output("camera/image", Image, tier=Tier.HIGH)
    audio = output("microphone/audio", AudioChunk)
    readings = output("iot/readings", Reading)
    odometry = output("odometry", Odometry, lifetime_s=1.0)
    ranges = output("ranges", Ranges, lifetime_s=1.0)
    imu = output("imu", Imu, lifetime_s=1.0)
    battery = output("battery", Battery)
    actuation = output("actuation", Actuation, tier=Tier.HIGH)
    safety = output("/safety/state", SafetyState, latched=True)
    commands = output("command", Command)

    def take(self, world: World, deeds: tuple[Deed, ...], mapping: list[dict[str, Any]]) -> None:
        """Become the body in a world."""
        assert self.session is not None
        self.world, self._deeds = world, sorted(deeds, key=lambda one: one.at_s)
        self._ear, self._block = Ear(world), 0
        self._devices = [(device, 0.0, device.state(world)) for device in all_devices()]
        self._decoder = ReadingDecoder([ReadingRule.model_validate(one) for one in mapping])
        self._repetition = Repetition()
        start = world.rover.pose
        pose = Pose(start.x, start.y, start.yaw)
        self._reckoning = DeadReckoning(figures.WHEEL_RADIUS_M, figures.TRACK_M, pose)
        self._gate, self._wish = gate.start(RULES), gate.Command((0.0, 0.0), 0)
        self._writer = LeaseWriter(self.session.safety_dir)
        self._reader = LeaseReader(self.session.safety_dir)
        self._cause = ""
        self._due = [0, 0, 0]

    def trip(self, cause: str) -> None:
        """Take the permission back, as the guardian does."""
        if not self._cause:
            self._cause = cause
            self._writer.revoke(1, Mode.TRIPPED)
            self._tell_safety("tripped")

    async def on_activate(self) -> None:
        """Permit motion."""
        now = self.clock.now_ns()
        self._writer.grant(1, now, now + LEASE_NS)
        self._tell_safety("permitted")

    async def on_cleanup(self) -> None:
        """Close the lease."""
        self._writer.close()
        self._reader.close()

    @subscribe("cmd_vel")
    def on_twist(self, twist: Twist) -> None:
        """Take the newest velocity."""
        speeds = WHEELS.speeds(twist.linear_mps, twist.angular_radps)
        self._wish = gate.Command(speeds, twist.header.stamp)

    @timer(TICK_S)
    def on_tick(self) -> None:
        """Let the world go on by 20 ms, and measure what is due."""
        now, world = self.clock.now_ns(), self.world
        if not self._cause:
            self._writer.renew(1, now + LEASE_NS)
        applied, self._gate = gate.decide(
            self._reader.check(now), self._wish, self._gate, RULES, now
        )
        world.command(*applied.channels)
        world.tick()
        self._do_deeds()
        self._listen(now)
        if self._is_due(0, 1 / 20):
            self._measure(now)
        if self._is_due(1, 1 / 15) and not world.faults.camera_silent:
            self.spawn(self._look(now), name="look")
        if self._is_due(2, 1.0):
            self._report(now, applied)
        self._poll_devices(now)

    def _do_deeds(self) -> None:
        while self._deeds and self._deeds[0].at_s <= self.world.time_s:
            deed = self._deeds.pop(0)
            if deed.fault:
                self.world.faults.set(deed.fault, True)
            else:
                self.commands.publish(Command(text=deed.say, verb=""))

    def _is_due(self, which: int, period_s: float) -> bool:
        if self.world.time_ns < self._due[which]:
            return False
        self._due[which] += round(period_s * NS_PER_S)
        return True

    async def _look(self, now: int) -> None:
        picture = self.world.look().rgb
        await self.clock.sleep(EXPOSURE_S)
        if self._repetition.add(Frame(rgb=picture, stamp_ns=now)) < FROZEN_S:
            expires = now + NS_PER_S // 2
            header = Header(stamp=now, expires=expires, tier=Tier.HIGH)
            self.images.publish(Image(header=header, data=picture))

    def _listen(self, now: int) -> None:
        while (self._block + 1) * BLOCK_NS <= self.world.time_ns:
            samples = self._ear.block(self._block)
            began = now - self.world.time_ns + self._block * BLOCK_NS
            self.audio.publish(AudioChunk(header=Header(stamp=began), samples=samples))
            self._block += 1

    def _measure(self, now: int) -> None:
        m, header = self.world.measurement, Header(stamp=now)
        state = m.as_base_state(now)
        self._reckoning.add(state)
        self.odometry.publish(self._reckoning.message(header))
        ranges = Ranges(
            header=header, bearings_rad=BEARINGS_RAD, distances_m=m.ranges_m, max_m=RANGE_MAX_M
        )
        self.ranges.publish(ranges)
        imu = Imu(header=header, accel_mps2=state.accel_mps2, gyro_radps=state.gyro_radps)
        self.imu.publish(imu)

    def _report(self, now: int, applied: gate.Applied) -> None:
        m = self.world.measurement
        battery = Battery(voltage_v=m.voltage_v, current_a=m.current_a, charge=m.charge)
        self.battery.publish(battery)
        passed = applied.reason is Reason.OK
        reason = "" if passed else applied.reason.name
        moved = Actuation(channels=applied.channels, passed=passed, reason=reason)
        self.actuation.publish(moved)
        if m.charge < LOW_CHARGE:
            self.trip(f"battery at {m.charge:.0%}")

    def _poll_devices(self, now: int) -> None:
        for index, (device, due_s, state) in enumerate(self._devices):
            is_news = device.state(self.world) != state
            if self.world.time_s < due_s and not is_news:
                continue
            due_s = self.world.time_s + device.period_s
            self._devices[index] = (device, due_s, device.state(self.world))
            payload = device.measure(self.world)
            device.sent += 1
            for value in self._decoder.decode(Delivery(device.topic, payload, now, False)):
                reading = Reading(
                    header=Header(stamp=value.stamp_ns),
                    name=value.name,
                    value=value.value,
                    unit=value.unit,
                    valid=value.valid,
                    device=value.device,
                    text=value.text,
                )
                self.readings.publish(reading)

    def _tell_safety(self, state: str) -> None:
        told = SafetyState(state=state, cause=self._cause, epoch=1, since=self.clock.now_ns())
        self.safety.publish(told)
