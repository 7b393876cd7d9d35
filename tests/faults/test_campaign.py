"""A slice of the fault campaign; `./run faults` runs 150 trials, docs/safety.md has a report."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.drivers.serial_protocol import encode_neutral, encode_speeds
from olympus.runtime.config import Session
from olympus.runtime.launch.hostlog import HostLog
from olympus.sim.campaign.catalogue import ELSEWHERE, catalogue, skipped
from olympus.sim.campaign.command import plan
from olympus.sim.campaign.report import (
    failures,
    load,
    percentile,
    picture,
    save,
    summary,
    table,
)
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.soak import soak
from olympus.sim.campaign.trial import WRITTEN_NS, Result, run_trial, written_about
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
    assert result.verdict == "ok", result
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
    assert (result.verdict, result.ms) == ("ok", None), result


def test_the_loops_of_watched_hosts_are_urgent_and_nothing_else_of_them(rig: Rig) -> None:
    urgent = {}
    for host in ("launcher", "control", "drive", "perception", "models", "viewer"):
        pid = rig.pid(host)
        for task in (int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()):
            if os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO:
                name = host if task == pid else f"a thread of {host}"
                urgent[name] = os.sched_getparam(task).sched_priority
    if not urgent:
        pytest.skip("no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)")
    ours = {"launcher": 1, "control": 20, "drive": 20, "perception": 10, "models": 10}
    assert urgent == {**ours, "a thread of drive": 45}  # the drive's hand on the motors' port
    assert os.getpriority(os.PRIO_PROCESS, rig.pid("viewer")) == 0  # it inherits nothing


def test_a_soak_names_why_the_motor_stood_with_a_trip_and_without(rig: Rig) -> None:
    rig.drive()

    def disturb() -> None:
        time.sleep(1.0)
        rig.wound("control", "mute 0.2")  # 80 ms are allowed, and 300 until it is a trip
        time.sleep(2.0)
        rig.client.stop("somebody stops", "test")

    disturber = threading.Thread(target=disturb)
    disturber.start()
    moments = soak(rig, 5.0)
    disturber.join()
    pause, trip = moments
    assert (pause.is_trip, pause.by, pause.cause[:7]) == (False, "gate", "stale: ")
    assert 40 < pause.lasted_ms < 1000
    assert (trip.is_trip, trip.by, trip.cause) == (True, "gate", "somebody stops")
    assert "pause without a trip at 1." in str(pause)


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


def test_the_report_counts_times_and_names_what_failed(tmp_path: Path) -> None:
    results = [*(made("a SIGKILL", float(ms)) for ms in range(1, 101)), made("b", None, "no trip")]
    save(tmp_path / "one", results[:50])
    save(tmp_path / "two", results[50:])
    assert load([tmp_path / "one", tmp_path / "two"]) == results
    assert "| a SIGKILL | 100 | 50 | 99 | 100 | gate 100 | CONFIRMED 100 |  |" in table(results)
    assert failures(results) == ["b: no trip (--seed 11 --only 3; cause)"]
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
        file.write('{"stamp": 1, "le')
    assert written_about(session, trip_ns) == [
        "drive: gate drive is closed: the drive is gone",
        "drive: no descriptor is to spare",
    ]
