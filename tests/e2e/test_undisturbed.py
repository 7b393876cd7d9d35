"""A patrol that nobody disturbs: it covers ground, gives way, and has nothing to complain of."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.safety.events import FILE
from olympus.sim.campaign.evidence import STILL_MS, told_still
from olympus.sim.campaign.standstill import Standstills
from olympus.sim.messages import Truth

if TYPE_CHECKING:
    from tests.e2e.conftest import Ride, Riding

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
HOSTS = ("sim", "sensors", "perception", "control", "recorder", "viewer")
FAR_M = 5.0
TOO_NEAR_M = 0.9
"""Nearer to a person ahead of it, middle to middle, the rover must not drive on."""
AHEAD_RAD = math.radians(35)
MOST_RIDES = 3
"""One in which the machine itself stood still, as a witness saw, proves nothing but its own."""
BRAKING_S = 0.8
"""Seeing, deciding and braking take so long on a busy machine."""


async def test_it_covers_ground_keeps_its_distance_and_loses_nothing(riding: Riding) -> None:
    with Standstills() as witness:
        for _ in range(MOST_RIDES):
            begun_ns = time.monotonic_ns()
            found = await disturbances(riding)
            still = witness.between(begun_ns, time.monotonic_ns())
            if not found or not still or still[0].ms < STILL_MS:
                break
    assert found == {}, f"{found}; {[told_still(one) for one in still[:3]] or 'never stood still'}"


async def disturbances(riding: Riding) -> dict[str, object]:
    """Let it drive; return what there is to complain of."""
    async with riding("scenario:=person_crosses", go=True) as ride:
        trouble = ""
        try:
            await ride.seat.until(
                lambda: sees_a_person(ride) or has_tripped(ride), "a person is seen", 60
            )
            await ride.seat.until(
                lambda: way_m(ride.truth.messages) > FAR_M or has_tripped(ride), "it gets on", 60
            )
        except LaunchError as error:
            trouble = str(error)
        truths, status = list(ride.truth.messages), ride.robot.safety.status()
        assert truths[-1].collisions == 0
        approach_s = longest_approach_s(truths)
        restarts = {host: ride.robot.ledger(host)["restarts"] for host in HOSTS}
        found = {
            "trouble": trouble,
            "too near for": approach_s if approach_s >= BRAKING_S else 0,
            "complaints": ride.complaints(),
            "drops": ride.unexplained_drops(),
            "trips": [trip.cause for trip in status.trips],
            "stopped": not status.is_permitted,
            "restarts": {host: count for host, count in restarts.items() if count},
        }
    return {what: told for what, told in found.items() if told}


def has_tripped(ride: Ride) -> bool:
    return '"event": "trip"' in (ride.robot.run_dir / "safety" / FILE).read_text()


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
