"""Limits: numbers that must make sense, and ramps that never exceed them."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.limits import (
    LONGEST_AGE_NS,
    LONGEST_BRAKE_S,
    Category,
    Limits,
    Rules,
)

WHEEL = Limits(-10.0, 12.0, 20.0)


def test_the_numbers_that_people_rely_on() -> None:
    assert (LONGEST_AGE_NS, LONGEST_BRAKE_S) == (10**9, 0.5)
    assert Rules((WHEEL,)).max_age_ns == 200_000_000
    assert list(Category) == [0, 1]  # IEC 60204-1's own numbers; launch files name them


@pytest.mark.parametrize("thing", [WHEEL, Rules((WHEEL,))], ids=["limits", "rules"])
def test_what_a_gate_lets_through_can_not_be_changed_afterwards(thing: object) -> None:
    field = dataclasses.fields(thing)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, field, None)
    assert not hasattr(thing, "__dict__")


@pytest.mark.parametrize(
    ("low", "high", "slew", "brake", "neutral"),
    [
        (math.nan, 1, 1, None, 0),
        (-1, math.inf, 1, None, 0),
        (-1, 1, math.nan, None, 0),
        (-1, 1, 0, None, 0),
        (-1, 1, -1, None, 0),
        (-1, 1, 1, 0, 0),
        (1, 2, 1, None, 0),
        (-2, -1, 1, None, 0),
        (-1, 1, 1, None, 1.5),
        (-1, 1, 1, 1.999, 0),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    low: float, high: float, slew: float, brake: float | None, neutral: float
) -> None:
    with pytest.raises(SafetyError):
        Limits(low, high, slew, brake, neutral)


def test_braking_takes_no_longer_than_allowed() -> None:
    assert WHEEL.braking_per_s == 12.0 / LONGEST_BRAKE_S
    assert Limits(-1, 1, 1, 2.0).braking_per_s == 2.0
    assert Limits(-1, 1, 50).braking_per_s == 50


@pytest.mark.parametrize("age_ns", [0, -1, LONGEST_AGE_NS + 1])
def test_an_age_budget_out_of_range_is_refused(age_ns: int) -> None:
    with pytest.raises(SafetyError, match="max_age_ns"):
        Rules((WHEEL,), max_age_ns=age_ns)


def test_rules_need_a_channel() -> None:
    with pytest.raises(SafetyError, match="at least one channel"):
        Rules(())


VALUE = st.floats(-10.0, 12.0)


@given(VALUE, VALUE, st.floats(0, 0.1))
def test_a_step_stays_within_limits_and_rate(now: float, then: float, elapsed_s: float) -> None:
    moved = WHEEL.approach(now, then, elapsed_s)
    assert WHEEL.low <= moved <= WHEEL.high
    assert min(now, then) - 1e-9 <= moved <= max(now, then) + 1e-9 or moved == WHEEL.neutral
    assert abs(moved - now) <= WHEEL.braking_per_s * elapsed_s + 1e-9
    if abs(moved) > abs(now):
        assert abs(moved - now) <= WHEEL.slew_per_s * elapsed_s + 1e-9


def test_a_reversal_passes_through_neutral_and_pauses_there() -> None:
    assert WHEEL.approach(0.1, -10.0, 0.1) == 0.0
    assert WHEEL.approach(0.0, -10.0, 0.1) == -2.0
    assert WHEEL.approach(5.0, -10.0, 0.1) == pytest.approx(2.6)


@given(st.floats(-10.0, 12.0))
def test_from_anywhere_neutral_is_reached_in_time(start: float) -> None:
    output = start
    for _ in range(26):
        output = WHEEL.approach(output, WHEEL.neutral, LONGEST_BRAKE_S / 25)
    assert output == WHEEL.neutral


def test_reach_is_measured_from_neutral() -> None:
    assert Limits(-10.0, 12.0, 60.0, neutral=2.0).reach == 12.0
    assert Limits(-10.0, 12.0, 60.0, neutral=-3.0).reach == 15.0


BESIDE = Limits(-10.0, 12.0, 1.0, 100.0, neutral=2.0)
"""Neutral is not 0, and braking is a hundred times as fast as the rest."""


@pytest.mark.parametrize(
    ("current", "target", "elapsed_s", "expected"),
    [
        (3.0, 2.5, 0.001, 2.9),  # towards neutral from above: it brakes
        (1.0, 1.5, 0.001, 1.1),  # and from below
        (3.0, 4.0, 0.001, 3.001),  # away from it
        (1.0, 0.0, 0.001, 0.999),
        (3.0, 0.0, 0.03, 2.0),  # beyond it: never in one step
        (1.0, 4.0, 0.03, 2.0),
    ],
)
def test_braking_is_towards_neutral_wherever_that_is(
    current: float, target: float, elapsed_s: float, expected: float
) -> None:
    assert BESIDE.approach(current, target, elapsed_s) == pytest.approx(expected)


def test_small_channels_are_slow_and_short_lived_ones_are_allowed() -> None:
    assert Limits(-0.1, 0.1, 0.5).braking_per_s == 0.5
    assert Rules((WHEEL,), max_age_ns=1).max_age_ns == 1


def test_a_brake_that_is_too_slow_is_told_what_it_takes() -> None:
    with pytest.raises(SafetyError, match=r"takes 4\.00 s, .* raise brake_per_s to 4$"):
        Limits(-2.0, 2.0, 1.0, 0.5)


def test_channels_are_never_mixed_up_by_a_number_too_few() -> None:
    with pytest.raises(ValueError, match="zip"):
        Rules((WHEEL, WHEEL)).approach((0.0,), (1.0, 1.0), 0.1)
