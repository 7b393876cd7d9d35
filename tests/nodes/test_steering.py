from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.nodes.steering import (
    AWAY_M,
    CANDIDATES,
    CLOSEST_M,
    CREEP,
    SHY,
    Body,
    Disc,
    Floats,
    clearance,
    courtesy,
    steer,
)

BODY = Body(radius_m=0.34, stop_m=0.25, slow_m=0.9, speed_mps=0.4, turn_radps=1.0)
RAYS: Floats = np.radians(np.linspace(-90, 90, 19))
AHEAD = len(CANDIDATES) // 2
scans = st.lists(st.floats(0.02, 6.0), min_size=19, max_size=19).map(np.array)
goals = st.floats(-math.pi, math.pi)
radii = st.floats(0.15, 0.6)
discs = st.builds(Disc, st.floats(-math.pi, math.pi), st.floats(0.3, 5.0), st.floats(0.5, 1.5))


def corridor(y: float = 0.0, yaw: float = 0.0, half_width: float = 1.35) -> Floats:
    """Distances in an endless corridor along x, seen from `y`, looking to `yaw`."""
    rise = np.sin(RAYS + yaw)
    with np.errstate(divide="ignore"):
        away = np.where(rise > 0, (half_width - y) / rise, (-half_width - y) / rise)
    return np.clip(np.where(np.abs(rise) < 1e-9, 6.0, away), 0.02, 6.0)


def test_with_free_way_it_goes_straight_to_the_goal_at_full_speed() -> None:
    motion = steer(0.0, RAYS, np.full(19, 6.0), BODY)
    assert motion.linear_mps == pytest.approx(0.4)
    assert motion.angular_radps == 0.0
    assert not motion.is_blocked


def test_a_thing_ahead_is_driven_round() -> None:
    scan = corridor()
    scan[8:11] = 1.0
    motion = steer(0.0, RAYS, scan, BODY)
    assert motion.linear_mps > 0
    assert abs(motion.angular_radps) > 0.3


def test_where_both_sides_are_equal_it_goes_to_the_right() -> None:
    scan = corridor()
    scan[8:11] = 1.0
    assert steer(0.0, RAYS, scan, BODY).angular_radps < 0


@pytest.mark.parametrize("goal", [math.radians(101), math.pi, -math.radians(120)])
def test_a_goal_behind_is_turned_to_on_the_spot(goal: float) -> None:
    motion = steer(goal, RAYS, np.full(19, 0.1), BODY)
    assert motion.linear_mps == 0
    assert motion.angular_radps == pytest.approx(math.copysign(1.0, goal))


def test_a_dead_end_is_blocked_and_looked_out_of_on_the_spot() -> None:
    motion = steer(0.0, RAYS, np.full(19, 0.4), BODY)
    assert motion.is_blocked
    assert not motion.is_for_people
    assert motion.linear_mps == 0
    assert motion.angular_radps != 0


def test_it_looks_for_a_way_on_the_side_with_more_room() -> None:
    scan = np.full(19, 0.4)
    scan[-1] = 0.59  # a little to the left, not enough to drive
    assert steer(0.0, RAYS, scan, BODY).angular_radps > 0


def test_nobody_answers_for_a_direction_without_rays() -> None:
    scan = np.full(19, 6.0)
    scan[7:12] = np.nan  # 20 degrees to either side of straight ahead
    free = clearance(RAYS, scan, BODY.radius_m)
    assert free[AHEAD] == 0.0
    assert free[0] > 1
    assert steer(0.0, RAYS, scan, BODY).linear_mps == 0.0


def test_one_dead_sensor_is_no_reason_to_stand() -> None:
    scan = np.full(19, 6.0)
    scan[9] = np.nan
    assert steer(0.0, RAYS, scan, BODY).linear_mps == pytest.approx(0.4)


def test_without_any_ray_nothing_is_free() -> None:
    assert clearance(RAYS, np.full(19, np.nan), 0.3).max() == 0.0
    assert steer(0.0, RAYS, np.full(19, np.nan), BODY).linear_mps == 0.0


def test_people_alone_make_it_stand_without_turning() -> None:
    crowd = [Disc(math.radians(b), 1.3, 1.2) for b in range(-90, 91, 30)]
    motion = steer(0.0, RAYS, np.full(19, 6.0), BODY, crowd)
    assert motion.is_blocked
    assert motion.is_for_people
    assert (motion.linear_mps, motion.angular_radps) == (0.0, 0.0)


