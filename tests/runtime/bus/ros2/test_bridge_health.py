"""What the bridge tells and hears beside topics: logs, health, frames, the clock, a stop."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.runtime.bus.ros2.bridge_place import ended

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.ros2.bridge.bridge import Bridge
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings, qos_name
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.qos import LATCHED, ROSOUT, SENSOR_DATA
from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Diagnostic,
    Log,
    Message,
    Odometry,
    PoseArray,
    SafetyState,
    Transforms,
)
from olympus.runtime.qos import QoS
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.settings import Settings

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.bridge_place import Build, Place
    from tests.runtime.bus.ros2.conftest import Until

pytestmark = pytest.mark.e2e
TF = "tf2_msgs/msg/TFMessage"


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
        await ended(running)
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
