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


def test_rules_travel_in_a_hosts_facts() -> None:
    facts = {"resources": [{"name": "npu", "workers": 2, "lanes": {"3": {"length": 5}}}]}
    rules = rules_of(facts)["npu"]
    assert (rules.workers, rules.lanes[Tier.LOW].length) == (2, 5)
    assert rules_of({})["cpu"] == ResourceRules()
