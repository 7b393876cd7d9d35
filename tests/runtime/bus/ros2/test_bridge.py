"""The bridge carries topics: those of a session to ROS, and of ROS to a session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus import PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.messages import (
    Image,
    Imu,
    Odometry,
    RosValue,
    Twist,
)
from olympus.runtime.qos import QoS

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.bridge_place import Build
    from tests.runtime.bus.ros2.conftest import Until

pytestmark = pytest.mark.e2e
STRING = "std_msgs/msg/String"


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
