"""Plan steps that something in Nav2's place carries out, each in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from olympus.models import llama_native
from olympus.runtime.bus.ros2.actions import Status
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.qos import ACTION_STATUS
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.sim.messages import Truth

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[4]
STILL_S = 0.5
"""Standing, not on the way through zero: longer than a command lives (drive, `max_age_ms`)."""
STAND_IN = ROOT / "docs" / "examples" / "nav2_stand_in.py"
ROBOT = """\
name: sent
namespace: rover
arguments:
  router: {description: Zenoh endpoint of the ROS router.}
plugins: [olympus.sim.devices]
safety:
  watch: {control: 2.0}
  gates: {drive: 2.0}
  lease_ms: 1000
  period_ms: 50
hosts:
  sim: {nodes: [world]}
  control: {nodes: [drive, nav2]}
  ros2: {respawn: {policy: always, delay_s: 0.1, max_delay_s: 0.2}}
ros2:
  backend: zenoh
  router: ["${router}"]
  listen: [tcp/127.0.0.1:0]
  publish:
    - {topic: rover/odometry, ros: /rover/odom}
  subscribe:
    - {ros: /cmd_vel, type: geometry_msgs/msg/Twist, topic: rover/cmd_vel}
    - {ros: /amcl_pose, type: geometry_msgs/msg/PoseWithCovarianceStamped, topic: rover/pose}
  actions:
    - {ros: /navigate_to_pose, type: nav2_msgs/action/NavigateToPose, service: rover/navigate}
nodes:
  world: {uses: olympus.sim.world_node, params: {people: 0}}
  drive:
    uses: olympus.nodes.drive
    depends_on: [world]
    params: {source: "sim://base", start_pose: [1.5, 0, 0]}
  nav2:
    uses: olympus.nodes.nav2
    params: {places: {home: [1.5, 0], end: [16.5, 0]}}
  planner:
    uses: olympus.nodes.planner
    params: {navigator: nav2, places: [home, end]}
