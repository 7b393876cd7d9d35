from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olympus.nodes.neighbours import Neighbours
from olympus.nodes.odometry import Pose
from olympus.runtime.messages import Header, Percept, Ranges

BEARINGS = np.radians(np.linspace(-90, 90, 19)).astype(np.float32)
HERE = Pose()
FAR_M = 6.0


def person(bearing_rad: float, distance_m: float, track: int = 1) -> Percept:
    return Percept(
        header=Header(stamp=1, expires=10**9),
        kind="object",
        label="person",
        confidence=0.9,
        bearing_rad=bearing_rad,
        distance_m=distance_m,
        track=track,
    )


def scan(distances_m: float | list[float]) -> Ranges:
    spread = np.broadcast_to(np.asarray(distances_m, np.float32), BEARINGS.shape).copy()
    return Ranges(bearings_rad=BEARINGS, distances_m=spread, max_m=FAR_M)


def test_the_rays_that_end_at_a_person_say_nothing_of_walls() -> None:
    people = Neighbours(math.radians(80), 2.0)
    people.note(person(0.0, 1.2), HERE)
    hidden = np.isnan(people.without(scan(1.0), HERE).distances_m)
    assert hidden[BEARINGS == 0].all()
    assert not hidden[np.abs(BEARINGS) > math.radians(20)].any()


def test_a_wall_behind_or_before_where_a_person_is_believed_stays() -> None:
    people = Neighbours(math.radians(80), 2.0)
    people.note(person(0.0, 2.0), HERE)
    for wall_m in (0.9, 3.0):
        assert np.isfinite(people.without(scan(wall_m), HERE).distances_m).all()


def test_two_people_side_by_side_are_no_end_of_the_corridor() -> None:
    people = Neighbours(math.radians(80), 2.0)
    for track, side_m in enumerate((0.45, -0.45)):
        people.note(person(math.atan2(side_m, 1.2), math.hypot(side_m, 1.2), track), HERE)
    hidden = np.isnan(people.without(scan(list(1.0 / np.cos(BEARINGS))), HERE).distances_m)
    aside = np.abs(BEARINGS)
    assert hidden[(aside > math.radians(5)) & (aside < math.radians(35))].all()


@given(st.floats(-math.pi, math.pi), st.floats(0.3, 6), st.floats(-math.pi, math.pi))
def test_what_is_measured_is_never_changed_only_left_out(
    bearing_rad: float, distance_m: float, yaw_rad: float
) -> None:
    people = Neighbours(math.radians(80), 2.0)
    people.note(person(bearing_rad, distance_m), HERE)
    seen = scan(2.0)
    left = people.without(seen, Pose(0.0, 0.0, yaw_rad)).distances_m
    assert ((left == 2.0) | np.isnan(left)).all()
    assert (seen.distances_m == 2.0).all()
