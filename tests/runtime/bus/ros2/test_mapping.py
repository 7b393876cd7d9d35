"""Our messages as ROS messages and back: each pair, units, frames, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.ros2.catalogue import OWN_PACKAGE, catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.mapping.package import CLASSES, package_files
from olympus.runtime.bus.ros2.mapping.pairs import PAIRS, Pair
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    CameraInfo,
    CompressedImage,
    Detection,
    Detections,
    Diagnostic,
    GeoFix,
    Header,
    HostStats,
    Image,
    Imu,
    JointState,
    Joy,
    Log,
    Message,
    NodeStats,
    Number,
    Numbers,
    Odometry,
    Percept,
    PointCloud,
    Pose,
    PoseArray,
    Ranges,
    Reading,
    RosValue,
    SafetyState,
    Text,
    TopicStats,
    Transform,
    Transforms,
    Twist,
    encode,
)

CODECS = Codecs(catalogue_of("jazzy"))
MAPPER = Mapper(CODECS)
NOW = 1_700_000_000_123_456_789
CTX = Context(CODECS, times=Times(lambda: NOW, lambda: NOW), width=320, height=240, sent_ns=NOW)
PARTS = [CODECS.new("diagnostic_msgs/msg/DiagnosticStatus", name=name) for name in ("arm", "leg")]
reals = st.floats(-1e6, 1e6, width=32)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
headers = st.builds(Header, stamp=st.integers(1, 2**31 * 10**9 - 1))


def arrays(dtype: str, *shape: int) -> st.SearchStrategy[Any]:
    seeds = st.integers(0, 2**32 - 1)
    kind = np.dtype(dtype)

    def make(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        if kind.kind == "f":
            return rng.normal(size=shape).astype(kind)
        return rng.integers(0, 100, shape).astype(kind)

    return seeds.map(make)


def quaternion(seed: int) -> dict[str, float]:
    q = np.random.default_rng(seed).normal(size=4)
    q /= np.linalg.norm(q)
    return dict(zip(("qx", "qy", "qz", "qw"), map(float, q), strict=True))


def poses(seed: int) -> Pose:
    x, y, z = map(float, np.random.default_rng(seed).normal(size=3))
    return Pose(header=Header(stamp=NOW), x_m=x, y_m=y, z_m=z, **quaternion(seed))  # type: ignore[arg-type]


def transforms(seed: int) -> Transform:
    x, y, z = map(float, np.random.default_rng(seed).normal(size=3))
    return Transform(
        parent="odom", child="base_link", x_m=x, y_m=y, z_m=z, stamp=NOW, **quaternion(seed)
    )


seeds = st.integers(0, 10_000)
VALUES: dict[type[Message], st.SearchStrategy[Any]] = {
    Twist: st.builds(Twist, header=headers, linear_mps=reals, angular_radps=reals),
    Odometry: st.builds(
        Odometry,
        header=headers,
        x_m=reals,
        y_m=reals,
        yaw_rad=st.floats(-3.1, 3.1),
        linear_mps=reals,
        angular_radps=reals,
    ),
    Pose: seeds.map(poses),
    PoseArray: st.builds(PoseArray, header=headers, poses=arrays("f8", 3, 7), frame_id=words),
    Transforms: st.builds(Transforms, items=st.lists(seeds.map(transforms), max_size=3).map(tuple)),
    JointState: st.builds(
        JointState,
        header=headers,
        names=st.lists(words, max_size=3).map(tuple),
        position=arrays("f8", 3),
        velocity=arrays("f8", 3),
        effort=arrays("f8", 0),
    ),
    Joy: st.builds(Joy, header=headers, axes=arrays("f4", 4), buttons=arrays("i4", 5)),
    Image: st.builds(
        Image,
        header=headers,
        data=arrays("u1", 3, 5, 3),
        encoding=st.sampled_from(["rgb8", "bgr8"]),
        frame_id=st.just("camera_optical_frame"),
    ),
    CompressedImage: st.builds(
        CompressedImage,
        header=headers,
        data=arrays("u1", 33),
        format=st.just("jpeg"),
        frame_id=st.just("optical"),
    ),
    CameraInfo: st.builds(
        CameraInfo,
        header=headers,
        width=st.integers(0, 2**32 - 1),
        height=st.integers(0, 2**32 - 1),
        model=words,
        distortion=arrays("f8", 5),
        k=arrays("f8", 3, 3),
        r=arrays("f8", 3, 3),
        p=arrays("f8", 3, 4),
        frame_id=st.just("optical"),
    ),
    AudioChunk: st.builds(AudioChunk, header=headers, samples=arrays("i2", 160)),
    Imu: st.builds(Imu, header=headers, accel_mps2=arrays("f4", 3), gyro_radps=arrays("f4", 3)),
    Battery: st.builds(
        Battery, header=headers, voltage_v=reals, current_a=reals, charge=st.just(0.5)
    ),
    GeoFix: st.builds(
        GeoFix,
        header=headers,
        latitude_deg=reals,
        longitude_deg=reals,
        altitude_m=reals,
        has_fix=st.booleans(),
        covariance_m2=arrays("f8", 3, 3),
        frame_id=words,
    ),
    Reading: st.builds(
        Reading, header=headers, name=words, value=reals, unit=st.just("Cel"), device=words
    ),
    PointCloud: st.builds(
        PointCloud,
        header=headers,
        points_m=arrays("f4", 7, 3),
        intensity=st.sampled_from([0, 7]).flatmap(lambda n: arrays("f4", n)),
        frame_id=words,
    ),
    Detections: st.builds(
        Detections,
        header=headers,
        items=st.lists(
            st.builds(
                Detection,
                label=words,
                confidence=st.floats(0, 1),
                x=st.floats(0, 1),
                y=st.floats(0, 1),
                w=st.floats(0, 1),
                h=st.floats(0, 1),
            ),
            max_size=4,
        ).map(tuple),
        frame_id=st.just("optical"),
        width=st.just(320),
        height=st.just(240),
    ),
    Diagnostic: st.builds(
        Diagnostic,
        header=headers,
        level=st.sampled_from(["ok", "warn", "error", "stale"]),
        name=words,
        text=words,
        values=st.dictionaries(words, words, max_size=3),
    ),
    Log: st.builds(
        Log,
        header=headers,
        level=st.sampled_from(["debug", "info", "warning", "error", "critical"]),
        logger=st.just("rover"),
        text=words,
    ),
    Text: st.builds(Text, text=words),
    Number: st.builds(Number, value=st.sampled_from([0.0, 1.0])),
    Numbers: st.builds(Numbers, values=arrays("u1", 5).map(lambda a: a.astype("f8"))),
}
PLAIN = [pair for pair in PAIRS if pair.from_ros and pair.to_ros and pair.cls in VALUES]
FLAT = "geometry_msgs/msg/Pose2D"
TWO_WAY = [pair for pair in PLAIN if pair.cls is not Ranges and pair.ros != FLAT]


def test_every_pair_that_goes_both_ways_is_tried_here() -> None:
    both = {pair.cls for pair in PAIRS if pair.from_ros and pair.to_ros}
    assert both - VALUES.keys() == {Ranges}


@pytest.mark.parametrize("pair", TWO_WAY, ids=lambda p: f"{p.cls.__name__}-{p.ros}")
@given(data=st.data())
def test_what_goes_to_ros_and_back_says_the_same(pair: Pair, data: st.DataObject) -> None:
    message = data.draw(VALUES[pair.cls])
    codec = CODECS.get(pair.ros)
    value = codec.decode(codec.encode(MAPPER.to_ros(message, pair.ros, CTX)))
    back = MAPPER.from_ros(value, pair.cls, CTX)
    assert_alike(message, back)


@given(reals, reals, st.floats(-3.1, 3.1))
def test_a_pose_on_the_ground_goes_both_ways_and_another_is_refused(
    x: float, y: float, yaw: float
) -> None:
    codec = CODECS.get(FLAT)
    value = codec.decode(codec.encode(codec.cls(x=x, y=y, theta=yaw)))
    pose: Any = MAPPER.from_ros(value, None, CTX)
    assert isinstance(pose, Pose)
    back = MAPPER.to_ros(pose, FLAT, CTX)
    assert (back.x, back.y) == (x, y)
    assert math.isclose(back.theta, yaw, abs_tol=1e-9)
    turned = dataclasses.replace(pose, qz=-pose.qz, qw=-pose.qw)
    again = MAPPER.to_ros(turned, FLAT, CTX).theta
    assert math.isclose(math.remainder(again - yaw, math.tau), 0.0, abs_tol=1e-9)
    with pytest.raises(MessageError, match="not flat"):
        MAPPER.to_ros(dataclasses.replace(pose, z_m=0.5), FLAT, CTX)


def assert_alike(ours: Any, back: Any) -> None:
    """Compare field by field; ROS's floats may be shorter, quaternions may change sign."""
    for field in dataclasses.fields(ours):
        one, other = getattr(ours, field.name), getattr(back, field.name)
        if field.name == "header":
            assert other.stamp in (one.stamp, NOW)
        elif isinstance(one, np.ndarray):
            assert np.allclose(one, other, rtol=1e-6), field.name
        elif isinstance(one, float):
            assert math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9), field.name
        elif isinstance(one, tuple) and one and dataclasses.is_dataclass(one[0]):
            assert len(one) == len(other)
            for a, b in zip(one, other, strict=True):
                assert_alike(a, b)
        elif field.name not in LOST.get(type(ours), ()):
            assert one == other, field.name


