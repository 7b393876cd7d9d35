"""Back-off and cap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.launch.respawn import Backoff
from olympus.runtime.launch.schema import Respawn


def test_the_delay_doubles_up_to_its_limit() -> None:
    backoff = Backoff(Respawn(delay_s=0.5, max_delay_s=3, max_restarts=5))
    delays = [backoff.delay_s(1, float(second)) for second in range(6)]
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0, None]
    assert backoff.restarts == 5
    assert backoff.reason() == "5 restarts within 60 s"


def test_a_quiet_time_forgives() -> None:
    backoff = Backoff(Respawn(delay_s=0.5, max_restarts=1, within_s=10))
    assert backoff.delay_s(1, 0.0) == 0.5
    assert backoff.delay_s(1, 5.0) is None
    assert backoff.delay_s(1, 10.5) == 0.5
    assert backoff.restarts == 2


def test_a_good_end_is_final_unless_the_policy_is_always() -> None:
    assert Backoff(Respawn(policy="on_failure")).delay_s(0, 0.0) is None
    assert Backoff(Respawn(policy="on_failure")).delay_s(-9, 0.0) is not None
    assert Backoff(Respawn(policy="always")).delay_s(0, 0.0) is not None
    never = Backoff(Respawn(policy="never"))
    assert never.delay_s(1, 0.0) is None
    assert never.reason() == "respawn policy is never"


@given(
    st.lists(st.floats(0, 30), max_size=40),
    st.integers(0, 6),
    st.floats(1, 60),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_never_more_restarts_in_a_window_than_allowed(
    gaps: list[float], most: int, window: float, delay: float, longest: float
) -> None:
    settings = Respawn(delay_s=delay, max_delay_s=longest, max_restarts=most, within_s=window)
    backoff, now, granted = Backoff(settings), 0.0, []
    for gap in gaps:
        now += gap
        given_delay = backoff.delay_s(1, now)
        if given_delay is not None:
            assert 0 <= given_delay <= longest
            granted.append(now)
        assert sum(1 for at in granted if now - at <= window) <= most
    assert backoff.restarts == len(granted)
