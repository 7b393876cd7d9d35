"""A slice of the fault campaign; `./run faults` runs 150 trials, docs/safety.md has a report."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from olympus.drivers.serial_protocol import encode_neutral, encode_speeds
from olympus.runtime.config import Session
from olympus.runtime.errors import SafetyError
from olympus.runtime.launch.hostlog import HostLog
from olympus.sim.campaign.catalogue import ELSEWHERE, catalogue, skipped
from olympus.sim.campaign.command import is_stuck, plan
from olympus.sim.campaign.evidence import WRITTEN_NS, written_about
from olympus.sim.campaign.faults import Fault, stopped
from olympus.sim.campaign.report import (
    failures,
    load,
    percentile,
    picture,
    save,
    summary,
    table,
    verdict,
)
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.soak import soak
from olympus.sim.campaign.standstill import Standstill, Standstills, stolen_ms
from olympus.sim.campaign.trial import CANT_GO_ON, NEEDLESS, Result, run_trial
from olympus.sim.campaign.watching import CampaignError, Watching

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SEED = 11


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as one:
        yield one


@pytest.mark.parametrize(
    "name",
    [
        "stop asked for",
        "stop button pressed",
        "stop button lost",
        "guardian SIGKILL",
        "gate SIGSTOP",
        "gate SIGKILL",
        "drive SIGKILL",
        "control GIL held",
        "guardian SIGSTOP + gate SIGSTOP",
        "perception killed when out of memory",
        "commands that are no numbers",
        "cable to a remote commander pulled",
        "Zenoh gateway frozen",
        "seal genuine",
        "reset replayed",
        "stop: disk full",
        "stop: guardian out of descriptors",
    ],
)
def test_it_stops_within_a_second_and_stays(rig: Rig, name: str) -> None:
    for part, why in skipped(rig).items():
        if part in name:
            pytest.skip(f"{part}: {why}")
    result = run_trial(rig, catalogue()[name], SEED, 0, is_loaded=False)
    assert result.verdict == "ok", str(result)
    assert result.ms is not None


@pytest.mark.parametrize(
    "name",
    [
        "seal replayed",
        "datagrams malformed",
        "clock stepped back",
        "drive descriptors exhausted",
    ],
)
def test_it_goes_on_where_nothing_is_wrong(rig: Rig, name: str) -> None:
    for part, why in skipped(rig).items():
        if part in name:
            pytest.skip(f"{part}: {why}")
    result = run_trial(rig, catalogue()[name], SEED, 0, is_loaded=False)
    assert (result.verdict, result.ms) == ("ok", None), str(result)


def test_a_process_that_was_killed_is_waited_for_before_it_is_hurt_again(rig: Rig) -> None:
    for name in ("nursery SIGKILL", "nursery SIGSTOP", "viewer SIGKILL", "viewer SIGSTOP"):
        result = run_trial(rig, catalogue()[name], SEED, 0, is_loaded=False)
        assert result.verdict == "ok", str(result)


def test_a_cable_is_out_at_once_and_not_when_a_busy_machine_has_started_a_program(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not rig.cable.is_laid:
        pytest.skip("cable: root has to make a network namespace for it")
    monkeypatch.setenv("PATH", "")
    rig.cable.pull()
    assert not rig.cable.is_plugged
    rig.cable.plug()
    assert rig.cable.is_plugged


def test_a_commander_elsewhere_is_waited_for_until_its_link_is_back(rig: Rig) -> None:
    if not rig.cable.is_laid:
        pytest.skip("cable: root has to make a network namespace for it")
    rig.drive()
    rig.remote()
    rig.excused.clear()
    rig.cable.pull()
    plugging = threading.Timer(2.0, rig.cable.plug)
    plugging.start()
    name = "Zenoh session of a remote commander dead"
    result = run_trial(rig, catalogue()[name], SEED, 0, is_loaded=False)
    plugging.join()
    assert result.verdict == "ok", str(result)
    # It may have been begun again for what a busy machine did late, and not for want of the link.
    assert not any("commands do not come" in why for why in rig.excused), rig.excused


def test_a_commander_elsewhere_that_is_frozen_is_ended_all_the_same(rig: Rig) -> None:
    remote = rig.remote()
    os.kill(remote.pid, signal.SIGSTOP)
    remote.close()
    assert not remote.is_alive
    assert rig.remote().is_alive


class Seen(Standstills):
    """Says that the machine stood still, whenever it is asked, for so long."""

    def __init__(self, ms: float) -> None:
        super().__init__()
        self.ms = ms

    def between(self, from_ns: int, to_ns: int) -> list[Standstill]:
        return [Standstill(1, to_ns - round(self.ms * 1e6), to_ns)]


def silenced_once(rig: Rig, _: random.Random) -> Callable[[], None]:
    """Keep a host from beating for a while; the second time nothing happens."""
    if not rig.stood_still:
        rig.begun_ns = rig.wound("control", "block 0.1")
    return rig.release


@pytest.mark.parametrize(("ms", "verdict", "count"), [(83.0, "ok", 1), (40.0, NEEDLESS, 0)])
def test_a_needless_stop_is_excused_by_a_machine_that_stood_still_for_long_and_by_nothing_else(
    rig: Rig, ms: float, verdict: str, count: int
) -> None:
    real, rig.standstills = rig.standstills, Seen(ms)
    rig.stood_still.clear()
    try:
        result = run_trial(rig, Fault("silence", silenced_once, "drive"), SEED, 0, is_loaded=False)
    finally:
        rig.standstills = real
    assert result.verdict == verdict, str(result)
    assert len(rig.stood_still) >= count and bool(rig.stood_still) == bool(count)
    if count:
        assert rig.stood_still[0].startswith("silence: the machine stood still for 83 ms (proc")
        assert "heartbeat control: silent for" in rig.stood_still[0]
    else:
        assert "heartbeat control: silent for" in result.evidence


def test_a_stop_that_is_no_matter_of_time_is_not_excused_by_a_standstill(rig: Rig) -> None:
    real, rig.standstills = rig.standstills, Seen(83.0)
    rig.stood_still.clear()
    try:
        result = run_trial(rig, Fault("stop", stopped, "drive"), SEED, 0, is_loaded=False)
    finally:
        rig.standstills = real
    assert (result.verdict, rig.stood_still) == (NEEDLESS, [])
    assert "the machine stood still for 83 ms" in result.evidence


def test_a_pause_before_the_stop_that_counts_is_no_motion_after_it(rig: Rig) -> None:
    def paused_then_stopped(rig: Rig, chance: random.Random) -> Callable[[], None]:
        begun_ns = rig.wound("control", "mute 0.15")  # 80 ms are allowed, and 300 until it trips
        time.sleep(0.35)
        end = stopped(rig, chance)
        rig.begun_ns = begun_ns
        return end

    result = run_trial(rig, Fault("pause, stop", paused_then_stopped), SEED, 0, is_loaded=False)
    assert result.verdict == "ok", str(result)
    assert result.ms is not None and result.ms > 300


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SafetyError("nobody answers"), "SafetyError: nobody answers"),
        (TimeoutExpired("ip", 3), "TimeoutExpired: Command 'ip' timed out after 3 seconds"),
    ],
)
def test_trouble_of_the_campaign_itself_is_the_verdict_of_that_trial_alone(
    rig: Rig, error: Exception, told: str
) -> None:
    def fails(_rig: Rig, _: random.Random) -> Callable[[], None]:
        raise error

    result = run_trial(rig, Fault("trouble", fails), SEED, 0, is_loaded=False)
    assert result.verdict == f"the campaign can't go on: {told}"
    assert run_trial(rig, catalogue()["stop asked for"], SEED, 0, is_loaded=False).verdict == "ok"


def test_the_witness_sees_a_processor_that_is_kept_from_everything_else() -> None:
    core = max(os.sched_getaffinity(0))
    with Standstills() as witness:
        if witness.refused:
            pytest.skip(f"no real-time priority is granted here ({witness.refused})")
        begun_ns = time.monotonic_ns()
        keeper = multiprocessing.get_context("fork").Process(target=kept, args=(core, 0.06))
        keeper.start()
        keeper.join()
        ended_ns = time.monotonic_ns()
        seen = [one for one in witness.between(begun_ns, ended_ns) if one.core == core]
        assert seen and 50 < seen[0].ms < 1000
        assert witness.between(begun_ns - 10**10, begun_ns - 10**9) == []
        assert seen[0] not in witness.between(seen[0].to_ns, ended_ns)


def kept(core: int, seconds: float) -> None:
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_what_the_host_of_a_virtual_machine_took_is_read(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 3 4 5 6 7 800 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert stolen_ms(stat) == 800_000 / os.sysconf("SC_CLK_TCK")
    stat.write_text("cpu  1 2 3 4\n")
    assert stolen_ms(stat) == 0
    assert stolen_ms() >= 0


def urgencies(rig: Rig) -> dict[str, int]:
    urgent = {}
    for host in ("launcher", "control", "drive", "perception", "models", "viewer"):
        pid = rig.pid(host)
        for task in (int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()):
            with suppress(ProcessLookupError):  # a thread that has just ended
                if os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO:
                    name = host if task == pid else f"a thread of {host}"
                    urgent[name] = os.sched_getparam(task).sched_priority
    return urgent


def test_the_loops_of_watched_hosts_are_urgent_and_nothing_else_of_them(rig: Rig) -> None:
    if not urgencies(rig):
        pytest.skip("no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)")
    ours = {"launcher": 1, "control": 20, "drive": 20, "perception": 10, "models": 10}
    ours["a thread of drive"] = 45  # the drive's hand on the motors' port
    # One that was started a moment ago is about to be, and one that spun is again after a while.
    until = time.monotonic() + 20
    while (urgent := urgencies(rig)) != ours and time.monotonic() < until:
        time.sleep(0.05)
    assert urgent == ours
    assert os.getpriority(os.PRIO_PROCESS, rig.pid("viewer")) == 0  # it inherits nothing


def test_a_soak_names_why_the_motor_stood_with_a_trip_and_without(rig: Rig) -> None:
    rig.drive()

    def disturb() -> None:
        time.sleep(0.5)
        rig.wound("control", "mute 0.2")  # 80 ms are allowed, and 300 until it is a trip
        time.sleep(1.5)
        rig.client.stop("somebody stops", "test")

    disturber = threading.Thread(target=disturb)
    disturber.start()
    moments = soak(rig, 5.0)
    disturber.join()
    pause = next(one for one in moments if one.cause.startswith("stale: "))
    trip = next(one for one in moments if one.cause.startswith("somebody stops"))
    assert (pause.is_trip, pause.by) == (False, "gate")
    assert 40 < pause.lasted_ms < 1000
    assert (trip.is_trip, trip.by) == (True, "gate")
    assert f"pause without a trip at {pause.at_s:.1f} s" in str(pause)
    others = [one for one in moments if one not in (pause, trip)]
    assert all("the machine stood still" in one.cause for one in others), moments


def test_a_pause_before_the_fault_is_known_even_if_it_is_heard_of_late(tmp_path: Path) -> None:
    with Watching(tmp_path / "tty", priority=None) as observer, observer.link.open("wb", 0) as port:
        observer.catch_up()
        assert not observer.was_driven(time.monotonic_ns())
        port.write(encode_neutral(1) + encode_speeds(2, 3.0, 3.0))
        observer.wait(lambda: observer.is_driven, 10.0, "it drives")
        driven_ns = time.monotonic_ns()
        port.write(encode_neutral(3))
        observer.wait(lambda: len(observer.changes) == 2, 10.0, "it stops")
        observer.catch_up()
        hurt_ns = time.monotonic_ns()
        assert observer.was_driven(driven_ns) and not observer.was_driven(hurt_ns)
        assert observer.neutral_after(hurt_ns) is None


def named(seed: int) -> list[tuple[int, str]]:
    return [(index, fault.name) for index, fault in plan(seed, 200, [])]


def test_the_same_seed_plans_the_same_trials_and_every_fault_comes_first() -> None:
    one, again, other = named(1), named(1), named(2)
    assert one == again
    assert one != other
    count = len(catalogue())
    assert {name for _, name in one[:count]} == set(catalogue())
    assert {fault.name for _, fault in plan(1, 40, ["SIGSEGV"])} <= set(catalogue())
    with pytest.raises(CampaignError, match="olympus faults list"):
        plan(1, 10, ["no such fault"])
    assert all(ELSEWHERE.values())


def made(fault: str, ms: float | None, verdict: str = "ok") -> Result:
    return Result(fault, 3, SEED, verdict, ms, "gate", "cause", "CONFIRMED", False, 1.0)


TOLD = """\
trial 3: b: no trip
  cause: cause
  load average 1.0; no processor was seen to stand still; 0 ms were stolen from them
  again: ./run faults --seed 11 --only 3
  again, after the two before it: ./run faults --seed 11 --first 1 --count 4"""


def test_a_trial_that_failed_is_told_with_all_that_is_known_of_it() -> None:
    one = made("x SIGKILL", 3.0, "it stopped without need")
    one = replace(
        one, is_loaded=True, still_ms=31.0, stolen_ms=20.0, evidence="cause; more\n  drive: odd"
    )
    assert failures([one], more=" --fault K") == [
        """\
