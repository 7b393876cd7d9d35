"""The bridge: a session's topics, nodes, parameters, lifecycle and stop, as ROS sees them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.hub import open_hub
from olympus.runtime.bus.joining import join as join_session
from olympus.runtime.bus.ros2.bridge import Bridge, BridgeSettings
from olympus.runtime.bus.ros2.bridge.parameters import MOST_ITEMS, MOST_NAMES
from olympus.runtime.bus.ros2.bridge.settings import qos_name
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import LATCHED, ROSOUT, SENSOR_DATA
from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual
from olympus.runtime.config import Session, new_session
from olympus.runtime.errors import BusError
from olympus.runtime.messages import (
    Diagnostic,
    HostStats,
    Image,
    Imu,
    Log,
    Message,
    NodeStats,
    Odometry,
    PoseArray,
    RosValue,
    SafetyState,
    Transforms,
    Twist,
)
from olympus.runtime.node import Field, Node, NodeContext, NodeParams
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.qos import QoS
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.settings import Settings
from olympus.runtime.scheduler import Dispatcher

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, Until

pytestmark = pytest.mark.e2e
RCLPY = pytest.param(
    "rclpy",
    marks=[
        pytest.mark.ros2_real,
        pytest.mark.skipif(not has_rclpy(), reason="rclpy does not import: no ROS 2 is installed"),
    ],
)
STRING = "std_msgs/msg/String"
ROBOT = Path(__file__).with_name("_rclpy_robot.py")
TF = "tf2_msgs/msg/TFMessage"
NAVIGATE = "nav2_msgs/action/NavigateToPose"


class Wheel(Node):
    class Params(NodeParams):
        speed: float = Field(0.5, ge=0, le=2, description="How fast, m/s.")
        gear: int = Field(1, ge=1, le=5, description="Which gear.")
        label: str = "left"
        route: list[tuple[float, float]] = Field(default_factory=lambda: [(1.0, 2.0)])
        limits: list[float] = Field(default_factory=lambda: [0.0, 1.5])


@dataclass
class Place:
    """A session with one node, a bridge, and somebody in the ROS graph who looks at it."""

    bus: Bus
    bridge: Bridge
    ros: Participant
    looker: RosNode
    runner: NodeRunner

    async def call(self, service: str, type_: str, **fields: Any) -> Any:
        client = self.looker.client(service, type_)
        return await client.call(self.ros.new(f"{type_}_Request", **fields), timeout_s=20.0)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = new_session("ros2")
    with open_hub(made):
        yield made


Build = Callable[..., Any]


@pytest.fixture
async def build(session: Session, way: dict[str, Any], join_any: Join) -> AsyncIterator[Build]:
    """Return what builds a place with the bridge's settings."""

    @asynccontextmanager
    async def made(**settings: Any) -> AsyncIterator[Place]:
        clock = SystemClock(session.clock_offset_ns)
        async with AsyncExitStack() as stack:
            bus = join_session(session, clock, host="rover")
            stack.push_async_callback(bus.close)
            other = join_session(session, clock, host="bridge")
            stack.push_async_callback(other.close)
            dispatcher = Dispatcher(clock)
            stack.callback(dispatcher.close)
            node = Wheel(
                NodeContext(
                    name="wheel", namespace="rover", bus=bus, clock=clock, dispatcher=dispatcher
                )
            )
            runner = NodeRunner(node, "tests")
            runner.open_controls()
            await runner.change(Transition.CONFIGURE)
            bridge = Bridge(
                BridgeSettings.model_validate(way | settings),
                other,
                name="rover/ros2",
                safety_dir=session.safety_dir,
            )
            stack.push_async_callback(bridge.close)
            running = asyncio.create_task(bridge.run())
            stack.push_async_callback(_end, running)
            ros = join_any()
            yield Place(bus, bridge, ros, ros.node("looker"), runner)

    yield made


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def stats(state: str) -> HostStats:
    node = NodeStats(name="rover/wheel", uses="tests", state=state, errors=0)
    return HostStats(
        host="rover",
        pid=1,
        cpu=0,
        rss_mb=0,
        threads=1,
        uptime_s=0,
        restarts=0,
        loop_lag_ms=0,
        nodes=(node,),
        topics=(),
    )


