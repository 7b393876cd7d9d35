"""From wheel angles and the gyro to a pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from olympus.drivers.base import BaseState
from olympus.runtime.messages import Header, Odometry

LONGEST_STEP_S = 0.5
"""Across a longer gap between two states nothing is integrated."""
FASTEST_MPS = 5.0
"""A wheel that seems to roll faster was counted anew, by a base that was restarted."""
FASTEST_RADPS = 20.0
"""A gyro that says more is broken."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A place on the floor, `odom` frame: metres, radians."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0


class DeadReckoning:
    """Adds up small movements: way from the wheels, turning from the gyro."""

    def __init__(self, wheel_radius_m: float, track_m: float, start: Pose) -> None:
        self.pose = start
        self.linear_mps = 0.0
        self.angular_radps = 0.0
        self.refused = 0
        """States left out because of a number in them that can't be."""
        self._radius_m, self._track_m = wheel_radius_m, track_m
        self._last: BaseState | None = None

    def add(self, state: BaseState) -> bool:
        """Take in one state of the base.

        Returns:
            Whether it was usable; a state with NaN, infinity or an impossible turning rate is left
            out and counted.
        """
        rate = float(state.gyro_radps[2])
        is_finite = all(math.isfinite(v) for v in (state.left_rad, state.right_rad, rate))
        if not is_finite or abs(rate) > FASTEST_RADPS:
            self.refused += 1
            return False
        last, self._last = self._last, state
        if last is None:
            return True
        elapsed_s = (state.stamp_ns - last.stamp_ns) / 1e9
        if 0 < elapsed_s <= LONGEST_STEP_S:
            left = (state.left_rad - last.left_rad) * self._radius_m
            right = (state.right_rad - last.right_rad) * self._radius_m
            if max(abs(left), abs(right)) <= FASTEST_MPS * elapsed_s:
                self._move((left + right) / 2, rate * elapsed_s, elapsed_s)
        return True

    def message(self, header: Header) -> Odometry:
        """Return where it is and how fast, as a message."""
        return Odometry(
            header=header,
            x_m=self.pose.x_m,
            y_m=self.pose.y_m,
            yaw_rad=self.pose.yaw_rad,
            linear_mps=self.linear_mps,
            angular_radps=self.angular_radps,
        )

    def _move(self, way_m: float, turn_rad: float, elapsed_s: float) -> None:
        pose = self.pose
        middle = pose.yaw_rad + turn_rad / 2
        self.pose = Pose(
            pose.x_m + way_m * math.cos(middle),
            pose.y_m + way_m * math.sin(middle),
            math.remainder(pose.yaw_rad + turn_rad, math.tau),
        )
        self.linear_mps, self.angular_radps = way_m / elapsed_s, turn_rad / elapsed_s
