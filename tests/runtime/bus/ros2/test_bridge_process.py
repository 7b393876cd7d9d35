"""A launched robot, its bridge, and ROS in this process: parameters, lifecycle, driving, dying."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.sim.messages import Truth

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, Until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ROBOT = """\
name: driven
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
  control: {nodes: [drive]}
  ros2: {respawn: {policy: always, delay_s: 120, max_delay_s: 120}}
ros2:
  backend: zenoh
  router: ["${router}"]
  listen: [tcp/127.0.0.1:0]
  subscribe:
    - {ros: /cmd_vel, type: geometry_msgs/msg/Twist, topic: rover/cmd_vel}
nodes:
  world: {uses: olympus.sim.world_node, params: {people: 0}}
  drive:
    uses: olympus.nodes.drive
    depends_on: [world]
    params: {source: "sim://base", start_pose: [1.5, 0, 0]}
"""
"""A rover whose only driver is ROS; a bridge that dies is not back before the test is over. The
guardian has patience with a busy machine: what is tested here is not its speed."""
MOVING_RADPS = 0.1


@dataclass
class Ridden:
    """The rover, and ROS at its wheel: it asks for a slow turn on the spot, without end."""

    robot: Launched
    seat: Seat
    ros: Participant
    node: RosNode
    truth: Any = field(init=False)
    commands: Any = field(init=False)

    def __post_init__(self) -> None:
        self.truth = self.seat.watch("rover/sim/truth")
        self.commands = self.seat.watch("rover/cmd_vel")

    @property
    def bridge(self) -> int:
        """Process of the bridge; 0 when there is none."""
        return int(self.robot.ledger("ros2").get("pid") or 0)

    @property
    def is_moving(self) -> bool:
        newest: Truth | None = self.truth.newest if self.truth.messages else None
        return newest is not None and abs(newest.angular_radps) > MOVING_RADPS

    @property
    def gate(self) -> Any:
        (gate,) = self.robot.safety.status().gates
        return gate

    async def steer(self) -> None:
        publisher = self.node.publisher("/cmd_vel", "geometry_msgs/msg/Twist")
        twist = self.ros.new("geometry_msgs/msg/Twist")
        twist.angular.z = 0.5
        while True:
            publisher.publish(twist)
            await asyncio.sleep(0.05)

    async def set_off(self) -> None:
        """Permit motion, like a person who presses again when it was refused, and see it move."""
        async with asyncio.timeout(30):
            while not (await asyncio.to_thread(self.robot.safety.reset, "test")).is_confirmed:
                await asyncio.sleep(0.3)
        await self.seat.until(lambda: self.is_moving, "the rover turns")

    async def until_at_rest_by_age(self) -> None:
        """Wait until the wheels rest because the newest command is too old, and not by a stop."""
        await self.seat.until(lambda: not self.is_moving, "the rover stands")
        gate = self.gate
        assert (gate.reason, gate.is_neutral) == ("STALE", True)
        assert self.robot.safety.status().is_permitted

    async def call(self, service: str, type_: str, **fields: Any) -> Any:
        client = self.node.client(f"/rover/drive/{service}", type_)
        return await client.call(self.ros.new(f"{type_}_Request", **fields), timeout_s=20.0)

    async def stop(self) -> None:
        outcome = await asyncio.to_thread(self.robot.safety.stop, "a person has seen enough")
        assert outcome.is_confirmed, outcome.text


@pytest.fixture
async def ridden(router: str, join: Join) -> AsyncIterator[Ridden]:
    """Launch the rover and have ROS drive it."""
    async with _driven(router, join()) as one:
        await one.set_off()
        yield one


@asynccontextmanager
async def _driven(router: str, ros: Participant) -> AsyncIterator[Ridden]:
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        file = Path(folder) / "driven.yaml"
        file.write_text(ROBOT)
        with Launched(file, f"router:={router}", root=Path(folder)) as robot:
            robot.until_active()
            async with robot.joined() as seat:
                one = Ridden(robot, seat, ros, ros.node("teleop"))
                steering = asyncio.create_task(one.steer())
                try:
                    yield one
                finally:
                    steering.cancel()
                    await asyncio.gather(steering, return_exceptions=True)


async def test_a_bridge_that_is_killed_leaves_the_motors_at_rest_and_the_stop_in_reach(
    ridden: Ridden,
) -> None:
    bridge = ridden.bridge
    os.kill(bridge, signal.SIGKILL)
    await ridden.until_at_rest_by_age()
    await ridden.stop()
    assert ridden.robot.ledger("ros2")["last_exit"] == "SIGKILL"
    assert ridden.bridge in (0, bridge), "all that was without a bridge"


async def test_a_bridge_that_hangs_is_outlived_by_no_command_and_awakes_behind_a_latched_stop(
    ridden: Ridden,
) -> None:
    os.kill(ridden.bridge, signal.SIGSTOP)
    await ridden.until_at_rest_by_age()
    await ridden.stop()
    ridden.commands.forget()
    os.kill(ridden.bridge, signal.SIGCONT)
    await ridden.seat.until(lambda: ridden.commands.messages, "commands of ROS come again")
    await ridden.seat.during(1.0, lambda: not ridden.is_moving, "the stop is latched")


async def test_a_stop_in_ros_is_the_guardians(ridden: Ridden, until: Until) -> None:
    before = ridden.robot.safety.status().latch
    publisher = ridden.node.publisher("/stop", "std_msgs/msg/Bool")
    await until(lambda: publisher.is_wanted)
    publisher.publish(ridden.ros.new("std_msgs/msg/Bool", data=True))
    await until(lambda: ridden.robot.safety.status().latch > before)
    trips = ridden.robot.safety.status().trips
    assert any("ROS /stop" in trip.cause for trip in trips)
    await ridden.seat.until(lambda: not ridden.is_moving, "the rover stands")
    ridden.commands.forget()
    await ridden.seat.until(lambda: ridden.commands.messages, "ROS drives on, in vain")
    await ridden.seat.during(1.0, lambda: not ridden.is_moving, "the stop is latched")


async def test_a_node_of_another_process_has_its_parameters_and_its_lifecycle_in_ros(
    ridden: Ridden, until: Until
) -> None:
    rcl, lifecycle = "rcl_interfaces/srv", "lifecycle_msgs/srv"
    new, told = ridden.ros.new, list[Any]()
    ridden.node.subscribe(
        "/parameter_events", "rcl_interfaces/msg/ParameterEvent", lambda v, _: told.append(v)
    )
    listed = await ridden.call("list_parameters", f"{rcl}/ListParameters")
    assert {"max_age_ms", "source", "use_sim_time"} <= set(listed.result.names)
    wish = new("rcl_interfaces/msg/ParameterValue", type=3, double_value=250.0)
    set_ = await ridden.call(
        "set_parameters",
        f"{rcl}/SetParameters",
        parameters=[new("rcl_interfaces/msg/Parameter", name="max_age_ms", value=wish)],
    )
    assert set_.results[0].successful, set_.results[0].reason
    got = await ridden.call("get_parameters", f"{rcl}/GetParameters", names=["max_age_ms"])
    assert got.values[0].double_value == 250.0
    await until(lambda: "max_age_ms" in {p.name for e in told for p in e.changed_parameters})

    async def state() -> str:
        answer = await ridden.call("get_state", f"{lifecycle}/GetState")
        return str(answer.current_state.label)

    async with asyncio.timeout(20):
        while await state() != "active":
            await asyncio.sleep(0.1)
    deactivate = new("lifecycle_msgs/msg/Transition", id=4)
    done = await ridden.call("change_state", f"{lifecycle}/ChangeState", transition=deactivate)
    assert done.success
    await ridden.seat.until(lambda: not ridden.is_moving, "a drive that is inactive rests")
    async with asyncio.timeout(20):
        while await state() != "inactive":
            await asyncio.sleep(0.1)
