from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from olympus.nodes.drive import Drive
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.messages import (
    Actuation,
    Battery,
    Diagnostic,
    Header,
    Odometry,
    Ranges,
    SafetyState,
    Twist,
)
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.safety.client import SafetyClient

Until = Callable[[Callable[[], bool]], Awaitable[None]]
START = {"start_pose": [1.5, 0.0, 0.0]}


class Pilot:
    """Commands a velocity twenty times a second."""

    def __init__(self, bench: Bench[Drive]) -> None:
        self.bench = bench
        self.linear_mps = self.angular_radps = self.age_s = 0.0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            stamp = self.bench.node.clock.now_ns() - round(self.age_s * 1e9)
            twist = Twist(
                header=Header(stamp=stamp),
                linear_mps=self.linear_mps,
                angular_radps=self.angular_radps,
            )
            await self.bench.send("cmd_vel", twist)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


Driving = Callable[..., AbstractAsyncContextManager[tuple[Bench[Drive], Pilot]]]
Permit = Callable[[], Awaitable[None]]


@asynccontextmanager
async def _driving(
    session: Session, clock: SystemClock, **params: Any
) -> AsyncIterator[tuple[Bench[Drive], Pilot]]:
    async with running(Drive, params=START | params, session=session, clock=clock) as bench:
        pilot = Pilot(bench)
        yield bench, pilot
        await pilot.stop()
    assert bench.crashes == []
    assert bench.node.errors == 0


@pytest.fixture
def driving(session: Session, robot_clock: SystemClock) -> Driving:
    """Return what runs a drive with somebody at the wheel, who asks for nothing yet."""
    return partial(_driving, session, robot_clock)


@pytest.fixture
def permit(guardian_of_drive: Any) -> Permit:
    """Return what resets the guardian as soon as nothing speaks against it."""

    async def reset() -> None:
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(lambda: guardian_of_drive.is_ready):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(guardian_of_drive.permit)

    return reset


@pytest.fixture
def under_way(driving: Driving, permit: Permit, building: Any, until: Until) -> Driving:
    """Return what runs a drive that is permitted and goes ahead at 0.4 m/s, or nearly."""

    @asynccontextmanager
    async def moving() -> AsyncIterator[tuple[Bench[Drive], Pilot]]:
        async with driving() as (bench, pilot):
            await permit()
            pilot.linear_mps = 0.4
            await until(lambda: speed(building) > 0.3)
            yield bench, pilot

    return moving


def newest(bench: Bench[Drive], topic: str) -> Any:
    """Return the last message that came on a topic since the last look, or None."""
    queue, last = bench.watch(topic), None
    while not queue.empty():
        last = queue.get_nowait()
    return last


def speed(building: Any) -> float:
    return abs(float(building.world.rover.velocity[0]))


async def test_a_permitted_drive_moves_the_rover_and_says_how_far(
    driving: Driving, permit: Permit, building: Any, until: Until
) -> None:
    async with driving() as (bench, pilot):
        await permit()
        pilot.linear_mps = 0.4
        await until(lambda: building.world.rover.pose.x > 1.9)
        said = newest(bench, "odometry")
        assert isinstance(said, Odometry)
        assert said.x_m == pytest.approx(building.world.rover.pose.x, abs=0.15)
        scan = newest(bench, "ranges")
        assert isinstance(scan, Ranges)
        assert len(scan.distances_m) == len(scan.bearings_rad) == 19
        told = _all(bench, "actuation")
        assert all(isinstance(one, Actuation) for one in told)
        passed = [one for one in told if one.passed][-1]
        assert [hop.topic for hop in passed.header.trace] == ["cmd_vel", "actuation"]
        state = newest(bench, "safety/state")
        assert isinstance(state, SafetyState)
        assert (state.state, state.cause) == ("permitted", "")
    await until(lambda: speed(building) < 0.01)


async def test_commands_that_end_while_it_moves_trip_and_what_comes_back_moves_nothing(
    driving: Driving, permit: Permit, session: Session, building: Any, until: Until
) -> None:
    client = SafetyClient(session.safety_dir)
    async with driving(lost_after_s=1.5) as (bench, pilot):
        await permit()
        await until(lambda: bench.node.ticks.get("ok", 0) > 5)
        await pilot.stop()  # it asked for rest: its silence says nothing
        stale = bench.node.ticks.get("stale", 0)
        await until(lambda: bench.node.ticks.get("stale", 0) > stale + 90)  # 1.8 s
        assert client.status().is_permitted
        pilot = Pilot(bench)
        pilot.linear_mps = 0.4
        await until(lambda: speed(building) > 0.1)
        await pilot.stop()
        await until(lambda: not client.status().is_permitted)
        assert re.match(r"commands ended \d+\.\d s ago", client.status().cause)
        pilot = Pilot(bench)
        pilot.linear_mps = 0.4
        refused = bench.node.ticks.get("no_lease", 0)
        await until(lambda: bench.node.ticks.get("no_lease", 0) > refused + 25)
        assert speed(building) < 0.01
        await pilot.stop()


