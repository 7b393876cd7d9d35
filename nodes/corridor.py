"""Keeps a dead-reckoned pose true by the walls of a known corridor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.nodes.odometry import Pose

Floats = NDArray[np.float64]
GATE_M = 0.3
"""A hit farther from a wall than this is something else."""
GAIN = 0.15
"""Share of the correction that one scan makes: noise averages out."""
SURE_M = 0.1
"""A hit so far from a wall counts half; people and furniture count little."""
END_M = 1.0
"""An end wall is hit over at least this width; a person who stands before it is not so wide."""
LEAST_HITS = 4
NEAR_M = 0.22
"""A hit so near to a wall is explained by it; half a step of the search, and some noise."""
STEPS_M = (0.4, 0.3)
"""Of the search, along and across."""
TURNS_RAD: Floats = np.radians([-20.0, -15, -10, -5, 0, 5, 10, 15, 20])
"""Headings that are searched, relative to the believed one."""
CLEARLY = 4
"""Another place must explain so many more rays."""
MOSTLY = 0.75
"""And so much of all."""


@dataclass(frozen=True, slots=True)
class Corridor:
    """Inner faces of the walls, map frame, metres."""

    x0: float
    y0: float
    x1: float
    y1: float


def compose(correction: Pose, odometry: Pose) -> Pose:
    """Return the pose on the map of a pose in the `odom` frame."""
    c, s = math.cos(correction.yaw_rad), math.sin(correction.yaw_rad)
    return Pose(
        correction.x_m + c * odometry.x_m - s * odometry.y_m,
        correction.y_m + s * odometry.x_m + c * odometry.y_m,
        math.remainder(correction.yaw_rad + odometry.yaw_rad, math.tau),
    )


def correction_for(pose: Pose, odometry: Pose) -> Pose:
    """Return the correction with which `odometry` becomes `pose`."""
    yaw = math.remainder(pose.yaw_rad - odometry.yaw_rad, math.tau)
    c, s = math.cos(yaw), math.sin(yaw)
    return Pose(
        pose.x_m - (c * odometry.x_m - s * odometry.y_m),
        pose.y_m - (s * odometry.x_m + c * odometry.y_m),
        yaw,
    )


def fix(pose: Pose, bearings_rad: Floats, distances_m: Floats, max_m: float, to: Corridor) -> Pose:
    """Move a pose a little so that the rays end at the walls they nearly end at.

    One damped Gauss-Newton step of the point-to-line distance over the hits near a wall, each to
    the wall it is nearest to, with Cauchy weights.

    Args:
        pose: Where the robot believes to be, map frame.
        bearings_rad: (n,) directions of the rays, left positive.
        distances_m: (n,) what they hit; NaN and `max_m` say nothing.
        max_m: Range of the sensor.
        to: The walls.

    Returns:
        The corrected pose; the same one when too few rays hit walls.
    """
    known = np.isfinite(distances_m) & (distances_m < max_m)
    angles = bearings_rad[known] + pose.yaw_rad
    dx = distances_m[known] * np.cos(angles)
    dy = distances_m[known] * np.sin(angles)
    x, y = pose.x_m + dx, pose.y_m + dy
    errors = np.stack([x - to.x0, x - to.x1, y - to.y0, y - to.y1], axis=1)
    nearest = np.abs(errors).argmin(axis=1)
    error = errors[np.arange(len(errors)), nearest]
    is_end = nearest < 2
    turning = np.where(is_end, -dy, dx)
    rows = np.stack([is_end.astype(np.float64), (~is_end).astype(np.float64), turning], axis=1)
    near = np.abs(error) < GATE_M
    near &= ~is_end | (_span(y[near & is_end]) > END_M)
    return _stepped(pose, rows[near], error[near])


def _span(values: Floats) -> float:
    return float(values.max() - values.min()) if len(values) else 0.0


def explained(
    poses: Floats, bearings_rad: Floats, distances_m: Floats, max_m: float, by: Corridor
) -> NDArray[np.intp]:
    """Count the rays that end where an empty corridor lets them end, seen from several poses.

    Args:
        poses: (k, 3) x, y, yaw; map frame.
        bearings_rad: (n,) directions of the rays, left positive.
        distances_m: (n,) what they hit; NaN says nothing; `max_m` hit nothing.
        max_m: Range of the sensor.
        by: The walls.

    Returns:
        (k,) numbers of rays.
    """
    known = np.isfinite(distances_m)
    distances, angles = distances_m[known], bearings_rad[known] + poses[:, 2:3]
    x = poses[:, 0:1] + distances * np.cos(angles)
    y = poses[:, 1:2] + distances * np.sin(angles)
    inside = np.minimum(np.minimum(x - by.x0, by.x1 - x), np.minimum(y - by.y0, by.y1 - y))
    is_hit = distances < 0.98 * max_m
    return np.asarray(
        np.where(is_hit, np.abs(inside) < NEAR_M, inside > -NEAR_M).sum(axis=1), np.intp
    )


def find_elsewhere(
    pose: Pose, bearings_rad: Floats, distances_m: Floats, max_m: float, to: Corridor
) -> Pose | None:
    """Search the corridor for a place that explains the rays clearly better than `pose` does.

    Only headings near the believed one are tried: a corridor looks the same the other way round.

    Args:
        pose: Where the robot believes to be, map frame.
        bearings_rad: (n,) directions of the rays, left positive.
        distances_m: (n,) what they hit; NaN says nothing; `max_m` hit nothing.
        max_m: Range of the sensor.
        to: The walls.

    Returns:
        The best such place, the nearest of equals; None if there is none.
    """
    known = int(np.isfinite(distances_m).sum())
    here = np.array([[pose.x_m, pose.y_m, pose.yaw_rad]])
    now = int(explained(here, bearings_rad, distances_m, max_m, to)[0])
    if known < 2 * LEAST_HITS or now + CLEARLY > known:
        return None
    poses = _grid(pose, to)
    counts = explained(poses, bearings_rad, distances_m, max_m, to)
    best = int(np.argmax(counts - 0.01 * np.abs(poses - here).sum(axis=1)))
    if counts[best] < max(now + CLEARLY, MOSTLY * known):
        return None
    return Pose(*(float(v) for v in poses[best]))


def _grid(pose: Pose, to: Corridor) -> Floats:
    """Return (k, 3) poses all over the corridor."""
    along = np.arange(to.x0 + STEPS_M[0], to.x1, STEPS_M[0])
    across = np.arange(to.y0 + STEPS_M[1], to.y1, STEPS_M[1])
    axes = np.meshgrid(
        np.append(along, pose.x_m), np.append(across, pose.y_m), pose.yaw_rad + TURNS_RAD
    )
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _stepped(pose: Pose, rows: Floats, errors: Floats) -> Pose:
    if len(errors) < LEAST_HITS:
        return pose
    weights = 1 / (1 + (errors / SURE_M) ** 2)
    weighted = rows.T * weights
    damping = 0.1 * np.eye(3)  # what no wall tells about stays as it is
    step = np.linalg.solve(weighted @ rows + damping, -weighted @ errors) * GAIN
    return Pose(
        pose.x_m + float(step[0]),
        pose.y_m + float(step[1]),
        math.remainder(pose.yaw_rad + float(step[2]), math.tau),
    )
