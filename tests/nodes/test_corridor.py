from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from olympus.nodes.corridor import (
    Corridor,
    Floats,
    compose,
    correction_for,
    explained,
    find_elsewhere,
    fix,
)
from olympus.nodes.odometry import Pose

WALLS = Corridor(0.05, -1.35, 17.95, 1.35)
RAYS: Floats = np.radians(np.linspace(-90, 90, 19))
FAR_M = 6.0
angles = st.floats(-math.pi, math.pi)
poses = st.builds(Pose, st.floats(-20, 20), st.floats(-20, 20), angles)


def scan(pose: Pose, walls: Corridor = WALLS) -> Floats:
    """Return what the rays meet in an empty corridor."""
    c, s = np.cos(RAYS + pose.yaw_rad), np.sin(RAYS + pose.yaw_rad)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x = np.where(c > 0, (walls.x1 - pose.x_m) / c, (walls.x0 - pose.x_m) / c)
        y = np.where(s > 0, (walls.y1 - pose.y_m) / s, (walls.y0 - pose.y_m) / s)
    x, y = np.where(np.isfinite(x), x, 99.0), np.where(np.isfinite(y), y, 99.0)
    return np.asarray(np.minimum(np.minimum(x, y), FAR_M), np.float64)


def settle(pose: Pose, heard: Floats, times: int = 60) -> Pose:
    for _ in range(times):
        pose = fix(pose, RAYS, heard, FAR_M, WALLS)
    return pose


@given(
    st.sampled_from([2.0, 3.0, 15.0, 16.0]),
    st.floats(-0.6, 0.6),
    st.sampled_from([0.0, math.pi]),
    st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(-0.1, 0.1)),
)
@settings(max_examples=50)
def test_a_pose_a_little_off_becomes_true_near_the_ends(
    x: float, y: float, yaw: float, off: tuple[float, float, float]
) -> None:
    if (x < 9) == (yaw == 0.0):  # look at the near end
        yaw = math.pi - yaw
    true = Pose(x, y, yaw)
    found = settle(Pose(x + off[0], y + off[1], yaw + off[2]), scan(true))
    assert found.y_m == pytest.approx(y, abs=0.03)
    assert math.remainder(found.yaw_rad - yaw, math.tau) == pytest.approx(0, abs=0.02)
    assert found.x_m == pytest.approx(x, abs=0.05)


@given(st.floats(-0.6, 0.6), st.floats(-0.2, 0.2), st.floats(-0.1, 0.1))
@settings(max_examples=50)
def test_far_from_the_ends_side_and_heading_become_true_and_the_rest_stays(
    y: float, aside: float, turned: float
) -> None:
    found = settle(Pose(9.0, y + aside, turned), scan(Pose(9.0, y, 0.0)))
    assert found.y_m == pytest.approx(y, abs=0.03)
    assert found.yaw_rad == pytest.approx(0, abs=0.02)
    assert found.x_m == pytest.approx(9.0, abs=0.1)


@given(poses)
def test_without_walls_the_pose_stays(pose: Pose) -> None:
    assert fix(pose, RAYS, np.full(19, FAR_M), FAR_M, WALLS) == pose
    assert fix(pose, RAYS, np.full(19, np.nan), FAR_M, WALLS) == pose


def test_people_and_boxes_do_not_pull_the_pose() -> None:
    true = Pose(9.0, 0.2, 0.0)
    heard = scan(true)
    heard[7:10] = 1.5
    heard[15] = 0.6
    found = settle(true, heard)
    assert math.hypot(found.x_m - 9.0, found.y_m - 0.2) < 0.02


def test_somebody_before_the_end_wall_does_not_pull_the_pose() -> None:
    true = Pose(15.0, 0.0, 0.0)
    heard = scan(true)
    heard[8:11] = 2.7  # the wall is at 2.95
    heard[[6, 7, 11, 12]] = 1.0  # and furniture hides the rest of it
    found = settle(true, heard, times=200)
    assert found.x_m == pytest.approx(15.0, abs=0.05)


@given(poses, poses)
def test_a_correction_leads_from_the_odometry_to_the_pose(pose: Pose, odometry: Pose) -> None:
    found = compose(correction_for(pose, odometry), odometry)
    assert (found.x_m, found.y_m) == pytest.approx((pose.x_m, pose.y_m), abs=1e-6)
    assert math.remainder(found.yaw_rad - pose.yaw_rad, math.tau) == pytest.approx(0, abs=1e-9)


@given(st.floats(1.0, 17.0), st.floats(-0.9, 0.9), angles)
@example(x=9.0, y=0.0, yaw=0.0)
def test_at_the_true_pose_an_empty_corridor_explains_every_ray(
    x: float, y: float, yaw: float
) -> None:
    heard = scan(Pose(x, y, yaw))
    assert explained(np.array([[x, y, yaw]]), RAYS, heard, FAR_M, WALLS)[0] == 19


@pytest.mark.parametrize(("believed", "true"), [(1.5, 14.9), (9.0, 15.4), (12.0, 16.5)])
def test_before_an_end_wall_a_misplaced_rover_finds_itself(believed: float, true: float) -> None:
    heard = scan(Pose(true, 0.3, 0.1))
    found = find_elsewhere(Pose(believed, 0.0, 0.0), RAYS, heard, FAR_M, WALLS)
    assert found is not None
    assert found.x_m == pytest.approx(true, abs=0.45)
    settled = settle(found, heard)
    assert settled.x_m == pytest.approx(true, abs=0.05)
    assert settled.y_m == pytest.approx(0.3, abs=0.03)


@given(st.floats(1.0, 17.0), st.floats(-0.8, 0.8), st.sampled_from([0.0, math.pi]))
def test_who_is_right_is_not_sent_elsewhere(x: float, y: float, yaw: float) -> None:
    heard = scan(Pose(x, y, yaw))
    heard[8:11] = np.minimum(heard[8:11], 1.2)  # somebody stands there
    assert find_elsewhere(Pose(x, y, yaw), RAYS, heard, FAR_M, WALLS) is None


def test_without_rays_nobody_is_sent_elsewhere() -> None:
    nothing = np.full(19, np.nan)
    assert find_elsewhere(Pose(9.0, 0.0, 0.0), RAYS, nothing, FAR_M, WALLS) is None
