"""When a host stays awake for the next message, learnt from when messages came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from olympus.runtime.bus.alertness import FEWEST, MOST, NAP_S, Alertness

MOST_S = 0.0005
CLOSE_S, FAR_S = 0.00005, 0.0166


def told(alertness: Alertness, gaps_s: Iterable[float]) -> Iterator[bool]:
    """Yield for messages that come so long after each other whether it stays awake after each."""
    now_s = 100.0
    for gap_s in gaps_s:
        now_s += gap_s
        alertness.come(now_s)
        until_s = alertness.until(now_s)
        assert until_s in (0.0, now_s + MOST_S)
        yield until_s > 0


def bursts(number: int, length: int) -> list[float]:
    """Return the gaps of bursts of some messages each."""
    return ([FAR_S] + [CLOSE_S] * (length - 1)) * number


def test_what_comes_far_apart_never_keeps_it_awake() -> None:
    assert not any(told(Alertness(MOST_S), [FAR_S] * 1000))


def test_it_stays_awake_after_some_that_came_closely_and_sleeps_after_one_that_did_not() -> None:
    found = list(told(Alertness(MOST_S), [FAR_S, *[CLOSE_S] * 30, FAR_S, *[CLOSE_S] * 30]))
    assert found == [False] * FEWEST + [True] * 27 + [False] * FEWEST + [True] * 27


def test_short_bursts_soon_keep_it_awake_no_more() -> None:
    found = list(told(Alertness(MOST_S), bursts(1000, 12)))
    assert sum(found) <= 2 * 12
    assert not any(found[100:])


def test_a_long_exchange_is_noticed_also_after_many_short_bursts() -> None:
    short = bursts(1000, 12)
    gaps = short + [FAR_S] + [CLOSE_S] * 200 + [FAR_S] + [CLOSE_S] * 10
    found = list(told(Alertness(MOST_S), gaps))[len(short) :]
    assert 0 < found[:201].index(True) <= MOST and all(found[MOST:201])
    assert found[201:] == [False] * FEWEST + [True] * (11 - FEWEST)


def test_bursts_that_are_worth_it_keep_it_awake_also_after_some_that_were_not() -> None:
    short = bursts(1000, 12)
    found = list(told(Alertness(MOST_S), short + bursts(4, 25)))[len(short) :]
    assert found[:25].count(True) < 25 - FEWEST  # it has learnt that bursts are short
    assert found[25:50] == found[50:75] == [False] * FEWEST + [True] * (25 - FEWEST)


def test_it_sleeps_once_in_a_while_however_closely_messages_come() -> None:
    count = int(3.5 * NAP_S / CLOSE_S)
    found = list(told(Alertness(MOST_S), [FAR_S] + [CLOSE_S] * count))[FEWEST:]
    assert found.count(False) == 3 and found[0]
    naps = [number for number, is_awake in enumerate(found) if not is_awake]
    each = round(NAP_S / CLOSE_S)
    assert all(abs(nap - (turn + 1) * each) <= turn + 1 for turn, nap in enumerate(naps))


def test_with_no_time_to_spend_it_is_never_possible() -> None:
    assert not Alertness(0.0).is_possible and Alertness(MOST_S).is_possible
