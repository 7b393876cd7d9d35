"""What robots of other houses say too: poses, frames, joints, clouds, positions, plain values.

They mirror the usual ROS 2 messages, in our units and with arrays instead of lists of objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages.base import Message, message
from olympus.runtime.messages.schema import Array

Reals = Annotated[NDArray[np.float64], Array("f8", (None,))]
Singles = Annotated[NDArray[np.float32], Array("f4", (None,))]
Bytes = Annotated[NDArray[np.uint8], Array("u1", (None,))]


@message("olympus/Pose")
class Pose(Message):
    """Where something is and how it is turned, in a named frame."""

    x_m: float
    y_m: float
    z_m: float = 0.0
    qx: float = 0.0
    """Orientation as a unit quaternion."""
    qy: float = 0.0
    qz: float = 0.0
    qw: float = 1.0
    frame_id: str = "map"


@message("olympus/PoseArray")
class PoseArray(Message):
    """Many poses in one frame."""

    poses: Annotated[NDArray[np.float64], Array("f8", (None, 7))]
    """(n, 7) float64: x, y, z in m, then the quaternion x, y, z, w."""
    frame_id: str = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Where a frame stands in its parent frame."""

    parent: str
    child: str
    x_m: float
    y_m: float
    z_m: float
    qx: float
    qy: float
    qz: float
    qw: float
    stamp: int
    """When it was true, ns."""


@message("olympus/Transforms")
class Transforms(Message):
    """A part of the tree of frames (REP-105)."""

    items: tuple[Transform, ...]


@message("olympus/JointState")
class JointState(Message):
    """What joints do; an array is empty when that is not measured."""

    names: tuple[str, ...]
    position: Reals
    """(n,) float64, rad or m."""
    velocity: Reals
    """(n,) float64, rad/s or m/s."""
    effort: Reals
    """(n,) float64, Nm or N."""


@message("olympus/PointCloud")
class PointCloud(Message):
    """Points in space."""

    points_m: Annotated[NDArray[np.float32], Array("f4", (None, 3))]
    """(n, 3) float32, x, y, z in m."""
    intensity: Singles
    """(n,) float32; empty when the sensor has none."""
    frame_id: str = "lidar"


@message("olympus/GeoFix")
class GeoFix(Message):
    """Where on earth (WGS 84)."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    """Above the ellipsoid; NaN when unknown."""
    has_fix: bool
    covariance_m2: Annotated[NDArray[np.float64], Array("f8", (3, 3))]
    """(3, 3) float64, east, north, up; zeros when unknown."""
    frame_id: str = "gps"


@message("olympus/Joy")
class Joy(Message):
    """A joystick or gamepad."""

    axes: Singles
    """(n,) float32, -1..1."""
    buttons: Annotated[NDArray[np.int32], Array("i4", (None,))]
    """(n,) int32, 1 = pressed."""


@message("olympus/CameraInfo")
class CameraInfo(Message):
    """How a camera projects."""

    width: int
    height: int
    model: str
    """Of the distortion, such as `plumb_bob`."""
    distortion: Reals
    k: Annotated[NDArray[np.float64], Array("f8", (3, 3))]
    """(3, 3) float64, px: focal lengths and principal point of the raw picture."""
    r: Annotated[NDArray[np.float64], Array("f8", (3, 3))]
    """(3, 3) float64: rotation that rectifies."""
    p: Annotated[NDArray[np.float64], Array("f8", (3, 4))]
    """(3, 4) float64, px: projection of the rectified picture."""
    frame_id: str = "camera"


@message("olympus/CompressedImage")
class CompressedImage(Message):
    """A picture as a file of its own."""

    data: Bytes
    """(n,) uint8."""
    format: str
    """`jpeg` or `png`."""
    frame_id: str = "camera"


@message("olympus/Text")
class Text(Message):
    """A text."""

    text: str


@message("olympus/Number")
class Number(Message):
    """One number; a truth value is 0 or 1."""

    value: float


@message("olympus/Numbers")
class Numbers(Message):
    """Numbers in a row."""

    values: Reals


@message("olympus/RosValue")
class RosValue(Message):
    """A ROS 2 message of a type that has no class here, as it came."""

    type: str
    """Full name, such as `my_msgs/msg/Thing`."""
    cdr: Bytes
    """(n,) uint8: CDR with its header; read it with `Codecs.get(type).decode`."""