async def test_topics_of_a_session_are_seen_and_only_carried_while_somebody_listens(
    build: Build, until: Until
) -> None:
    async with build() as place:
        camera = PublisherOptions(node="rover/wheel")
        pictures = place.bus.publisher("rover/camera/image", Image, camera)
        data = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
        await until(lambda: "/rover/camera/image" in topics(place.ros))
        for _ in range(3):
            pictures.publish(Image(data=data))
        assert place.bridge.values()["to_ros"] == "0"
        seen: list[Any] = []
        place.looker.subscribe(
            "/rover/camera/image", "sensor_msgs/msg/Image", lambda v, _: seen.append(v)
        )
        async with asyncio.timeout(20):
            while not seen:
                pictures.publish(Image(data=data))
                await asyncio.sleep(0.05)
        assert np.array_equal(seen[0].data, data.reshape(-1))
        assert topics(place.ros)["/rover/camera/image"] == ("sensor_msgs/msg/Image", "/rover/wheel")


def topics(ros: Participant) -> dict[str, tuple[str, str]]:
    return {e.topic: (e.type, e.full_node) for e in ros.backend.entities() if e.kind == "MP"}


async def test_a_topic_is_shown_as_the_launch_file_says(build: Build, until: Until) -> None:
    entries = [
        {"topic": "rover/odometry", "ros": "/odom"},
        {"topic": "rover/cmd", "type": "geometry_msgs/msg/TwistStamped"},
    ]
    async with build(publish=entries, hide=["rover/secret/**"]) as place:
        for topic, cls in (
            ("rover/odometry", Odometry),
            ("rover/cmd", Twist),
            ("rover/secret/x", Imu),
            ("rover/imu", Imu),
        ):
            place.bus.publisher(topic, cls, PublisherOptions(node="rover/wheel"))
        shown = {"/rover/imu", "/odom", "/rover/cmd"}
        await until(lambda: shown <= topics(place.ros).keys())
        seen = topics(place.ros)
        assert seen["/odom"][0] == "nav_msgs/msg/Odometry"
        assert seen["/rover/cmd"][0] == "geometry_msgs/msg/TwistStamped"
        assert "/rover/secret/x" not in seen
        assert "/rover/odometry" not in seen


async def test_a_node_of_ours_is_a_node_there_until_it_goes(build: Build, until: Until) -> None:
    async with build() as place:

        def nodes() -> set[str]:
            return {e.full_node for e in place.ros.backend.entities() if e.kind == "NN"}

        await until(lambda: {"/rover/wheel", "/rover/ros2"} <= nodes())
        await place.runner.change(Transition.SHUTDOWN)
        await until(lambda: "/rover/wheel" not in nodes())


async def test_velocities_from_ros_arrive_with_their_age(build: Build, until: Until) -> None:
    entry = {"ros": "/cmd_vel", "type": "geometry_msgs/msg/Twist", "topic": "rover/ros_cmd_vel"}
    stamped = {**entry, "ros": "/stamped", "type": "geometry_msgs/msg/TwistStamped"}
    async with build(subscribe=[entry, stamped]) as place:
        seen: list[Twist] = []
        options = SubscriptionOptions(qos=QoS.queue(100), keep_expired=True)
        place.bus.subscribe("rover/ros_cmd_vel", Twist, seen.append, options)
        plain = place.looker.publisher("/cmd_vel", "geometry_msgs/msg/Twist")
        with_stamp = place.looker.publisher("/stamped", "geometry_msgs/msg/TwistStamped")
        await until(lambda: plain.is_wanted and with_stamp.is_wanted)
        twist = place.ros.new("geometry_msgs/msg/Twist")
        twist.linear.x = 0.25
        await _until_heard(lambda: plain.publish(twist), seen)
        now = place.bus.clock.now_ns()
        assert abs(now - seen[0].header.stamp) < 10e9
        assert seen[0].header.expires - seen[0].header.stamp == 300_000_000
        assert seen[0].linear_mps == 0.25
        seen.clear()
        old = place.ros.new("geometry_msgs/msg/TwistStamped", twist=twist)
        old.header.stamp.sec = int(time.time()) - 60
        await _until_heard(lambda: with_stamp.publish(old), seen)
        assert seen[0].header.has_expired(place.bus.clock.now_ns()), "a gate refuses it"
        seen.clear()
        old.header.stamp.sec = 1
        await _until_heard(lambda: with_stamp.publish(old), seen)
        assert seen[0].header.has_expired(place.bus.clock.now_ns()), "from 1970, and not new"


