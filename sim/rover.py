"""The rover's motors, battery and sensors, on top of its bodies in the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import BaseState
from olympus.sim import figures
from olympus.sim.faults import Faults

WHEEL_RADIUS_M = figures.WHEEL_RADIUS_M
TRACK_M = figures.TRACK_M
MAX_WHEEL_RADPS = 12.5
"""About 1 m/s."""
ACCELERATION_RADPS2 = 12.0
"""Of a wheel, about 1 m/s² on the floor."""
BRAKING_RADPS2 = 30.0
"""Of a wheel after `neutral`, about 2.4 m/s²."""
BEARINGS_RAD: NDArray[np.float32] = np.radians(np.linspace(-90, 90, 19)).astype(np.float32)
"""Directions of the range sensors, from right to left."""
RANGE_MAX_M = 6.0
CAPACITY_AH = 5.0
_RANGE_GROUPS = np.array([[1], [0], [0], [1], [0], [0]], np.uint8)
"""Walls, furniture and the hulls of people."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What the base's sensors read at one instant; the body frame is x ahead, y left, z up."""

    time_ns: int
    """World time."""
    wheel_radps: tuple[float, float]
    """Left, right."""
    wheel_rad: tuple[float, float]
    accel_mps2: NDArray[np.float32]
    """(3,), gravity included."""
    gyro_radps: NDArray[np.float32]
    """(3,)."""
    ranges_m: NDArray[np.float32]
    """One for each of `BEARINGS_RAD`, from the rover's middle; `RANGE_MAX_M` for nothing hit."""
    voltage_v: float
    current_a: float
    charge: float
    """0..1."""

    def as_base_state(self, stamp_ns: int) -> BaseState:
        """Return it as the driver of a base tells it; `stamp_ns` is robot time."""
        return BaseState(
            left_radps=self.wheel_radps[0],
            right_radps=self.wheel_radps[1],
            left_rad=self.wheel_rad[0],
            right_rad=self.wheel_rad[1],
            accel_mps2=self.accel_mps2,
            gyro_radps=self.gyro_radps,
            bearings_rad=BEARINGS_RAD,
            ranges_m=self.ranges_m,
            range_max_m=RANGE_MAX_M,
            voltage_v=self.voltage_v,
            current_a=self.current_a,
            charge=self.charge,
            stamp_ns=stamp_ns,
        )


@dataclass(frozen=True, slots=True)
class Pose:
    """A place on the floor; metres, radians, world frame."""

    x: float
    y: float
    yaw: float


