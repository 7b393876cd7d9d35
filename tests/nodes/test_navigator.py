"""What a navigator is told to do, and that a stop ends it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from tests.nodes.navigator_senses import SITE, Senses, in_virtual_time, is_still, say

from olympus.nodes.navigator import Navigator
from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Ack,
    Command,
    Header,
    Odometry,
    Percept,
    Pose,
)
from olympus.runtime.node.testing import Bench, running
from olympus.sim.rover import BEARINGS_RAD


def test_without_a_command_it_stands_and_says_so() -> None:
    async def story(_: Bench[Navigator], senses: Senses) -> None:
        assert is_still(await senses.pass_time(1.0))
        assert senses.state.state == "idle"

    in_virtual_time(story)


def test_a_patrol_drives_ahead_at_cruising_speed() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        assert say(bench, "patrol the corridor").ok
        twist = await senses.pass_time(1.0)
        assert twist.linear_mps == pytest.approx(0.4)
        assert senses.state.state == "driving"
        assert senses.state.goal == "1.5, 0"

    in_virtual_time(story)


def test_a_reached_waypoint_leads_to_the_next_and_the_end_to_idleness() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol 1 rounds")
        for x, yaw in ((1.5, 0.0), (5.0, 0.0), (9.0, 0.0), (5.0, math.pi), (1.5, math.pi)):
            senses.x_m, senses.yaw_rad = x, yaw
            await senses.pass_time(0.5)
        assert senses.state.state == "idle"
        assert senses.state.mission == ""
        assert is_still(await senses.pass_time(0.5))

    in_virtual_time(story)


def test_a_patrol_that_gets_nowhere_turns_round() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        senses.x_m = 3.0
        await senses.pass_time(0.2)
        say(bench, "patrol")
        senses.distances = np.full(19, 0.4, np.float32)
        await senses.pass_time(1.0)
        assert senses.state.state == "blocked"
        await senses.pass_time(12.0)
        assert senses.state.goal == "1.5, 0"
        assert bench.node.turned_back == 1

    in_virtual_time(story)


def test_a_drive_to_a_place_waits_until_the_way_is_free() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "go to 5, 0")
        senses.distances = np.full(19, 0.4, np.float32)
        await senses.pass_time(30.0)
        assert senses.state.goal == "5, 0"
        senses.distances = np.full(19, 6.0, np.float32)
        assert (await senses.pass_time(0.5)).linear_mps > 0.3

    in_virtual_time(story)


def test_stop_and_continue() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        assert not say(bench, "continue").ok
        say(bench, "patrol")
        await senses.pass_time(0.5)
        assert say(bench, "stop").ok
        assert is_still(await senses.pass_time(0.5))
        assert senses.state.state == "idle"
        assert say(bench, "continue").ok
        assert (await senses.pass_time(0.5)).linear_mps > 0.3

    in_virtual_time(story)


def test_a_command_before_the_first_odometry_counts_from_where_the_rover_really_is() -> None:
    async def main() -> None:
        async with running(Navigator, params=SITE, clock=clock) as bench:
            senses = Senses(bench)
            senses.x_m = 6.0
            assert say(bench, "patrol").ok
            await senses.pass_time(0.5)
            assert senses.state.goal == "9, 0"

    clock = VirtualClock()
    run_virtual(main(), clock)


async def test_every_odometry_leads_to_a_pose_on_the_map_of_the_same_moment() -> None:
    where = Odometry(
        header=Header(stamp=7), x_m=1.0, y_m=0.5, yaw_rad=0.6, linear_mps=0.0, angular_radps=0.0
    )
    async with running(Navigator, params=SITE) as bench:
        await bench.send("odometry", where)
        pose = await bench.receive("pose")
    assert isinstance(pose, Pose)
    assert (pose.header.stamp, pose.x_m, pose.y_m, pose.frame_id) == (7, 1.0, 0.5, "map")
    assert 2 * math.atan2(pose.qz, pose.qw) == pytest.approx(0.6)
    assert [hop.topic for hop in pose.header.trace] == ["odometry", "pose"]


def test_a_turn_is_made_on_the_spot_and_ends() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "turn left")
        twist = await senses.pass_time(0.3)
        assert (twist.linear_mps, twist.angular_radps) == (0.0, 1.0)
        senses.yaw_rad = math.pi / 2
        assert is_still(await senses.pass_time(0.3))
        assert senses.state.state == "idle"

    in_virtual_time(story)


def test_waiting_ends_after_its_time() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "wait 2 seconds")
        await senses.pass_time(1.0)
        assert senses.state.reason == "waiting as told"
        await senses.pass_time(1.5)
        assert senses.state.state == "idle"

    in_virtual_time(story)


@pytest.mark.parametrize(
    ("sentence", "hint"),
    [("make coffee", "say for example"), ("go to the hoem", "did you mean 'home'")],
)
def test_what_it_can_not_do_is_answered(sentence: str, hint: str) -> None:
    async def story(bench: Bench[Navigator], _: Senses) -> None:
        answer = await bench.bus.call("node/say", Command(text=sentence, verb=""))
        assert isinstance(answer, Ack)
        assert not answer.ok
        assert hint in answer.text

    in_virtual_time(story)


def test_a_command_may_come_as_a_message_too() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        await bench.send("command", Command(text="patrol", verb=""))
        assert (await senses.pass_time(0.5)).linear_mps > 0.3

    in_virtual_time(story)


def test_a_command_that_comes_by_a_call_is_told_to_all() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        told = bench.watch("said")
        asked = Command(header=Header(seq=7, stamp=3), text="patrol", verb="")
        assert (await bench.bus.call(f"{bench.node.name}/say", asked, Ack)).ok
        said = await bench.receive("said")
        assert isinstance(said, Command)
        assert (said.text, said.verb, said.header.seq) == ("patrol", "", 1)
        assert said.header.source == bench.node.name
        await bench.send("command", Command(text="stop", verb=""))
        await senses.pass_time(0.5)
        assert told.empty()

    in_virtual_time(story)


def test_a_rover_put_elsewhere_finds_itself_before_the_end_wall() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        with np.errstate(divide="ignore"):
            side = 1.35 / np.abs(np.sin(BEARINGS_RAD))
            end = 3.0 / np.cos(BEARINGS_RAD.astype(np.float64))
        senses.distances = np.clip(np.minimum(side, np.abs(end)), 0, 6).astype(np.float32)
        await senses.pass_time(7.0)
        assert bench.node.pose().x_m == pytest.approx(17.95 - 3.0, abs=0.1)
        assert bench.node.pose().y_m == pytest.approx(0.0, abs=0.05)

    in_virtual_time(story, corridor=[0.05, -1.35, 17.95, 1.35])


async def test_without_permission_no_command_is_taken(
    session: Session, guardian: Any, robot_clock: SystemClock
) -> None:
    async with running(Navigator, params=SITE, session=session, clock=robot_clock) as bench:
        senses = Senses(bench)
        assert is_still(await senses.pass_time(0.5))
        assert senses.state.state == "stopped"
        answer = say(bench, "patrol")
        assert not answer.ok
        assert "reset" in answer.text


async def test_a_stop_clears_the_mission_and_a_reset_alone_moves_nothing(
    session: Session, guardian: Any, robot_clock: SystemClock
) -> None:
    guardian.permit()
    async with running(Navigator, params=SITE, session=session, clock=robot_clock) as bench:
        senses = Senses(bench)
        await senses.pass_time(0.3)
        assert say(bench, "patrol").ok
        assert (await senses.pass_time(0.3)).linear_mps > 0.3
        await asyncio.to_thread(guardian.client.stop, "test")
        assert is_still(await senses.pass_time(0.3))
        assert senses.state.state == "stopped"
        await asyncio.sleep(0.3)
        await asyncio.to_thread(guardian.permit)
        assert is_still(await senses.pass_time(0.5))
        assert senses.state.state == "idle"
        assert not say(bench, "continue").ok
        assert say(bench, "patrol").ok
        assert (await senses.pass_time(0.3)).linear_mps > 0.3


@pytest.mark.parametrize("trips", [True, False])
async def test_a_shouted_stop_ends_the_mission_and_trips_the_guardian(
    session: Session, guardian: Any, robot_clock: SystemClock, trips: bool
) -> None:
    guardian.permit()
    params = {**SITE, "stop_on_shout": trips}
    async with running(Navigator, params=params, session=session, clock=robot_clock) as bench:
        senses = Senses(bench)
        await senses.pass_time(0.3)
        say(bench, "patrol")
        await senses.pass_time(0.3)
        shout = Percept(kind="sound", label="stop", confidence=0.93)
        await bench.send("percepts", shout)
        assert is_still(await senses.pass_time(0.5))
        status = await asyncio.to_thread(guardian.client.status)
        assert status.is_permitted is not trips
        if trips:
            assert "heard 'stop' (93% sure)" in status.cause
        assert senses.state.mission == ""


async def test_a_guardian_that_dies_is_a_stop(
    session: Session, guardian: Any, robot_clock: SystemClock
) -> None:
    guardian.permit()
    async with running(Navigator, params=SITE, session=session, clock=robot_clock) as bench:
        senses = Senses(bench)
        await senses.pass_time(0.3)
        say(bench, "patrol")
        assert (await senses.pass_time(0.3)).linear_mps > 0.3
        guardian.kill()
        assert is_still(await senses.pass_time(1.6))  # its word is good for a second
        assert senses.state.state == "stopped"