async def test_motors_that_pause_without_a_trip_say_why(
    driving: Driving, permit: Permit, building: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with driving() as (bench, pilot):
        pilot.linear_mps = 0.4
        await permit()
        await until(lambda: bench.node.ticks.get("ok", 0) > 20)
        await pilot.stop()
        await until(lambda: bench.node.ticks.get("stale", 0) > 5)
    said = [line.getMessage() for line in caplog.records]
    told = [text for text in said if "motors to neutral" in text]
    said_ms = re.match(r"motors to neutral: stale: ([\d.]+) ms old, allowed are 300.0", told[0])
    assert said_ms is not None, told
    assert float(said_ms[1]) > 300


async def test_without_a_lease_nothing_moves(
    driving: Driving, building: Any, guardian_of_drive: Any, until: Until
) -> None:
    async with driving() as (bench, pilot):
        pilot.linear_mps = 0.4
        await until(lambda: bench.node.ticks.get("no_lease", 0) > 25)
        assert bench.node.ticks.keys() == {"no_lease"}
        assert speed(building) < 0.01
        refused = newest(bench, "actuation")
        assert not refused.passed
        assert "not permitted" in refused.reason


async def test_without_a_guardian_nothing_moves(
    driving: Driving, building: Any, until: Until
) -> None:
    async with driving() as (bench, pilot):
        pilot.linear_mps = 0.4
        await until(lambda: bench.node.ticks.get("no_lease", 0) > 25)
        assert speed(building) < 0.01


@pytest.mark.parametrize("age_s", [0.5, -0.5])
async def test_a_command_of_another_time_moves_nothing(
    driving: Driving, permit: Permit, building: Any, until: Until, age_s: float
) -> None:
    async with driving() as (bench, pilot):
        await permit()
        await asyncio.sleep(0.6)  # so that an old command is not one from before the permission
        pilot.linear_mps, pilot.age_s = 0.4, age_s
        reason = "stale" if age_s > 0 else "future"
        await until(lambda: bench.node.ticks.get(reason, 0) > 20)
        assert speed(building) < 0.01


async def test_a_pilot_who_falls_silent_stops_the_rover(
    under_way: Driving, building: Any, until: Until
) -> None:
    async with under_way() as (bench, pilot):
        await pilot.stop()
        await until(lambda: speed(building) < 0.01)
        assert bench.node.ticks["stale"] > 0


async def test_a_stop_brakes_and_only_a_new_command_after_a_reset_moves_again(
    under_way: Driving, permit: Permit, building: Any, guardian_of_drive: Any, until: Until
) -> None:
    async with under_way() as (_, pilot):
        outcome = await asyncio.to_thread(guardian_of_drive.client.stop, "test")
        assert outcome.is_confirmed, outcome
        await until(lambda: speed(building) < 0.01)
        pilot.linear_mps = 0.0
        await permit()
        assert speed(building) < 0.01
        pilot.linear_mps = 0.4
        await until(lambda: speed(building) > 0.3)


async def test_a_guardian_that_dies_stops_the_rover(
    under_way: Driving, building: Any, guardian_of_drive: Any, until: Until
) -> None:
    async with under_way():
        guardian_of_drive.kill()
        await until(lambda: speed(building) < 0.01)


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_a_velocity_that_is_no_number_moves_nothing(
    driving: Driving, permit: Permit, building: Any, until: Until, value: float
) -> None:
    async with driving() as (bench, pilot):
        await permit()
        pilot.linear_mps = value
        await until(lambda: bench.node.ticks.get("not_finite", 0) > 10)
        assert speed(building) < 0.01


async def test_too_fast_a_velocity_is_made_slower_and_keeps_its_curve(
    driving: Driving, permit: Permit, building: Any, until: Until
) -> None:
    async with driving(max_wheel_radps=4.0) as (bench, pilot):
        await permit()
        pilot.linear_mps, pilot.angular_radps = 4.0, 8.0
        passed = [(0.0, 0.0)]

        def is_at_full_speed() -> bool:
            passed.extend(one.channels for one in _all(bench, "actuation") if one.passed)
            return passed[-1][1] == pytest.approx(4.0)

        await until(is_at_full_speed)
        left, right = passed[-1]
        assert max(right for _, right in passed) == right
        assert left / right == pytest.approx((4.0 - 8.0 * 0.17) / (4.0 + 8.0 * 0.17), abs=1e-6)


async def test_a_base_that_vanishes_is_missed_and_taken_back_without_moving(
    under_way: Driving, building: Any, guardian_of_drive: Any, until: Until
) -> None:
    async with under_way() as (bench, _):
        building.close()
        report = await _report_of_base(bench, "error")
        assert report.text
        building.open()
        await _report_of_base(bench, "ok")
        newest(bench, "odometry")
        await bench.receive("odometry")
        status = await asyncio.to_thread(guardian_of_drive.client.status)
        assert not status.is_permitted
        await until(lambda: speed(building) < 0.01)


async def _report_of_base(bench: Bench[Drive], level: str, words: str = "") -> Diagnostic:
    async with asyncio.timeout(15):
        while True:
            report = await bench.receive("diagnostics", timeout_s=15)
            assert isinstance(report, Diagnostic)
            if (report.name, report.level) == ("drive/base", level) and words in report.text:
                return report


async def test_wheel_angles_that_are_no_numbers_leave_the_pose_and_are_told_once(
    driving: Driving, building: Any, until: Until
) -> None:
    async with driving() as (bench, _):
        await bench.receive("odometry")
        building.world.faults.encoder_garbage = True
        first = await _report_of_base(bench, "error", "no numbers")
        newest(bench, "odometry")
        for _ in range(20):
            await bench.receive("ranges")
        assert newest(bench, "odometry") is None
        told = [first, *(d for d in _all(bench, "diagnostics") if d.name == "drive/base")]
        # Where the machine stood still for a second, that is told too, and the rest after it again.
        assert all(one.text != after.text for one, after in pairwise(told)), told
        building.world.faults.encoder_garbage = False
        await _report_of_base(bench, "ok")


def _all(bench: Bench[Drive], topic: str) -> list[Any]:
    queue = bench.watch(topic)
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_a_low_battery_trips_and_keeps_the_rover_stopped(
    driving: Driving, permit: Permit, building: Any, guardian_of_drive: Any, until: Until
) -> None:
    async with driving(min_charge=0.1) as (bench, _):
        await permit()
        building.world.faults.battery_low = True
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(guardian_of_drive.client.status)).is_permitted:
                await bench.receive("battery")
        status = await asyncio.to_thread(guardian_of_drive.client.status)
        assert "battery at 6%" in f"{status.cause} {status.conditions}"
        assert any("battery" in blocker for blocker in status.blockers)
        charge = newest(bench, "battery") or await bench.receive("battery")
        assert isinstance(charge, Battery)
        assert charge.charge == pytest.approx(0.06)
        building.world.faults.battery_low = False
        await permit()


