"""What motion depends on besides commands: level, cool, inside the fence."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from olympus.nodes.conditions import POSE_NS, Conditions, Limit, hottest_c, is_within, tilt_deg
from olympus.nodes.vouching import AGAIN_S, GOOD_S, Voucher
from olympus.runtime.bus import Bus
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.messages import Header, Odometry, Pose
from olympus.runtime.node import Node, NodeContext
from olympus.runtime.node.testing import running
from olympus.runtime.safety.status import ConditionStatus
from olympus.runtime.scheduler import Dispatcher

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.mark.parametrize(
    ("accel", "angle"),
    [
        ((0.0, 0.0, 9.8), 0.0),
        ((9.8, 0.0, 0.0), 90.0),
        ((0.0, 9.8, 9.8), 45.0),
        ((0.0, 0.0, -9.8), 180.0),
    ],
)
def test_the_tilt_is_the_angle_from_upright(
    accel: tuple[float, float, float], angle: float
) -> None:
    assert tilt_deg(accel) == pytest.approx(angle)


@pytest.mark.parametrize("accel", [(0.0, 0.0, 0.0), (math.nan, 0.0, 9.8), (0.0, 0.0, 2.9)])
def test_what_does_not_feel_gravity_has_no_tilt(accel: tuple[float, float, float]) -> None:
    assert math.isnan(tilt_deg(accel))


def test_a_limit_is_good_again_only_some_way_below() -> None:
    limit = Limit(25.0, 5.0)
    values = [10.0, 25.0, 25.1, 24.0, 20.0, math.nan, 19.9, 24.0]
    assert [limit.take(v) for v in values] == [True, True, False, False, False, False, True, True]


def test_a_fence_has_an_inside() -> None:
    fence = (-1.0, -2.0, 3.0, 4.0)
    assert is_within(fence, -1.0, 4.0)
    assert not is_within(fence, 3.01, 0.0)
    assert not is_within(fence, 0.0, -2.01)
    assert not is_within(fence, math.nan, 0.0)


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    assert math.isnan(hottest_c(tmp_path))
    for number, text in enumerate(["41000\n", "67500\n", "none"]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    assert hottest_c(tmp_path) == 67.5


class Somebody(Node):
    """A node that has something to say to the guardian."""


def some_node() -> Node:
    clock = SystemClock()
    bus, dispatcher = Bus(clock), Dispatcher(clock)
    return Somebody(NodeContext(name="test", bus=bus, clock=clock, dispatcher=dispatcher))


async def test_a_bad_condition_trips_and_is_told_again_after_a_second(
    guardian: Any, session: Session, until: Until
) -> None:
    voucher = Voucher(some_node(), session.safety_dir)
    await voucher.tell("tilt", is_ok=True, text="3° of 25°")
    guardian.permit()
    await voucher.tell("tilt", is_ok=False, text="31° of 25°")
    await until(lambda: not guardian.client.status().is_permitted)
    assert guardian.client.status().cause == "condition tilt: 31° of 25°"
    guardian.client.report("tilt", ok=True)  # as if a new guardian had never heard of it
    await voucher.tell("tilt", is_ok=False, text="31° of 25°")
    assert guardian.client.status().conditions[0].ok
    await asyncio.sleep(AGAIN_S)
    await voucher.tell("tilt", is_ok=False, text="31° of 25°")
    assert not guardian.client.status().conditions[0].ok


async def test_a_node_that_says_no_more_what_it_watches_trips(
    guardian: Any, session: Session
) -> None:
    voucher = Voucher(some_node(), session.safety_dir)
    await voucher.tell("tilt", is_ok=True, text="3° of 25°")
    guardian.permit()
    await asyncio.sleep(GOOD_S / 2)
    assert guardian.client.status().is_permitted
    await asyncio.sleep(GOOD_S / 2 + 0.5)
    status = guardian.client.status()
    assert not status.is_permitted
    assert re.match(r"condition tilt: last reported good 5\.\d s ago", status.cause)
    assert "does whoever watches it still run?" in str(status.blockers)


async def test_a_guardian_that_is_not_there_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voucher = Voucher(some_node(), tmp_path)
    for _ in range(3):
        await voucher.tell("tilt", is_ok=True, text="")
    assert caplog.text.count("does not take the state of the tilt") == 1


async def test_the_fence_stands_on_the_map_and_counts_drifting_wheels_only_without_one(
    guardian: Any, session: Session, robot_clock: SystemClock, until: Until
) -> None:
    def fence() -> ConditionStatus | None:
        found = guardian.client.status().conditions
        return next((one for one in found if one.name == "geofence"), None)

    def wheels(stamp: int) -> Odometry:
        where = {"x_m": 1.0, "y_m": 2.1, "yaw_rad": 0.0}
        return Odometry(header=Header(stamp=stamp), linear_mps=0.0, angular_radps=0.0, **where)

    params = {"fence": (0.0, -2.0, 5.0, 2.0)}
    async with running(Conditions, params=params, session=session, clock=robot_clock) as bench:
        now = robot_clock.now_ns()
        await bench.send("pose", Pose(header=Header(stamp=now), x_m=1.0, y_m=0.0))
        await until(lambda: fence() is not None)
        await bench.send("odometry", wheels(now + POSE_NS))
        await bench.send("pose", Pose(header=Header(stamp=now), x_m=1.1, y_m=0.0))
        while "at 4.0" not in fence().text:  # type: ignore[union-attr]  # told after AGAIN_S
            await bench.send("pose", Pose(header=Header(stamp=now), x_m=4.0, y_m=0.0))
            await asyncio.sleep(0.05)
        assert fence().ok  # type: ignore[union-attr]
        await bench.send("odometry", wheels(now + POSE_NS + 1))
        await until(lambda: not fence().ok)  # type: ignore[union-attr]
    assert bench.crashes == []


async def test_a_pose_from_the_future_does_not_hide_wheels_that_leave_the_fence(
    guardian: Any, session: Session, robot_clock: SystemClock, until: Until
) -> None:
    def fence() -> list[bool]:
        found = guardian.client.status().conditions
        return [one.ok for one in found if one.name == "geofence"]

    params = {"fence": (0.0, -2.0, 5.0, 2.0)}
    async with running(Conditions, params=params, session=session, clock=robot_clock) as bench:
        now = robot_clock.now_ns()
        hour_ns = 3_600_000_000_000
        await bench.send("pose", Pose(header=Header(stamp=now + hour_ns), x_m=1.0, y_m=0.0))
        await until(lambda: fence() == [True])
        where = {"x_m": 9.0, "y_m": 0.0, "yaw_rad": 0.0, "linear_mps": 0.4, "angular_radps": 0.0}
        await bench.send("odometry", Odometry(header=Header(stamp=now), **where))
        await until(lambda: fence() == [False])
    assert bench.crashes == []
