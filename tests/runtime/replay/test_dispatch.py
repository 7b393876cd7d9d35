"""A dispatch trace is decided again: what a queue would not decide is found and named."""

from __future__ import annotations

from dataclasses import replace

from olympus.runtime.qos import Tier
from olympus.runtime.replay.dispatch import redecide, rules_of
from olympus.runtime.scheduler.job import End, Job
from olympus.runtime.scheduler.queue import Queue
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules
from olympus.runtime.scheduler.trace import Event, Recording, Trace, parse_trace

RULES = ResourceRules(lanes={Tier.LOW: LaneRules(length=1, overload=Overload.DROP_OLDEST)})


def traced() -> Recording:
    """Let a queue decide about everything there is: order, lateness, a full lane, a cancelling."""
    pieces: list[bytes] = []
    queue = Queue(RULES, Trace(RULES, 0, on_bytes=pieces.append))
    queue.arrive(Job(1, Tier.NORMAL, arrived_ns=1))
    queue.arrive(Job(2, Tier.HIGH, arrived_ns=2))
    queue.arrive(Job(3, Tier.HIGH, deadline_ns=4, arrived_ns=3))
    for number in (4, 5, 6):
        queue.arrive(Job(number, Tier.LOW, arrived_ns=3))
    queue.next(0, 5)
    queue.end(0, End.DONE, 9)
    queue.next(0, 10)
    queue.preempt(0, 11)
    queue.next(0, 12)
    queue.end(0, End.FAILED, 13)
    queue.arrive(cancelled := Job(7, Tier.NORMAL, arrived_ns=14))
    queue.cancel(cancelled, 15)
    queue.trace.flush()
    return parse_trace(b"".join(pieces), "test")


def test_a_trace_is_decided_again_as_it_was() -> None:
    trace = traced()
    assert {record.event for record in trace.records} >= {Event.EVICTED, Event.EXPIRED}
    assert redecide(trace, RULES) is None


def test_a_job_that_would_not_have_run_is_named() -> None:
    trace = traced()
    index = next(i for i, one in enumerate(trace.records) if one.event is Event.STARTED)
    records = list(trace.records)
    records[index] = replace(records[index], job=1)
    found = redecide(replace(trace, records=tuple(records)), RULES)
    assert found is not None
    assert found.index == index
    assert (found.recorded, found.replayed) == ("started job 1", "started job 2")


def test_other_rules_decide_otherwise() -> None:
    longer = ResourceRules(lanes={Tier.LOW: LaneRules(length=9)})
    found = redecide(traced(), longer)
    assert found is not None
    assert found.recorded.startswith("evicted")


BUDGETS = ResourceRules(
    window_ns=1_000_000, lanes={Tier.HIGH: LaneRules(limit=0.5), Tier.LOW: LaneRules(guarantee=0.2)}
)


def budgeted() -> Recording:
    """Let a tier use its share up, so that another goes before it."""
    pieces: list[bytes] = []
    queue = Queue(BUDGETS, Trace(BUDGETS, 0, on_bytes=pieces.append))
    for number, tier in enumerate((Tier.HIGH, Tier.HIGH, Tier.NORMAL, Tier.LOW), 1):
        queue.arrive(Job(number, tier, arrived_ns=1))
    for now_ns in (10, 600_000, 700_000, 1_000_000):
        turn = queue.next(0, now_ns)
        assert turn.job is not None
        queue.charge(turn.job.tier, 590_000, now_ns + 1)
        queue.end(0, End.DONE, now_ns + 1)
    queue.trace.flush()
    return parse_trace(b"".join(pieces), "test")


def test_budgets_are_decided_again_by_what_each_piece_used() -> None:
    trace = budgeted()
    begun = [one.job for one in trace.records if one.event is Event.STARTED]
    assert begun == [4, 1, 3, 2]  # LOW is owed its share at first, then HIGH has used up its own
    assert redecide(trace, BUDGETS) is None
    records = [replace(one, charge=(Tier.HIGH, 1)) if one.charge else one for one in trace.records]
    found = redecide(replace(trace, records=tuple(records)), BUDGETS)
    assert found is not None
    assert found.recorded == "started job 3"


def test_a_trace_whose_file_was_begun_anew_is_read_through() -> None:
    pieces: list[bytes] = []
    trace = Trace(RULES, 0, on_bytes=pieces.append)
    trace.arrived(Job(1, Tier.LOW, source="a", arrived_ns=5))
    trace.flush()
    later = Trace(RULES, 100, on_bytes=pieces.append)
    later.arrived(Job(2, Tier.LOW, source="b", arrived_ns=107))
    later.flush()
    found = parse_trace(b"".join(pieces), "test").records
    arrivals = [one.arrival for one in found if one.arrival is not None]
    assert [(one.source, one.arrived_ns) for one in arrivals] == [("a", 5), ("b", 107)]


def test_rules_travel_in_a_hosts_facts() -> None:
    facts = {"resources": [{"name": "npu", "workers": 2, "lanes": {"3": {"length": 5}}}]}
    rules = rules_of(facts)["npu"]
    assert (rules.workers, rules.lanes[Tier.LOW].length) == (2, 5)
    assert rules_of({})["cpu"] == ResourceRules()