async def test_no_word_of_a_drive_before_this_one_permits_motion(
    driving: Driving, building: Any, guardian_of_drive: Any
) -> None:
    del building  # it only has to be there
    for name in ("base", "battery"):
        guardian_of_drive.client.report(name, ok=True, text="said by one that is gone")
    async with driving(), asyncio.timeout(10):
        while (status := await asyncio.to_thread(guardian_of_drive.client.status)).blockers:
            await asyncio.sleep(0.01)
        told = {one.name: one.text for one in status.conditions}
        assert told["base"] == "answers"
        assert told["battery"].startswith("battery at")


async def test_a_drive_started_anew_goes_on_where_it_was(
    driving: Driving, permit: Permit, building: Any, until: Until
) -> None:
    async with driving() as (bench, pilot):
        await permit()
        pilot.linear_mps = 0.4
        await until(lambda: building.world.rover.pose.x > 1.8)
        pilot.linear_mps = 0.0
        await until(lambda: speed(building) < 0.01)
        newest(bench, "odometry")
        await bench.receive("odometry")  # begun before that look, maybe
        await bench.receive("odometry")
    async with driving() as (bench, _):
        first = await bench.receive("odometry")
        assert isinstance(first, Odometry)
        assert first.x_m == pytest.approx(building.world.rover.pose.x, abs=0.15)


async def test_a_drive_without_a_session_is_refused() -> None:
    with pytest.raises(ConfigError, match="with a guardian"):
        async with running(Drive):
            pass


async def test_a_drive_without_a_base_does_not_become_active(
    session: Session, robot_clock: SystemClock
) -> None:
    with pytest.raises(DeviceError, match="sim://base"):
        async with running(Drive, session=session, clock=robot_clock):
            pass


async def test_an_unknown_base_is_refused(session: Session, robot_clock: SystemClock) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        params = {"source": "simm://base"}
        async with running(Drive, params=params, session=session, clock=robot_clock):
            pass
