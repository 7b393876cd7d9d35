"""The queue of one resource: who waits, who runs, what was used, what became of whom.

It has no time and no threads of its own: whoever drives it, a worker thread or a simulation, says
what time it is and holds its lock. All decisions are `choice.choose` and `choice.admit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from olympus.runtime.messages.compiled import maker
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.choice import NOTHING_USED, Lanes, admit, choose
from olympus.runtime.scheduler.counts import Counts
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.rules import ResourceRules
from olympus.runtime.scheduler.trace import EVENT_OF, Event, Trace

Shed = tuple[Job, End]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a worker is to do now."""

    job: Job | None
    shed: tuple[Shed, ...] = ()
    """Jobs that were dropped on the way; their callers are to be told."""
    wake_ns: int = NEVER_NS
    """When to ask again although nothing happens."""


class Queue:
    """Jobs that wait for one resource."""

    def __init__(self, rules: ResourceRules, trace: Trace) -> None:
        """Make an empty queue.

        Args:
            rules: Lanes and budgets.
            trace: Is told every arrival, decision and end.
        """
        self.rules, self.trace = rules, trace
        self.counts = Counts()
        self._waiting: list[Job] = []
        self._begun: set[int] = set()
        self._running: dict[int, Job] = {}
        """Jobs by worker."""
        self._window = 0
        self._used_ns = list(NOTHING_USED)

    def arrive(self, job: Job) -> tuple[Shed, ...]:
        """Take a job in, or refuse it.

        Returns:
            Jobs that were shed for it, or itself.
        """
        self.trace.arrived(job)
        self.counts.arrived(job)
        now_ns = job.arrived_ns
        if not self._waiting:
            self._waiting.append(job)
            return ()
        shed = self._drop(choose(self._lanes(), now_ns).expired, End.EXPIRED, now_ns)
        admission = admit(self._lanes(), job)
        shed += self._drop(admission.superseded, End.SUPERSEDED, now_ns)
        shed += self._drop(admission.evicted, End.EVICTED, now_ns)
        self._waiting.append(job)
        return shed if admission.is_in else (*shed, *self._drop((job,), End.REJECTED, now_ns))

    def begin(self, job: Job, worker: int) -> bool:
        """Take a job in and put it down as running at once; False if any waits for the resource.

        What `arrive` and `next` come to then, for a job in time and a resource without budgets.
        """
        if self._waiting:
            return False
        self.trace.began.append((job, worker))
        self.counts.began(job)
        self._running[worker] = job
        return True

    def finish(self, worker: int, end: End, ran_ns: int, now_ns: int) -> None:
        """Put down that a job has ended which `begin` began; what `charge` and `end` come to."""
        job = self._running.pop(worker)
        if end is End.DONE and now_ns > job.deadline_ns:
            end = End.LATE
        self.trace.tell(EVENT_OF[end], job, now_ns)
        self.counts.finished(job.tier, end, ran_ns, now_ns)

    def next(self, worker: int, now_ns: int) -> Turn:
        """Decide what a free worker does, and put it down as running."""
        if not self._waiting:
            return _NOTHING
        job: Job | None
        (job, *others), shed = self._waiting, _NOBODY
        if others or self.rules.has_budgets or job.deadline_ns < now_ns:
            choice = choose(self._lanes(), now_ns)
            shed = self._drop(choice.expired, End.EXPIRED, now_ns) if choice.expired else ()
            job = choice.run
            if job is None:
                return Turn(None, shed, choice.wake_ns)
        self._waiting.remove(job)
        self._running[worker] = job
        is_new = job.number not in self._begun
        self.trace.tell(Event.STARTED if is_new else Event.RESUMED, job, now_ns, worker)
        if is_new:
            self._begun.add(job.number)
            self.counts.started(job, now_ns)
        return _turn(job, shed, NEVER_NS)

    def must_yield(self, worker: int, now_ns: int) -> bool:
        """Tell whether the job at a worker, between two of its steps, is to make way."""
        job = self._running[worker]
        if not self._waiting and self.rules.lanes[job.tier].limit >= 1.0:
            return False
        return choose(self._lanes(but=worker, plus=job), now_ns).run != job

    def charge(self, tier: Tier, ran_ns: int, now_ns: int) -> None:
        """Put down that a job of `tier` has just run for `ran_ns`."""
        window = now_ns // self.rules.window_ns
        if window != self._window:
            self._window, self._used_ns = window, list(NOTHING_USED)
        self._used_ns[tier] += ran_ns
        if self.rules.has_budgets:
            self.trace.charged(tier, ran_ns, now_ns)
        self.counts.ran(tier, ran_ns)

    def preempt(self, worker: int, now_ns: int) -> None:
        """Put the job at a worker back among those that wait, with what it has done so far."""
        job = self._running.pop(worker)
        self.trace.tell(Event.PREEMPTED, job, now_ns)
        self.counts.preempted(job)
        self._waiting.append(job)

    def end(self, worker: int, end: End, now_ns: int) -> End:
        """Put down that the job at a worker has ended.

        Returns:
            How it is counted: what is done after its deadline is late.
        """
        job = self._running.pop(worker)
        self._begun.discard(job.number)
        if end is End.DONE and now_ns > job.deadline_ns:
            end = End.LATE
        self.trace.tell(EVENT_OF[end], job, now_ns)
        self.counts.ended(job, end, now_ns)
        return end

    def cancel(self, job: Job, now_ns: int) -> bool:
        """Forget a job that waits; False if it does not wait (any more)."""
        if job not in self._waiting:
            return False
        self._drop((job,), End.CANCELLED, now_ns)
        return True

    def waiting(self) -> tuple[Job, ...]:
        """Return the jobs that wait."""
        return tuple(self._waiting)

    def has_begun(self, job: Job) -> bool:
        """Tell whether a job that waits has run already."""
        return job.number in self._begun

    @property
    def has_waiting(self) -> bool:
        """Whether any job waits."""
        return bool(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self._waiting

    def _lanes(self, but: int | None = None, plus: Job | None = None) -> Lanes:
        running = self._running
        return Lanes(
            self._waiting if plus is None else [*self._waiting, plus],
            self._begun,
            [job.tier for worker, job in running.items() if worker != but] if running else (),
            self.rules,
            self._window,
            self._used_ns,
        )

    def _drop(self, jobs: Iterable[Job], end: End, now_ns: int) -> tuple[Shed, ...]:
        shed = []
        for job in jobs:
            self._waiting.remove(job)
            self._begun.discard(job.number)
            self.trace.tell(EVENT_OF[end], job, now_ns)
            self.counts.ended(job, end, now_ns)
            shed.append((job, end))
        return tuple(shed)


_NOTHING, _turn = Turn(None), maker(Turn)
_NOBODY: tuple[Shed, ...] = ()
