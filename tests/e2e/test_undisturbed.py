"""A patrol that nobody disturbs: it covers ground, gives way, and has nothing to complain of."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from olympus.sim.messages import Truth

if TYPE_CHECKING:
    from tests.e2e.conftest import Ride, Riding

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
HOSTS = ("sim", "sensors", "perception", "control", "recorder", "viewer")
FAR_M = 5.0
TOO_NEAR_M = 0.9
"""Nearer to a person ahead of it, middle to middle, the rover must not drive on."""
AHEAD_RAD = math.radians(35)
BRAKING_S = 0.8
"""Seeing, deciding and braking take so long on a busy machine."""


async def test_it_covers_ground_keeps_its_distance_and_loses_nothing(riding: Riding) -> None:
    async with riding("scenario:=person_crosses", go=True) as ride:
        await ride.seat.until(lambda: sees_a_person(ride), "a person is seen", 60)
        await ride.seat.until(lambda: way_m(ride.truth.messages) > FAR_M, "it gets on", 60)
        truths = list(ride.truth.messages)
        assert truths[-1].collisions == 0
        assert longest_approach_s(truths) < BRAKING_S
        assert ride.complaints() == []
        assert ride.unexplained_drops() == {}
        status = ride.robot.safety.status()
        assert (status.is_permitted, status.trips) == (True, ()), status
        assert {h: ride.robot.ledger(h)["restarts"] for h in HOSTS} == dict.fromkeys(HOSTS, 0)


def sees_a_person(ride: Ride) -> bool:
    return any(
        p.kind == "object" and p.label == "person" and math.isfinite(p.distance_m)
        for p in ride.percepts.messages
    )


def way_m(truths: list[Truth]) -> float:
    return sum(
        math.hypot(b.rover.x_m - a.rover.x_m, b.rover.y_m - a.rover.y_m)
        for a, b in pairwise(truths)
    )


def longest_approach_s(truths: list[Truth]) -> float:
    """Return the longest time the rover drove towards a person who was too near."""
    longest = begun = 0.0
    for truth in truths:
        is_near = any(gap < TOO_NEAR_M for gap in people_ahead(truth))
        if is_near and truth.linear_mps > 0.1:
            begun = begun or truth.time_s
            longest = max(longest, truth.time_s - begun)
        else:
            begun = 0.0
    return longest


def people_ahead(truth: Truth) -> list[float]:
    """Return the true distances of the people ahead of the rover, middle to middle, m."""
    rover, found = truth.rover, []
    for person in truth.people:
        x_m, y_m = person.x_m - rover.x_m, person.y_m - rover.y_m
        off_rad = math.remainder(math.atan2(y_m, x_m) - rover.yaw_rad, math.tau)
        if abs(off_rad) < AHEAD_RAD:
            found.append(math.hypot(x_m, y_m))
    return found
