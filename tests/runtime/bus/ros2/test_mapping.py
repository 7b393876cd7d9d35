"""Our messages as ROS messages and back: each pair, whatever the values, says the same."""

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
