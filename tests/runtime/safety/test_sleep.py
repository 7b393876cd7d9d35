"""Sleep is told by two clocks of which one stands still; who is only put aside has not slept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from olympus.runtime.safety.acks import Reason
from olympus.runtime.safety.gate import Command, Gate
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.keeper import Keeper
from olympus.runtime.safety.lease import LeaseReader, LeaseWriter
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.sleep import LEAST_NS, SleepWatch, boottime_ns
from olympus.runtime.safety.state import Mode

MS = 1_000_000
RULES = Rules((Limits(-1.0, 1.0, 1000.0),))


class Clocks:
    """A computer that can sleep, and put a reader aside between two clocks."""

    def __init__(self) -> None:
        self.awake_ns = 5_000 * MS
        self.slept_ns = 700 * MS
        self.late_ns = 0

    def now_ns(self) -> int:
        return self.awake_ns

    def boot_ns(self) -> int:
        self.awake_ns += self.late_ns
        found = self.awake_ns + self.slept_ns
        self.awake_ns += self.late_ns
        return found

    def watch(self) -> SleepWatch:
        return SleepWatch(self.now_ns, self.boot_ns)


@pytest.mark.parametrize(("slept_ns", "told_ns"), [(LEAST_NS - 1, 0), (LEAST_NS, LEAST_NS)])
def test_a_sleep_is_told_once(slept_ns: int, told_ns: int) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.awake_ns += 3_600_000 * MS
    assert watch.look() == 0
    clocks.slept_ns += slept_ns
    assert watch.look() == told_ns
    assert watch.look() == 0


def test_who_is_put_aside_between_the_clocks_has_not_slept() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for late_ns in (500 * MS, 0, 20 * MS, 0):
        clocks.late_ns = late_ns
        assert watch.look() == 0


def test_a_sleep_while_the_reader_is_put_aside_is_told_by_a_later_look() -> None:
    clocks = Clocks()
    clocks.late_ns = 5 * MS  # at the start, too: the bounds are wide until a look that was quick
    watch = clocks.watch()
    clocks.slept_ns += 60_000 * MS
    told_ns = watch.look()
    clocks.late_ns = 0
    told_ns += watch.look()
    assert 59_980 * MS <= told_ns <= 60_000 * MS


def test_this_computer_does_not_sleep_while_it_is_asked() -> None:
    watch = SleepWatch()
    assert [watch.look() for _ in range(1000)] == [0] * 1000
    assert boottime_ns() >= time.monotonic_ns() - 10_000 * MS


def test_a_guardian_that_wakes_up_does_not_go_on(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.awake_ns = time.monotonic_ns()
    settings = Settings(dir=tmp_path, watch={"drive": 10.0})
    keeper = Keeper(settings, now_ns=clocks.now_ns, sleep=clocks.watch())
    beats = HeartbeatWriter(tmp_path, "drive")
    beats.beat()
    clocks.awake_ns = time.monotonic_ns()
    assert keeper.reset("ada", 0) == ""
    keeper.tick()
    assert LeaseReader(tmp_path).check(clocks.awake_ns).valid
    clocks.slept_ns += 60_000 * MS
    clocks.awake_ns += 10 * MS
    keeper.tick()
    assert keeper.state.mode is Mode.TRIPPED
    assert keeper.state.trips[0].cause == "guardian: this computer was asleep for 60.0 s"
    clocks.awake_ns += 300 * MS
    assert keeper.reset("ada", 1) == ""  # a person may permit again, at once
    beats.close()
    keeper.close()


def test_a_gate_that_wakes_up_takes_no_permission_from_before(tmp_path: Path) -> None:
    clocks, outputs = Clocks(), list[tuple[float, ...]]()
    lease = LeaseWriter(tmp_path)
    gate = Gate(
        tmp_path,
        "drive",
        RULES,
        apply=outputs.append,
        now_ns=clocks.now_ns,
        sleep=clocks.watch(),
    )

    def tick() -> Reason:
        clocks.awake_ns += 10 * MS
        return gate.tick(Command((0.5,), clocks.awake_ns)).reason

    lease.grant(7, clocks.awake_ns, clocks.awake_ns + 500 * MS)
    assert [tick(), tick()] == [Reason.NEW_PERMISSION, Reason.OK]
    clocks.slept_ns += 60_000 * MS
    assert tick() is Reason.LAPSED  # though by its own clock the lease is good
    assert outputs[-1] == (0.0,)
    assert tick() is Reason.LAPSED
    lease.grant(8, clocks.awake_ns, clocks.awake_ns + 500 * MS)
    assert [tick(), tick()] == [Reason.NEW_PERMISSION, Reason.OK]
    gate.close()
    lease.close()
