"""Cameras, sound, distances, inertia, power, position, readings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.bus.ros2.mapping.geometry import vector
from olympus.runtime.bus.ros2.mapping.pairs import pair
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    CameraInfo,
    CompressedImage,
    GeoFix,
    Image,
    Imu,
    Reading,
)

_NAN = float("nan")
_UNKNOWN_ROTATION = np.array([-1.0, 0, 0, 0, 0, 0, 0, 0, 0])
"""First element -1: ROS's sign for "this sensor does not measure that"."""


def optical(frame_id: str) -> str:
    """Return the optical frame of a camera's frame: `camera` is `camera_optical_frame`."""
    return frame_id if "optical" in frame_id else f"{frame_id}_optical_frame"


def _image(m: Image, ctx: Context) -> Any:
    height, width, _ = m.data.shape
    return ctx.new(
        "sensor_msgs/msg/Image",
        header=ctx.header(m, optical(m.frame_id)),
        height=height,
        width=width,
        encoding=m.encoding,
        is_bigendian=0,
        step=3 * width,
        data=m.data,
    )


def _image_of(value: Any, ctx: Context) -> Image:
    encoding = str(value.encoding)
    channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1, "8UC3": 3}
    if encoding not in channels:
        raise MessageError(f"encoding {encoding!r:.40} is none of {', '.join(channels)}")
    n = channels[encoding]
    if value.step < n * value.width or value.data.size < value.height * value.step:
        raise MessageError(
            f"{value.data.size} bytes, {value.step} in a row, are no picture of "
            f"{value.width} x {value.height} in {encoding}"
        )
    rows = value.data[: value.height * value.step].reshape(value.height, value.step)
    pixels = rows[:, : n * value.width].reshape(value.height, value.width, n)
    if n != 3:
        pixels = np.repeat(pixels, 3, axis=2) if n == 1 else pixels[:, :, :3]
    return Image(
        header=ctx.given(value.header),
        data=pixels,
        encoding="bgr8" if encoding in ("bgr8", "bgra8", "8UC3") else "rgb8",
        frame_id=value.header.frame_id,
    )


def _compressed(m: CompressedImage, ctx: Context) -> Any:
    header = ctx.header(m, optical(m.frame_id))
    return ctx.new("sensor_msgs/msg/CompressedImage", header=header, format=m.format, data=m.data)


def _compressed_of(value: Any, ctx: Context) -> CompressedImage:
    return CompressedImage(
        header=ctx.given(value.header),
        data=value.data,
        format=value.format,
        frame_id=value.header.frame_id,
    )


def _camera_info(m: CameraInfo, ctx: Context) -> Any:
    return ctx.new(
        "sensor_msgs/msg/CameraInfo",
        header=ctx.header(m, optical(m.frame_id)),
        height=m.height,
        width=m.width,
        distortion_model=m.model,
        d=m.distortion,
        k=m.k,
        r=m.r,
        p=m.p,
    )


def _camera_info_of(value: Any, ctx: Context) -> CameraInfo:
    return CameraInfo(
        header=ctx.given(value.header),
        width=value.width,
        height=value.height,
        model=value.distortion_model,
        distortion=value.d,
        k=value.k.reshape(3, 3),
        r=value.r.reshape(3, 3),
        p=value.p.reshape(3, 4),
        frame_id=value.header.frame_id,
    )


def _sound(m: AudioChunk, ctx: Context) -> Any:
    samples = np.ascontiguousarray(m.samples, "<i2").view("u1")
    return ctx.new(
        "audio_common_msgs/msg/AudioDataStamped",
        header=ctx.header(m, "microphone"),
        audio=ctx.new("audio_common_msgs/msg/AudioData", data=samples),
    )


def _samples(data: NDArray[np.uint8]) -> NDArray[np.int16]:
    if data.size % 2:
        raise MessageError(f"{data.size} bytes are no 16-bit samples; send S16LE, one channel")
    return data.view("<i2")


def _imu(m: Imu, ctx: Context) -> Any:
    return ctx.new(
        "sensor_msgs/msg/Imu",
        header=ctx.header(m, "imu_link"),
        orientation_covariance=_UNKNOWN_ROTATION,
        angular_velocity=vector(ctx, m.gyro_radps),
        linear_acceleration=vector(ctx, m.accel_mps2),
    )