"""


@dataclass
class Sent:
    """The rover, its action server, and a look at the goals from the graph."""

    robot: Launched
    seat: Seat
    ros: Participant
    goals: dict[bytes, Status] = field(default_factory=dict)
    mission: Any = field(init=False)
    truth: Any = field(init=False)

    def __post_init__(self) -> None:
        self.mission = self.seat.watch("rover/mission")
        self.truth = self.seat.watch("rover/sim/truth")
        self.ros.node("looker").subscribe(
            "/navigate_to_pose/_action/status",
            "action_msgs/msg/GoalStatusArray",
            self._on_status,
            ACTION_STATUS,
        )

    def _on_status(self, value: Any, _arrival: Any) -> None:
        for one in value.status_list:
            self.goals[one.goal_info.goal_id.uuid.tobytes()] = Status(one.status)

    @property
    def is_moving(self) -> bool:
        return bool(self.truth.messages) and speed_of(self.truth.newest) > 0.05

    @property
    def has_stood(self) -> bool:
        """Whether it has stood for `STILL_S`: a brake swings, and a last command may come late."""
        newest = self.truth.newest.header.stamp
        last = takewhile(
            lambda one: newest - one.header.stamp < STILL_S * 1e9, reversed(self.truth.messages)
        )
        return all(speed_of(one) <= 0.05 for one in last)

    @property
    def statuses(self) -> list[Status]:
        return list(self.goals.values())

    async def reset(self) -> None:
        async with asyncio.timeout(30):
            while not (await asyncio.to_thread(self.robot.safety.reset, "test")).is_confirmed:
                await asyncio.sleep(0.3)

    async def say(self, sentence: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self.robot.command, "say", "--to", "rover/nav2", sentence)

    async def until_told(self, state: str, reason: str) -> None:
        def is_told() -> bool:
            told = self.mission.messages
            return any(one.state == state and reason in one.reason for one in told)

        await self.seat.until(is_told, f"{state}: {reason}", within_s=60)

    async def set_off(self) -> None:
        await self.reset()
        said = await self.say("go to the end")
        assert said.returncode == 0, said.stdout + said.stderr
        await self.until_told("driving", "m to go")
        await self.seat.until(lambda: self.is_moving, "the rover drives", within_s=60)
        assert self.statuses == [Status.EXECUTING]

    async def until_called_off(self) -> None:
        await self.seat.until(lambda: self.statuses == [Status.CANCELED], "the goal is cancelled")
        await self.seat.until(lambda: self.has_stood, "the rover stands")


def speed_of(truth: Truth) -> float:
    """Return how fast the rover moves or turns, m/s plus rad/s."""
    return abs(truth.linear_mps) + abs(truth.angular_radps)


@contextmanager
def stand_in(router: str) -> Iterator[None]:
    """Run what serves the action, in a process of its own."""
    command = [sys.executable, str(STAND_IN), router]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("serving")
            yield
        finally:
            process.kill()


@asynccontextmanager
async def launched(router: str, ros: Participant) -> AsyncIterator[Sent]:
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        file = Path(folder) / "sent.yaml"
        file.write_text(ROBOT)
        with Launched(file, f"router:={router}", root=Path(folder)) as robot:
            robot.until_active()
            async with robot.joined() as seat:
                yield Sent(robot, seat, ros)


@pytest.fixture
async def sent(router: str, join: Join) -> AsyncIterator[Sent]:
    """Launch the rover beside an action server."""
    with stand_in(router):
        async with launched(router, join()) as one:
            await one.seat.until(lambda: one.seat.hosts, "hosts are there")
            yield one


@pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())
async def test_the_steps_of_a_plan_are_goals_one_after_the_other(sent: Sent) -> None:
    await sent.reset()
    said = await asyncio.to_thread(
        sent.robot.command, "say", "--to", "rover/nav2", "go to 2.5, 0, then go home"
    )
    assert said.returncode == 0, said.stdout + said.stderr
    await sent.seat.until(
        lambda: sent.statuses == [Status.SUCCEEDED] * 2, "both goals are reached", within_s=90
    )
    await sent.seat.until(lambda: sent.mission.newest.done == 2, "both missions are accomplished")


async def test_a_stop_of_the_guardian_calls_the_goal_off_and_a_reset_moves_nothing(
    sent: Sent,
) -> None:
    await sent.set_off()
    outcome = await asyncio.to_thread(sent.robot.safety.stop, "a person has seen enough")
    assert outcome.is_confirmed, outcome.text
    await sent.until_called_off()
    await sent.until_told("stopped", "no permission to move")
    await sent.reset()
    await sent.seat.during(1.5, lambda: not sent.is_moving, "a reset permits, it moves nothing")
    assert sent.statuses == [Status.CANCELED]


async def test_a_bridge_that_dies_and_comes_back_drives_no_further(sent: Sent) -> None:
    await sent.set_off()
    bridge = sent.robot.ledger("ros2")["pid"]
    subprocess.run(["kill", "-KILL", str(bridge)], check=True)
    await sent.until_called_off()
    assert sent.robot.ledger("ros2")["pid"] != bridge
    await sent.until_told("failed", "")
    await sent.seat.during(1.0, lambda: not sent.is_moving, "nothing goes on by itself")


async def test_without_a_server_the_mission_is_given_up_and_says_why(
    router: str, join: Join
) -> None:
    async with launched(router, join()) as one:
        await one.reset()
        assert (await one.say("go to the end")).returncode == 0
        await one.until_told("failed", "no server for the action /navigate_to_pose")


def test_the_shipped_file_hands_the_wheel_to_nav2() -> None:
    plan = make_plan(ROOT / "launch" / "nav2.yaml", ["leg_s:=60"])
    assert "navigator" not in plan.nodes
    assert plan.nodes["drive"].remaps == {"cmd_vel": "ros_cmd_vel"}
