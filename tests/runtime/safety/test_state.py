"""The stop state: every mode with every input, and what can never happen."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.safety.state import (
    KEPT_TRIPS,
    QUIET_NS,
    STUCK_NS,
    TABLE,
    Action,
    Authority,
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
    if mode is Mode.KILLED:
        return stop(state, Trip("earlier", "node", 2 * SECOND, is_kill=True)).state
    return state


def test_boot_is_stopped() -> None:
    assert boot(0, 1) == State(Mode.STOPPED, 0, since_ns=1)


def test_the_numbers_that_people_rely_on() -> None:
    assert (QUIET_NS, STUCK_NS, KEPT_TRIPS) == (SECOND // 5, 2 * SECOND, 8)


def test_who_is_nearer_to_the_machine_ranks_higher_and_nothing_is_latched_at_first() -> None:
    assert list(Authority) == [1, 2]
    assert Authority.OPERATOR < Authority.CONSOLE
    assert boot(0, 1).latch == 0
    assert State(Mode.STOPPED, 0).since_ns == 0


@pytest.mark.parametrize(
    "thing", [STOP, boot(0, 1), stop(boot(0, 1), STOP)], ids=["trip", "state", "step"]
)
def test_what_was_decided_can_not_be_changed_afterwards(thing: object) -> None:
    field = dataclasses.fields(thing)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, field, None)
    assert not hasattr(thing, "__dict__")


def test_a_latch_keeps_its_first_trip_and_the_newest_seven() -> None:
    state = boot(0, 1)
    trips = [Trip(str(number), "operator", number) for number in range(20)]
    for trip in trips:
        state = stop(state, trip).state
    assert state.trips == (trips[0], *trips[13:])


def test_a_press_of_unknown_beginning_is_no_stuck_button() -> None:
    assert not dataclasses.replace(boot(0, 1), pressed_ns=5).is_reset_stuck(6)
    assert not dataclasses.replace(boot(0, 1), held_since_ns=5).is_reset_stuck(6)


def test_a_held_reset_is_told_how_long_to_let_go() -> None:
    once = press(boot(0, 1), "operator", 1, blockers=(), now_ns=SECOND).state
    held = press(once, "operator", 0, blockers=(), now_ns=SECOND + 1)
    assert "let go for 200 ms" in held.refusal


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
        expected = Mode.KILLED if mode is Mode.KILLED else Mode.TRIPPED
        assert (after, action) == (expected, Action.LATCH)
    if kind is Input.KILL:
        assert (after, action) == (Mode.KILLED, Action.LATCH)
    if mode is Mode.KILLED and after is not Mode.KILLED:
        assert (kind, action) == (Input.RESET, Action.GRANT)
    if action is Action.RENEW:
        assert (mode, kind) == (Mode.PERMITTED, Input.HEALTHY)


@pytest.mark.parametrize("mode", Mode)
def test_a_stop_latches_in_any_mode(mode: Mode) -> None:
    before = in_mode(mode)
    step = stop(before, STOP)
    assert step.action is Action.LATCH
    assert step.state.mode is (Mode.KILLED if mode is Mode.KILLED else Mode.TRIPPED)
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
    step = press(
        before,
        "ada",
        before.latch - 1,
        blockers=(),
        now_ns=9 * SECOND,
        authority=Authority.CONSOLE,
    )
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


@pytest.mark.parametrize("mode", Mode)
def test_a_kill_latches_in_any_mode_and_names_itself(mode: Mode) -> None:
    step = stop(in_mode(mode), Trip("smoke", "operator", 5 * SECOND, is_kill=True))
    assert (step.state.mode, step.action) == (Mode.KILLED, Action.LATCH)
    assert step.state.trips[-1].is_kill


def test_a_kill_is_lifted_at_the_console_only() -> None:
    before = in_mode(Mode.KILLED)
    far = press(before, "page", before.latch, blockers=(), now_ns=9 * SECOND)
    assert (far.state.mode, far.action) == (Mode.KILLED, Action.REFUSE)
    assert "at a terminal" in far.refusal
    near = press(
        far.state,
        "ada",
        before.latch,
        blockers=(),
        now_ns=10 * SECOND,
        authority=Authority.CONSOLE,
    )
    assert (near.state.mode, near.action) == (Mode.PERMITTED, Action.GRANT)
    assert near.state.epoch == before.epoch + 1


def test_a_stop_after_a_kill_does_not_soften_it() -> None:
    assert stop(in_mode(Mode.KILLED), STOP).state.mode is Mode.KILLED


def test_a_kill_outlives_the_guardian_that_latched_it() -> None:
    state = boot(4, SECOND, "found at the start")
    assert (state.mode, state.epoch, state.latch) == (Mode.KILLED, 4, 1)
    assert state.trips == (
        Trip("kill", "an earlier guardian", SECOND, "found at the start", is_kill=True),
    )


@pytest.mark.parametrize("mode", Mode)
def test_a_stuck_reset_is_an_error_until_it_is_let_go(mode: Mode) -> None:
    state, now_ns = in_mode(mode), 9 * SECOND
    first_mode = press(state, "tape", state.latch, blockers=("x",), now_ns=now_ns).state.mode
    words = []
    for _ in range(STUCK_NS // (QUIET_NS // 2) + 1):
        step = press(state, "tape", state.latch, blockers=("x",), now_ns=now_ns)
        state, now_ns = step.state, now_ns + QUIET_NS // 2
        words.append(step.refusal)
    assert state.mode is first_mode
    assert "reset is stuck" in words[-1]
    assert not any("stuck" in refusal for refusal in words[:-1])
    last_ns = now_ns - QUIET_NS // 2
    assert state.is_reset_stuck(last_ns)
    assert state.is_reset_stuck(last_ns + QUIET_NS - 1)
    assert not state.is_reset_stuck(last_ns + QUIET_NS)
    fresh = press(
        state,
        "ada",
        state.latch,
        blockers=(),
        now_ns=last_ns + QUIET_NS,
        authority=Authority.CONSOLE,
    )
    assert fresh.state.mode is Mode.PERMITTED
    assert not fresh.state.is_reset_stuck(last_ns + QUIET_NS)


def test_a_reset_that_was_never_pressed_is_not_stuck() -> None:
    assert not boot(0, 0).is_reset_stuck(10 * SECOND)


def test_a_fault_trips_while_permitted_and_keeps_all_it_saw() -> None:
    step = observe(in_mode(Mode.PERMITTED), ("a: stale", "b: stale"), 7 * SECOND)
    assert step.state.trips == (Trip("a: stale", "guardian", 7 * SECOND, "a: stale; b: stale"),)
    assert step.state.since_ns == 7 * SECOND


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRIPPED, Mode.KILLED])
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
        newest = [one.at_ns for one in state.trips][1:]
        assert newest == list(range(number + 1))[1:][-(KEPT_TRIPS - 1) :]
    assert len(state.trips) == KEPT_TRIPS
    assert state.trips[0].cause == "cause 0"
    assert state.trips[-1].cause == f"cause {3 * KEPT_TRIPS - 1}"
    assert state.since_ns == 0
    assert state.latch == 3 * KEPT_TRIPS


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["stop", "kill", "look", "press", "press at the console"]),
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
        if kind in ("stop", "kill"):
            trip = Trip("x", "y", now_ns, is_kill=kind == "kill")
            state, may_move = stop(state, trip).state, False
        elif kind == "look":
            state = observe(state, blockers, now_ns).state
            may_move = may_move and not is_bad
        else:
            latch = state.latch + latch_error
            near = Authority.CONSOLE if "console" in kind else Authority.OPERATOR
            step = press(state, "ada", latch, blockers=blockers, now_ns=now_ns, authority=near)
            state = step.state
            if before.mode is Mode.KILLED and near is Authority.OPERATOR:
                assert state.mode is Mode.KILLED
            may_move = step.action is Action.GRANT or (may_move and state.mode is Mode.PERMITTED)
        assert (state.mode is Mode.PERMITTED) is may_move
        assert state.epoch - before.epoch == int(
            before.mode is not Mode.PERMITTED and state.mode is Mode.PERMITTED
        )
        assert state.latch >= before.latch
        assert (state.mode in (Mode.TRIPPED, Mode.KILLED)) is bool(state.trips)
