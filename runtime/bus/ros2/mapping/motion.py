"""Velocities, odometry, poses, frames, joints, joysticks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.bus.ros2.mapping.geometry import (
    pose_of,
    row,
    vector,
    yaw_of,
    yaw_quaternion,
)
from olympus.runtime.bus.ros2.mapping.pairs import pair
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    Header,
    JointState,
    Joy,
    Odometry,
    Pose,
    PoseArray,
    Transform,
    Transforms,
    Twist,
)


def _twist(m: Twist | Odometry, ctx: Context) -> Any:
    return ctx.new(
        "geometry_msgs/msg/Twist",
        linear=ctx.new("geometry_msgs/msg/Vector3", x=m.linear_mps),
        angular=ctx.new("geometry_msgs/msg/Vector3", z=m.angular_radps),
    )


def _twist_of(value: Any, header: Header) -> Twist:
    """Take what a robot on the ground can do: ahead, and turning.

    Raises:
        MessageError: A number is none, or the velocity asks for what such a robot can't do.
    """
    others = (value.linear.y, value.linear.z, value.angular.x, value.angular.y)
    if not all(math.isfinite(v) for v in (value.linear.x, value.angular.z, *others)):
        raise MessageError("a velocity with a component that is no finite number")
    if any(abs(v) > 1e-6 for v in others):
        raise MessageError(
            "a velocity sideways, up, or about another axis than the upward one; "
            "a robot on the ground takes linear.x and angular.z only"
        )
    return Twist(header=header, linear_mps=value.linear.x, angular_radps=value.angular.z)


def _stamped_twist(m: Twist, ctx: Context) -> Any:
    return ctx.new(
        "geometry_msgs/msg/TwistStamped", header=ctx.header(m, "base_link"), twist=_twist(m, ctx)
    )


def _odometry(m: Odometry, ctx: Context) -> Any:
    pose = ctx.new(
        "geometry_msgs/msg/Pose",
        position=ctx.new("geometry_msgs/msg/Point", x=m.x_m, y=m.y_m),
        orientation=yaw_quaternion(ctx, m.yaw_rad),
    )
    return ctx.new(
        "nav_msgs/msg/Odometry",
        header=ctx.header(m, "odom"),
        child_frame_id=ctx.child_frame_id,
        pose=ctx.new("geometry_msgs/msg/PoseWithCovariance", pose=pose),
        twist=ctx.new("geometry_msgs/msg/TwistWithCovariance", twist=_twist(m, ctx)),
    )


def _odometry_of(value: Any, ctx: Context) -> Odometry:
    place, twist = value.pose.pose, value.twist.twist
    return Odometry(
        header=ctx.given(value.header),
        x_m=place.position.x,
        y_m=place.position.y,
        yaw_rad=yaw_of(place.orientation),
        linear_mps=twist.linear.x,
        angular_radps=twist.angular.z,
    )


def _odometry_frame(m: Odometry, ctx: Context) -> Any:
    """Return the frame tree's edge that odometry is: `odom` to `base_link`."""
    transform = ctx.new(
        "geometry_msgs/msg/TransformStamped",
        header=ctx.header(m, "odom"),
        child_frame_id=ctx.child_frame_id,
        transform=ctx.new(
            "geometry_msgs/msg/Transform",
            translation=ctx.new("geometry_msgs/msg/Vector3", x=m.x_m, y=m.y_m),
            rotation=yaw_quaternion(ctx, m.yaw_rad),
        ),
    )
    return ctx.new("tf2_msgs/msg/TFMessage", transforms=[transform])


def _pose_values(m: Pose) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([m.x_m, m.y_m, m.z_m, m.qx, m.qy, m.qz, m.qw], np.float64)


def _pose_of(value: Any, header: Header, frame_id: str = "map") -> Pose:
    x, y, z, qx, qy, qz, qw = row(value)
    return Pose(header=header, x_m=x, y_m=y, z_m=z, qx=qx, qy=qy, qz=qz, qw=qw, frame_id=frame_id)


def _stamped_pose(m: Pose, ctx: Context) -> Any:
    return ctx.new(
        "geometry_msgs/msg/PoseStamped",
        header=ctx.header(m, m.frame_id),
        pose=pose_of(ctx, _pose_values(m)),
    )


def _covariant_pose(m: Pose, ctx: Context) -> Any:
    pose = ctx.new("geometry_msgs/msg/PoseWithCovariance", pose=pose_of(ctx, _pose_values(m)))
    return ctx.new(
        "geometry_msgs/msg/PoseWithCovarianceStamped", header=ctx.header(m, m.frame_id), pose=pose
    )


def _flat_pose(m: Pose, ctx: Context) -> Any:
    """Return a pose on the ground.

    Raises:
        MessageError: It is above or below it, or tilted.
    """
    if max(abs(m.z_m), abs(m.qx), abs(m.qy)) > 1e-6:
        raise MessageError("a pose that is not flat on the ground is no Pose2D")
    return ctx.new(
        "geometry_msgs/msg/Pose2D",
        x=m.x_m,
        y=m.y_m,
        theta=math.atan2(2 * m.qw * m.qz, 1 - 2 * m.qz**2),
    )


