"""The dispatch trace where there is no room for it, or for one file of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import trace as traces
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.rules import ResourceRules
from olympus.runtime.scheduler.trace import EVENT_OF, Event, Trace, read_trace


def written(trace: Trace, jobs: range) -> None:
    for number in jobs:
        job = Job(number, Tier.NORMAL, NEVER_NS)
        trace.arrived(job)
        trace.tell(Event.STARTED, job, number, 0)
        trace.tell(EVENT_OF[End.DONE], job, number)


def test_a_full_disk_ends_the_file_and_not_what_is_traced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "cpu.trace"
    file.symlink_to("/dev/full")  # takes nothing: No space left on device
    trace, elsewhere = Trace(ResourceRules(), 0, file), Trace(ResourceRules(), 0)
    for one in (trace, elsewhere):
        written(one, range(1, 2000))
        one.flush()
        written(one, range(2000, 2100))
    assert trace.digest() == elsewhere.digest()
    trace.close()
    ends = [line.getMessage() for line in caplog.records]
    assert ends == [f"the trace {file} ends here: No space left on device"]


def test_a_file_that_had_no_room_for_the_rest_is_readable_up_to_there(tmp_path: Path) -> None:
    file = tmp_path / "cpu.trace"
    trace = Trace(ResourceRules(), 0, file)
    written(trace, range(1, 50))
    trace.flush()
    whole = file.stat().st_size
    written(trace, range(50, 100))
    trace.close()
    with file.open("r+b") as cut:
        cut.truncate(whole + 5)  # as much as a nearly full disk has taken of the next piece
    assert {one.job for one in read_trace(file).records} >= set(range(1, 50))


@pytest.mark.parametrize("room", range(120, 240, 7))
def test_a_new_file_knows_every_name_it_goes_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(traces, "MAX_BYTES", room)  # so that files end at any record
    monkeypatch.setattr(traces, "_BUFFER_BYTES", 8)
    monkeypatch.setattr(traces, "_TOGETHER", 1)
    file, old = tmp_path / "cpu.trace", tmp_path / "cpu.trace.old"
    trace = Trace(ResourceRules(), 0, file)
    seen: set[str] = set()
    for number in range(1, 60):
        job = Job(number, Tier.NORMAL, NEVER_NS, f"node{number}", f"model{number}")
        trace.arrived(job)
        trace.tell(Event.STARTED, job, number, 0)
        for one in (file, old):
            records = read_trace(one).records if one.exists() else ()
            seen |= {f"{r.arrival.source} {r.arrival.what}" for r in records if r.arrival}
    trace.close()
    assert seen == {f"node{number} model{number}" for number in range(1, 60)}


def test_more_names_than_are_numbered_go_by_the_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "_NUMBERS", 3)
    file = tmp_path / "cpu.trace"
    trace = Trace(ResourceRules(), 0, file)
    for number in range(1, 6):
        trace.arrived(Job(number, Tier.NORMAL, NEVER_NS, "node", f"model{number}"))
    trace.close()
    arrivals = [one.arrival for one in read_trace(file).records if one.arrival]
    assert [one.what for one in arrivals] == ["model1", "model2", "", "", ""]
    assert {one.source for one in arrivals} == {"node"}
