"""The drive: velocity commands through the gate to the wheels, and what the base measures back."""

from __future__ import annotations

# varies throughout: these are motors
import asyncio
import math
from contextlib import suppress
from functools import partial
from typing import Literal

from olympus.drivers.base import BaseState, RoverBase
from olympus.drivers.registry import make_base
from olympus.drivers.source import parse_source
from olympus.nodes.motor_loop import MotorLoop, Order
from olympus.nodes.motor_wire import MotorSpec
from olympus.nodes.motors_apart import ApartBase, ApartMotors
from olympus.nodes.odometry import DeadReckoning, Pose
from olympus.nodes.pose_memory import PoseMemory
from olympus.nodes.vouching import Voucher
from olympus.nodes.wheels import WheelBase
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, SafetyError
from olympus.runtime.messages import (
    Actuation,
    Battery,
    Diagnostic,
    Header,
    Imu,
    Odometry,
    Ranges,
    SafetyState,
    Twist,
)
from olympus.runtime.node import Field, Node, NodeParams, output, subscribe, timer
from olympus.runtime.qos import Tier
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Applied, Command
from olympus.runtime.safety.lease import LeaseReader


class Drive(Node):
    """Moves a two-wheeled base, and only while the guardian's lease is valid."""

    class Params(NodeParams):
        """The base, and what it may do."""

        source: str = Field("sim://base", description="Which base: `sim://…`, `serial://…`.")
        rate_hz: float = Field(50.0, ge=10, le=200, description="Ticks of the gate per second.")
        report_hz: float = Field(20.0, ge=1, le=100, description="Odometry and ranges per second.")
        max_wheel_radps: float = Field(10.0, gt=0, le=60, description="Fastest a wheel may turn.")
        slew_radps2: float = Field(10.0, gt=0, le=200, description="Fastest change of that.")
        max_age_ms: float = Field(
            300.0, gt=20, le=1000, description="A command older than this moves nothing."
        )
        apart: Literal["auto", "always", "never"] = Field(
            "auto",
            description="Whether gate and motors have a process of their own, so that a drive that "
            "hangs or is frozen still halts; auto: for motors on a serial port.",
        )
        lost_after_s: float = Field(
            0.0,
            ge=0,
            le=10,
            description="Commands that ask for motion and then stop coming for so long trip, so "
            "that a link that comes back moves nothing; 0: they only stop the motors meanwhile.",
        )
        stop_category: Literal[0, 1] = Field(
            1, description="What a stop does: 0 cuts at once, 1 brakes within half a second."
        )
        realtime_priority: int = Field(
            0, ge=0, le=99, description="Real-time priority of the gate's thread; 0 for none."
        )
        start_pose: tuple[float, float, float] = Field(
            (0.0, 0.0, 0.0),
            description="Where it stands when the session starts: x, y in m, yaw in rad.",
        )
        min_charge: float = Field(
            0.05, ge=0, le=1, description="Below this battery charge the guardian is told to stop."
        )

    is_replayed = False

    params: Params
    actuation = output("actuation", Actuation, tier=Tier.HIGH)
    odometry = output("odometry", Odometry, lifetime_s=1.0)
    ranges = output("ranges", Ranges, lifetime_s=1.0)
    imu = output("imu", Imu, lifetime_s=1.0)
    battery = output("battery", Battery)
    diagnostics = output("diagnostics", Diagnostic)
    safety = output("/safety/state", SafetyState, latched=True)

    async def on_configure(self) -> None:
        """Make the base; it is opened when the node is activated.

        Raises:
            ConfigError: There is no session, or the source is unknown.
        """
        self._session = self._needed_session()
        self._base: RoverBase = self._make_base()
        path = self._session.run_dir / f"{self.name.replace('/', '.')}.pose"
        self._memory = PoseMemory(path, self._session.clock_offset_ns)
        self._voucher = Voucher(self, self._session.safety_dir)
        self._lease = LeaseReader(self._session.safety_dir)
        self._guardian = SafetyClient(self._session.safety_dir)
        self._asked_ns = 0
        """When motion was last asked for, robot time; 0 when rest was asked for since."""
        self._trouble = ""
        self._was_driven = False
        self._safety_told: tuple[str, str, int] = ("", "", 0)

    async def on_activate(self) -> None:
        """Open the base and start the gate's thread."""
        self._loop, self._is_telling = asyncio.get_running_loop(), True
        # What a drive before this one vouched for may still count, and lapse while this one moves.
        await self._report_condition("base", False, "is being opened")
        await asyncio.to_thread(self._open)
        start = self._memory.read() or Pose(*self.params.start_pose)
        self._reckoning = DeadReckoning(self._base.wheel_radius_m, self._base.track_m, start)
        self._motors = self._make_motors()
        self._motors.start()
        with suppress(DeviceError):  # on_report says so, and opens it again
            await self._vouch(self._base.state())

    async def on_deactivate(self) -> None:
        """Bring the motors to rest and let the base go."""
        self._is_telling = False
        why = "the drive is deactivated; the log of its host says by whom"
        await asyncio.to_thread(self._motors.stop, why)
        await asyncio.to_thread(self._close, why)

    async def on_cleanup(self) -> None:
        """Close the lease and the pose's file."""
        self._lease.close()
        self._memory.close()

    @subscribe("cmd_vel")
    def on_twist(self, twist: Twist) -> None:
        """Turn a velocity into wheel speeds for the gate to judge."""
        base = self._base
        wheels = WheelBase(base.wheel_radius_m, base.track_m, self.params.max_wheel_radps)
        speeds = wheels.speeds(twist.linear_mps, twist.angular_radps)
        self._asked_ns = self.clock.now_ns() if any(speeds) else 0
        stamp_ns = twist.header.stamp - self._session.clock_offset_ns
        self._motors.obey(Order(twist, Command(speeds, stamp_ns)))

    @timer(hz="report_hz")
    async def on_report(self) -> None:
        """Publish what the base measures; bring a lost base back."""
        await self._watch_commands()
        try:
            state = self._base.state()
        except DeviceError as error:
            await self._recover(str(error))
            return
        header = Header(stamp=state.stamp_ns)
        if self._reckoning.add(state):
            self._publish_odometry(header)
            self._say_trouble("")
        else:
            self._say_trouble("the base reports wheel angles or turning rates that are no numbers")
        self.ranges.publish(
            Ranges(
                header=header,
                bearings_rad=state.bearings_rad,
                distances_m=state.ranges_m,
                max_m=state.range_max_m,
            )
        )
        self.imu.publish(
            Imu(header=header, accel_mps2=state.accel_mps2, gyro_radps=state.gyro_radps)
        )
        self._publish_safety()

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the battery; tell the guardian when it runs low, and when all is well again."""
        try:
            state = self._base.state()
        except DeviceError:
            return  # on_report says so, twenty times more often
        self.battery.publish(
            Battery(voltage_v=state.voltage_v, current_a=state.current_a, charge=state.charge)
        )
        values = {name: str(count) for name, count in self.ticks.items()}
        self.diagnostics.publish(
            Diagnostic(level="ok", name="drive/gate", text="ticks by reason", values=values)
        )
        await self._vouch(state)

    @property
    def ticks(self) -> dict[str, int]:
        """Ticks of the gate since the activation, by reason, such as `ok` or `no_lease`."""
        return self._motors.counts

    def _needed_session(self) -> Session:
        if self.session is None:
            raise ConfigError(f"{self.name}: a drive runs only within a session, with a guardian")
        return self.session

    def _spec(self) -> MotorSpec:
        params = self.params
        return MotorSpec(
            source=params.source,
            session=self._session,
            top_radps=params.max_wheel_radps,
            slew_radps2=params.slew_radps2,
            max_age_ms=params.max_age_ms,
            category=params.stop_category,
            rate_hz=params.rate_hz,
            report_hz=max(params.report_hz, 50.0),
            priority=params.realtime_priority or None,
        )

    def _make_base(self) -> RoverBase:
        source = self.params.source
        is_apart = self.params.apart == "always" or (
            self.params.apart == "auto" and parse_source(source).scheme == "serial"
        )
        if not is_apart:
            return make_base(source, clock=self.clock, session=self._session)
        make_base(source, clock=self.clock, session=self._session)  # refuses here what is wrong
        return ApartBase(self._spec(), tell=self._tell)

    def _make_motors(self) -> MotorLoop | ApartMotors:
        base, spec = self._base, self._spec()
        if isinstance(base, ApartBase):
            return ApartMotors(base)
        return MotorLoop(
            base,
            self._session.safety_dir,
            spec.rules(),
            rate_hz=spec.rate_hz,
            tell=self._tell,
            clock_offset_ns=self._session.clock_offset_ns,
            priority=spec.priority,
        )

    def _open(self) -> None:
        self._base.open()
        self._base.neutral()

    def _close(self, why: str) -> None:
        """Let the base go; a gate that is closed by that says why."""
        if isinstance(self._base, ApartBase):
            self._base.close(why)
        else:
            self._base.close()

    async def _recover(self, text: str) -> None:
        self._say_trouble(text)
        # A link that comes back moves nothing by itself: its loss trips, and a trip latches.
        await self._report_condition("base", False, text)
        try:
            # Not in the loop: a process that is frozen is waited for, and the heart must beat on.
            await asyncio.to_thread(self._close, f"the drive opens its base again: {text}")
            await asyncio.to_thread(self._open)
        except DeviceError as error:
            self._say_trouble(str(error))
            await self.clock.sleep(0.5)

    def _say_trouble(self, text: str) -> None:
        if text == self._trouble:
            return
        if text:
            self.log.warning(f"base: {text}")
        else:
            self.log.info("base: answers again")
        self._trouble = text
        level = "error" if text else "ok"
        self.diagnostics.publish(Diagnostic(level=level, name="drive/base", text=text or "answers"))

    def _tell(self, applied: Applied, order: Order | None, at_ns: int) -> None:
        """Called from the motors' thread: hand over to the loop at once."""
        if not self._is_telling:
            return  # the motors come to rest while the node leaves
        with suppress(RuntimeError):  # the loop has ended; the motors' thread must not end for it
            self._loop.call_soon_threadsafe(partial(self._publish_actuation, applied, order, at_ns))

    def _publish_actuation(self, applied: Applied, order: Order | None, at_ns: int) -> None:
        passed = applied.reason.name == "OK"
        self._note_pause(applied, at_ns, passed=passed)
        self.actuation.publish(
            Actuation(
                header=Header(stamp=at_ns + self._session.clock_offset_ns),
                channels=applied.channels,
                passed=passed,
                reason="" if passed else applied.detail,
            ),
            cause=order.twist if passed and order is not None else None,
        )

    def _note_pause(self, applied: Applied, at_ns: int, *, passed: bool) -> None:
        """Say why motors that were driven go to neutral; what is not worth a trip is worth that."""
        if self._was_driven and not passed:
            reason = applied.reason.name.lower()
            self.log.info(f"motors to neutral: {reason}: {applied.detail}", at_ns=at_ns)
        self._was_driven = passed and any(applied.channels)

    def _publish_odometry(self, header: Header) -> None:
        self._memory.write(self._reckoning.pose)
        self.odometry.publish(self._reckoning.message(header))

    def _publish_safety(self) -> None:
        now_ns = self.clock.now_ns() - self._session.clock_offset_ns
        lease = self._lease.check(now_ns)
        state = str(lease.mode).lower() if lease.mode is not None else "unknown"
        cause = "" if lease.valid else lease.why.split(" lapsed")[0]
        told = (state, cause, lease.epoch)
        if told != self._safety_told:
            self._safety_told = told
            self.safety.publish(
                SafetyState(state=state, cause=cause, epoch=lease.epoch, since=self.clock.now_ns())
            )

    async def _watch_commands(self) -> None:
        """Stop, and latch it, when commands that asked for motion come no more.

        Raises:
            SafetyError: It could not be asked for: this process has no descriptor to spare.
        """
        silent_s = (self.clock.now_ns() - self._asked_ns) / 1e9
        limit_s = self.params.lost_after_s
        if not (limit_s and self._asked_ns) or silent_s <= limit_s:
            return
        self._asked_ns = 0
        if self._lease.check(self.clock.now_ns() - self._session.clock_offset_ns).valid:
            cause = f"commands ended {silent_s:.1f} s ago, and the last one asked for motion"
            outcome = await asyncio.to_thread(self._guardian.stop, cause, self.name)
            self.log.warning(f"{cause}: {outcome.text}")
            if self._lease.check(self.clock.now_ns() - self._session.clock_offset_ns).valid:
                # Nobody heard it. This node's end is one stop more that nobody can miss.
                raise SafetyError(f"{cause}, and the stop came to nothing: {outcome.text}")

    async def _vouch(self, state: BaseState) -> None:
        """Tell how the battery stands, and then that the base answers: then both words are new."""
        is_ok = not math.isfinite(state.charge) or state.charge >= self.params.min_charge
        text = f"battery at {state.charge:.0%}, {self.params.min_charge:.0%} are needed"
        await self._report_condition("battery", is_ok, text)
        await self._report_condition("base", True, "answers")

    async def _report_condition(self, name: str, is_ok: bool, text: str) -> None:
        """Tell the guardian about something that motion depends on."""
        await self._voucher.tell(name, is_ok=is_ok, text=text)