LOST: dict[type[Any], set[str]] = {
    Twist: set(),
    Pose: {"frame_id"},
    Reading: {"device", "valid", "text", "name"},
    Detections: {"model"},
    Diagnostic: set(),
}
"""Fields for which the ROS type has no place."""


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


OWN: dict[type[Message], Message] = {
    Percept: Percept(kind="object", label="person", confidence=0.5, track=3),
    SafetyState: SafetyState(state="tripped", waiting_for=("a", "b")),
    HostStats: HostStats(
        host="a",
        pid=1,
        cpu=0.5,
        rss_mb=1.0,
        threads=2,
        uptime_s=3.0,
        restarts=0,
        loop_lag_ms=0.0,
        nodes=(NodeStats(name="n", uses="u", state="active", errors=1),),
        topics=(
            TopicStats(
                topic="t",
                type="y",
                role="pub",
                node="n",
                count=1,
                rate_hz=1.0,
                bytes_per_s=2.0,
                age_p50_ms=0.0,
                age_p99_ms=0.0,
                dropped={"lost": 3},
            ),
        ),
    ),
    Reading: Reading(name="t", value=1.5, unit="Cel", valid=False, text="stale"),
}


@pytest.mark.parametrize("cls", OWN, ids=lambda cls: cls.__name__)
def test_a_type_of_our_own_goes_to_ros_and_back_whole(cls: type[Message]) -> None:
    message = dataclasses.replace(OWN[cls], header=Header(stamp=NOW))
    value = MAPPER.to_ros(message, None, CTX)
    assert value.__ros_type__ == f"olympus_msgs/msg/{cls.__name__}"
    codec = CODECS.get(value.__ros_type__)
    back = MAPPER.from_ros(codec.decode(codec.encode(value)), None, CTX)
    assert encode(back) == encode(message)


def test_the_ros_package_is_what_the_message_classes_say() -> None:
    kept = {file.name: file.read_text() for file in (OWN_PACKAGE / "msg").glob("*.msg")}
    assert kept == package_files(), (
        "write it anew: python -m olympus.runtime.bus.ros2.mapping.package"
    )
    assert len(CLASSES) <= len(kept)


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
