"""The keeper: what trips, what blocks a reset, and what it tells."""

from __future__ import annotations

import json
import os
import pty
import shutil
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.safety.acks import AckWriter, Flag, Reason
from olympus.runtime.safety.events import FILE
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.keeper import Keeper
from olympus.runtime.safety.lease import LeaseReader, LeaseView
from olympus.runtime.safety.neutral_line import announce
from olympus.runtime.safety.protocol import ConditionReport
from olympus.runtime.safety.settings import MOST_NAMES, Settings
from olympus.runtime.safety.state import Mode
from olympus.runtime.safety.status import read_status
from olympus.runtime.safety.stopinput import StopButton, StopInput
from olympus.runtime.safety.stopline import pull

MS = 1_000_000


class Bench:
    """A keeper whose clock stands still until it is told to go on."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.dir = directory
        self.now_ns = time.monotonic_ns()
        settings = {"watch": {"drive": 0.3}, "conditions": ("battery",)} | options
        self.keeper = Keeper(
            Settings(dir=directory, **settings),  # type: ignore[arg-type]
            now_ns=lambda: self.now_ns,
        )
        self._beats = HeartbeatWriter(directory, "drive")
        self.lease = LeaseReader(directory)

    def beat(self) -> None:
        self._beats.beat()
        self.now_ns = time.monotonic_ns()

    def permit(self) -> None:
        self.beat()
        self.keeper.report(ConditionReport("battery", True, ""))
        self.now_ns += 200 * MS
        assert self.keeper.reset("ada", self.keeper.state.latch) == ""

    def forward(self, ms: int) -> None:
        for _ in range(ms // 10):
            self.now_ns += 10 * MS
            self.keeper.tick()

    def view(self) -> LeaseView:
        return self.lease.check(self.now_ns)

    @property
    def cause(self) -> str:
        return self.keeper.state.trips[0].cause


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.keeper.close()


def test_a_reset_is_refused_until_everything_is_well(bench: Bench) -> None:
    bench.now_ns -= 400 * MS
    refusal = bench.keeper.reset("ada", 0)
    assert "heartbeat drive: never seen; condition battery: never reported" in refusal
    bench.now_ns += 200 * MS
    bench.keeper.report(ConditionReport("battery", False, "at 3 %"))
    assert "condition battery: at 3 %" in bench.keeper.reset("ada", 0)
    assert bench.keeper.counters["refused_resets"] == 2
    assert not bench.view().valid
    bench.permit()
    assert bench.view().valid
    assert bench.view().epoch == 1


def test_a_port_that_was_announced_a_moment_ago_is_known_before_motion_is_permitted(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, gates={"drive": 10.0})
    bench.forward(10)  # it looks into the directory now, and only once a second
    leader, follower = pty.openpty()
    tty.setraw(follower)
    os.set_blocking(leader, False)
    announce(tmp_path, "drive", os.ttyname(follower), b"$N\n")
    acks = AckWriter(tmp_path, "drive")
    ack(acks, bench.now_ns)
    bench.permit()
    bench.keeper.stop("test", "ada")
    bench.forward(100)  # the gate says nothing
    assert os.read(leader, 100).startswith(b"\n$N\n")
    acks.close()
    bench.keeper.close()
    os.close(leader)
    os.close(follower)


def test_the_lease_is_renewed_each_tick(bench: Bench) -> None:
    bench.permit()
    before = bench.view().valid_until_ns
    bench.forward(50)
    assert bench.view().valid_until_ns == before + 50 * MS


def test_a_silent_heartbeat_trips_at_its_limit(bench: Bench) -> None:
    bench.permit()
    bench.forward(90)
    assert bench.view().valid
    bench.forward(20)
    assert bench.cause.startswith("heartbeat drive: silent for 3")
    assert not bench.view().valid


def test_a_beat_from_the_future_does_not_count(bench: Bench) -> None:
    bench.beat()
    bench.now_ns -= 6 * MS
    assert "heartbeat drive: beats from the future" in bench.keeper.blockers(bench.now_ns)


def test_a_condition_that_turns_bad_trips(bench: Bench) -> None:
    bench.permit()
    bench.keeper.report(ConditionReport("door", False, ""))
    bench.forward(10)
    assert bench.cause == "condition door: not good"


def test_a_condition_that_nobody_vouches_for_any_more_trips(bench: Bench) -> None:
    bench.permit()  # before: a beat takes its stamp from the machine's clock
    bench.keeper.report(ConditionReport("tilt", True, "level", 0.05))
    bench.forward(40)
    assert bench.view().valid
    bench.forward(20)
    assert bench.cause.startswith("condition tilt: last reported good 0.1 s ago, good for 0.05 s")


def test_a_guardian_that_was_late_does_not_go_on(bench: Bench) -> None:
    bench.permit()
    bench.now_ns += 60 * MS
    bench.keeper.tick()
    assert bench.cause == "guardian: 0.0 ms too late to renew the lease"


def test_a_pulled_stop_line_trips(bench: Bench) -> None:
    bench.permit()
    pull(bench.dir, "smoke", "ada")
    bench.forward(10)
    assert bench.cause == "smoke"


def test_conditions_are_bounded(bench: Bench) -> None:
    for number in range(MOST_NAMES - 1):
        assert bench.keeper.report(ConditionReport(str(number), True, "")) == ""
    assert "conditions already" in bench.keeper.report(ConditionReport("more", True, ""))


def ack(writer: AckWriter, at_ns: int, *, burned: int = 0, flags: Flag = Flag.NEUTRAL) -> None:
    writer.write(at_ns, epoch=0, burned=burned, reason=Reason.NO_LEASE, flags=flags)


def test_a_gate_that_is_driven_blocks_a_reset_while_it_lives(bench: Bench) -> None:
    writer = AckWriter(bench.dir, "arm")
    bench.beat()
    bench.keeper.report(ConditionReport("battery", True, ""))
    ack(writer, bench.now_ns, flags=Flag(0))
    bench.keeper.gate_names()
    assert bench.keeper.blockers(bench.now_ns) == ("gate arm: not at neutral",)
    ack(writer, bench.now_ns)
    assert bench.keeper.blockers(bench.now_ns) == ()
    ack(writer, bench.now_ns - 1000 * MS, flags=Flag(0))
    assert bench.keeper.blockers(bench.now_ns) == ()


def test_a_gate_that_saw_the_lease_lapse_trips(bench: Bench) -> None:
    bench.permit()
    ack(AckWriter(bench.dir, "arm"), bench.now_ns, burned=1)
    bench.keeper.gate_names()
    bench.forward(10)
    assert bench.cause == "gate arm: saw the lease lapse"


def test_a_required_gate_must_tick(tmp_path: Path) -> None:
    bench = Bench(tmp_path, gates={"arm": 0.1}, conditions=())
    bench.beat()
    assert bench.keeper.blockers(bench.now_ns) == ("gate arm: never seen",)
    writer = AckWriter(tmp_path, "arm")
    ack(writer, bench.now_ns)
    assert bench.keeper.blockers(bench.now_ns) == ()
    ack(writer, bench.now_ns, flags=Flag.NEUTRAL | Flag.CLOSED)
    assert bench.keeper.blockers(bench.now_ns) == ("gate arm: closed",)
    ack(writer, bench.now_ns - 101 * MS)
    assert "silent for 101 ms, allowed are 100" in bench.keeper.blockers(bench.now_ns)[0]
    bench.keeper.close()


def test_an_epoch_goes_on_after_the_newest_of_lease_and_gates(tmp_path: Path) -> None:
    ack(AckWriter(tmp_path, "arm"), 1, burned=41)
    bench = Bench(tmp_path)
    bench.permit()
    assert bench.view().epoch == 42
    bench.keeper.close()
    again = Bench(tmp_path)
    assert again.keeper.state.mode is Mode.STOPPED
    assert not again.view().valid
    again.permit()
    assert again.view().epoch == 43
    again.keeper.close()


def test_status_can_be_told_and_read(bench: Bench) -> None:
    ack(AckWriter(bench.dir, "arm"), bench.now_ns)
    told = {"realtime": {}, "pid": 1} | bench.keeper.status()
    status = read_status(json.loads(json.dumps(told)))
    assert status.state is Mode.STOPPED
    assert [(one.name, one.age_s, one.is_fresh) for one in status.heartbeats] == [
        ("drive", None, False)
    ]
    assert status.conditions[0].text == "never reported"
    bench.permit()
    bench.keeper.stop("button", "ada")
    bench.now_ns += 5 * MS
    status = read_status(json.loads(json.dumps(told | bench.keeper.status())))
    assert (status.cause, status.by, status.is_permitted) == ("button", "ada", False)
    assert status.since_s == pytest.approx(0.005)
    assert status.gates[0].is_neutral
    assert status.conditions[0].ok


def test_transitions_are_logged_after_they_were_made(bench: Bench) -> None:
    bench.permit()
    bench.keeper.stop("button", "ada")
    bench.keeper.close()
    events = [json.loads(line) for line in (bench.dir / FILE).read_text().splitlines()]
    assert [event["event"] for event in events] == ["boot", "permit", "trip", "end"]
    assert [event["state"] for event in events] == ["STOPPED", "PERMITTED", "TRIPPED", "TRIPPED"]
    assert events[2]["cause"] == "button"


def test_a_required_gate_is_told_before_it_comes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, gates={"arm": 0.1})
    told = {"realtime": {}, "pid": 1} | bench.keeper.status()
    status = read_status(told)
    assert (status.gates[0].is_neutral, status.gates[0].reason) == (None, "never seen")
    bench.keeper.close()


@pytest.mark.parametrize(
    ("flags", "burned", "what"),
    [
        (Flag.NEUTRAL | Flag.CLOSED, 0, "closed"),
        (Flag.REFUSED, 0, "its actuator does not take what it is given"),
        (Flag.NEUTRAL, 1, "saw the lease lapse"),
    ],
)
def test_a_trip_by_a_gate_tells_in_the_gates_own_words(
    tmp_path: Path, flags: Flag, burned: int, what: str
) -> None:
    bench = Bench(tmp_path, gates={"drive": 10.0}, conditions=())
    writer = AckWriter(tmp_path, "drive")
    ack(writer, bench.now_ns)
    bench.permit()
    why = "ttyUSB0 was unplugged"
    writer.write(bench.now_ns, epoch=1, burned=burned, reason=Reason.OK, flags=flags, why=why)
    bench.forward(10)
    assert bench.cause == f"gate drive: {what}: {why}"
    writer.close()
    bench.keeper.close()


def test_a_permission_is_newer_than_any_that_a_gate_has_seen_end(bench: Bench) -> None:
    writer = AckWriter(bench.dir, "arm")
    bench.beat()
    ack(writer, bench.now_ns, burned=41)
    bench.permit()  # it was not there, or had no file, when the guardian started
    assert bench.view().epoch == 42
    bench.forward(10)
    assert bench.view().valid
    writer.close()


def test_a_gate_of_an_impossible_epoch_does_not_end_the_guardian(tmp_path: Path) -> None:
    writer = AckWriter(tmp_path, "arm")
    ack(writer, 1, burned=2**64 - 1)
    bench = Bench(tmp_path)
    bench.permit()
    assert bench.view().epoch == 1
    writer.close()
    bench.keeper.close()


def test_a_safety_directory_that_is_gone_stops_and_stands_against_motion(tmp_path: Path) -> None:
    directory = tmp_path / "safety"
    directory.mkdir()
    bench = Bench(directory)
    bench.permit()
    shutil.rmtree(directory.rename(tmp_path / "away"))  # so that nobody writes there meanwhile
    bench.forward(10)
    assert bench.cause == "stop line deleted"
    bench.beat()
    bench.now_ns += 500 * MS
    assert "nobody could pull it" in bench.keeper.reset("ada", bench.keeper.state.latch)
    bench.keeper.close()


def test_a_gate_that_falls_silent_while_it_drives_is_not_at_neutral_for_the_backstops(
    bench: Bench,
) -> None:
    writer = AckWriter(bench.dir, "arm")  # nobody declared it
    ack(writer, bench.now_ns - 2000 * MS, flags=Flag(0))  # what it did before does not matter
    assert bench.keeper.outlook(bench.now_ns).is_neutral
    bench.permit()
    for epoch, burned in ((1, 0), (0, 1)):  # it saw the end of its permission, or did not
        writer.write(bench.now_ns, epoch=epoch, burned=burned, reason=Reason.OK, flags=Flag(0))
        bench.keeper.stop("test", "ada")
        assert not bench.keeper.outlook(bench.now_ns).is_neutral
        bench.now_ns += 5000 * MS
        assert not bench.keeper.outlook(bench.now_ns).is_neutral
    ack(writer, bench.now_ns, burned=1)
    assert bench.keeper.outlook(bench.now_ns + 5000 * MS).is_neutral
    writer.close()


def test_a_stop_button_stops_blocks_and_is_told(tmp_path: Path) -> None:
    contact = tmp_path / "value"
    contact.write_text("0\n")
    directory = tmp_path / "safety"
    directory.mkdir()
    settings = Settings(dir=directory, watch={"drive": 0.3}, estop=StopInput(file=str(contact)))
    now_ns = time.monotonic_ns()
    assert settings.estop is not None
    button = StopButton(settings.estop, now_ns)
    keeper = Keeper(settings, now_ns=lambda: now_ns, button=button)
    beats = HeartbeatWriter(directory, "drive")
    beats.beat()
    assert any("stop input" in one for one in keeper.blockers(now_ns))
    now_ns += 200 * MS
    keeper.read_button()
    assert keeper.reset("ada", 0) == ""
    assert keeper.status()["estop"] == button.told()
    contact.write_text("1\n")
    keeper.read_button()
    assert keeper.state.mode is Mode.TRIPPED
    assert keeper.state.trips[0].cause == "stop input pressed or cut"
    assert any("stop input" in one for one in keeper.blockers(now_ns))
    keeper.close()
    beats.close()


def test_a_reset_that_is_held_is_told_once_as_stuck(bench: Bench) -> None:
    for _ in range(30):
        bench.keeper.reset("jammed", 0)
        bench.now_ns += 100 * MS
    assert bench.keeper.counters["stuck_resets"] == 1
    assert "stuck" in bench.keeper.reset("jammed", 0)
    bench.keeper.close()
    events = [json.loads(line)["event"] for line in (bench.dir / FILE).read_text().splitlines()]
    assert events.count("reset stuck") == 1
