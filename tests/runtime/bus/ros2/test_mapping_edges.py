"""Our messages as ROS messages, case by case: units, frames, what is left out or refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.bus.ros2.test_mapping import CODECS, CTX, MAPPER, NOW

from olympus.runtime.bus.ros2.mapping import Times
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    Battery,
    Detection,
    Detections,
    Header,
    Image,
    Imu,
    Odometry,
    Ranges,
    Reading,
    RosValue,
    Text,
    Twist,
    encode,
)

PARTS = [CODECS.new("diagnostic_msgs/msg/DiagnosticStatus", name=name) for name in ("arm", "leg")]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_a_scan_says_where_there_is_nothing_and_where_it_is_blind(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    bearings = np.linspace(-1.0, 1.0, count, dtype=np.float32)
    distances = rng.choice(np.array([0.5, 1.25, 4.0, np.nan], np.float32), count)
    shuffled = rng.permutation(count)
    ours = Ranges(
        header=Header(stamp=NOW),
        bearings_rad=bearings[shuffled],
        distances_m=distances[shuffled],
        max_m=4.0,
    )
    scan = MAPPER.to_ros(ours, None, CTX)
    assert np.array_equal(np.isinf(scan.ranges), distances == 4.0)
    back: Any = MAPPER.from_ros(scan, Ranges, CTX)
    assert np.allclose(back.bearings_rad, bearings, atol=1e-5)
    assert np.array_equal(back.distances_m, distances, equal_nan=True)


def test_uneven_bearings_leave_blind_cells_in_a_scan() -> None:
    ours = Ranges(
        bearings_rad=np.array([-0.5, 0.0, 0.25], np.float32),
        distances_m=np.array([1, 2, 3], np.float32),
        max_m=4.0,
    )
    scan = MAPPER.to_ros(ours, None, CTX)
    assert np.array_equal(scan.ranges, np.array([1, np.nan, 2, 3], np.float32), equal_nan=True)
    single = MAPPER.to_ros(ours, "sensor_msgs/msg/Range", CTX)
    assert (single.range, single.max_range) == (2.0, 4.0)


def test_a_battery_that_is_drained_has_a_negative_current_in_ros() -> None:
    value = MAPPER.to_ros(Battery(voltage_v=12.0, current_a=1.5, charge=0.75), None, CTX)
    assert (value.current, value.percentage, value.power_supply_status) == (-1.5, 0.75, 2)
    assert math.isnan(value.capacity)


def test_frames_are_named_as_rep_105_names_them() -> None:
    odometry = MAPPER.to_ros(
        Odometry(x_m=1, y_m=2, yaw_rad=math.pi / 2, linear_mps=0.5, angular_radps=0), None, CTX
    )
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("odom", "base_link")
    assert math.isclose(odometry.pose.pose.orientation.z, math.sqrt(0.5))
    picture = MAPPER.to_ros(Image(data=np.zeros((2, 2, 3), np.uint8)), None, CTX)
    assert picture.header.frame_id == "camera_optical_frame"
    named = dataclasses.replace(CTX, frame_id="cam7")
    assert (
        MAPPER.to_ros(Image(data=np.zeros((2, 2, 3), np.uint8)), None, named).header.frame_id
        == "cam7"
    )
    imu = MAPPER.to_ros(
        Imu(accel_mps2=np.zeros(3, np.float32), gyro_radps=np.zeros(3, np.float32)), None, CTX
    )
    assert imu.orientation_covariance[0] == -1, "an orientation that is not measured"


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        (("linear", "y"), 0.1, "sideways"),
        (("angular", "x"), 0.1, "sideways"),
        (("linear", "x"), math.nan, "no finite number"),
        (("angular", "z"), math.inf, "no finite number"),
    ],
)
def test_a_velocity_that_a_rover_cannot_have_is_refused(
    field: tuple[str, str], value: float, complaint: str
) -> None:
    twist = CODECS.new("geometry_msgs/msg/Twist")
    setattr(getattr(twist, field[0]), field[1], value)
    with pytest.raises(MessageError, match=complaint):
        MAPPER.from_ros(twist, Twist, CTX)


@pytest.mark.parametrize(
    ("type_", "fields", "complaint"),
    [
        ("sensor_msgs/msg/Image", {"encoding": "yuv422"}, "is none of rgb8"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "height": 9, "width": 9}, "no picture"),
        ("sensor_msgs/msg/PointCloud2", {"width": 2**31, "height": 2**31}, "are no"),
        ("sensor_msgs/msg/PointCloud2", {"point_step": 4}, "without x, y, z"),
        ("audio_common_msgs/msg/AudioData", {"data": np.zeros(3, np.uint8)}, "no 16-bit samples"),
        ("diagnostic_msgs/msg/DiagnosticArray", {}, "says nothing"),
        ("diagnostic_msgs/msg/DiagnosticArray", {"status": PARTS}, "of 2 parts is as many"),
        ("std_msgs/msg/Header", {}, None),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    type_: str, fields: dict[str, Any], complaint: str | None
) -> None:
    value = CODECS.new(type_, **fields)
    if complaint is None:
        assert isinstance(MAPPER.from_ros(value, None, CTX), RosValue)
        return
    with pytest.raises(MessageError, match=complaint):
        MAPPER.from_ros(value, None, CTX)


def test_a_grey_or_a_four_channel_picture_becomes_one_of_three() -> None:
    for encoding, channels in (("mono8", 1), ("rgba8", 4), ("bgra8", 4)):
        pixels = np.arange(2 * 3 * channels, dtype=np.uint8)
        value = CODECS.new(
            "sensor_msgs/msg/Image",
            height=2,
            width=3,
            step=3 * channels,
            encoding=encoding,
            data=pixels,
        )
        made: Any = MAPPER.from_ros(value, None, CTX)
        assert made.data.shape == (2, 3, 3)
        assert made.encoding == ("bgr8" if encoding == "bgra8" else "rgb8")
        encode(made)


def test_rows_with_a_margin_lose_it() -> None:
    data = np.arange(2 * 10, dtype=np.uint8)
    value = CODECS.new(
        "sensor_msgs/msg/Image", height=2, width=3, step=10, encoding="rgb8", data=data
    )
    made: Any = MAPPER.from_ros(value, None, CTX)
    assert made.data[1, 0].tolist() == [10, 11, 12]


def test_a_box_of_which_nobody_says_what_it_is_is_a_detection_without_a_name() -> None:
    centre = CODECS.new("vision_msgs/msg/Point2D", x=160, y=120)
    box = CODECS.new(
        "vision_msgs/msg/BoundingBox2D",
        center=CODECS.new("vision_msgs/msg/Pose2D", position=centre),
        size_x=32,
        size_y=24,
    )
    one = CODECS.new("vision_msgs/msg/Detection2D", bbox=box)
    value = CODECS.new("vision_msgs/msg/Detection2DArray", detections=[one])
    made: Any = MAPPER.from_ros(value, None, CTX)
    assert made.items == (Detection(label="", confidence=0.0, x=0.45, y=0.45, w=0.1, h=0.1),)


def test_a_ros_type_without_a_class_here_travels_as_it_is() -> None:
    value = CODECS.new("geometry_msgs/msg/Wrench")
    value.force.x = 2.5
    made: Any = MAPPER.from_ros(value, None, CTX)
    assert made.type == "geometry_msgs/msg/Wrench"
    assert MAPPER.to_ros(made) == value
    encode(made)


def test_a_translation_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(MessageError, match="can't become"):
        MAPPER.to_ros(Text(text="a"), "sensor_msgs/msg/Image")
    with pytest.raises(MessageError, match="is in '%'"):
        MAPPER.to_ros(Reading(name="a", value=1.0, unit="%"), "sensor_msgs/msg/Temperature")
    with pytest.raises(MessageError, match="width and height"):
        MAPPER.to_ros(Detections(items=()))


def test_a_simulated_clock_moves_stamps_both_ways() -> None:
    times = Times(lambda: 5_000_000_000, lambda: NOW)
    assert times.to_ros(5_000_000_000) == NOW
    times.follow(12_000_000_000)
    assert times.to_ros(5_500_000_000) == 12_500_000_000
    assert times.to_robot(12_500_000_000) == 5_500_000_000
    assert times.to_ros(0) == 7_000_000_000
    assert times.sent_to_robot(NOW) == 5_000_000_000, "what was sent is told by the wall clock"


def test_a_stamp_from_before_the_robots_time_is_old_and_not_missing() -> None:
    times = Times(lambda: 5_000_000_000, lambda: NOW)
    assert times.to_robot(1) == times.sent_to_robot(1) == 1, "0 would be: not stamped, so new"


def test_detections_are_in_pixels_in_ros() -> None:
    seen = Detections(
        items=(Detection(label="person", confidence=0.75, x=0.25, y=0.5, w=0.5, h=0.25),),
        width=320,
        height=240,
    )
    (one,) = MAPPER.to_ros(seen, None, CTX).detections
    assert (one.bbox.center.position.x, one.bbox.center.position.y) == (160, 150)
    assert (one.bbox.size_x, one.bbox.size_y) == (160, 60)
    assert one.results[0].hypothesis.class_id == "person"