async def _until_heard(say: Callable[[], None], heard: list[Any]) -> None:
    async with asyncio.timeout(20):
        while not heard:
            say()
            await asyncio.sleep(0.05)


async def test_what_claims_to_come_from_the_future_or_makes_no_sense_is_refused(
    build: Build, until: Until
) -> None:
    entry = {"ros": "/stamped", "type": "geometry_msgs/msg/TwistStamped", "topic": "rover/x"}
    async with build(subscribe=[entry]) as place:
        seen: list[Twist] = []
        place.bus.subscribe("rover/x", Twist, seen.append)
        publisher = place.looker.publisher("/stamped", "geometry_msgs/msg/TwistStamped")
        await until(lambda: publisher.is_wanted)
        ahead = place.ros.new("geometry_msgs/msg/TwistStamped")
        ahead.header.stamp.sec = int(time.time()) + 60
        publisher.publish(ahead)
        sideways = place.ros.new("geometry_msgs/msg/TwistStamped")
        sideways.twist.linear.y = 1.0
        publisher.publish(sideways)
        refused = place.bridge.participant.tallies.refused
        await until(lambda: refused["/stamped"] == 2)
        assert not seen
        assert place.bridge.health().level == "warn"


async def test_parameters_are_listed_read_described_and_set(
    build: Build, until: Until, way: dict[str, Any]
) -> None:
    async with build() as place:
        events: list[Any] = []
        place.looker.subscribe(
            "/parameter_events",
            "rcl_interfaces/msg/ParameterEvent",
            lambda v, _: events.append(v),
        )
        base, srv = "/rover/wheel", "rcl_interfaces/srv/"
        listed = await place.call(f"{base}/list_parameters", f"{srv}ListParameters")
        assert listed.result.names == ["gear", "label", "limits", "route", "speed", "use_sim_time"]
        names = ["speed", "gear", "label", "route", "limits", "use_sim_time", "nothing"]
        types = await place.call(
            f"{base}/get_parameter_types", f"{srv}GetParameterTypes", names=names
        )
        assert types.types.tolist() == [3, 2, 4, 4, 8, 1, 0]
        got = await place.call(f"{base}/get_parameters", f"{srv}GetParameters", names=names)
        values = got.values
        assert values[0].double_value == 0.5
        assert values[3].string_value == "[[1.0, 2.0]]"
        assert values[4].double_array_value.tolist() == [0.0, 1.5]
        (about,) = (
            await place.call(
                f"{base}/describe_parameters", f"{srv}DescribeParameters", names=["speed"]
            )
        ).descriptors
        assert about.description == "How fast, m/s."
        assert about.floating_point_range[0].to_value == 2.0

        async def set_(*given: tuple[str, dict[str, Any]], all_: bool = False) -> Any:
            made = [
                place.ros.new(
                    "rcl_interfaces/msg/Parameter",
                    name=name,
                    value=place.ros.new("rcl_interfaces/msg/ParameterValue", **value),
                )
                for name, value in given
            ]
            suffix = "SetParametersAtomically" if all_ else "SetParameters"
            path = "set_parameters_atomically" if all_ else "set_parameters"
            return await place.call(f"{base}/{path}", f"{srv}{suffix}", parameters=made)

        speed = ("speed", {"type": 3, "double_value": 1.25})
        wrong = ("gear", {"type": 2, "integer_value": 9})
        route = ("route", {"type": 4, "string_value": "[[3, 4]]"})
        results = (await set_(speed, wrong, route)).results
        assert [one.successful for one in results] == [True, False, True]
        assert "gear" in results[1].reason
        assert place.runner.node.params.speed == 1.25
        assert place.runner.node.params.route == [(3.0, 4.0)]
        both = await set_(("speed", {"type": 3, "double_value": 0.75}), wrong, all_=True)
        assert not both.result.successful
        assert place.runner.node.params.speed == 1.25, "all or none"
        sim = await set_(("use_sim_time", {"type": 1, "bool_value": True}))
        assert "ros2.clock" in sim.results[0].reason
        huge = ("limits", {"type": 8, "double_array_value": np.zeros(MOST_ITEMS + 1)})
        odd = ("sp\x1beed\n", {"type": 3, "double_value": 1.0})
        unknown = ("speed", {"type": 77})
        nameless = ("", {"type": 3, "double_value": 1.0})
        refused = (await set_(huge, odd, unknown, nameless)).results
        assert [one.successful for one in refused] == [False] * 4
        assert f"{MOST_ITEMS + 1} items; at most {MOST_ITEMS}" in refused[0].reason
        assert "\x1b" not in refused[1].reason
        assert "type 77 is unknown" in refused[2].reason
        assert place.bridge.participant.tallies.refused[f"{base}/set_parameters"] == 4
        assert (
            (await set_(("limits", {"type": 8, "double_array_value": np.zeros(9)})))
            .results[0]
            .successful
        )
        if way["backend"] == "zenoh":  # over rclpy a failure is an empty response
            with pytest.raises(BusError, match=f"at most {MOST_NAMES} at once"):
                await place.call(
                    f"{base}/get_parameters",
                    f"{srv}GetParameters",
                    names=[""] * (MOST_NAMES + 1),
                )
        await until(lambda: any(e.node == base for e in events))
        assert all(e.stamp.sec > 0 for e in events if e.node == base)
        changed = {p.name for e in events for p in e.changed_parameters}
        assert {"speed", "route"} <= changed


