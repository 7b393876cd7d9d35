from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from olympus.nodes.navigator import Navigator
from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Ack,
    Command,
    Header,
    MissionState,
    Odometry,
    Percept,
    Pose,
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


@pytest.mark.parametrize("missing", ["has_pictures", "has_ranges", "has_odometry"])
def test_blind_it_stands_and_drives_on_when_it_sees_again(missing: str) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        await senses.pass_time(0.5)
        setattr(senses, missing, False)
        assert is_still(await senses.pass_time(1.5))
        assert senses.state.state == "blind"
        setattr(senses, missing, True)
        assert (await senses.pass_time(0.5)).linear_mps > 0.3

    in_virtual_time(story)


def test_garbage_that_looks_believable_now_and_then_moves_nothing() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        believable = senses.distances
        senses.distances = np.full_like(believable, math.nan)
        assert is_still(await senses.pass_time(0.5))
        for _ in range(10):
            senses.distances = believable
            assert is_still(await senses.pass_time(0.2))
            senses.distances = np.full_like(believable, math.nan)
            assert is_still(await senses.pass_time(0.2))
        assert senses.state.state == "blind"

    in_virtual_time(story)


@pytest.mark.parametrize("missing", ["has_pictures", "has_ranges", "has_odometry"])
def test_a_sense_whose_clock_was_ahead_does_not_stay_fresh_when_it_is_gone(missing: str) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.ahead_s = 3600.0
        await senses.pass_time(0.5)
        setattr(senses, missing, False)
        senses.ahead_s = 0.0
        assert is_still(await senses.pass_time(1.5))
        assert senses.state.state == "blind"

    in_virtual_time(story)


@pytest.mark.parametrize("nonsense", [math.nan, -1.0, 40.0, math.inf])
def test_ranges_that_no_sensor_gives_make_it_blind(nonsense: float) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.distances = np.full(19, nonsense, np.float32)
        assert is_still(await senses.pass_time(1.0))
        assert senses.state.state == "blind"

    in_virtual_time(story)


def test_it_does_not_drive_where_the_front_sensors_are_dead() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.distances[6:13] = np.nan
        assert (await senses.pass_time(0.5)).linear_mps == 0.0

    in_virtual_time(story)


def test_it_yields_to_a_person_right_ahead() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(b), 1.2) for b in (-38, -15, 0, 15, 38)]
        senses.people += [(math.radians(b), 1.2) for b in (-70, 70)]
        assert is_still(await senses.pass_time(0.5))
        assert senses.state.state == "yielding"
        assert "1.2 m away" in senses.state.reason
        senses.people = []
        assert (await senses.pass_time(3.0)).linear_mps > 0.3

    in_virtual_time(story)


def test_it_slows_down_when_somebody_is_near() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(50), 1.8)]
        twist = await senses.pass_time(0.5)
        assert 0.05 < twist.linear_mps < 0.35
        assert senses.state.reason.startswith("slower: a person is 1.8 m")

    in_virtual_time(story)


def test_a_person_without_a_distance_is_near() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(0.0, math.nan)]
        assert (await senses.pass_time(0.5)).linear_mps < 0.15

    in_virtual_time(story)


def test_somebody_who_left_the_view_is_remembered_for_a_while() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(50), 1.5)]
        slow = await senses.pass_time(0.5)
        senses.people = []
        assert (await senses.pass_time(1.0)).linear_mps == pytest.approx(slow.linear_mps)
        assert (await senses.pass_time(2.0)).linear_mps == pytest.approx(0.4)

    in_virtual_time(story)


def test_somebody_in_view_who_is_not_seen_again_has_gone() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(0.1, 1.6)]
        await senses.pass_time(0.5)
        senses.people = []
        assert (await senses.pass_time(0.9)).linear_mps == pytest.approx(0.4)

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
        assert is_still(await senses.pass_time(0.6))
        assert senses.state.state == "stopped"
