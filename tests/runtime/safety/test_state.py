"""The stop state: every mode with every input, and what can never happen."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.safety.state import (
    KEPT_TRIPS,
    QUIET_NS,
    TABLE,
    Action,
    Input,
    Mode,
    State,
    Trip,
    boot,
    observe,
    press,
    stop,
)

SECOND = 1_000_000_000
STOP = Trip("button", "operator", 5 * SECOND)


def in_mode(mode: Mode) -> State:
    state = boot(3, SECOND)
    if mode is Mode.PERMITTED:
        return press(state, "operator", 0, blockers=(), now_ns=SECOND).state
    if mode is Mode.TRIPPED:
        return stop(state, Trip("earlier", "node", 2 * SECOND)).state
    return state


def test_boot_is_stopped() -> None:
    assert boot(0, 1) == State(Mode.STOPPED, 0, since_ns=1)


def test_the_table_knows_every_mode_with_every_input() -> None:
    assert set(TABLE) == set(itertools.product(Mode, Input))


@pytest.mark.parametrize("kind", Input)
@pytest.mark.parametrize("mode", Mode)
def test_only_a_good_reset_leads_to_permission(mode: Mode, kind: Input) -> None:
    after, action = TABLE[mode, kind]
    if after is Mode.PERMITTED and mode is not Mode.PERMITTED:
        assert kind is Input.RESET
        assert action is Action.GRANT
    if kind is Input.STOP:
        assert (after, action) == (Mode.TRIPPED, Action.LATCH)
    if action is Action.RENEW:
        assert (mode, kind) == (Mode.PERMITTED, Input.HEALTHY)


@pytest.mark.parametrize("mode", Mode)
def test_a_stop_latches_in_any_mode(mode: Mode) -> None:
    before = in_mode(mode)
    step = stop(before, STOP)
    assert step.action is Action.LATCH
    assert step.state.mode is Mode.TRIPPED
    assert step.state.latch == before.latch + 1
    assert step.state.trips[-1] == STOP
    assert step.state.epoch == before.epoch


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRIPPED])
def test_a_reset_grants_the_next_epoch(mode: Mode) -> None:
    before = in_mode(mode)
    step = press(before, "ada", before.latch, blockers=(), now_ns=9 * SECOND)
    assert (step.action, step.refusal) == (Action.GRANT, "")
    assert step.state.mode is Mode.PERMITTED
    assert step.state.epoch == before.epoch + 1
    assert step.state.granted_by == "ada"
    assert step.state.trips == ()


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRIPPED])
def test_a_reset_is_refused_by_name_while_something_stands_against_it(mode: Mode) -> None:
    before = in_mode(mode)
    blockers = ("heartbeat drive: never seen", "condition door: open")
    step = press(before, "ada", before.latch, blockers=blockers, now_ns=9 * SECOND)
    assert step.action is Action.REFUSE
    assert step.state.mode is mode
    assert "heartbeat drive: never seen; condition door: open" in step.refusal


def test_a_reset_while_permitted_changes_nothing() -> None:
    before = in_mode(Mode.PERMITTED)
    step = press(before, "ada", 0, blockers=(), now_ns=9 * SECOND)
    assert (step.action, step.refusal) == (Action.NOTHING, "")
    assert step.state.epoch == before.epoch


def test_a_reset_that_meets_a_fault_while_permitted_trips() -> None:
    step = press(in_mode(Mode.PERMITTED), "ada", 0, blockers=("x: bad",), now_ns=9 * SECOND)
    assert step.action is Action.LATCH
    assert step.state.mode is Mode.TRIPPED
    assert "x: bad" in step.refusal


@pytest.mark.parametrize("mode", Mode)
def test_a_reset_for_an_older_stop_is_refused(mode: Mode) -> None:
    before = in_mode(mode)
    step = press(before, "ada", before.latch - 1, blockers=(), now_ns=9 * SECOND)
    assert step.action is Action.REFUSE
    assert step.state.mode is mode
    assert "another stop since" in step.refusal


@pytest.mark.parametrize(
    ("gap_ns", "is_held"), [(0, True), (QUIET_NS - 1, True), (QUIET_NS, False)]
)
def test_a_held_reset_is_no_rising_edge(gap_ns: int, is_held: bool) -> None:
    state = press(in_mode(Mode.TRIPPED), "ada", 1, blockers=("x",), now_ns=9 * SECOND).state
    step = press(state, "ada", 1, blockers=(), now_ns=9 * SECOND + gap_ns)
    assert (step.state.mode is Mode.TRIPPED) is is_held
    assert ("held" in step.refusal) is is_held


def test_a_button_held_from_before_never_resets() -> None:
    state = in_mode(Mode.TRIPPED)
    for tick in range(100):
        blockers = ("x",) if tick < 50 else ()
        now_ns = 9 * SECOND + tick * QUIET_NS // 2
        state = press(state, "tape", 1, blockers=blockers, now_ns=now_ns).state
    assert state.mode is Mode.TRIPPED


def test_a_fault_trips_while_permitted_and_keeps_all_it_saw() -> None:
    step = observe(in_mode(Mode.PERMITTED), ("a: stale", "b: stale"), 7 * SECOND)
    assert step.state.trips == (Trip("a: stale", "guardian", 7 * SECOND, "a: stale; b: stale"),)
    assert step.state.since_ns == 7 * SECOND


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRIPPED])
@pytest.mark.parametrize("blockers", [(), ("x",)])
def test_looking_changes_nothing_unless_permitted(mode: Mode, blockers: tuple[str, ...]) -> None:
    before = in_mode(mode)
    step = observe(before, blockers, 7 * SECOND)
    assert (step.state, step.action) == (before, Action.NOTHING)


def test_health_renews_while_permitted() -> None:
    assert observe(in_mode(Mode.PERMITTED), (), 7 * SECOND).action is Action.RENEW


def test_the_first_cause_is_kept_among_many() -> None:
    state = in_mode(Mode.STOPPED)
    for number in range(3 * KEPT_TRIPS):
        state = stop(state, Trip(f"cause {number}", "node", number)).state
    assert len(state.trips) == KEPT_TRIPS
    assert state.trips[0].cause == "cause 0"
    assert state.trips[-1].cause == f"cause {3 * KEPT_TRIPS - 1}"
    assert state.since_ns == 0
    assert state.latch == 3 * KEPT_TRIPS


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["stop", "look", "press"]),
        st.booleans(),
        st.integers(-1, 1),
        st.integers(0, 2 * QUIET_NS),
    ),
    max_size=60,
)


@given(EVENTS)
def test_never_permitted_without_a_reset_after_the_last_trip(
    events: list[tuple[str, bool, int, int]],
) -> None:
    state, now_ns, may_move = boot(0, 0), 0, False
    for kind, is_bad, latch_error, gap_ns in events:
        now_ns += gap_ns
        blockers = ("bad",) if is_bad else ()
        before = state
        if kind == "stop":
            state, may_move = stop(state, Trip("x", "y", now_ns)).state, False
        elif kind == "look":
            state = observe(state, blockers, now_ns).state
            may_move = may_move and not is_bad
        else:
            latch = state.latch + latch_error
            step = press(state, "ada", latch, blockers=blockers, now_ns=now_ns)
            state = step.state
            may_move = step.action is Action.GRANT or (may_move and state.mode is Mode.PERMITTED)
        assert (state.mode is Mode.PERMITTED) is may_move
        assert state.epoch - before.epoch == int(
            before.mode is not Mode.PERMITTED and state.mode is Mode.PERMITTED
        )
        assert state.latch >= before.latch
        assert (state.mode is Mode.TRIPPED) is bool(state.trips)
