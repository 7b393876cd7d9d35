"""A dispatch trace decided again: the same arrivals and ends must give the same decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from olympus.runtime.qos import Tier
from olympus.runtime.replay.difference import Difference
from olympus.runtime.replay.hosts import HostReplay
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.scheduler.job import End, Job
from olympus.runtime.scheduler.queue import Queue
from olympus.runtime.scheduler.rules import ResourceRules
from olympus.runtime.scheduler.trace import EVENT_OF, Event, Record, Recording, Trace, parse_trace

END_OF = {event: end for end, event in EVENT_OF.items()}
_BEGUN = (Event.STARTED, Event.RESUMED)
_DECIDED = (Event.EXPIRED, Event.SUPERSEDED, Event.EVICTED, Event.REJECTED)
"""What a queue decides when a job comes or a worker asks."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a queue decides otherwise than it did."""

    index: int
    """Which record of the trace, from 0."""
    recorded: str
    replayed: str


class _Listening(Trace):
    """A trace that can be asked what it was told."""

    def __init__(self, rules: ResourceRules, start_ns: int) -> None:
        super().__init__(rules, start_ns)
        self.told: list[tuple[Event, int]] = []

    def arrived(self, job: Job) -> None:
        """Take note of an arrival."""
        self.told.append((Event.ARRIVED, job.number))
        super().arrived(job)

    def tell(self, event: Event, job: Job, now_ns: int, worker: int | None = None) -> None:
        """Take note of what became of a job."""
        self.told.append((event, job.number))
        super().tell(event, job, now_ns, worker)

    def charged(self, tier: Tier, ran_ns: int, now_ns: int) -> None:
        """Take note of what was used."""
        self.told.append((Event.CHARGED, 0))
        super().charged(tier, ran_ns, now_ns)


class Redecision:
    """Drives a queue with the arrivals and ends of a trace, and compares what it decides."""

    def __init__(self, trace: Recording, rules: ResourceRules) -> None:
        """Make an empty queue by the resource's rules."""
        self._trace = trace
        self._heard = _Listening(rules, trace.start_ns)
        self._queue = Queue(rules, self._heard)
        self._jobs: dict[int, Job] = {}
        self._workers: dict[int, int] = {}

    def first_difference(self) -> Decision | None:
        """Return the first decision that differs; None when all are the same."""
        told = self._heard.told
        for index, record in enumerate(self._trace.records):
            if index >= len(told):
                self._drive(record, index)
            now = told[index] if index < len(told) else None
            if now != (record.event, record.job):
                return Decision(index, _text(record.event, record.job), _text(*(now or (None, 0))))
            if record.event in _BEGUN:
                self._workers[record.job] = record.worker or 0
        return None

    def _drive(self, record: Record, index: int) -> None:
        """Let happen what led to a record."""
        event, now_ns = record.event, record.time_ns
        if record.arrival is not None:
            self._jobs[record.job] = record.arrival
            self._queue.arrive(record.arrival)
        elif record.charge is not None:
            self._queue.charge(*record.charge, now_ns)
        elif event in _BEGUN or event in _DECIDED:
            self._queue.next(self._asking(index), now_ns)
        else:
            self._end(record, now_ns)

    def _asking(self, index: int) -> int:
        """Return the worker that asked for something to do, and was given it after all drops."""
        for record in self._trace.records[index:]:
            if record.event not in _DECIDED:
                return record.worker or 0
        return 0

    def _end(self, record: Record, now_ns: int) -> None:
        job = self._jobs.get(record.job)
        worker = self._workers.pop(record.job, None)
        if job is None:
            return  # it came before the trace began
        if record.event is Event.PREEMPTED and worker is not None:
            self._queue.preempt(worker, now_ns)
        elif worker is None:
            self._queue.cancel(job, now_ns)
        else:
            end = END_OF[record.event]
            self._queue.end(worker, End.DONE if end is End.LATE else end, now_ns)


def redecide(trace: Recording, rules: ResourceRules) -> Decision | None:
    """Return the first decision of a trace that the queue does not make again.

    Args:
        trace: What was recorded.
        rules: Of its resource.
    """
    return Redecision(trace, rules).first_difference()


def rules_of(facts: Mapping[str, Any]) -> dict[str, ResourceRules]:
    """Return the rules of a host's resources, as its journal's facts tell them."""
    read = TypeAdapter(ResourceRules)
    given = [read.validate_python(_thawed(one)) for one in facts.get("resources", ())]
    return {rules.name: rules for rules in given or [ResourceRules()]}


def _thawed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "lanes": {int(tier): rules for tier, rules in facts.get("lanes", {}).items()}}


def _text(event: Event | None, job: int) -> str:
    return "nothing" if event is None else f"{event.name.lower()} job {job}"


def decide_again(outcome: Outcome, hosts: Iterable[HostReplay]) -> None:
    """Let each scheduler decide again what its trace tells; put down what comes of it."""
    for host in hosts:
        rules = rules_of(host.facts)
        for resource, data in host.traces.items():
            trace = parse_trace(bytes(data), f"{host.name}/{resource}")
            outcome.decisions += len(trace.records)
            if (found := redecide(trace, rules[resource])) is not None:
                where = f"dispatch trace {host.name}/{resource}"
                words = ("decision", found.recorded, found.replayed)
                outcome.differences.append(
                    Difference(where, found.index, "the scheduler", *words, at_ns=0)
                )