@pytest.mark.parametrize("way", [RCLPY], indirect=True)
async def test_rclpys_own_client_reads_and_sets_our_parameters(
    build: Build, way: dict[str, Any]
) -> None:
    async with build() as place:
        command = [sys.executable, str(ROBOT), str(way["domain"]), "params", "/rover/wheel"]
        asked = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert asked.stdout is not None
        try:
            async with asyncio.timeout(40):
                said = [json.loads(await asked.stdout.readline()) for _ in range(5)]
        finally:
            asked.kill()
            await asked.wait()
        assert said == [
            ["gear", "label", "limits", "route", "speed", "use_sim_time"],
            [0.5],
            [True, False],
            ["How fast, m/s."],
            "ready",
        ]
        assert place.runner.node.params.speed == 1.5


async def test_a_node_is_taken_through_its_lifecycle(
    build: Build, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with build() as place:
        base, srv = "/rover/wheel", "lifecycle_msgs/srv/"
        reports = place.bus.publisher("@olympus/stats/rover", HostStats)
        events: list[Any] = []
        place.looker.subscribe(
            f"{base}/transition_event",
            "lifecycle_msgs/msg/TransitionEvent",
            lambda v, _: events.append((v.start_state.label, v.goal_state.label)),
        )

        async def state() -> str:
            reports.publish(stats("inactive"))
            answer = await place.call(f"{base}/get_state", f"{srv}GetState")
            return str(answer.current_state.label)

        async with asyncio.timeout(20):
            while await state() != "inactive":
                await asyncio.sleep(0.05)
        possible = await place.call(
            f"{base}/get_available_transitions", f"{srv}GetAvailableTransitions"
        )
        labels = [one.transition.label for one in possible.available_transitions]
        assert labels == ["cleanup", "activate", "shutdown"]

        async def change(number: int) -> bool:
            transition = place.ros.new("lifecycle_msgs/msg/Transition", id=number)
            answer = await place.call(
                f"{base}/change_state", f"{srv}ChangeState", transition=transition
            )
            return bool(answer.success)

        assert await change(3)
        assert place.runner.state == "active"
        assert not await change(1), "an active node can't be configured"
        assert not await change(99), "there is no such transition"
        assert "ROS asks rover/wheel for 'configure': " in caplog.text
        assert "ROS asks rover/wheel for 99: " in caplog.text
        assert await change(4)
        await until(lambda: ("inactive", "active") in events)
        assert events[-1] == ("active", "inactive")
        states = await place.call(f"{base}/get_available_states", f"{srv}GetAvailableStates")
        assert [one.id for one in states.available_states] == [0, 1, 2, 3, 4]
        whole = await place.call(f"{base}/get_transition_graph", f"{srv}GetAvailableTransitions")
        assert len(whole.available_transitions) == 7


def has_type(way: dict[str, Any], type_: str) -> bool:
    """Tell whether a type can be sent: over rclpy only what is installed."""
    return way["backend"] == "zenoh" or importlib.util.find_spec(type_.split("/")[0]) is not None


async def test_logs_health_frames_and_safety_are_told(build: Build, way: dict[str, Any]) -> None:
    frames = [{"child": "camera", "xyz": [0.1, 0.0, 0.4], "optical": True}]
    async with build(static_frames=frames) as place:
        seen: dict[str, list[Any]] = {}
        for topic, type_, qos in (
            ("/rosout", "rcl_interfaces/msg/Log", ROSOUT),
            ("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", ROSOUT),
            ("/tf", "tf2_msgs/msg/TFMessage", None),
            ("/tf_static", "tf2_msgs/msg/TFMessage", LATCHED),
            ("/safety/state", "olympus_msgs/msg/SafetyState", LATCHED),
        ):
            if not has_type(way, type_):
                continue
            seen[topic] = []
            take = seen[topic].append
            more = () if qos is None or topic == "/diagnostics" else (qos,)
            place.looker.subscribe(topic, type_, lambda v, _, take=take: take(v), *more)
        logs = place.bus.publisher("@olympus/log", Log)
        health = place.bus.publisher("rover/diagnostics", Diagnostic, PublisherOptions(node="n"))
        where = place.bus.publisher("rover/odometry", Odometry, PublisherOptions(node="n"))
        safety = place.bus.publisher(
            "safety/state", SafetyState, PublisherOptions(node="n", latched=True)
        )
        safety.publish(SafetyState(state="tripped", cause="a test"))
        async with asyncio.timeout(20):
            while not all(seen.values()) or not seen["/diagnostics"][-1].status:
                logs.publish(Log(level="warning", logger="rover/wheel", text="it squeaks"))
                health.publish(Diagnostic(level="warn", name="wheel/grease", text="low"))
                where.publish(Odometry(x_m=1, y_m=2, yaw_rad=0, linear_mps=0, angular_radps=0))
                await asyncio.sleep(0.1)
        assert (seen["/rosout"][0].level, seen["/rosout"][0].msg) == (30, "it squeaks")
        (status,) = seen["/diagnostics"][-1].status
        assert (status.level, status.name) == (1, "n: wheel/grease")
        if "/tf" not in seen or "/safety/state" not in seen:
            assert int(place.bridge.values()["not_shown"]) >= 2
            pytest.skip("the installed ROS lacks tf2_msgs or olympus_msgs; the rest was seen")
        (edge,) = seen["/tf"][0].transforms
        assert (edge.header.frame_id, edge.child_frame_id) == ("odom", "base_link")
        assert [t.child_frame_id for t in seen["/tf_static"][0].transforms] == [
            "camera",
            "camera_optical_frame",
        ]
        assert seen["/safety/state"][-1].state == "tripped"


async def test_what_ros_says_of_health_poses_and_logs_reaches_our_nodes(
    build: Build, until: Until
) -> None:
    kinds: dict[str, tuple[str, type[Message]]] = {
        "health": ("diagnostic_msgs/msg/DiagnosticArray", Diagnostic),
        "poses": ("geometry_msgs/msg/PoseArray", PoseArray),
        "log": ("rcl_interfaces/msg/Log", Log),
    }
    entries = [{"ros": f"/their/{name}", "type": kind} for name, (kind, _) in kinds.items()]
    async with build(subscribe=entries) as place:
        new, heard = place.ros.new, list[Any]()
        options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
        for name, (_, cls) in kinds.items():
            place.bus.subscribe(f"their/{name}", cls, heard.append, options)
        publishers = {
            n: place.looker.publisher(f"/their/{n}", kind) for n, (kind, _) in kinds.items()
        }

        def say(suffix: str) -> None:
            parts = [
                new("diagnostic_msgs/msg/DiagnosticStatus", level=level, name=name + suffix)
                for level, name in ((0, "arm"), (2, "gripper"), (1, "battery"))
            ]
            poses = [new("geometry_msgs/msg/Pose") for _ in range(3)]
            log = {"level": 40, "name": "amcl", "msg": f"lost{suffix}"}
            said: dict[str, dict[str, Any]] = {
                "health": {"status": parts},
                "poses": {"poses": poses},
                "log": log,
            }
            for name, publisher in publishers.items():
                publisher.publish(new(kinds[name][0], **said[name]))

        async with asyncio.timeout(20):
            while len({type(one) for one in heard}) < len(kinds):
                say("")
                await asyncio.sleep(0.1)
        say("2")

        def second(cls: type[Message]) -> list[Any]:
            found = [one for one in heard if isinstance(one, cls)]
            return [
                one for one in found if getattr(one, "name", getattr(one, "text", "")).endswith("2")
            ]

        await until(lambda: len(second(Diagnostic)) == 3 and second(Log))
        told = [(one.name, one.level) for one in second(Diagnostic)]
        assert told == [("arm2", "ok"), ("gripper2", "error"), ("battery2", "warn")]
        (lost,) = second(Log)
        assert (lost.level, lost.logger, lost.text) == ("error", "amcl", "lost2")
        assert all(one.poses.shape == (3, 7) for one in heard if isinstance(one, PoseArray))


async def test_what_our_types_leave_out_comes_whole_if_it_is_asked_for(
    build: Build, until: Until
) -> None:
    type_ = "nav_msgs/msg/Odometry"
    async with build(subscribe=[{"ros": "/odom", "type": type_, "raw": True}]) as place:
        heard: list[RosValue] = []
        place.bus.subscribe("odom", RosValue, heard.append)
        publisher = place.looker.publisher("/odom", type_)
        await until(lambda: publisher.is_wanted)
        value = place.ros.new(type_)
        value.pose.covariance = np.arange(36.0)
        await _until_heard(lambda: publisher.publish(value), heard)
        assert heard[0].type == type_
        assert place.ros.codecs.get(type_).decode(heard[0].cdr.tobytes()) == value


async def test_fixed_frames_of_several_publishers_reach_also_who_is_late(
    build: Build, until: Until, way: dict[str, Any]
) -> None:
    if not has_type(way, TF):
        pytest.skip("the installed ROS has no tf2_msgs")
    async with build(subscribe=[{"ros": "/tf_static", "type": TF}]) as place:
        for child in ("camera", "lidar"):  # each tells its own once, and is gone
            frame = place.ros.new("geometry_msgs/msg/TransformStamped", child_frame_id=child)
            frame.header.frame_id = "base_link"
            publisher = place.looker.publisher("/tf_static", TF, LATCHED)
            publisher.publish(place.ros.new(TF, transforms=[frame]))
        heard: list[Transforms] = []
        await until(lambda: place.bridge.values()["from_ros"] == "2")
        options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
        place.bus.subscribe("tf_static", Transforms, heard.append, options)
        await until(lambda: heard)
        assert {(one.parent, one.child) for one in heard[-1].items} == {
            ("base_link", "camera"), ("base_link", "lidar"),
        }  # fmt: skip


def test_fixed_frames_are_latched_unless_the_launch_file_says_otherwise() -> None:
    assert qos_name(None, "/left/tf_static") == "latched"
    assert qos_name("default", "/tf_static") == "default"
    assert qos_name(None, "/tf") == "default"


def test_health_is_told_once_a_second(router: str) -> None:
    clock = VirtualClock(time.time_ns())
    how: dict[str, Any] = {
        "backend": "zenoh", "router": [router], "listen": ["tcp/127.0.0.1:0"]
    }  # fmt: skip

    async def count() -> int:
        bridge = Bridge(BridgeSettings.model_validate(how), Bus(clock, host="rover"), name="ros2")
        looker = join_graph(Joining.model_validate(how))
        numbers: list[int] = []
        looker.node("looker").subscribe(
            "/diagnostics",
            "diagnostic_msgs/msg/DiagnosticArray",
            lambda _, arrival: numbers.append(arrival.seq),
        )
        running = asyncio.create_task(bridge.run())
        while not numbers:  # Zenoh's threads find each other in real time
            await clock.sleep(1.0)
            time.sleep(0.02)
        first = numbers[0]
        await clock.sleep(60.0)
        await _end(running)
        deadline, last = time.monotonic() + 20, 0
        while last != numbers[-1] and time.monotonic() < deadline:
            last = numbers[-1]
            time.sleep(0.5)
        await looker.close()
        await bridge.close()
        return numbers[-1] - first

    assert 59 <= run_virtual(count(), clock) <= 62


async def test_a_session_can_be_the_clock_of_the_graph(build: Build, until: Until) -> None:
    async with build(clock="publish") as place:
        ticks: list[int] = []
        place.looker.subscribe(
            "/clock", "rosgraph_msgs/msg/Clock", lambda v, _: ticks.append(v.clock.sec)
        )
        await until(lambda: len(ticks) > 5)
        assert abs(ticks[-1] - time.time()) < 30


async def test_a_simulated_clock_is_followed(build: Build, until: Until) -> None:
    entry = {"ros": "/odom", "type": "nav_msgs/msg/Odometry", "topic": "rover/odom"}
    async with build(clock="follow", subscribe=[entry]) as place:
        seen: list[Odometry] = []
        options = SubscriptionOptions(keep_expired=True)
        place.bus.subscribe("rover/odom", Odometry, seen.append, options)
        clock = place.looker.publisher("/clock", "rosgraph_msgs/msg/Clock")
        odometry = place.looker.publisher("/odom", "nav_msgs/msg/Odometry")
        await until(lambda: clock.is_wanted and odometry.is_wanted)
        tick = place.ros.new("rosgraph_msgs/msg/Clock")
        tick.clock.sec = 100
        value = place.ros.new("nav_msgs/msg/Odometry")
        value.header.stamp.sec = 98

        def say() -> None:
            clock.publish(tick)
            odometry.publish(value)

        async with asyncio.timeout(20):
            while not seen or abs(_age_s(place, seen[-1]) - 2.0) > 1.5:
                say()
                await asyncio.sleep(0.05)


def _age_s(place: Place, message: Odometry) -> float:
    return (place.bus.clock.now_ns() - message.header.stamp) / 1e9


async def test_a_stop_in_ros_reaches_the_guardian_and_nothing_there_can_reset(
    build: Build, session: Session, until: Until
) -> None:
    started = spawn.start(Settings(dir=session.safety_dir, watch={"drive": 0.3}))
    try:
        async with build() as place:
            client = SafetyClient(session.safety_dir)
            answer = await place.call("/stop", "std_srvs/srv/Trigger")
            assert "the stop is latched" in answer.message
            assert not answer.success, "there is no gate that could read back neutral"
            assert client.status().trips
            first = client.status().latch
            publisher = place.looker.publisher("/stop", "std_msgs/msg/Bool", SENSOR_DATA)
            await until(lambda: publisher.is_wanted)
            publisher.publish(place.ros.new("std_msgs/msg/Bool", data=False))
            publisher.publish(place.ros.new("std_msgs/msg/Bool", data=True))
            await until(lambda: client.status().latch > first)
            services = [e.topic for e in place.ros.backend.entities() if e.kind == "SS"]
            assert [name for name in services if "reset" in name] == []
    finally:
        started.process.kill()
        started.process.wait()


def test_a_topic_that_is_shown_and_taken_would_go_in_a_circle() -> None:
    with pytest.raises(ValueError, match="would go in a circle"):
        BridgeSettings.model_validate(
            {
                "publish": [{"topic": "rover/x", "ros": "/x"}],
                "subscribe": [{"ros": "/x", "type": STRING}],
            }
        )


@pytest.mark.parametrize(
    "entry", [{"ros": "a b", "type": STRING}, {"ros": "/a", "type": "String"}, {"ros": "/a"}]
)
def test_an_entry_that_names_no_topic_or_type_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"ROS name|ROS type|required"):
        BridgeSettings.model_validate({"subscribe": [entry]})
