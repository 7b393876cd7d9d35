"""The whole road from photon to motor, driven as a person would, judged by what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from olympus.runtime.messages import Ack

if TYPE_CHECKING:
    from tests.e2e.conftest import Ride

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_it_is_stopped_until_it_is_permitted_and_told(ride: Ride) -> None:
    answer = await ride.say("patrol the corridor")
    assert (answer.ok, answer.text) == (False, "motion is stopped; reset it, then say it again")
    await ride.stays_still(1.5)
    assert ride.state == "stopped"
    await ride.robot.permit()
    await ride.stays_still(1.0)
    await ride.set_off()


async def test_a_stop_halts_it_and_a_reset_alone_moves_nothing(ride: Ride) -> None:
    await ride.set_off()
    done = ride.robot.command("stop", "enough for today")
    assert done.returncode == 0, done.stderr
    assert "CONFIRMED" in done.stdout
    await ride.until_still(3.0)
    status = ride.robot.safety.status()
    assert (status.is_permitted, status.cause) == (False, "enough for today")
    assert (await ride.say("continue")).ok is False
    await ride.robot.permit()
    await ride.stays_still(1.5)
    await ride.set_off()


async def test_a_shouted_stop_halts_it_and_latches(ride: Ride) -> None:
    await ride.set_off()
    await ride.let("shout_stop")
    heard_s = await ride.seat.until(
        lambda: not ride.robot.safety.status().is_permitted, "the shout is heard", 8
    )
    await ride.until_still(3.0)
    assert heard_s < 8
    assert "stop" in ride.robot.safety.status().cause
    await ride.robot.permit()
    await ride.stays_still(1.5)
    await ride.set_off()


@pytest.mark.parametrize(
    "fault", ["camera_silent", "camera_frozen", "range_garbage", "encoder_garbage"]
)
async def test_a_rover_that_can_not_see_stands_until_it_can(ride: Ride, fault: str) -> None:
    await ride.set_off()
    await ride.fault(fault, 1)
    blind_s = await ride.seat.until(lambda: ride.state == "blind", f"{fault} is noticed", 6)
    await ride.until_still(3.0)
    await ride.stays_still(1.0)
    await ride.fault(fault, 0)
    await ride.seat.until(lambda: ride.is_moving, "it drives on by itself", 40)
    assert ride.robot.safety.status().is_permitted
    assert blind_s < 6


async def test_a_stuck_wheel_does_not_end_the_patrol(ride: Ride) -> None:
    await ride.set_off()
    await ride.fault("motor_stuck_left", 1)
    ride.truth.forget()
    await ride.seat.until(
        lambda: len(ride.truth.messages) > 20 and abs(ride.now.linear_mps) < 0.25, "it can't go on"
    )
    await ride.fault("motor_stuck_left", 0)
    await ride.set_off()


async def test_nonsense_from_things_is_counted_and_the_patrol_goes_on(ride: Ride) -> None:
    await ride.set_off()
    await ride.fault("mqtt_garbage", 1)

    def refused() -> int:
        figures = [d.values for d in ride.diagnostics.messages if d.name == "iot/broker"]
        newest = figures[-1] if figures else {}
        return sum(int(n) for name, n in newest.items() if name.startswith("refused."))

    await ride.seat.until(lambda: refused() > 0, "nonsense is counted")
    await ride.fault("mqtt_garbage", 0)
    await ride.seat.until(lambda: ride.is_moving, "the patrol goes on", 40)
    assert ride.robot.safety.status().is_permitted


async def test_no_host_was_lost_on_the_way(ride: Ride) -> None:
    hosts = ("sim", "sensors", "perception", "control", "recorder", "viewer")
    assert {host: ride.robot.ledger(host)["restarts"] for host in hosts} == dict.fromkeys(hosts, 0)
    answer = await ride.say("stop")
    assert isinstance(answer, Ack) and answer.ok
    await ride.until_still(3.0)
