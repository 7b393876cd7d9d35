"""One resource simulated from event to event: the queue's own decisions, no threads, no waiting.

It answers "what would have happened": to recorded arrivals, to a set of periodic jobs. A second of
a busy robot takes some milliseconds, and the same arrivals always give the same trace.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.queue import Queue, Shed
from olympus.runtime.scheduler.rules import ResourceRules
from olympus.runtime.scheduler.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A job that comes at a known time and takes a known time."""

    time_ns: int
    tier: Tier
    pieces_ns: tuple[int, ...]
    """How long each of its pieces takes, one or more; a single one is a model's run, which a lane
    may abort."""
    deadline_ns: int = NEVER_NS
    """Absolute."""
    source: str = ""
    what: str = ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an arrival."""

    arrival: Arrival
    end: End
    end_ns: int

    @property
    def response_ns(self) -> int:
        """From its arrival to its end, ns."""
        return self.end_ns - self.arrival.time_ns


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulation that came to its end."""

    fates: tuple[Fate, ...]
    """In the order in which they ended."""
    digest: str
    """Hash of its dispatch trace."""


def simulate(
    rules: ResourceRules, arrivals: Iterable[Arrival], *, trace_file: Path | None = None
) -> Simulated:
    """Let jobs arrive at a resource, and see what becomes of them.

    At the same instant pieces end first, then jobs arrive, then it is decided what runs.

    Args:
        rules: The resource.
        arrivals: In any order; of those that come together the earlier in the list comes first.
        trace_file: Where the dispatch trace goes; None = only its hash is kept.

    Raises:
        ConfigError: The trace can't be written.
    """
    row = sorted(arrivals, key=lambda arrival: arrival.time_ns)
    start_ns = row[0].time_ns if row else 0
    trace = Trace(rules, start_ns, trace_file)
    try:
        return _Simulation(rules, row, trace).run()
    finally:
        trace.close()


@dataclass(slots=True)
class _Running:
    job: Job
    pieces: tuple[int, ...]
    done: int = 0
    is_cut: bool = False
    """Whether its only piece is aborted before its end."""


class _Simulation:
    def __init__(self, rules: ResourceRules, row: Sequence[Arrival], trace: Trace) -> None:
        self._queue, self._trace, self._row = Queue(rules, trace), trace, row
        self._free = list(range(rules.workers))
        heapq.heapify(self._free)
        self._known: dict[int, tuple[Arrival, _Running]] = {}
        self._ends: list[tuple[int, int, _Running]] = []
        """(time, worker, what runs there)"""
        self._wake_ns = NEVER_NS
        self._fates: list[Fate] = []

    def run(self) -> Simulated:
        next_arrival = 0
        while True:
            due = self._row[next_arrival].time_ns if next_arrival < len(self._row) else NEVER_NS
            now_ns = min(due, self._ends[0][0] if self._ends else NEVER_NS, self._wake_ns)
            if now_ns == NEVER_NS:
                return Simulated(tuple(self._fates), self._trace.digest())
            self._wake_ns = NEVER_NS
            unfinished = self._end_pieces(now_ns)
            while next_arrival < len(self._row) and self._row[next_arrival].time_ns == now_ns:
                next_arrival += 1
                self._arrive(self._row[next_arrival - 1], next_arrival)
            for worker, running in unfinished:
                if self._queue.must_yield(worker, now_ns):
                    self._queue.preempt(worker, now_ns)
                    heapq.heappush(self._free, worker)
                else:
                    self._begin_piece(worker, running, now_ns)
            self._use_free_workers(now_ns)

    def _end_pieces(self, now_ns: int) -> list[tuple[int, _Running]]:
        """End the pieces that are over now; return the jobs that have more of them."""
        unfinished = []
        while self._ends and self._ends[0][0] == now_ns:
            _, worker, running = heapq.heappop(self._ends)
            self._queue.charge(running.job.tier, running.pieces[running.done], now_ns)
            running.done += 1
            aborts = self._queue.rules.lanes[running.job.tier].aborts_late
            if running.is_cut:
                self._end(worker, running, End.ABORTED, now_ns)
            elif running.done == len(running.pieces):
                self._end(worker, running, End.DONE, now_ns)
            elif aborts and now_ns > running.job.deadline_ns:
                self._end(worker, running, End.ABORTED, now_ns)
            else:
                unfinished.append((worker, running))
        return unfinished

    def _end(self, worker: int, running: _Running, end: End, now_ns: int) -> None:
        end = self._queue.end(worker, end, now_ns)
        heapq.heappush(self._free, worker)
        self._settle([(running.job, end)], now_ns)

    def _arrive(self, arrival: Arrival, number: int) -> None:
        job = Job(
            number,
            arrival.tier,
            arrival.deadline_ns,
            arrival.source,
            arrival.what,
            arrival.time_ns,
        )
        self._known[number] = arrival, _Running(job, arrival.pieces_ns)
        self._settle(self._queue.arrive(job), arrival.time_ns)

    def _begin_piece(self, worker: int, running: _Running, now_ns: int) -> None:
        end_ns, late_ns = now_ns + running.pieces[running.done], running.job.deadline_ns + 1
        aborts = self._queue.rules.lanes[running.job.tier].aborts_late
        if aborts and len(running.pieces) == 1 and end_ns > late_ns:
            end_ns, running.is_cut = late_ns, True
            running.pieces = (late_ns - now_ns,)
        heapq.heappush(self._ends, (end_ns, worker, running))

    def _use_free_workers(self, now_ns: int) -> None:
        while self._free and self._queue.has_waiting:
            worker = heapq.heappop(self._free)
            turn = self._queue.next(worker, now_ns)
            self._settle(turn.shed, now_ns)
            if turn.job is None:
                heapq.heappush(self._free, worker)
                self._wake_ns = min(self._wake_ns, turn.wake_ns)
                return
            self._begin_piece(worker, self._known[turn.job.number][1], now_ns)

    def _settle(self, ended: Iterable[Shed], now_ns: int) -> None:
        for job, end in ended:
            arrival, _ = self._known.pop(job.number)
            self._fates.append(Fate(arrival, end, now_ns))
