"""The gate: every way to be refused, at its boundary, and what reaches the actuator."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import DeviceError
from olympus.runtime.safety.acks import PREFIX, AckBoard, AckWriter, Flag, Reason
from olympus.runtime.safety.gate import (
    AHEAD_NS,
    LONGEST_TICK_NS,
    Applied,
    Command,
    Gate,
    GateState,
    decide,
    start,
)
from olympus.runtime.safety.lease import LeaseView, LeaseWriter
from olympus.runtime.safety.limits import Category, Limits, Rules, Steep
from olympus.runtime.safety.state import Mode

MS = 1_000_000
NOW = 10_000 * MS
TICK = 20 * MS
WHEEL = Limits(-10.0, 12.0, 20.0)
RULES = Rules((WHEEL, WHEEL), max_age_ns=200 * MS)
BRAKE = replace(RULES, category=Category.BRAKE)
LEASE = LeaseView(True, "", 7, NOW - 1000 * MS, NOW + 60 * MS, 1, Mode.PERMITTED)
NO_LEASE = LeaseView(False, "lease lapsed", 7)
MOVING = GateState((5.0, 5.0), NOW - TICK, 7, 6)


def one(
    command: Command | None,
    *,
    lease: LeaseView = LEASE,
    state: GateState = MOVING,
    rules: Rules = RULES,
) -> Applied:
    return decide(lease, command, state, rules, NOW)[0]


def ask(left: float, right: float, age_ns: int = 0) -> Command:
    return Command((left, right), NOW - age_ns)


def test_a_good_command_passes() -> None:
    assert one(ask(5.1, 5.2)) == Applied((5.1, 5.2), Reason.OK, "", False, 7)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (None, Reason.NO_COMMAND),
        (ask(5, 5, 200 * MS), Reason.OK),
        (ask(5, 5, 200 * MS + 1), Reason.STALE),
        (ask(5, 5, -AHEAD_NS), Reason.OK),
        (ask(5, 5, -AHEAD_NS - 1), Reason.FUTURE),
        (Command((5.0,), NOW), Reason.WRONG_SHAPE),
        (Command((5.0, 5.0, 5.0), NOW), Reason.WRONG_SHAPE),
        (Command((), NOW), Reason.WRONG_SHAPE),
        (ask(math.nan, 5), Reason.NOT_FINITE),
        (ask(5, math.nan), Reason.NOT_FINITE),
        (ask(math.inf, 5), Reason.NOT_FINITE),
        (ask(5, -math.inf), Reason.NOT_FINITE),
        (ask(10**400, 5), Reason.NOT_FINITE),
        (ask(12.0, -10.0), Reason.OK),
        (ask(math.nextafter(12.0, 13), 5), Reason.OUT_OF_RANGE),
        (ask(5, math.nextafter(-10.0, -11)), Reason.OUT_OF_RANGE),
    ],
)
def test_a_command_is_judged_at_its_boundary(command: Command | None, reason: Reason) -> None:
    applied = one(command)
    assert applied.reason is reason
    if reason is not Reason.OK:
        assert applied.channels == (0.0, 0.0)
        assert applied.detail


@pytest.mark.parametrize(
    ("stamp_ns", "reason"),
    [(NOW - 50 * MS - 1, Reason.BEFORE_PERMISSION), (NOW - 50 * MS, Reason.OK)],
)
def test_a_command_from_before_the_permission_is_refused(stamp_ns: int, reason: Reason) -> None:
    lease = replace(LEASE, granted_ns=NOW - 50 * MS)
    assert one(Command((5.0, 5.0), stamp_ns), lease=lease).reason is reason


def test_without_a_lease_a_cut_is_neutral_at_once() -> None:
    applied, state = decide(NO_LEASE, ask(5, 5), MOVING, RULES, NOW)
    assert applied == Applied((0.0, 0.0), Reason.NO_LEASE, "lease lapsed", False, 0)
    assert (state.epoch, state.burned) == (0, 7)


def test_without_a_lease_a_brake_ramps_and_ends_at_neutral() -> None:
    outputs: list[tuple[float, ...]] = []
    state, now_ns = MOVING, NOW
    while not outputs or outputs[-1] != (0.0, 0.0):
        applied, state = decide(NO_LEASE, ask(5, 5), state, BRAKE, now_ns)
        outputs.append(applied.channels)
        now_ns += TICK
    assert outputs[0] == pytest.approx((4.52, 4.52))
    assert len(outputs) == 11


def test_a_lapsed_permission_is_never_taken_up_again() -> None:
    _, state = decide(NO_LEASE, ask(5, 5), MOVING, RULES, NOW)
    applied, state = decide(LEASE, ask(5, 5), state, RULES, NOW)
    assert applied.reason is Reason.LAPSED
    assert decide(replace(LEASE, epoch=6), ask(5, 5), state, RULES, NOW)[0].reason is Reason.LAPSED


def test_an_older_permission_than_the_present_one_is_refused() -> None:
    state = replace(MOVING, burned=0)
    applied, state = decide(replace(LEASE, epoch=6), ask(5, 5), state, RULES, NOW)
    assert (applied.reason, applied.channels, state.burned) == (Reason.LAPSED, (0.0, 0.0), 7)


@pytest.mark.parametrize("rules", [RULES, BRAKE])
def test_a_new_permission_begins_at_neutral_and_ramps(rules: Rules) -> None:
    lease, state, now_ns = replace(LEASE, epoch=8), MOVING, NOW
    seen: list[Applied] = []
    for _ in range(16):
        command = Command((12.0, 12.0), now_ns)
        applied, state = decide(lease, command, state, rules, now_ns)
        seen.append(applied)
        now_ns += TICK
    begun = next(i for i, each in enumerate(seen) if each.reason is Reason.OK)
    assert all(each.reason is Reason.NEW_PERMISSION for each in seen[:begun])
    assert seen[begun - 1].channels == (0.0, 0.0)
    assert seen[begun].channels == pytest.approx((0.4, 0.4))
    assert seen[begun].is_limited


def test_the_first_tick_of_all_is_neutral() -> None:
    applied, state = decide(LEASE, ask(12, 12), start(RULES), RULES, NOW)
    assert (applied.reason, applied.channels) == (Reason.NEW_PERMISSION, (0.0, 0.0))
    assert state.epoch == 7


def test_a_steep_command_is_limited_or_refused_as_the_rules_say() -> None:
    limited = one(ask(12, 5))
    assert (limited.reason, limited.is_limited) == (Reason.OK, True)
    assert limited.channels == pytest.approx((5.4, 5.0))
    refused = one(ask(12, 5), rules=replace(RULES, steep=Steep.REFUSE))
    assert (refused.reason, refused.channels) == (Reason.TOO_STEEP, (0.0, 0.0))
    assert one(ask(5.4, 5), rules=replace(RULES, steep=Steep.REFUSE)).reason is Reason.OK


def test_a_long_pause_allows_no_larger_step() -> None:
    state = replace(MOVING, tick_ns=NOW - 100 * LONGEST_TICK_NS)
    assert one(ask(12, 5), state=state).channels[0] == pytest.approx(7.0)
    state = replace(MOVING, tick_ns=NOW + TICK)
    assert one(ask(12, 5), state=state).channels[0] == 5.0


LEASES = st.builds(
    LeaseView, st.booleans(), st.just("no"), st.integers(0, 12), st.integers(0, 2 * NOW)
)
COMMANDS = st.none() | st.builds(
    Command,
    st.lists(st.floats(), max_size=3).map(tuple)
    | st.tuples(st.floats(-10, 12), st.floats(-10, 12)),
    st.integers(NOW - 300 * MS, NOW + 300 * MS),
)


@given(st.lists(st.tuples(LEASES, COMMANDS), max_size=30), st.sampled_from([RULES, BRAKE]))
def test_whatever_comes_the_output_is_allowed(
    ticks: list[tuple[LeaseView, Command | None]], rules: Rules
) -> None:
    state, now_ns = start(rules), NOW
    for lease, command in ticks:
        before = state.output
        applied, state = decide(lease, command, state, rules, now_ns)
        now_ns += TICK
        moved_away = any(abs(a) > abs(b) for a, b in zip(applied.channels, before, strict=True))
        assert all(WHEEL.low <= value <= WHEEL.high for value in applied.channels)
        if moved_away:
            assert applied.reason is Reason.OK
            assert lease.valid
            assert command is not None
            assert command.stamp_ns >= lease.granted_ns
        if applied.reason is not Reason.OK and rules.category is Category.CUT:
            assert applied.channels == (0.0, 0.0)


class Motor:
    """Takes outputs, and breaks when told to."""

    def __init__(self) -> None:
        self.outputs: list[tuple[float, ...]] = []
        self.is_broken = False

    def apply(self, channels: tuple[float, ...]) -> None:
        if self.is_broken:
            raise DeviceError("motor: unplugged; plug it in")
        self.outputs.append(channels)


def test_a_gate_applies_counts_and_acknowledges(tmp_path: Path) -> None:
    lease, motor, times = LeaseWriter(tmp_path), Motor(), iter(range(NOW, 2 * NOW, TICK))
    gate = Gate(tmp_path, "drive", RULES, apply=motor.apply, now_ns=lambda: next(times))
    board = AckBoard(tmp_path, ["drive"])
    assert gate.tick(ask(5, 5)).reason is Reason.NO_LEASE
    lease.grant(7, NOW, NOW + 200 * MS)
    assert gate.tick(ask(5, 5)).reason is Reason.NEW_PERMISSION
    assert board.read()["drive"].is_neutral
    assert gate.tick(ask(5, 5)).channels == motor.outputs[-1] != (0.0, 0.0)
    ack = board.read()["drive"]
    assert (ack.is_neutral, ack.epoch, ack.reason, ack.sequence) == (False, 7, Reason.OK, 3)
    gate.close("the drive is deactivated")
    ack = board.read()["drive"]
    assert (ack.flags, ack.why) == (Flag.NEUTRAL | Flag.CLOSED, "the drive is deactivated")
    assert (ack.reason, ack.burned) == (Reason.CLOSED, 7)
    assert ack.has_stopped_since(2 * NOW)
    assert motor.outputs[-1] == (0.0, 0.0)
    assert gate.counts == {Reason.NO_LEASE: 1, Reason.NEW_PERMISSION: 1, Reason.OK: 1}


def test_a_motor_that_takes_nothing_is_not_acknowledged_as_neutral(tmp_path: Path) -> None:
    motor = Motor()
    gate = Gate(tmp_path, "drive", RULES, apply=motor.apply)
    motor.is_broken = True
    with pytest.raises(DeviceError, match="unplugged"):
        gate.tick(None)
    ack = AckBoard(tmp_path, ["drive"]).read()["drive"]
    assert (ack.is_neutral, ack.why) == (False, "motor: unplugged; plug it in")
    with pytest.raises(DeviceError, match="unplugged"):
        gate.close()


def test_a_gate_goes_on_when_it_cannot_acknowledge(tmp_path: Path) -> None:
    motor = Motor()
    gate = Gate(tmp_path / "missing", "drive", RULES, apply=motor.apply)
    assert gate.tick(None).channels == (0.0, 0.0)
    assert gate.unwritten == 1


@pytest.mark.parametrize("pause_ms", [20, 100, 250, 1000])
def test_a_brake_that_is_seldom_ticked_ends_no_later(pause_ms: int) -> None:
    state, now_ns = replace(MOVING, output=(12.0, -10.0)), NOW - TICK
    while state.output != (0.0, 0.0):
        now_ns += pause_ms * MS
        _, state = decide(NO_LEASE, None, state, BRAKE, now_ns)
    # Half a second from full output, and the tick that finds it over.
    assert now_ns - (NOW - TICK) <= (500 + pause_ms) * MS


def test_the_numbers_that_other_rooms_rely_on() -> None:
    assert AHEAD_NS == 5 * MS
    assert LONGEST_TICK_NS == 100 * MS
    assert start(RULES) == GateState((0.0, 0.0), None, 0, 0)
    assert Applied((), Reason.OK) == Applied((), Reason.OK, "", is_limited=False, epoch=0)


@pytest.mark.parametrize(
    ("value", "name"), [(ask(5, 5), "stamp_ns"), (MOVING, "output"), (one(ask(5, 5)), "channels")]
)
def test_what_was_decided_can_not_be_changed_afterwards(value: object, name: str) -> None:
    assert not hasattr(value, "__dict__")
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, 0)


@pytest.mark.parametrize(
    ("age_ns", "words"),
    [
        (-7 * MS, "stamped 7.0 ms in the future"),
        (250 * MS + MS // 2, "250.5 ms old, allowed are 200.0"),
    ],
)
def test_a_refusal_says_by_how_much(age_ns: int, words: str) -> None:
    assert one(ask(5, 5, age_ns)).detail == words


def test_a_refused_step_is_not_called_limited() -> None:
    refused = one(ask(12, 5), rules=replace(RULES, steep=Steep.REFUSE))
    assert not refused.is_limited
    assert refused.detail == "(12, 5) from (5.0, 5.0)"


def test_a_tick_from_the_future_brakes_nothing_and_speeds_nothing_up() -> None:
    state = replace(MOVING, tick_ns=NOW + TICK)
    assert one(None, state=state, rules=BRAKE).channels == (5.0, 5.0)


class Bench:
    """A gate whose clock, motor and measurement the test holds."""

    def __init__(self, directory: Path, rules: Rules = RULES) -> None:
        self.now_ns = NOW
        self.pause_ns = 0
        self.looks = 0
        self.motor, self.lease = Motor(), LeaseWriter(directory)
        self.still: bool | Exception | None = None
        self.asked: list[int] = []
        self.gate = Gate(
            directory,
            "drive",
            rules,
            apply=self.motor.apply,
            sense=self.sense,
            now_ns=self.clock,
        )
        self._board = AckBoard(directory, ["drive"])

    def clock(self) -> int:
        self.looks += 1
        if self.looks == 2:  # after the look at the lease, before the act
            self.now_ns += self.pause_ns
        return self.now_ns

    def sense(self, since_ns: int) -> bool | None:
        self.asked.append(since_ns)
        if isinstance(self.still, Exception):
            raise self.still
        return self.still

    def tick(self, speed: float = 5.0) -> Applied:
        self.looks = 0
        applied = self.gate.tick(Command((speed, speed), self.now_ns))
        self.now_ns += TICK
        return applied

    @property
    def flags(self) -> Flag:
        return self._board.read()["drive"].flags

    def permit(self) -> None:
        self.lease.grant(7, self.now_ns, self.now_ns + 1000 * MS)
        assert self.tick().reason is Reason.NEW_PERMISSION
        assert self.tick().reason is Reason.OK


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_measured_is_acknowledged_beside_a_neutral_output_alone(bench: Bench) -> None:
    watched = Flag.NEUTRAL | Flag.WATCHED
    for still, flags in (
        (None, watched),
        (DeviceError("no encoder answers"), watched),
        (False, watched | Flag.SENSED),
        (True, watched | Flag.SENSED | Flag.STILL),
    ):
        bench.still = still
        bench.tick()
        assert bench.flags == flags
    assert bench.asked == [NOW] * 4  # since it became neutral, not since the last tick
    bench.permit()
    assert bench.flags == Flag(0)
    neutral_ns = bench.now_ns
    bench.lease.revoke(7, Mode.TRIPPED)
    bench.tick()
    bench.tick()
    assert bench.asked[-2:] == [neutral_ns] * 2


def test_a_tick_is_due_when_the_permission_that_it_acted_on_is_gone(bench: Bench) -> None:
    assert not bench.gate.is_due()  # nothing was permitted
    bench.permit()
    assert not bench.gate.is_due()
    bench.lease.revoke(7, Mode.TRIPPED)
    assert bench.gate.is_due()
    bench.tick()
    assert not bench.gate.is_due()


def test_a_gate_without_a_permission_is_in_no_hurry_though_there_is_one(bench: Bench) -> None:
    bench.lease.grant(7, NOW, NOW + 1000 * MS)
    assert not bench.gate.is_due()


@pytest.mark.parametrize(
    ("pause_ms", "reason"), [(39, Reason.OK), (40, Reason.NO_LEASE), (5000, Reason.NO_LEASE)]
)
def test_a_gate_that_was_frozen_between_look_and_act_looks_again(
    bench: Bench, pause_ms: int, reason: Reason
) -> None:
    bench.permit()
    bench.lease.renew(7, bench.now_ns + 40 * MS)
    bench.pause_ns = pause_ms * MS
    applied = bench.tick()
    assert applied.reason is reason
    assert (bench.motor.outputs[-1] == (0.0, 0.0)) is (reason is not Reason.OK)


@pytest.mark.parametrize("rules", [RULES, BRAKE])
def test_a_gate_that_nobody_can_see_moves_nothing(tmp_path: Path, rules: Rules) -> None:
    """Its file was deleted, and its name taken by another: the guardian sees that one alone."""
    bench = Bench(tmp_path, rules)
    bench.permit()
    assert bench.motor.outputs[-1] != (0.0, 0.0)
    (tmp_path / f"{PREFIX}drive").unlink()
    other = AckWriter(tmp_path, "drive")
    bench.tick()  # finds out as it acknowledges
    assert bench.gate.unwritten == 1
    assert bench.gate.is_due()
    applied = bench.tick()
    assert (applied.reason, applied.epoch) == (Reason.NO_LEASE, 0)
    assert "nobody can see this gate" in applied.detail
    while bench.motor.outputs[-1] != (0.0, 0.0):
        bench.tick()
        assert bench.now_ns < NOW + 1000 * MS
    assert not bench.gate.is_due()
    bench.lease.grant(8, bench.now_ns, bench.now_ns + 1000 * MS)
    for _ in range(3):  # neither does another permission move it
        assert bench.tick().reason is Reason.NO_LEASE
    other.close()
    assert bench.tick().reason is Reason.NO_LEASE
    assert bench.tick().reason is Reason.NEW_PERMISSION  # it was seen at neutral before
    assert bench.tick().reason is Reason.OK


def test_what_it_acted_on_while_it_was_seen_does_not_count_when_it_is_seen_again(
    bench: Bench, tmp_path: Path
) -> None:
    bench.permit()
    (tmp_path / f"{PREFIX}drive").unlink()
    other = AckWriter(tmp_path, "drive")
    bench.tick()
    other.close()
    bench.tick()
    assert bench.tick().reason is Reason.LAPSED


def test_a_gate_that_is_closed_waits_for_the_proof_that_its_actuator_stands(bench: Bench) -> None:
    bench.permit()
    closed = Flag.NEUTRAL | Flag.CLOSED | Flag.WATCHED
    seen: list[Flag] = []

    def sense(since_ns: int) -> bool | None:
        seen.append(bench.flags)
        return {1: None, 2: False}.get(len(seen), True)

    bench.gate._sense = sense
    bench.gate.close("the drive is gone", prove_s=15.0)
    assert len(seen) == 3
    assert seen[1:] == [closed] * 2  # said at once, whatever is measured later
    assert bench.flags == closed | Flag.SENSED | Flag.STILL
    ack = bench._board.read()["drive"]
    assert (ack.reason, ack.why, ack.burned) == (Reason.CLOSED, "the drive is gone", 7)
    assert ack.is_proven_since(2 * NOW)


def test_a_gate_does_not_wait_for_ever_for_an_actuator_that_is_not_measured_to_stand(
    bench: Bench,
) -> None:
    bench.still = False
    bench.gate.close(prove_s=0.03)
    assert len(bench.asked) > 1
    assert Flag.STILL not in bench.flags


def test_a_lease_that_was_renewed_while_the_gate_was_frozen_is_good(bench: Bench) -> None:
    bench.permit()
    real, bench.pause_ns = bench.clock, 50 * MS
    bench.lease.renew(7, bench.now_ns + 40 * MS)

    def renewing() -> int:
        now_ns = real()
        if bench.looks == 2:
            bench.lease.renew(7, now_ns + 40 * MS)
        return now_ns

    bench.gate._now_ns = renewing
    assert bench.tick().reason is Reason.OK


def test_a_gate_that_does_not_act_on_a_permission_looks_once(bench: Bench) -> None:
    bench.tick()
    assert bench.looks == 1


def test_what_an_actuator_said_is_acknowledged_or_at_least_what_kind_of_error_it_was(
    tmp_path: Path,
) -> None:
    def break_down(_: tuple[float, ...]) -> None:
        raise KeyError

    gate, board = Gate(tmp_path, "drive", RULES, apply=break_down), AckBoard(tmp_path, ["drive"])
    with pytest.raises(KeyError):
        gate.tick(None)
    ack = board.read()["drive"]
    assert (ack.flags, ack.why, ack.reason) == (Flag.REFUSED, "KeyError", Reason.NO_LEASE)


def test_why_the_output_is_neutral_is_acknowledged_in_words(bench: Bench) -> None:
    bench.tick()
    told = bench._board.read()["drive"]
    assert (told.reason, told.why) == (Reason.NO_LEASE, "no lease; no guardian")
    bench.permit()
    assert bench._board.read()["drive"].why == ""
    bench.lease.revoke(7, Mode.TRIPPED)
    bench.tick()
    assert bench._board.read()["drive"].why == "not permitted: TRIPPED"
    bench.lease.grant(7, bench.now_ns, bench.now_ns + 1000 * MS)
    bench.tick()
    assert bench._board.read()["drive"].why == "permission 7 has ended here; reset again"
