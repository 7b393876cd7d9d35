"""What a navigator does when it is blind, is told nonsense, or sees somebody."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.nodes.navigator_senses import Senses, in_virtual_time, is_still, say

from olympus.nodes.navigator import Navigator
from olympus.runtime.node.testing import Bench


@pytest.mark.parametrize("missing", ["has_pictures", "has_ranges", "has_odometry"])
def test_blind_it_stands_and_drives_on_when_it_sees_again(missing: str) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        await senses.pass_time(0.5)
        setattr(senses, missing, False)
        assert is_still(await senses.pass_time(1.5))
        assert senses.state.state == "blind"
        setattr(senses, missing, True)
        assert (await senses.pass_time(0.5)).linear_mps > 0.3

    in_virtual_time(story)


def test_garbage_that_looks_believable_now_and_then_moves_nothing() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        believable = senses.distances
        senses.distances = np.full_like(believable, math.nan)
        assert is_still(await senses.pass_time(0.5))
        for _ in range(10):
            senses.distances = believable
            assert is_still(await senses.pass_time(0.2))
            senses.distances = np.full_like(believable, math.nan)
            assert is_still(await senses.pass_time(0.2))
        assert senses.state.state == "blind"

    in_virtual_time(story)


@pytest.mark.parametrize("missing", ["has_pictures", "has_ranges", "has_odometry"])
def test_a_sense_whose_clock_was_ahead_does_not_stay_fresh_when_it_is_gone(missing: str) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.ahead_s = 3600.0
        await senses.pass_time(0.5)
        setattr(senses, missing, False)
        senses.ahead_s = 0.0
        assert is_still(await senses.pass_time(1.5))
        assert senses.state.state == "blind"

    in_virtual_time(story)


@pytest.mark.parametrize("nonsense", [math.nan, -1.0, 40.0, math.inf])
def test_ranges_that_no_sensor_gives_make_it_blind(nonsense: float) -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.distances = np.full(19, nonsense, np.float32)
        assert is_still(await senses.pass_time(1.0))
        assert senses.state.state == "blind"

    in_virtual_time(story)


def test_it_does_not_drive_where_the_front_sensors_are_dead() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.distances[6:13] = np.nan
        assert (await senses.pass_time(0.5)).linear_mps == 0.0

    in_virtual_time(story)


def test_it_yields_to_a_person_right_ahead() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(b), 1.2) for b in (-38, -15, 0, 15, 38)]
        senses.people += [(math.radians(b), 1.2) for b in (-70, 70)]
        assert is_still(await senses.pass_time(0.5))
        assert senses.state.state == "yielding"
        assert "1.2 m away" in senses.state.reason
        senses.people = []
        assert (await senses.pass_time(3.0)).linear_mps > 0.3

    in_virtual_time(story)


def test_it_slows_down_when_somebody_is_near() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(50), 1.8)]
        twist = await senses.pass_time(0.5)
        assert 0.05 < twist.linear_mps < 0.35
        assert senses.state.reason.startswith("slower: a person is 1.8 m")

    in_virtual_time(story)


def test_a_person_without_a_distance_is_near() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(0.0, math.nan)]
        assert (await senses.pass_time(0.5)).linear_mps < 0.15

    in_virtual_time(story)


def test_somebody_who_left_the_view_is_remembered_for_a_while() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(math.radians(50), 1.5)]
        slow = await senses.pass_time(0.5)
        senses.people = []
        assert (await senses.pass_time(1.0)).linear_mps == pytest.approx(slow.linear_mps)
        assert (await senses.pass_time(2.0)).linear_mps == pytest.approx(0.4)

    in_virtual_time(story)


def test_somebody_in_view_who_is_not_seen_again_has_gone() -> None:
    async def story(bench: Bench[Navigator], senses: Senses) -> None:
        say(bench, "patrol")
        senses.people = [(0.1, 1.6)]
        await senses.pass_time(0.5)
        senses.people = []
        assert (await senses.pass_time(0.9)).linear_mps == pytest.approx(0.4)

    in_virtual_time(story)
