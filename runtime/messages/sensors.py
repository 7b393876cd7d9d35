"""What sensors say: pictures, sound, readings, ranges, motion and power."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages.base import Message, message
from olympus.runtime.messages.schema import Array


@message("olympus/Image")
class Image(Message):
    """A picture."""

    data: Annotated[NDArray[np.uint8], Array("u1", (None, None, 3))]
    """(H, W, 3) uint8, 0..255, row 0 at the top."""
    encoding: str = "rgb8"
    """Meaning of the three channels: `rgb8` or `bgr8`."""
    frame_id: str = "camera"
    """Coordinate frame of the optical centre (REP-105)."""


@message("olympus/AudioChunk")
class AudioChunk(Message):
    """A piece of sound; its stamp is the time of the first sample."""

    samples: Annotated[NDArray[np.int16], Array("i2", (None,))]
    """(n,) int16, mono."""
    rate_hz: int = 16_000


@message("olympus/Reading")
class Reading(Message):
    """One value of one sensor."""

    name: str
    """What is measured, such as `hall/temperature`."""
    value: float
    unit: str
    """SI or UCUM symbol, such as `Cel`, `%`, `1`."""
    valid: bool = True
    """False when the value is out of its range, stale, or the payload could not be read."""
    device: str = ""
    """Which device said so."""
    text: str = ""
    """Why it is not valid; empty when it is."""


@message("olympus/Ranges")
class Ranges(Message):
    """Distances in several directions, seen from the middle of the robot."""

    bearings_rad: Annotated[NDArray[np.float32], Array("f4", (None,))]
    """(n,) float32, 0 = ahead, positive to the left."""
    distances_m: Annotated[NDArray[np.float32], Array("f4", (None,))]
    """(n,) float32; `max_m` where nothing was hit; NaN where the sensor failed."""
    max_m: float


@message("olympus/Imu")
class Imu(Message):
    """Acceleration and turning rate, body frame: x ahead, y left, z up (REP-103)."""

    accel_mps2: Annotated[NDArray[np.float32], Array("f4", (3,))]
    """(3,) float32, m/s2, gravity included."""
    gyro_radps: Annotated[NDArray[np.float32], Array("f4", (3,))]
    """(3,) float32, rad/s."""


@message("olympus/Battery")
class Battery(Message):
    """State of the battery."""

    voltage_v: float
    current_a: float
    """Positive while it is drained."""
    charge: float
    """0..1."""