trial 3: x SIGKILL: it stopped without need
  cause: cause
  evidence: cause; more
    drive: odd
  load average 1.0; a processor stood still for 31 ms; 20 ms were stolen from them
  again: ./run faults --seed 11 --fault K --loaded --only 3
  again, after the two before it: ./run faults --seed 11 --fault K --loaded --first 1 --count 4"""
    ]


def test_the_last_words_of_a_campaign_name_every_trial_that_failed() -> None:
    good, bad = (
        made("a", 1.0),
        made(
            "b",
            None,
            "no trip",
        ),
    )
    assert verdict([good]) == ""
    assert verdict([good, bad]) == f"1 of 2 trials were not ok:\n{TOLD}"
    many = [replace(bad, index=n, evidence="e\n" * 30) for n in range(9)]
    lines = verdict(many).splitlines()
    assert lines[-9:] == [f"not ok: trial {n}: b: no trip" for n in range(9)]
    assert len(lines) == 1 + 5 * (5 + 8) + 9


def test_a_campaign_that_fails_itself_three_times_in_a_row_ends() -> None:
    good, bad = made("a", 1.0), made("a", None, f"{CANT_GO_ON}: CampaignError: no rig")
    assert is_stuck([good, bad, bad, bad])
    assert not any(map(is_stuck, ([], [bad, bad], [bad, bad, good], [bad, good, bad, bad])))


def test_the_report_counts_times_and_names_what_failed(tmp_path: Path) -> None:
    results = [*(made("a SIGKILL", float(ms)) for ms in range(1, 101)), made("b", None, "no trip")]
    save(tmp_path / "one", results[:50])
    save(tmp_path / "two", results[50:])
    assert load([tmp_path / "one", tmp_path / "two"]) == results
    assert "| a SIGKILL | 100 | 50 | 99 | 100 | gate 100 | CONFIRMED 100 |  |" in table(results)
    assert failures(results) == [TOLD]
    assert failures(results[:1]) == []
    told = summary(
        [*results, made("stop: a", 3.0), made("x SIGSTOP", 5.0)], {"a SIGKILL", "stop: a"}
    )
    assert "| a process killed | 100 | 50 | 99 | 100 | 0 |" in told
    assert "| **all that must stop** | 101 | 50 | 99 | 100 | 0 |" in told and "frozen" not in told
    assert "| **all that must stop** | 1 | - | - | - | 1 |" in summary([results[-1]], {"b"})
    drawn = picture(results)
    assert drawn.startswith("<svg") and drawn.count("<rect") > 15 and "a SIGKILL (100)" in drawn
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_what_hosts_wrote_about_a_false_trip_is_found(tmp_path: Path) -> None:
    session = Session(
        name="rig", run_dir=tmp_path, endpoint="", clock_offset_ns=5 * WRITTEN_NS, pid=os.getpid()
    )
    session.log_dir.mkdir()
    log = HostLog(session.log_dir / "drive.jsonl", lambda: 0, lambda _: None)
    trip_ns = 100 * WRITTEN_NS
    for text, level, after_ns in (
        ("long before", "error", -WRITTEN_NS),
        ("gate drive is closed: the drive is gone", "info", -1),
        ("an odd figure", "info", -1),
        ("no descriptor is to spare", "warning", WRITTEN_NS - 1),
        ("long after", "error", WRITTEN_NS),
    ):
        stamp = trip_ns + session.clock_offset_ns + after_ns
        log.write(json.dumps({"stamp": stamp, "level": level, "logger": "x", "text": text}))
    log.close()
    with (session.log_dir / "drive.jsonl").open("a") as file:
        file.write('7\n{"level": "error", "text": "without a stamp"}\n{"stamp": 1, "le')
    assert written_about(session, trip_ns) == [
        "drive: gate drive is closed: the drive is gone",
        "drive: no descriptor is to spare",
    ]