def _triple(v: Any) -> NDArray[np.float32]:
    return np.array([v.x, v.y, v.z], np.float32)


def _imu_of(value: Any, ctx: Context) -> Imu:
    return Imu(
        header=ctx.given(value.header),
        accel_mps2=_triple(value.linear_acceleration),
        gyro_radps=_triple(value.angular_velocity),
    )


def _battery(m: Battery, ctx: Context) -> Any:
    """Return a battery as ROS sees it; its current is negative while the battery is drained."""
    status = 2 if m.current_a > 0 else 1 if m.current_a < 0 else 3
    return ctx.new(
        "sensor_msgs/msg/BatteryState",
        header=ctx.header(m, "base_link"),
        voltage=m.voltage_v,
        temperature=_NAN,
        current=-m.current_a,
        charge=_NAN,
        capacity=_NAN,
        design_capacity=_NAN,
        percentage=m.charge,
        power_supply_status=status,
        present=True,
    )


def _battery_of(value: Any, ctx: Context) -> Battery:
    return Battery(
        header=ctx.given(value.header),
        voltage_v=value.voltage,
        current_a=-value.current,
        charge=value.percentage,
    )


def _fix(m: GeoFix, ctx: Context) -> Any:
    status = ctx.new("sensor_msgs/msg/NavSatStatus", status=0 if m.has_fix else -1, service=1)
    return ctx.new(
        "sensor_msgs/msg/NavSatFix",
        header=ctx.header(m, m.frame_id),
        status=status,
        latitude=m.latitude_deg,
        longitude=m.longitude_deg,
        altitude=m.altitude_m,
        position_covariance=m.covariance_m2,
        position_covariance_type=3 if m.covariance_m2.any() else 0,
    )


def _fix_of(value: Any, ctx: Context) -> GeoFix:
    return GeoFix(
        header=ctx.given(value.header),
        latitude_deg=value.latitude,
        longitude_deg=value.longitude,
        altitude_m=value.altitude,
        has_fix=value.status.status >= 0,
        covariance_m2=value.position_covariance.reshape(3, 3),
        frame_id=value.header.frame_id,
    )


def _temperature(m: Reading, ctx: Context) -> Any:
    if m.unit != "Cel":
        raise MessageError(f"{m.name} is in {m.unit!r}; a Temperature is in Cel")
    value = m.value if m.valid else _NAN
    header = ctx.header(m, m.name)
    return ctx.new("sensor_msgs/msg/Temperature", header=header, temperature=value)


def _temperature_of(value: Any, ctx: Context) -> Reading:
    name = value.header.frame_id or "temperature"
    is_real = bool(np.isfinite(value.temperature))
    return Reading(
        header=ctx.given(value.header),
        name=name,
        value=value.temperature,
        unit="Cel",
        valid=is_real,
        device=name,
        text="" if is_real else "no number",
    )


pair(Image, "sensor_msgs/msg/Image", _image, _image_of)
pair(CompressedImage, "sensor_msgs/msg/CompressedImage", _compressed, _compressed_of)
pair(CameraInfo, "sensor_msgs/msg/CameraInfo", _camera_info, _camera_info_of)
pair(
    AudioChunk,
    "audio_common_msgs/msg/AudioDataStamped",
    _sound,
    lambda v, c: AudioChunk(
        header=c.given(v.header), samples=_samples(v.audio.data), rate_hz=c.rate_hz
    ),
)
pair(
    AudioChunk,
    "audio_common_msgs/msg/AudioData",
    lambda m, c: _sound(m, c).audio,
    lambda v, c: AudioChunk(header=c.sent, samples=_samples(v.data), rate_hz=c.rate_hz),
)
pair(Imu, "sensor_msgs/msg/Imu", _imu, _imu_of)
pair(Battery, "sensor_msgs/msg/BatteryState", _battery, _battery_of)
pair(GeoFix, "sensor_msgs/msg/NavSatFix", _fix, _fix_of)
pair(
    Reading,
    "sensor_msgs/msg/Temperature",
    _temperature,
    _temperature_of,
    is_usual=False,
)
