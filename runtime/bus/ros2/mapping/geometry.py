"""Rotations and poses, between yaw angles, our fields and ROS's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.errors import MessageError


def yaw_quaternion(ctx: Context, yaw_rad: float) -> Any:
    """Return a turn about the upward axis as a ROS quaternion."""
    half = yaw_rad / 2
    return ctx.new("geometry_msgs/msg/Quaternion", z=math.sin(half), w=math.cos(half))


def yaw_of(q: Any) -> float:
    """Return the turn about the upward axis of a ROS quaternion, rad.

    Raises:
        MessageError: It is no rotation.
    """
    norm = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if not 0.9 < norm < 1.1:
        raise MessageError(f"a quaternion of length {math.sqrt(abs(norm)):.3g} is no rotation")
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))


def quaternion_of(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    """Return x, y, z, w of fixed-axis roll, pitch and yaw, rad."""
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def turned(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Return the product of two quaternions x, y, z, w: first `b`, then `a`."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


OPTICAL = quaternion_of(-math.pi / 2, 0.0, -math.pi / 2)
"""From a body frame (x ahead, z up) to an optical one (z ahead, x right), REP-103."""


def vector(ctx: Context, values: Any) -> Any:
    """Return three numbers as a ROS vector."""
    x, y, z = (float(v) for v in values)
    return ctx.new("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def row(pose: Any) -> list[float]:
    """Return a ROS pose as x, y, z and the quaternion x, y, z, w."""
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def pose_of(ctx: Context, values: NDArray[np.float64]) -> Any:
    """Return x, y, z and a quaternion as a ROS pose."""
    x, y, z, qx, qy, qz, qw = (float(v) for v in values)
    return ctx.new(
        "geometry_msgs/msg/Pose",
        position=ctx.new("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=ctx.new("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
    )