class Rover:
    """Drives the wheels of a model and reads its sensors."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, seed: int) -> None:
        self._model, self._data = model, data
        self._body = model.body("rover").id
        self._wheels = tuple(model.joint(side) for side in ("left", "right"))
        self._noise = np.random.default_rng([seed, 21])
        self._target = (0.0, 0.0)
        self._braking = True
        self._speeds = [0.0, 0.0]
        self._odometer = [0.0, 0.0]
        self.charge = 0.96
        self._ids = np.empty((len(BEARINGS_RAD), 1), np.int32)
        self._distances = np.empty((len(BEARINGS_RAD), 1), np.float64)

    def command(self, left_radps: float, right_radps: float) -> None:
        """Ask for wheel speeds, rad/s, positive ahead; they are limited to what the motors can."""
        limit = MAX_WHEEL_RADPS
        if not (math.isfinite(left_radps) and math.isfinite(right_radps)):
            self.neutral()
            return
        left, right = (max(-limit, min(limit, v)) for v in (left_radps, right_radps))
        self._target, self._braking = (left, right), False

    def neutral(self) -> None:
        """Brake both wheels to a stand."""
        self._target, self._braking = (0.0, 0.0), True

    @property
    def pose(self) -> Pose:
        """Where the rover really is."""
        q = self._data.qpos
        yaw = math.atan2(2 * (q[3] * q[6] + q[4] * q[5]), 1 - 2 * (q[5] ** 2 + q[6] ** 2))
        return Pose(float(q[0]), float(q[1]), yaw)

    @property
    def velocity(self) -> tuple[float, float]:
        """True speed ahead in m/s and turning rate in rad/s."""
        yaw, v = self.pose.yaw, self._data.qvel
        return float(v[0] * math.cos(yaw) + v[1] * math.sin(yaw)), float(v[5])

    def place(self, pose: Pose) -> None:
        """Put the rover somewhere, at rest."""
        self._data.qpos[:7] = (
            pose.x,
            pose.y,
            0.0,
            math.cos(pose.yaw / 2),
            0,
            0,
            math.sin(pose.yaw / 2),
        )
        self._data.qvel[:] = 0.0
        self._speeds = [0.0, 0.0]

    def drive(self, dt: float, faults: Faults) -> None:
        """Let the motors follow the command for the next `dt` seconds."""
        rate = BRAKING_RADPS2 if self._braking else ACCELERATION_RADPS2
        target = self._target
        stuck = (faults.motor_stuck_left, faults.motor_stuck_right)
        for i in range(2):
            change = target[i] - self._speeds[i]
            self._speeds[i] += max(-rate * dt, min(rate * dt, change))
            if stuck[i]:
                self._speeds[i] = 0.0
            self._data.ctrl[i] = self._speeds[i] * (1 - faults.slip_factor)

    def measure(self, dt: float, time_ns: int, faults: Faults) -> Measurement:
        """Read every sensor once; call it once for each tick of `dt` seconds."""
        grip = 1 - faults.slip_factor
        speeds = [float(self._data.qvel[w.dofadr[0]]) / grip for w in self._wheels]
        for i in range(2):
            self._odometer[i] += speeds[i] * dt
        voltage, current = self._discharge(dt, speeds)
        left, right = (math.nan, math.nan) if faults.encoder_garbage else speeds
        turned = (math.nan, math.nan) if faults.encoder_garbage else self._odometer
        accel, gyro = self._imu(faults)
        return Measurement(
            time_ns=time_ns,
            wheel_radps=(left, right),
            wheel_rad=(turned[0], turned[1]),
            accel_mps2=accel,
            gyro_radps=gyro,
            ranges_m=self._ranges(faults),
            voltage_v=voltage,
            current_a=current,
            charge=min(self.charge, 0.06) if faults.battery_low else self.charge,
        )

    def _discharge(self, dt: float, speeds: list[float]) -> tuple[float, float]:
        power = sum(
            abs(float(f) * s) for f, s in zip(self._data.actuator_force, speeds, strict=True)
        )
        current = 0.45 + power / (14.0 * 0.6) + 0.03 * sum(map(abs, speeds))
        self.charge = max(0.0, self.charge - current * dt / (CAPACITY_AH * 3600))
        return 13.0 + 3.4 * self.charge - 0.06 * current, current

    def _imu(self, faults: Faults) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        noise = self._noise.normal(0.0, 1.0, 6)
        accel = (self._data.sensordata[:3] + 0.05 * noise[:3]).astype(np.float32)
        gyro = (self._data.sensordata[3:6] + 0.004 * noise[3:]).astype(np.float32)
        if faults.imu_garbage:
            accel[:] = (np.nan, 1e9 * noise[0], -1e9)
            gyro[:] = (np.nan, 1e6 * noise[1], np.inf)
        return accel, gyro

    def _ranges(self, faults: Faults) -> NDArray[np.float32]:
        pose, count = self.pose, len(BEARINGS_RAD)
        angle = pose.yaw + BEARINGS_RAD.astype(np.float64)
        rays = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], 1)
        eye = np.array([[pose.x], [pose.y], [figures.RANGE_HEIGHT_M]])
        mujoco.mj_multiRay(
            self._model,
            self._data,
            eye,
            rays.reshape(-1, 1),
            _RANGE_GROUPS,
            True,
            -1,
            self._ids,
            self._distances,
            None,
            count,
            RANGE_MAX_M,
        )
        noise = self._noise.normal(0.0, 0.008, count)
        hit = self._ids[:, 0] >= 0
        ranges = np.where(hit, self._distances[:, 0] + noise, RANGE_MAX_M)
        if faults.range_garbage:
            ranges = self._noise.uniform(-1.0, 2 * RANGE_MAX_M, count)
            ranges[::3] = np.nan
        else:
            ranges = np.clip(ranges, 0.02, RANGE_MAX_M)
        return ranges.astype(np.float32)

    def eye(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position (3,) and rotation (3, 3) of the camera: forward, left, up as columns."""
        body = self._data.xmat[self._body].reshape(3, 3)
        tilt = figures.CAMERA_TILT_RAD
        lean = np.array(
            [[math.cos(tilt), 0, -math.sin(tilt)], [0, 1, 0], [math.sin(tilt), 0, math.cos(tilt)]]
        )
        offset = np.array([figures.CAMERA_FORWARD_M, 0.0, figures.CAMERA_HEIGHT_M])
        return self._data.xpos[self._body] + body @ offset, body @ lean