def test_a_person_in_the_middle_of_a_wide_hall_is_driven_round_at_a_distance() -> None:
    motion = steer(0.0, RAYS, np.full(19, 6.0), BODY, [Disc(0.0, 2.0, 1.2)])
    assert motion.linear_mps > 0
    direction = abs(motion.angular_radps) / 1.8 if abs(motion.angular_radps) < 1 else 0.6
    assert 2.0 * math.sin(direction) >= 1.1


def test_a_person_who_came_too_near_can_be_left_but_not_approached() -> None:
    near = [Disc(0.0, 0.8, 1.2)]
    room = courtesy(near)
    assert room[AHEAD] < BODY.stop_m
    assert room[0] == np.inf


@given(goals, scans, st.lists(discs, max_size=3))
def test_it_never_drives_where_there_is_less_room_than_it_stops_at(
    goal: float, scan: Floats, people: list[Disc]
) -> None:
    motion = steer(goal, RAYS, scan, BODY, people)
    assert 0 <= motion.linear_mps <= BODY.speed_mps
    assert abs(motion.angular_radps) <= BODY.turn_radps
    if motion.linear_mps > 0:
        free = clearance(RAYS, scan, BODY.radius_m)
        room = np.minimum(free, courtesy(people)) if people else free
        assert room[AHEAD] >= BODY.stop_m
        assert motion.room_m >= BODY.stop_m
        assert not motion.is_blocked


@given(goals, scans)
def test_where_it_drives_it_does_not_crawl_to_a_halt(goal: float, scan: Floats) -> None:
    motion = steer(goal, RAYS, scan, BODY)
    if motion.linear_mps > 0 and abs(motion.angular_radps) < 0.9:
        assert motion.linear_mps >= CREEP * BODY.speed_mps * math.cos(0.5)


@given(goals, scans)
def test_a_mirrored_world_gives_a_mirrored_motion(goal: float, scan: Floats) -> None:
    one, other = steer(goal, RAYS, scan, BODY), steer(-goal, RAYS, scan[::-1].copy(), BODY)
    if one.is_blocked or abs(goal) > math.radians(100):
        assert other.is_blocked == one.is_blocked
        return
    free = clearance(RAYS, scan, BODY.radius_m)
    score = np.minimum(free, 2.0) - np.abs(CANDIDATES - goal) - 0.3 * np.abs(CANDIDATES)
    best = np.sort(score[free >= BODY.stop_m])[::-1]
    if len(best) > 1 and best[0] - best[1] < 1e-6:
        return  # a tie, which goes to the right
    assert other.linear_mps == pytest.approx(one.linear_mps, abs=1e-9)
    assert other.angular_radps == pytest.approx(-one.angular_radps, abs=1e-9)


@given(scans, st.floats(0.0, 1.0), radii)
def test_more_distance_never_means_less_clearance(scan: Floats, more: float, radius: float) -> None:
    assert (clearance(RAYS, scan + more, radius) >= clearance(RAYS, scan, radius) - 1e-9).all()


@given(scans, st.floats(0.0, 0.3), radii)
def test_a_larger_body_never_has_more_clearance(scan: Floats, more: float, radius: float) -> None:
    assert (clearance(RAYS, scan, radius + more) <= clearance(RAYS, scan, radius) + 1e-9).all()


@given(scans, radii)
def test_the_clearance_is_never_negative_nor_beyond_what_the_rays_say(
    scan: Floats, radius: float
) -> None:
    free = clearance(RAYS, scan, radius)
    assert (free >= 0).all()
    assert (free[::2] <= scan).all()  # every second candidate has a ray of its own


@given(st.lists(discs, min_size=1, max_size=4))
def test_courtesy_ends_at_each_disc_or_hardly_shrinks_the_gap(people: list[Disc]) -> None:
    room = courtesy(people)
    for bearing, way in zip(CANDIDATES, np.minimum(room, 8.0), strict=True):
        for disc in people:
            x = disc.distance_m * math.cos(disc.bearing_rad) - way * math.cos(bearing)
            y = disc.distance_m * math.sin(disc.bearing_rad) - way * math.sin(bearing)
            nearest = max(SHY * disc.distance_m, min(disc.distance_m - AWAY_M, CLOSEST_M))
            wished = min(disc.radius_m, nearest)
            assert math.hypot(x, y) >= wished - 1e-6 or way > disc.distance_m
