"""Which way to drive and how fast, from distances around the robot: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages import Ranges

Floats = NDArray[np.float64]
CANDIDATES: Floats = np.radians(np.arange(-90, 91, 5)).astype(np.float64)
"""Directions that are weighed, radians, left positive."""
ENOUGH_M = 2.0
"""Room beyond this makes a direction no better."""
OVERSHOOT = 1.05
"""A sensor's noise may carry a distance so far beyond its range; more is nonsense."""


UNSEEN_RAD = math.radians(20.5)
"""A direction has no room if no ray that says something is so near to it."""
SHY = 0.9
"""Who is nearer than wished already may come nearer by this share, in passing."""
CLOSEST_M = 0.75
"""But not nearer than this."""
AWAY_M = 0.02
"""Who is even nearer is only left: each step must lead away, but for so much."""
DETOUR_RAD = math.radians(60)
"""It does not turn on the spot so far away from the goal for people: it stands and lets them."""
CREEP = 0.15
"""Least share of the full speed at which it goes on where there is room."""


@dataclass(frozen=True, slots=True)
class Disc:
    """A place to keep out of: around a person."""

    bearing_rad: float
    """Of its middle, left positive."""
    distance_m: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Body:
    """Size and manners of the robot."""

    radius_m: float
    """Half the width that must pass, with some air."""
    stop_m: float
    """Room ahead at which it stands."""
    slow_m: float
    """Room ahead from which it goes at full speed."""
    speed_mps: float
    turn_radps: float


@dataclass(frozen=True, slots=True)
class Motion:
    """What to do now."""

    linear_mps: float
    angular_radps: float
    room_m: float
    """Free way in the chosen direction."""
    is_blocked: bool
    is_for_people: bool = False
    """Whether people alone block it: things leave room."""


def believable(ranges: Ranges) -> NDArray[np.float32]:
    """Return the distances, (n,) metres, NaN in place of those that no working sensor gives."""
    distances = ranges.distances_m
    is_possible = (distances >= 0) & (distances <= ranges.max_m * OVERSHOOT)
    return np.where(is_possible, distances, np.float32(np.nan))


def clearance(bearings_rad: Floats, distances_m: Floats, radius_m: float) -> Floats:
    """Return how far a disc can go in each candidate direction.

    Args:
        bearings_rad: (n,) directions of the rays, left positive.
        distances_m: (n,) what each ray hit; a ray that is NaN says nothing and is left out.
        radius_m: Of the disc.

    Returns:
        (len(CANDIDATES),) metres until the disc touches something, not below 0; 0 in directions
        that no ray tells anything about.
    """
    known = np.isfinite(distances_m)
    apart = bearings_rad[known][None, :] - CANDIDATES[:, None]
    free = _reach(apart, distances_m[known][None, :], radius_m)
    is_seen = np.abs(apart).min(axis=1, initial=np.inf) <= UNSEEN_RAD
    return np.where(is_seen, free, 0.0)


def courtesy(discs: Sequence[Disc]) -> Floats:
    """Return how far the robot's middle can go in each candidate direction and enter no disc.

    A disc that it is in or near already is made smaller, so that it may leave or pass, yet hardly
    come nearer.
    """
    distances = np.array([disc.distance_m for disc in discs])
    apart = np.array([disc.bearing_rad for disc in discs])[None, :] - CANDIDATES[:, None]
    closest = np.maximum(SHY * distances, np.minimum(distances - AWAY_M, CLOSEST_M))
    radii = np.minimum([disc.radius_m for disc in discs], closest)
    return _reach(apart, distances[None, :], radii)


def _reach(apart: Floats, distances_m: Floats, radius_m: float | Floats) -> Floats:
    """Return the way, in each direction, to the first of some points that comes within a radius."""
    along = distances_m * np.cos(apart)
    aside = np.abs(distances_m * np.sin(apart))
    is_in_way = (along >= 0) & (aside < radius_m)
    reach = along - np.sqrt(np.maximum(radius_m**2 - aside**2, 0))
    free = np.where(is_in_way, reach, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(np.maximum(free, 0.0), np.float64)


def steer(
    goal_rad: float,
    bearings_rad: Floats,
    distances_m: Floats,
    body: Body,
    keep_off: Sequence[Disc] = (),
) -> Motion:
    """Choose a direction near the goal's with room in it, and a speed for that room.

    It drives only if there is room straight ahead too; else it first turns on the spot. Where left
    and right are equal it goes to the right.

    Args:
        goal_rad: Direction of the goal, left positive.
        bearings_rad: (n,) directions of the rays.
        distances_m: (n,) what they hit, metres.
        body: Size and manners of the robot.
        keep_off: Where people want to be left alone.

    Returns:
        The motion. If no direction ahead has room it is blocked: it stands if that is because of
        people, else it turns on the spot to look for a way.
    """
    if abs(goal_rad) > math.radians(100):  # behind: turn on the spot, nothing ahead matters
        return Motion(0.0, math.copysign(body.turn_radps, goal_rad), 0.0, is_blocked=False)
    beside_things = clearance(bearings_rad, distances_m, body.radius_m)
    free = np.minimum(beside_things, courtesy(keep_off)) if keep_off else beside_things
    score = np.minimum(free, ENOUGH_M) - 1.0 * np.abs(CANDIDATES - goal_rad)
    score -= 0.3 * np.abs(CANDIDATES)
    score[free < body.stop_m] -= 10
    best = int(np.argmax(score))
    direction, room_m = float(CANDIDATES[best]), float(free[best])
    if room_m < body.stop_m:
        return _blocked(beside_things, room_m, body)
    ahead_m = min(room_m, float(free[len(CANDIDATES) // 2]))
    if ahead_m < body.stop_m and abs(direction - goal_rad) > DETOUR_RAD and keep_off:
        ahead = np.abs(CANDIDATES - goal_rad) <= DETOUR_RAD
        if beside_things[ahead].max(initial=0.0) >= body.stop_m:  # but for people there is a way
            return Motion(0.0, 0.0, room_m, is_blocked=True, is_for_people=True)
    turn = max(-body.turn_radps, min(body.turn_radps, 1.8 * direction))
    return Motion(_speed(ahead_m, body) * math.cos(direction), turn, room_m, is_blocked=False)


def _speed(ahead_m: float, body: Body) -> float:
    if ahead_m < body.stop_m:
        return 0.0
    share = (ahead_m - body.stop_m) / max(body.slow_m - body.stop_m, 1e-6)
    return body.speed_mps * max(CREEP, min(1.0, share))


def _blocked(beside_things: Floats, room_m: float, body: Body) -> Motion:
    if beside_things.max() >= body.stop_m:
        return Motion(0.0, 0.0, room_m, is_blocked=True, is_for_people=True)
    away = 1.0 if _side(beside_things, left=True) > _side(beside_things, left=False) else -1.0
    return Motion(0.0, away * body.turn_radps * 0.6, room_m, is_blocked=True)


def _side(free: Floats, *, left: bool) -> float:
    half = free[len(free) // 2 + 1 :] if left else free[: len(free) // 2]
    return float(np.minimum(half, ENOUGH_M).sum())
