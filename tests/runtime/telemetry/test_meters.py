from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.telemetry import SubscriptionMeter, TopicMeter
from olympus.runtime.telemetry.meters import AGES_KEPT, quantile

SECOND = 1_000_000_000


def topic_meter(window_s: float = 5.0) -> TopicMeter:
    return TopicMeter("rover/x", "olympus/Image", "rover/camera", now_ns=SECOND, window_s=window_s)


def subscription_meter(window_s: float = 5.0) -> SubscriptionMeter:
    return SubscriptionMeter("rover/x", "olympus/Image", "me", now_ns=SECOND, window_s=window_s)


def test_a_rate_is_messages_per_second_of_the_window() -> None:
    meter = topic_meter()
    for _ in range(30):
        meter.on_publish(100)
    stats = meter.snapshot(3 * SECOND)
    assert (stats.role, stats.topic, stats.type) == ("pub", "rover/x", "olympus/Image")
    assert stats.node == "rover/camera"
    assert stats.count == 30
    assert stats.rate_hz == pytest.approx(15.0)
    assert stats.bytes_per_s == pytest.approx(1500.0)


def test_a_topic_that_died_shows_zero_after_the_window() -> None:
    meter = topic_meter(window_s=2.0)
    meter.on_publish(10)
    rates = [meter.snapshot(t * SECOND).rate_hz for t in range(2, 7)]
    assert rates[0] > 0
    assert rates[-1] == 0.0
    assert rates == sorted(rates, reverse=True)


def test_a_slow_topic_does_not_flicker() -> None:
    meter = topic_meter(window_s=4.0)
    rates = []
    for second in range(2, 30):
        if second % 2:
            meter.on_publish(1)
        rates.append(meter.snapshot(second * SECOND).rate_hz)
    assert set(rates[6:]) == {0.5}


def test_the_first_snapshot_without_a_start_gives_no_rate() -> None:
    meter = TopicMeter("t", "olympus/Twist", "n")
    meter.on_publish(8)
    assert meter.snapshot(SECOND).rate_hz == 0.0
    assert meter.snapshot(SECOND).count == 1


def test_ages_are_those_of_the_window() -> None:
    meter = subscription_meter(window_s=2.0)
    for _ in range(100):
        meter.on_delivered(900_000_000)
    meter.snapshot(2 * SECOND)
    meter.snapshot(3 * SECOND)
    for age_ms in range(1, 101):
        meter.on_delivered(age_ms * 1_000_000, nbytes=7)
    stats = meter.snapshot(5 * SECOND)
    assert stats.role == "sub"
    assert stats.age_p50_ms == pytest.approx(50.0)
    assert stats.age_p99_ms == pytest.approx(99.0)
    assert meter.snapshot(8 * SECOND).age_p99_ms == 0.0


def test_drops_are_counted_by_reason_and_never_forgotten() -> None:
    meter = subscription_meter()
    meter.on_dropped("superseded")
    meter.on_dropped("expired", 3)
    meter.on_dropped("superseded")
    first = meter.snapshot(2 * SECOND)
    meter.on_dropped("expired")
    assert first.dropped == {"superseded": 2, "expired": 3}
    assert meter.snapshot(3 * SECOND).dropped == {"superseded": 2, "expired": 4}


def test_a_publisher_counts_drops_too() -> None:
    meter = topic_meter()
    meter.on_dropped("overflow")
    assert meter.snapshot(2 * SECOND).dropped == {"overflow": 1}


@given(
    ages=st.lists(st.integers(0, 10**12), min_size=1, max_size=AGES_KEPT),
    share=st.floats(0.0, 1.0),
)
def test_a_quantile_is_one_of_the_values_and_bounds_its_share(
    ages: list[int], share: float
) -> None:
    ordered = sorted(ages)
    value = quantile(ordered, share)
    assert value in ordered
    assert sum(age <= value for age in ordered) >= share * len(ordered) - 1e-6


@given(st.lists(st.tuples(st.integers(1, 2 * SECOND), st.integers(0, 50)), max_size=40))
def test_rates_are_finite_and_not_negative(steps: list[tuple[int, int]]) -> None:
    meter, now = topic_meter(), SECOND
    for step, messages in steps:
        now += step
        for _ in range(messages):
            meter.on_publish(10)
        stats = meter.snapshot(now)
        assert 0.0 <= stats.rate_hz < float("inf")
        assert stats.bytes_per_s == pytest.approx(10 * stats.rate_hz)


def test_memory_is_bounded_however_many_messages_come() -> None:
    meter = subscription_meter()
    for _ in range(AGES_KEPT * 3):
        meter.on_delivered(5_000_000)
    assert meter.snapshot(2 * SECOND).age_p99_ms == 5.0
    assert meter.count == AGES_KEPT * 3
