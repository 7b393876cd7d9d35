from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from olympus.nodes.percepts import Percepts
from olympus.runtime.messages import (
    Detection,
    Detections,
    Header,
    Percept,
    Ranges,
    Reading,
    SoundEvent,
)
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import Tier
from olympus.sim.rover import BEARINGS_RAD

PERSON = Detection(label="person", confidence=0.9, x=0.45, y=0.25, w=0.1, h=0.4)


def picture(*items: Detection, stamp: int) -> Detections:
    return Detections(header=Header(stamp=stamp), items=items, width=160, height=120, model="eye 1")


def scan(distance: float, stamp: int) -> Ranges:
    distances = np.full(19, distance, np.float32)
    return Ranges(
        header=Header(stamp=stamp), bearings_rad=BEARINGS_RAD, distances_m=distances, max_m=6.0
    )


async def percept(bench: Bench[Percepts]) -> Percept:
    found = await bench.receive("percepts")
    assert isinstance(found, Percept)
    return found


async def see(bench: Bench[Percepts], *items: Detection, later_s: float = 0.0) -> list[Percept]:
    """Show a picture; return what is claimed about it, the view last."""
    stamp = bench.node.clock.now_ns() + round(later_s * 1e9)
    await bench.send("detections", picture(*items, stamp=stamp))
    claims = [await percept(bench)]
    while claims[-1].kind != "view":
        claims.append(await percept(bench))
    return claims


async def test_a_person_is_claimed_with_place_and_lifetime() -> None:
    async with running(Percepts) as bench:
        person, view = await see(bench, PERSON)
    assert (person.kind, person.label, person.track) == ("object", "person", 1)
    assert person.bearing_rad == pytest.approx(0.0, abs=0.02)
    assert 2.5 < person.distance_m < 4.5
    assert person.how == "size"
    assert person.header.expires - person.header.stamp == 600_000_000
    assert (view.kind, view.label, view.how) == ("view", "occupied", "eye 1")
    assert [hop.topic for hop in person.header.trace] == ["detections", "percepts"]


async def test_an_empty_picture_says_that_it_was_looked_at() -> None:
    async with running(Percepts) as bench:
        (view,) = await see(bench)
    assert (view.kind, view.label) == ("view", "clear")


async def test_an_unsure_detection_makes_no_claim() -> None:
    faint = Detection(label="person", confidence=0.3, x=0.4, y=0.2, w=0.1, h=0.5)
    async with running(Percepts, params={"min_confidence": 0.4}) as bench:
        (view,) = await see(bench, faint)
    assert view.label == "clear"


async def test_fresh_ranges_make_the_distance_exact_and_old_ones_do_not() -> None:
    async with running(Percepts) as bench:
        now = bench.node.clock.now_ns()
        await bench.send("ranges", scan(3.0, now))
        await bench.send("ranges", scan(3.0, now + 1))
        exact, _ = await see(bench, PERSON)
        late, _ = await see(bench, PERSON, later_s=0.6)
    assert exact.how == "range"
    assert exact.distance_m == pytest.approx(3.2)
    assert late.how == "size"


async def test_ranges_that_are_no_numbers_say_nothing() -> None:
    async with running(Percepts) as bench:
        await bench.send("ranges", scan(math.nan, bench.node.clock.now_ns()))
        person, _ = await see(bench, PERSON)
    assert person.how == "size"


async def test_the_same_person_keeps_the_number_from_picture_to_picture() -> None:
    async with running(Percepts) as bench:
        tracks = [(await see(bench, PERSON, later_s=i / 15))[0].track for i in range(4)]
    assert tracks == [1, 1, 1, 1]


@pytest.mark.parametrize(("label", "tier"), [("stop", Tier.HIGH), ("siren", Tier.NORMAL)])
async def test_a_sound_is_handed_on_and_a_stop_urgently(label: str, tier: Tier) -> None:
    async with running(Percepts) as bench:
        await bench.send("sound_events", SoundEvent(label=label, confidence=0.8, level_dbfs=-20.0))
        claim = await percept(bench)
    assert (claim.kind, claim.label, claim.header.tier) == ("sound", label, tier)


@pytest.mark.parametrize(
    ("reading", "is_alarm"),
    [
        ({"name": "kitchen/smoke", "value": 0.6}, True),
        ({"name": "kitchen/smoke", "value": 0.4}, False),
        ({"name": "kitchen/smoke", "value": 0.6, "valid": False}, False),
        ({"name": "kitchen/temperature", "value": 80.0}, False),
        ({"name": "kitchen/smoke", "value": math.nan}, False),
    ],
)
async def test_only_a_valid_reading_over_its_threshold_is_an_alarm(
    reading: dict[str, Any], is_alarm: bool
) -> None:
    async with running(Percepts) as bench:
        given: dict[str, Any] = {"unit": "%/m", "device": "d", "valid": True} | reading
        await bench.send("iot/readings", Reading(**given))
        sure = Reading(name="x/smoke", value=9.0, unit="", device="d", valid=True)
        await bench.send("iot/readings", sure)
        claims = [await percept(bench)]
        if is_alarm:
            claims.append(await percept(bench))
    assert [c.how for c in claims] == ([reading["name"]] if is_alarm else []) + ["x/smoke"]
    assert all(c.kind == "reading" and c.label == "smoke" for c in claims)
