"""Where the robot is on its map: dead reckoning, kept true by the walls of a corridor."""

from __future__ import annotations

import math

import numpy as np

from olympus.nodes.corridor import Corridor, compose, correction_for, find_elsewhere, fix
from olympus.nodes.odometry import Pose
from olympus.runtime.messages import Header, Odometry, Ranges
from olympus.runtime.messages import Pose as PoseMessage

SEARCH_EVERY = 5
"""Scans between two looks whether it is somewhere else."""
LOOKS = 10
"""So many looks in a row must agree before it believes to be somewhere else."""
AGREE_M = 0.6
"""Looks that lead to places so near to each other agree."""


def as_message(pose: Pose, stamp: int) -> PoseMessage:
    """Return a pose on the map as it goes over the bus.

    Args:
        pose: On the map.
        stamp: When it was there, robot time, ns.
    """
    half = pose.yaw_rad / 2
    return PoseMessage(
        header=Header(stamp=stamp), x_m=pose.x_m, y_m=pose.y_m, qz=math.sin(half), qw=math.cos(half)
    )


class Whereabouts:
    """Knows the pose in the `odom` frame, which never jumps, and on the map, which may."""

    def __init__(self, corridor: Corridor | None) -> None:
        """Begin where the odometry begins.

        Args:
            corridor: Walls to keep to; without them the odometry is believed.
        """
        self.odometry: Odometry | None = None
        self._corridor = corridor
        self._correction = Pose()
        self._scans = 0
        self._elsewhere: list[Pose] = []

    @property
    def reckoned(self) -> Pose:
        """The pose in the `odom` frame; the origin before anything is known."""
        o = self.odometry
        return Pose(o.x_m, o.y_m, o.yaw_rad) if o is not None else Pose()

    @property
    def pose(self) -> Pose:
        """The pose on the map."""
        return compose(self._correction, self.reckoned) if self.odometry else Pose()

    def see(self, ranges: Ranges) -> float:
        """Let the walls correct the pose.

        Args:
            ranges: Distances around, NaN where a sensor can't be believed.

        Returns:
            How far the map pose jumped, metres; 0 unless it found itself somewhere else.
        """
        if self._corridor is None or self.odometry is None:
            return 0.0
        bearings = ranges.bearings_rad.astype(np.float64)
        distances = ranges.distances_m.astype(np.float64)
        self._scans += 1
        jump_m = 0.0
        if self._scans % SEARCH_EVERY == 0:
            found = find_elsewhere(self.pose, bearings, distances, ranges.max_m, self._corridor)
            jump_m = self._consider(found)
        seen = fix(self.pose, bearings, distances, ranges.max_m, self._corridor)
        self._correction = correction_for(seen, self.reckoned)
        return jump_m

    def _consider(self, found: Pose | None) -> float:
        """Go to another place when several looks have led there."""
        if found is None or (self._elsewhere and self._away(found) > AGREE_M):
            self._elsewhere.clear()
        if found is None:
            return 0.0
        self._elsewhere.append(correction_for(found, self.reckoned))
        if len(self._elsewhere) < LOOKS:
            return 0.0
        self._elsewhere.clear()
        before, self._correction = self.pose, correction_for(found, self.reckoned)
        return math.hypot(found.x_m - before.x_m, found.y_m - before.y_m)

    def _away(self, found: Pose) -> float:
        last = compose(self._elsewhere[-1], self.reckoned)
        return math.hypot(found.x_m - last.x_m, found.y_m - last.y_m)
