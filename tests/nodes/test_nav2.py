from __future__ import annotations

import asyncio
from typing import Any

import pytest

from olympus.nodes.nav2 import Nav2
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack, Command, Header, MissionState, Odometry, Percept, Pose
from olympus.runtime.node.testing import Bench, running

SITE: dict[str, Any] = {
    "route": [[1.0, 0.0], [3.0, 0.0]],
    "places": {"home": [0.0, 0.0], "lab": [4.0, 3.0]},
}


class Far:
    """Stands for the bridge's service: goals are reached when the test says so."""

    def __init__(self, bench: Bench[Nav2]) -> None:
        self.bench = bench
        self.goals: list[Pose] = []
        self.called_off = 0
        self.answers: asyncio.Queue[Ack] = asyncio.Queue()
        bench.bus.serve("navigate", Pose, self.drive, node="ros2")
        bench.watch("mission")

    async def drive(self, goal: Pose) -> Ack:
        self.goals.append(goal)
        try:
            return await self.answers.get()
        except asyncio.CancelledError:
            self.called_off += 1
            raise

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_told(self, state: str, reason: str = "") -> MissionState:
        while True:
            told = await self.bench.receive("mission", timeout_s=20)
            assert isinstance(told, MissionState)
            if told.state == state and reason in told.reason:
                return told


async def be_at(bench: Bench[Nav2], x_m: float, y_m: float) -> None:
    odometry = Odometry(
        header=Header(stamp=bench.node.clock.now_ns()),
        x_m=x_m, y_m=y_m, yaw_rad=0.0, linear_mps=0.0, angular_radps=0.0,
    )  # fmt: skip
    await bench.send("odometry", odometry)
    await asyncio.sleep(0.05)


def say(bench: Bench[Nav2], sentence: str) -> Ack:
    return bench.node.obey(Command(text=sentence, verb=""))


async def test_a_command_is_a_goal_and_is_done_when_the_goal_is_reached() -> None:
    async with running(Nav2, params=SITE) as bench:
        far = Far(bench)
        assert "nobody says where the rover is" in say(bench, "go to lab").text
        await be_at(bench, 1.0, 3.0)
        assert say(bench, "go to lab").ok
        await far.until(lambda: far.goals)
        assert (far.goals[0].x_m, far.goals[0].y_m, far.goals[0].frame_id) == (4.0, 3.0, "map")
        assert (far.goals[0].qz, far.goals[0].qw) == (0.0, 1.0), "it arrives as it drives"
        await bench.send(
            "navigate/progress", MissionState(mission="/n", state="driving", reason="2.50 m to go")
        )
        await far.until_told("driving", "2.50 m to go")
        far.answers.put_nowait(Ack(ok=True, text="succeeded"))
        told = await far.until_told("idle")
        assert (told.done, told.mission) == (1, "")


async def test_a_command_that_comes_by_a_call_is_told_to_all() -> None:
    async with running(Nav2, params=SITE) as bench:
        bench.watch("said")
        question = Command(text="go to lab", verb="")
        assert not (await bench.bus.call(f"{bench.node.name}/say", question, Ack)).ok
        said = await bench.receive("said")
        assert isinstance(said, Command)
        assert (said.text, said.header.source) == ("go to lab", bench.node.name)


async def test_a_patrol_is_one_goal_after_the_other_and_a_turn_is_one_on_the_spot() -> None:
    async with running(Nav2, params=SITE) as bench:
        far = Far(bench)
        await be_at(bench, 0.0, 0.0)
        assert say(bench, "patrol the corridor").ok
        for number in range(4):
            await far.until(lambda number=number: len(far.goals) == number + 1)
            far.answers.put_nowait(Ack(ok=True))
        assert [goal.x_m for goal in far.goals[:4]] == [1.0, 3.0, 1.0, 3.0]
        assert say(bench, "turn left").ok
        await far.until(lambda: far.goals[-1].qz > 0.7)
        assert (far.goals[-1].x_m, far.goals[-1].y_m) == (0.0, 0.0)


@pytest.mark.parametrize("ended_by", ["stop", "go home", "deactivate", "shout"])
async def test_a_goal_is_called_off_when_its_mission_ends(ended_by: str) -> None:
    async with running(Nav2, params=SITE | {"stop_on_shout": False}) as bench:
        far = Far(bench)
        await be_at(bench, 1.0, 0.0)
        assert say(bench, "go to lab").ok
        await far.until(lambda: far.goals)
        if ended_by == "deactivate":
            await bench.node.on_deactivate()
        elif ended_by == "shout":
            await bench.send("percepts", Percept(kind="sound", label="stop", confidence=0.9))
        else:
            assert say(bench, ended_by).ok
        await far.until(lambda: far.called_off == 1)
        if ended_by == "go home":
            await far.until(lambda: len(far.goals) == 2)
            assert far.goals[1].x_m == 0.0
        if ended_by == "stop":
            assert say(bench, "continue").ok
            await far.until(lambda: len(far.goals) == 2)
            assert far.goals[1].x_m == 4.0


async def test_a_way_that_takes_too_long_is_given_up() -> None:
    async with running(Nav2, params=SITE | {"leg_s": 0.3}) as bench:
        far = Far(bench)
        await be_at(bench, 1.0, 0.0)
        assert say(bench, "go to lab").ok
        await far.until_told("failed", "gave no answer in 0.3 s")
        assert far.called_off == 1


async def test_a_goal_that_fails_gives_the_mission_up_and_says_why() -> None:
    async with running(Nav2, params=SITE) as bench:
        far = Far(bench)
        await be_at(bench, 1.0, 0.0)
        assert say(bench, "go to lab").ok
        far.answers.put_nowait(Ack(ok=False, text="behind a wall"))
        told = await far.until_told("failed", "behind a wall")
        assert (told.done, told.mission) == (0, "")
        await asyncio.sleep(0.3)
        assert len(far.goals) == 1, "nothing goes on by itself"


async def test_without_a_bridge_the_mission_is_given_up() -> None:
    async with running(Nav2, params=SITE) as bench:
        bench.watch("mission")
        await be_at(bench, 1.0, 0.0)
        assert say(bench, "go to lab").ok
        while (told := await bench.receive("mission", timeout_s=20)).state != "failed":  # type: ignore[attr-defined]
            pass
        assert "navigate" in told.reason  # type: ignore[attr-defined]
        with pytest.raises(BusError):
            await bench.bus.call("navigate", Command(text="", verb=""), timeout_s=0.2)
