"""People near the robot: where they are, remembered for a moment when they leave the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from olympus.nodes.odometry import Pose
from olympus.runtime.messages import Percept, Ranges

BESIDE = 1.5
"""Somebody beside the robot counts as so much farther away."""
CLOSE_M = 1.0
"""Who is seen without a distance fills the picture: so near."""
RIM_RAD = math.radians(6)
"""Near the rim of the picture people may be missed."""
RAY_RAD = math.radians(8)
"""A range ray that passes so near to a person's middle meets the person."""
BODY_M = 0.2
"""And so far before it."""
FEEL_M = (-0.4, 0.3)
"""Rays whose distance differs from a person's by something between these have met the person."""
REACH_M = (0.35, 0.6)
"""A ray that ends within this of a person's middle, aside and along the ray, ends at the person;
places from a picture are that uncertain."""
LONGEST_NS = 30_000_000_000
"""Nobody is believed to be there who was not seen for so long, whatever the rays meet."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A person, seen from the robot's middle."""

    bearing_rad: float
    distance_m: float

    @property
    def gap_m(self) -> float:
        """How near somebody seems: who stands beside the way matters less, behind it nothing."""
        aside = abs(self.bearing_rad)
        if aside > math.radians(100):
            return math.inf
        return self.distance_m * (1.0 if aside < math.radians(60) else BESIDE)


@dataclass(frozen=True, slots=True)
class _Place:
    x_m: float
    y_m: float
    seen_ns: int
    expires_ns: int
    felt_ns: int
    """When the person was last seen, or met by a ray."""


class Neighbours:
    """Who was seen where.

    A person who should be in the picture and is not has gone; one beside the picture, or too near
    for it, is believed to be still there for a while, longer as long as range rays meet somebody.
    """

    def __init__(self, view_rad: float, memory_s: float) -> None:
        """Begin with nobody.

        Args:
            view_rad: Width of what the camera sees.
            memory_s: How long somebody out of view is remembered.
        """
        self._half_rad = view_rad / 2 - RIM_RAD
        self._memory_ns = round(memory_s * 1e9)
        self._places: dict[int, _Place] = {}

    def note(self, percept: Percept, pose: Pose) -> None:
        """Take in a person who was seen.

        Args:
            percept: The claim; its track says who.
            pose: Of the robot, in any frame that does not jump.
        """
        away = percept.distance_m if math.isfinite(percept.distance_m) else CLOSE_M
        angle = pose.yaw_rad + percept.bearing_rad
        self._places[percept.track] = _Place(
            pose.x_m + away * math.cos(angle),
            pose.y_m + away * math.sin(angle),
            percept.header.stamp,
            percept.header.expires,
            percept.header.stamp,
        )

    def feel(self, ranges: Ranges, pose: Pose) -> None:
        """Let range rays say who is still there.

        Args:
            ranges: Distances around, NaN where a sensor can't be believed.
            pose: Of the robot, in the frame of `note`.
        """
        for track, place in self._places.items():
            where = _seen_from(pose, place)
            if abs(where.bearing_rad) < self._half_rad and where.distance_m > CLOSE_M:
                continue  # the camera knows better
            apart = np.abs(ranges.bearings_rad - where.bearing_rad)
            near = ranges.distances_m[apart < RAY_RAD] + BODY_M
            off_m = float(np.min(near - where.distance_m, initial=math.inf))
            if FEEL_M[0] < off_m < FEEL_M[1]:
                self._places[track] = _follow(place, where, pose, off_m, ranges.header.stamp)

    def without(self, ranges: Ranges, pose: Pose) -> Ranges:
        """Return the ranges with NaN for each ray that ends at a person: it tells of no wall.

        Args:
            ranges: Distances around, NaN where a sensor can't be believed.
            pose: Of the robot, in the frame of `note`.
        """
        distances = ranges.distances_m.copy()
        for place in self._places.values():
            where = _seen_from(pose, place)
            apart = np.remainder(ranges.bearings_rad - where.bearing_rad + np.pi, 2 * np.pi) - np.pi
            aside = np.abs(apart) < math.atan2(REACH_M[0], where.distance_m)
            along = np.abs(distances + BODY_M - where.distance_m) < REACH_M[1]
            distances[aside & along] = np.nan
        return replace(ranges, distances_m=distances)

    def around(self, pose: Pose, now_ns: int) -> list[Neighbour]:
        """Return who is believed to be near, seen from `pose`; forget the others."""
        found = {track: _seen_from(pose, place) for track, place in self._places.items()}
        self._places = {
            track: place
            for track, place in self._places.items()
            if now_ns <= place.expires_ns or self._is_hidden(found[track], place, now_ns)
        }
        return [found[track] for track in self._places]

    def _is_hidden(self, where: Neighbour, place: _Place, now_ns: int) -> bool:
        is_in_view = abs(where.bearing_rad) < self._half_rad and where.distance_m > CLOSE_M
        is_fresh = now_ns - place.felt_ns <= self._memory_ns
        return not is_in_view and is_fresh and now_ns - place.seen_ns <= LONGEST_NS


def _follow(place: _Place, where: Neighbour, pose: Pose, off_m: float, stamp_ns: int) -> _Place:
    """Return the place of a person whom a ray met somewhat nearer or farther than believed."""
    angle, away = pose.yaw_rad + where.bearing_rad, where.distance_m + off_m
    x, y = pose.x_m + away * math.cos(angle), pose.y_m + away * math.sin(angle)
    return replace(place, x_m=x, y_m=y, felt_ns=stamp_ns)


def _seen_from(pose: Pose, place: _Place) -> Neighbour:
    dx, dy = place.x_m - pose.x_m, place.y_m - pose.y_m
    bearing = math.remainder(math.atan2(dy, dx) - pose.yaw_rad, math.tau)
    return Neighbour(bearing, math.hypot(dx, dy))