def _pose_of_flat(value: Any, ctx: Context) -> Pose:
    half = value.theta / 2
    return Pose(
        header=ctx.sent, x_m=value.x, y_m=value.y, z_m=0.0, qz=math.sin(half), qw=math.cos(half)
    )


def _poses(m: PoseArray, ctx: Context) -> Any:
    poses = [pose_of(ctx, one) for one in m.poses]
    return ctx.new("geometry_msgs/msg/PoseArray", header=ctx.header(m, m.frame_id), poses=poses)


def _poses_of(value: Any, ctx: Context) -> PoseArray:
    rows = np.array([row(one) for one in value.poses], np.float64).reshape(-1, 7)
    return PoseArray(header=ctx.given(value.header), poses=rows, frame_id=value.header.frame_id)


def _frames(m: Transforms, ctx: Context) -> Any:
    made = []
    for one in m.items:
        header = ctx.new("std_msgs/msg/Header", stamp=ctx.stamp(one.stamp), frame_id=one.parent)
        transform = ctx.new(
            "geometry_msgs/msg/Transform",
            translation=vector(ctx, (one.x_m, one.y_m, one.z_m)),
            rotation=ctx.new(
                "geometry_msgs/msg/Quaternion", x=one.qx, y=one.qy, z=one.qz, w=one.qw
            ),
        )
        made.append(
            ctx.new(
                "geometry_msgs/msg/TransformStamped",
                header=header,
                child_frame_id=one.child,
                transform=transform,
            )
        )
    return ctx.new("tf2_msgs/msg/TFMessage", transforms=made)


def _frames_of(value: Any, ctx: Context) -> Transforms:
    items = []
    for one in value.transforms:
        t, q = one.transform.translation, one.transform.rotation
        items.append(
            Transform(
                parent=one.header.frame_id,
                child=one.child_frame_id,
                x_m=t.x,
                y_m=t.y,
                z_m=t.z,
                qx=q.x,
                qy=q.y,
                qz=q.z,
                qw=q.w,
                stamp=ctx.robot_ns(one.header.stamp),
            )
        )
    return Transforms(header=ctx.sent, items=tuple(items))


def _joints(m: JointState, ctx: Context) -> Any:
    return ctx.new(
        "sensor_msgs/msg/JointState",
        header=ctx.header(m, ""),
        name=list(m.names),
        position=m.position,
        velocity=m.velocity,
        effort=m.effort,
    )


def _joints_of(value: Any, ctx: Context) -> JointState:
    return JointState(
        header=ctx.given(value.header),
        names=tuple(value.name),
        position=value.position,
        velocity=value.velocity,
        effort=value.effort,
    )


def _joy(m: Joy, ctx: Context) -> Any:
    return ctx.new(
        "sensor_msgs/msg/Joy", header=ctx.header(m, "joy"), axes=m.axes, buttons=m.buttons
    )


pair(Twist, "geometry_msgs/msg/Twist", _twist, lambda v, c: _twist_of(v, c.sent))
pair(
    Twist,
    "geometry_msgs/msg/TwistStamped",
    _stamped_twist,
    lambda v, c: _twist_of(v.twist, c.given(v.header)),
)
pair(Odometry, "nav_msgs/msg/Odometry", _odometry, _odometry_of)
pair(Odometry, "tf2_msgs/msg/TFMessage", _odometry_frame, None)
pair(
    Pose,
    "geometry_msgs/msg/PoseStamped",
    _stamped_pose,
    lambda v, c: _pose_of(v.pose, c.given(v.header), v.header.frame_id),
)
pair(
    Pose,
    "geometry_msgs/msg/Pose",
    lambda m, c: pose_of(c, _pose_values(m)),
    lambda v, c: _pose_of(v, c.sent),
)
pair(
    Pose,
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    _covariant_pose,
    lambda v, c: _pose_of(v.pose.pose, c.given(v.header), v.header.frame_id),
)
pair(
    Pose,
    "geometry_msgs/msg/PoseWithCovariance",
    lambda m, c: _covariant_pose(m, c).pose,
    lambda v, c: _pose_of(v.pose, c.sent),
)
pair(Pose, "geometry_msgs/msg/Pose2D", _flat_pose, _pose_of_flat)
pair(PoseArray, "geometry_msgs/msg/PoseArray", _poses, _poses_of)
pair(Transforms, "tf2_msgs/msg/TFMessage", _frames, _frames_of)
pair(JointState, "sensor_msgs/msg/JointState", _joints, _joints_of)
pair(
    Joy,
    "sensor_msgs/msg/Joy",
    _joy,
    lambda v, c: Joy(header=c.given(v.header), axes=v.axes, buttons=v.buttons),
)
