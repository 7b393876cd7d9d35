"""An action of ROS as a service of ours: how it goes, how it ends, and what calls it off."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.joining import join as join_session
from olympus.runtime.bus.ros2.actions import ActionServer, Goal
from olympus.runtime.bus.ros2.bridge.bridge import Bridge
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError, DeviceError, OlympusError, SafetyError
from olympus.runtime.messages import Ack, Empty, Message, MissionState, Pose, RosValue
from olympus.runtime.qos import QoS
from olympus.runtime.safety.lease import LeaseWriter
from olympus.runtime.safety.state import Mode

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, Until

pytestmark = pytest.mark.e2e
NAVIGATE = "nav2_msgs/action/NavigateToPose"
FIBONACCI = "int32 order\n---\nint32[] sequence\n---\nint32[] sequence\n"
ENDLESS, STUBBORN, WALL = Pose(x_m=9.0, y_m=0.0), Pose(x_m=8.0, y_m=0.0), Pose(x_m=-1.0, y_m=0.0)


class Guardian:
    """Writes a lease as the guardian does, as long as motion is permitted."""

    def __init__(self, place: Path) -> None:
        self._writer = LeaseWriter(place)
        self._lock = threading.Lock()
        self._epoch = 0
        self._is_permitted = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        with self._lock:
            self._epoch += 1
            now = time.monotonic_ns()
            self._writer.grant(self._epoch, now, now + 900_000_000)
            self._is_permitted = True

    def stop(self) -> None:
        with self._lock:
            self._is_permitted = False
            self._writer.revoke(self._epoch, Mode.TRIPPED)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._writer.close()

    def _renew(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                if self._is_permitted:
                    self._writer.renew(self._epoch, time.monotonic_ns() + 900_000_000)


@dataclass
class Nav2:
    """Serves NavigateToPose: near poses are reached at once, far ones never."""

    ros: Participant
    begun: list[float] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    called_off: list[float] = field(default_factory=list)
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    async def drive(self, goal: Goal) -> None:
        x_m = goal.value.pose.pose.position.x
        self.begun.append(x_m)
        self.frames.append(goal.value.pose.header.frame_id)
        goal.tell(self.ros.new(f"{NAVIGATE}_Feedback", distance_remaining=abs(x_m)))
        try:
            await asyncio.sleep(60 if x_m > 5 else 0.05)
        except asyncio.CancelledError:
            self.called_off.append(x_m)
            if x_m != STUBBORN.x_m:
                raise
            await self.awake.wait()
        if x_m < 0:
            raise DeviceError("behind a wall")


@dataclass
class Scene:
    """A bridge with one errand, a guardian, and ROS at the other side."""

    bus: Bus
    bridge: Bridge
    guardian: Guardian
    join: Join
    told: list[MissionState]
    nav2: Nav2 = field(init=False)

    def serve(self, node: str = "bt_navigator", type_: str = NAVIGATE) -> None:
        ros = self.join()
        self.nav2 = Nav2(ros)
        ActionServer(ros, ros.node(node), "/navigate_to_pose", type_, self.nav2.drive)

    async def go(self, question: Message, timeout_s: float = 30.0) -> Ack:
        return await self.bus.call("rover/navigate", question, Ack, timeout_s=timeout_s)

    def going(self, question: Message) -> asyncio.Task[Ack]:
        return asyncio.create_task(self.go(question))


Stage = Callable[..., Any]


@pytest.fixture
def stage(session: Session, way: dict[str, Any], join_any: Join) -> Stage:
    """Return what builds a scene; its words are those of the entry in the launch file."""

    @asynccontextmanager
    async def made(**more: Any) -> AsyncIterator[Scene]:
        settings = way | {"interfaces": more.pop("interfaces", [])}
        entry = {"ros": "/navigate_to_pose", "type": NAVIGATE, "service": "rover/navigate"}
        entry |= {"patience_s": 20.0} | more
        package = entry["type"].split("/")[0]
        if way["backend"] == "rclpy" and importlib.util.find_spec(package) is None:
            pytest.skip(f"the installed ROS has no {package}")
        clock = SystemClock(session.clock_offset_ns)
        async with AsyncExitStack() as stack:
            guardian = Guardian(session.safety_dir)
            stack.callback(guardian.close)
            guardian.reset()
            bus = join_session(session, clock, host="rover")
            stack.push_async_callback(bus.close)
            other = join_session(session, clock, host="bridge")
            stack.push_async_callback(other.close)
            bridge = Bridge(
                BridgeSettings.model_validate(settings | {"actions": [entry]}),
                other,
                name="rover/ros2",
                safety_dir=session.safety_dir,
            )
            stack.push_async_callback(bridge.close)
            scene = Scene(bus, bridge, guardian, join_any, [])
            if entry["type"] == NAVIGATE:
                options = SubscriptionOptions(qos=QoS.lossless())
                bus.subscribe("rover/navigate/progress", MissionState, scene.told.append, options)
            async with asyncio.timeout(20):
                while "rover/navigate" not in {one.topic for one in bus.graph()}:
                    await asyncio.sleep(0.01)
            yield scene

    return made


async def test_a_goal_tells_how_it_goes_and_how_it_ended(stage: Stage, until: Until) -> None:
    async with stage() as scene:
        scene.serve()
        arrived = await scene.go(Pose(x_m=2.0, y_m=1.0))
        assert (arrived.ok, arrived.text) == (True, "succeeded")
        await until(lambda: len(scene.told) >= 2)
        assert [(t.state, t.reason) for t in scene.told] == [
            ("driving", "2.00 m to go"),
            ("idle", "succeeded"),
        ]
        assert (scene.nav2.begun, scene.nav2.frames) == ([2.0], ["map"])
        failed = await scene.go(WALL)
        assert (failed.ok, failed.text) == (False, "aborted")
        with pytest.raises(OlympusError, match="takes a Pose or a RosValue"):
            await scene.go(Empty())


async def test_who_gives_up_has_the_goal_called_off(stage: Stage, until: Until) -> None:
    async with stage() as scene:
        scene.serve()
        going = asyncio.create_task(scene.go(ENDLESS, timeout_s=3.0))
        await until(lambda: scene.nav2.begun)
        with pytest.raises(BusError, match="no answer in 3 s"):
            await going
        await until(lambda: scene.nav2.called_off)


async def test_a_stop_calls_the_goal_off_and_a_reset_begins_nothing(
    stage: Stage, until: Until
) -> None:
    async with stage() as scene:
        scene.serve()
        going = scene.going(ENDLESS)
        await until(lambda: scene.nav2.begun)
        scene.guardian.stop()
        answer = await asyncio.wait_for(going, 20)
        assert not answer.ok
        assert answer.text.startswith("called off: motion is stopped")
        assert scene.nav2.called_off == [ENDLESS.x_m]
        with pytest.raises(SafetyError, match=r"/navigate_to_pose: motion is stopped.*reset it"):
            await scene.go(ENDLESS)
        scene.guardian.reset()
        assert (await scene.go(Pose(x_m=1.0, y_m=0.0))).ok
        assert scene.nav2.begun == [ENDLESS.x_m, 1.0]


async def test_a_stop_that_was_reset_at_once_calls_the_goal_off_too(
    stage: Stage, until: Until
) -> None:
    async with stage() as scene:
        scene.serve()
        going = scene.going(ENDLESS)
        await until(lambda: scene.nav2.begun)
        scene.guardian.stop()
        scene.guardian.reset()
        answer = await asyncio.wait_for(going, 20)
        assert (answer.ok, answer.text) == (False, "called off: motion was stopped meanwhile")
        assert scene.nav2.called_off == [ENDLESS.x_m]


async def test_an_action_that_moves_nothing_does_not_mind_a_stop(stage: Stage) -> None:
    async with stage(moves=False) as scene:
        scene.serve()
        scene.guardian.stop()
        assert (await scene.go(Pose(x_m=1.0, y_m=0.0))).ok


async def test_a_goal_has_its_time(stage: Stage) -> None:
    async with stage(limit_s=0.3) as scene:
        scene.serve()
        answer = await scene.go(ENDLESS)
        assert (answer.ok, answer.text) == (False, "called off: it is not done within 0.3 s")
        assert scene.nav2.called_off == [ENDLESS.x_m]


async def test_a_newer_goal_takes_the_place_of_an_older(stage: Stage, until: Until) -> None:
    async with stage() as scene:
        scene.serve()
        older = scene.going(ENDLESS)
        await until(lambda: scene.nav2.begun)
        assert (await scene.go(Pose(x_m=1.0, y_m=0.0))).ok
        answer = await asyncio.wait_for(older, 20)
        assert (answer.ok, answer.text) == (False, "called off: another goal came")
        assert scene.nav2.called_off == [ENDLESS.x_m]


async def test_a_bridge_that_leaves_calls_off_what_is_under_way(stage: Stage, until: Until) -> None:
    async with stage() as scene:
        scene.serve()
        going = scene.going(ENDLESS)
        await until(lambda: scene.nav2.begun)
        await scene.bridge.close()
        await until(lambda: scene.nav2.called_off)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def test_a_server_that_goes_on_is_told_loudly(
    stage: Stage, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage() as scene:
        scene.serve()
        going = scene.going(STUBBORN)
        await until(lambda: scene.nav2.begun)
        scene.guardian.stop()
        answer = await asyncio.wait_for(going, 30)
        assert "but it was called off and goes on" in answer.text
        assert scene.bridge.participant.tallies.refused["/navigate_to_pose"] == 1
        assert any(record.levelname == "CRITICAL" for record in caplog.records)
        scene.nav2.awake.set()


async def test_without_a_server_the_refusal_names_the_action_and_the_way_out(
    stage: Stage,
) -> None:
    async with stage(patience_s=0.5) as scene:
        with pytest.raises(BusError) as refusal:
            await scene.go(ENDLESS)
        text = str(refusal.value)
        assert f"no server for the action /navigate_to_pose of type {NAVIGATE}" in text
        assert "olympus ros2 action list" in text


async def test_a_server_of_another_type_is_named(stage: Stage, way: dict[str, Any]) -> None:
    if way["backend"] == "rclpy":
        pytest.skip("over DDS a service of another type is no service of that name")
    async with stage(patience_s=0.5) as scene:
        ros = scene.join()
        ros.codecs.catalogue.add("my_msgs/action/Go", "int32 order\n---\nint32 a\n---\nint32 b")
        ActionServer(
            ros, ros.node("mine"), "/navigate_to_pose", "my_msgs/action/Go", Nav2(ros).drive
        )
        with pytest.raises(BusError, match="/mine serves that name with the type my_msgs/"):
            await scene.go(ENDLESS)


async def test_two_servers_for_one_action_are_refused(stage: Stage, until: Until) -> None:
    async with stage() as scene:
        scene.serve("left/bt_navigator")
        scene.serve("right/bt_navigator")
        seen = scene.bridge.participant.backend.entities

        def servers() -> int:
            return sum(e.topic.endswith("/send_goal") and e.kind == "SS" for e in seen())

        await until(lambda: servers() == 2)
        with pytest.raises(BusError, match=r"2 servers .*/left/bt_navigator, /right/bt_navigator"):
            await scene.go(ENDLESS)
        assert scene.nav2.begun == []


async def test_an_action_of_the_users_own_takes_its_goal_and_tells_its_feedback_as_they_are(
    stage: Stage, join_any: Join, until: Until, tmp_path: Path
) -> None:
    package = tmp_path / "test_msgs"  # over rclpy a type must be installed, and this one is
    (package / "action").mkdir(parents=True)
    (package / "action" / "Fibonacci.action").write_text(FIBONACCI)
    kind, off = "test_msgs/action/Fibonacci", list[int]()
    more = {"ros": "/fibonacci", "type": kind, "interfaces": [str(package)]}
    async with stage(**more) as scene:
        ros = join_any(interfaces=[str(package)])
        heard: list[RosValue] = []
        options = SubscriptionOptions(qos=QoS.lossless())
        scene.bus.subscribe("rover/navigate/progress", RosValue, heard.append, options)

        async def count(goal: Goal) -> Any:
            goal.tell(ros.new(f"{kind}_Feedback", sequence=[0, 1]))
            try:
                await asyncio.sleep(60 if goal.value.order > 10 else 0.2)
            except asyncio.CancelledError:
                off.append(goal.value.order)
                raise
            return ros.new(f"{kind}_Result", sequence=[0, 1, 1])

        ActionServer(ros, ros.node("counter"), "/fibonacci", kind, count)
        codec = ros.codecs.get(f"{kind}_Goal")

        def goal(order: int) -> RosValue:
            cdr = codec.encode(codec.cls(order=order))
            return RosValue(type=f"{kind}_Goal", cdr=np.frombuffer(cdr, np.uint8))

        assert (await scene.go(goal(3))).ok
        await until(lambda: heard)
        assert heard[0].type == f"{kind}_Feedback"
        told = ros.codecs.get(heard[0].type).decode(heard[0].cdr.tobytes())
        assert told.sequence.tolist() == [0, 1]
        going = scene.going(goal(99))
        await until(lambda: len(heard) == 2)
        scene.guardian.stop()
        answer = await asyncio.wait_for(going, 20)
        assert answer.text.startswith("called off: motion is stopped")
        assert off == [99]
        with pytest.raises(OlympusError, match=f"takes a RosValue of {kind}_Goal, not Empty"):
            scene.guardian.reset()
            await scene.go(Empty())


@pytest.mark.parametrize("apart", [(), ("unshare", "--map-root-user", "--net")])
def test_a_bridge_knows_its_goals_again_without_a_network_card_too(apart: tuple[str, ...]) -> None:
    if apart and subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no network namespace (unshare)")
    code = "from olympus.runtime.bus.ros2.bridge.errand import mark_of; print(mark_of('r', '/run'))"
    command = [*apart, sys.executable, "-c", code]
    marks = {subprocess.check_output(command) for _ in range(2)}
    assert len(marks) == 1
