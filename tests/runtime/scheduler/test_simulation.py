from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import NEVER_NS, End
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules
from olympus.runtime.scheduler.simulation import Arrival, simulate
from olympus.runtime.scheduler.trace import Event, read_trace

MS = 1_000_000
arrivals = st.lists(
    st.builds(
        Arrival,
        time_ns=st.integers(0, 50 * MS),
        tier=st.sampled_from(Tier),
        pieces_ns=st.lists(st.integers(1, 5 * MS), min_size=1, max_size=4).map(tuple),
        deadline_ns=st.one_of(st.just(NEVER_NS), st.integers(0, 80 * MS)),
        source=st.sampled_from(("camera", "microphone", "planner")),
    ),
    max_size=30,
)
resources = st.builds(
    ResourceRules,
    workers=st.integers(1, 3),
    lanes=st.dictionaries(
        st.sampled_from([Tier.HIGH, Tier.NORMAL, Tier.LOW]),
        st.builds(
            LaneRules,
            length=st.integers(1, 4),
            overload=st.sampled_from(Overload),
            guarantee=st.sampled_from([0.0, 0.1]),
            limit=st.sampled_from([0.5, 1.0]),
            aborts_late=st.booleans(),
        ),
    ),
    window_ns=st.just(10 * MS),
)


@given(resources, arrivals)
@settings(max_examples=200, deadline=None)
def test_every_job_has_exactly_one_end(rules: ResourceRules, row: list[Arrival]) -> None:
    fates = simulate(rules, row).fates
    assert Counter(id(fate.arrival) for fate in fates) == Counter(id(one) for one in row)
    for fate in fates:
        assert fate.response_ns >= 0
        if fate.end is End.DONE:
            assert fate.end_ns <= fate.arrival.deadline_ns


@given(resources, arrivals)
@settings(max_examples=50, deadline=None)
def test_the_same_arrivals_give_the_same_trace(rules: ResourceRules, row: list[Arrival]) -> None:
    assert simulate(rules, row).digest == simulate(rules, row).digest


@given(arrivals)
@settings(max_examples=100, deadline=None)
def test_a_critical_job_waits_for_critical_ones_and_for_one_piece_of_another(
    row: list[Arrival],
) -> None:
    fates = simulate(ResourceRules(), row).fates
    longest = max((max(a.pieces_ns) for a in row if a.tier is not Tier.CRITICAL), default=0)
    critical = sum(sum(a.pieces_ns) for a in row if a.tier is Tier.CRITICAL)
    for fate in fates:
        if fate.arrival.tier is Tier.CRITICAL and fate.end in (End.DONE, End.LATE):
            assert fate.response_ns <= longest + critical


def test_a_pre_empted_job_goes_on_where_it_was(tmp_path: Path) -> None:
    talk = Arrival(time_ns=0, tier=Tier.LOW, pieces_ns=(2 * MS,) * 4, source="planner")
    look = Arrival(time_ns=3 * MS, tier=Tier.CRITICAL, pieces_ns=(MS,), source="camera")
    file = tmp_path / "cpu.trace"
    done = {
        f.arrival.source: f for f in simulate(ResourceRules(), [talk, look], trace_file=file).fates
    }
    assert done["camera"].end_ns == 5 * MS  # after the piece that ran when it came
    assert done["planner"].end_ns == 9 * MS  # nothing was computed twice
    events = [record.event for record in read_trace(file).records if record.job == 1]
    assert events == [Event.ARRIVED, Event.STARTED, Event.PREEMPTED, Event.RESUMED, Event.DONE]


def test_a_run_that_is_aborted_late_ends_just_past_its_deadline_as_in_real_time() -> None:
    rules = ResourceRules(lanes={Tier.HIGH: LaneRules(aborts_late=True)})
    run = Arrival(time_ns=0, tier=Tier.HIGH, pieces_ns=(9 * MS,), deadline_ns=4 * MS)
    text = Arrival(time_ns=0, tier=Tier.HIGH, pieces_ns=(3 * MS,) * 3, deadline_ns=9 * MS)
    (cut, ended) = simulate(rules, [run, text]).fates
    assert (cut.end, cut.end_ns) == (End.ABORTED, 4 * MS + 1)
    assert (ended.end, ended.end_ns) == (End.ABORTED, 10 * MS + 1)  # after a whole piece of it
    (late,) = simulate(ResourceRules(), [run]).fates
    assert (late.end, late.end_ns) == (End.LATE, 9 * MS)


def test_a_guaranteed_share_keeps_the_lowest_tier_alive_under_overload() -> None:
    row = [
        Arrival(time_ns=i * MS, tier=Tier.HIGH, pieces_ns=(2 * MS,), source="camera")
        for i in range(400)
    ]
    row += [Arrival(time_ns=0, tier=Tier.LOW, pieces_ns=(MS,) * 20, source="planner")]
    lanes = {Tier.HIGH: LaneRules(overload=Overload.LATEST)}
    starved = simulate(ResourceRules(lanes=lanes), row)
    kind = lanes | {Tier.LOW: LaneRules(guarantee=0.1)}
    fed = simulate(ResourceRules(lanes=kind, window_ns=100 * MS), row)
    ends = [
        next(fate.end_ns for fate in story.fates if fate.arrival.tier is Tier.LOW)
        for story in (starved, fed)
    ]
    assert ends[0] >= 400 * MS
    assert ends[1] < 300 * MS


def test_under_threefold_overload_urgent_jobs_meet_their_deadlines_and_the_rest_is_counted() -> (
    None
):
    chance, row = random.Random(7), []
    for tier, load in ((Tier.CRITICAL, 0.2), (Tier.HIGH, 0.4), (Tier.NORMAL, 1.2), (Tier.LOW, 1.2)):
        for _ in range(round(load * 1000)):
            time_ns = chance.randrange(2000 * MS)
            row.append(
                Arrival(
                    time_ns=time_ns,
                    tier=tier,
                    pieces_ns=(2 * MS,),
                    deadline_ns=time_ns + (400 if tier <= Tier.HIGH else 30) * MS,
                    source=tier.name,
                )
            )
    lossless = {Tier.CRITICAL: LaneRules(length=100), Tier.HIGH: LaneRules(length=200)}
    fates = simulate(ResourceRules(lanes=lossless), row).fates
    urgent = Counter(f.end for f in fates if f.arrival.tier <= Tier.HIGH)
    rest = Counter(f.end for f in fates if f.arrival.tier > Tier.HIGH)
    assert urgent == {End.DONE: 600}
    assert rest.total() == 2400
    assert set(rest) <= {End.DONE, End.LATE, End.EXPIRED, End.REJECTED}
    assert rest[End.EXPIRED] + rest[End.REJECTED] > 1000


def test_a_trace_that_was_cut_off_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    file = tmp_path / "cpu.trace"
    row = [Arrival(time_ns=i * MS, tier=Tier.LOW, pieces_ns=(MS,)) for i in range(5)]
    simulate(ResourceRules(), row, trace_file=file)
    whole = read_trace(file)
    file.write_bytes(file.read_bytes()[:-1])
    assert read_trace(file).records == whole.records[:-1]


def test_a_file_that_is_no_trace_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"hello")
    with pytest.raises(ConfigError, match="no dispatch trace"):
        read_trace(file)
