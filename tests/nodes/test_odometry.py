from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.drivers.base import BaseState
from olympus.nodes.odometry import FASTEST_MPS, LONGEST_STEP_S, DeadReckoning, Pose
from olympus.nodes.pose_memory import PoseMemory
from olympus.nodes.wheels import WheelBase

RADIUS_M, TRACK_M = 0.08, 0.34
BASE = WheelBase(RADIUS_M, TRACK_M, 10.0)
ORIGIN = Pose()
speeds = st.floats(-1.0, 1.0)


def state(at_s: float, left_m: float, right_m: float, gyro: float = 0.0) -> BaseState:
    return BaseState(
        left_radps=0.0,
        right_radps=0.0,
        left_rad=left_m / RADIUS_M,
        right_rad=right_m / RADIUS_M,
        accel_mps2=np.array([0, 0, 9.81], np.float32),
        gyro_radps=np.array([0, 0, gyro], np.float32),
        bearings_rad=np.zeros(0, np.float32),
        ranges_m=np.zeros(0, np.float32),
        range_max_m=6.0,
        voltage_v=16.0,
        current_a=0.5,
        charge=0.9,
        stamp_ns=round(at_s * 1e9),
    )


def reckon(start: Pose = ORIGIN) -> DeadReckoning:
    return DeadReckoning(RADIUS_M, TRACK_M, start)


def test_driving_straight_adds_up_the_way() -> None:
    odometry = reckon(Pose(1.0, 2.0, math.pi / 2))
    for i in range(11):
        assert odometry.add(state(i * 0.05, i * 0.02, i * 0.02))
    assert odometry.pose.x_m == pytest.approx(1.0)
    assert odometry.pose.y_m == pytest.approx(2.2)
    assert odometry.linear_mps == pytest.approx(0.4)


def test_turning_comes_from_the_gyro() -> None:
    odometry = reckon()
    for i in range(21):
        odometry.add(state(i * 0.05, -i * 0.01, i * 0.01, gyro=1.0))
    assert odometry.pose.yaw_rad == pytest.approx(1.0, abs=1e-5)
    assert math.hypot(odometry.pose.x_m, odometry.pose.y_m) < 1e-9


def test_a_circle_ends_where_it_began() -> None:
    odometry = reckon()
    steps, rate = 2000, 0.5
    step_s = math.tau / rate / steps
    for i in range(steps + 1):
        odometry.add(state(i * step_s, 0.3 * i * step_s, 0.3 * i * step_s, gyro=rate))
    assert math.hypot(odometry.pose.x_m, odometry.pose.y_m) < 0.01


def test_across_a_long_gap_nothing_is_added() -> None:
    odometry = reckon()
    odometry.add(state(0.0, 0.0, 0.0))
    odometry.add(state(LONGEST_STEP_S + 0.1, 0.3, 0.3))
    assert odometry.pose == Pose()


def test_a_base_that_counts_anew_moves_nothing() -> None:
    odometry = reckon(Pose(5.0, 0.0, 0.0))
    odometry.add(state(0.0, 12.0, 12.0))
    odometry.add(state(0.05, 0.0, 0.0))
    odometry.add(state(0.10, 0.02, 0.02))
    assert odometry.pose.x_m == pytest.approx(5.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_a_state_with_impossible_numbers_is_refused_and_counted(bad: float) -> None:
    odometry = reckon()
    assert odometry.add(state(0.0, 0.0, 0.0))
    assert not odometry.add(state(0.05, 0.02, 0.02, gyro=bad))
    assert odometry.add(state(0.1, 0.04, 0.04))
    assert odometry.refused == 1
    assert odometry.pose.x_m == pytest.approx(0.04)


@pytest.mark.parametrize(("left", "right"), [(math.nan, 0.0), (0.0, -math.inf)])
def test_wheel_angles_that_are_no_numbers_are_refused(left: float, right: float) -> None:
    odometry = reckon()
    assert not odometry.add(state(0.0, left, right))
    assert odometry.pose == Pose()


@given(st.lists(st.tuples(st.floats(0.0, 0.6), st.floats(-9, 9), st.floats(-9, 9)), max_size=20))
def test_it_never_moves_faster_than_a_base_can(steps: list[tuple[float, float, float]]) -> None:
    odometry, now = reckon(), 0.0
    odometry.add(state(0.0, 0.0, 0.0))
    for elapsed, left, right in steps:
        now, before = now + elapsed, odometry.pose
        odometry.add(state(now, left, right))
        moved = math.hypot(odometry.pose.x_m - before.x_m, odometry.pose.y_m - before.y_m)
        assert moved <= FASTEST_MPS * (elapsed + 1e-6)


@given(speeds, st.floats(-3.0, 3.0))
def test_wheel_speeds_make_the_velocity_they_are_made_from(linear: float, angular: float) -> None:
    left, right = BASE.speeds(linear, angular)
    fast = max(abs(linear - angular * TRACK_M / 2), abs(linear + angular * TRACK_M / 2)) / RADIUS_M
    share = min(1.0, 10.0 / fast) if fast else 1.0
    assert (left + right) / 2 * RADIUS_M == pytest.approx(linear * share, abs=1e-9)
    assert (right - left) * RADIUS_M / TRACK_M == pytest.approx(angular * share, abs=1e-9)
    assert max(abs(left), abs(right)) <= 10.0 + 1e-9


def test_a_pose_is_remembered_across_processes(tmp_path: Path) -> None:
    memory = PoseMemory(tmp_path / "pose", session=7)
    assert memory.read() is None
    memory.write(Pose(1.0, 2.0, 3.0))
    memory.write(Pose(4.0, 5.0, 6.0))
    assert PoseMemory(tmp_path / "pose", session=7).read() == Pose(4.0, 5.0, 6.0)
    memory.close()
    memory.close()


def test_the_pose_of_another_session_does_not_count(tmp_path: Path) -> None:
    memory = PoseMemory(tmp_path / "pose", session=7)
    memory.write(Pose(1.0, 2.0, 3.0))
    memory.close()
    assert PoseMemory(tmp_path / "pose", session=8).read() is None


def test_a_damaged_pose_does_not_count(tmp_path: Path) -> None:
    memory = PoseMemory(tmp_path / "pose", session=7)
    memory.write(Pose(1.0, 2.0, 3.0))
    memory.close()
    whole = (tmp_path / "pose").read_bytes()
    for damaged in (b"", whole[:-1], b"\xff" + whole[1:], whole[:12] + b"\x01" + whole[13:]):
        (tmp_path / "pose").write_bytes(damaged)
        assert PoseMemory(tmp_path / "pose", session=7).read() is None


def test_a_folder_that_is_gone_costs_only_the_memory(tmp_path: Path) -> None:
    memory = PoseMemory(tmp_path / "gone" / "pose", session=7)
    memory.write(Pose(1.0, 2.0, 3.0))
    assert memory.read() is None
