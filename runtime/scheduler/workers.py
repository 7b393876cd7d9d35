"""The threads of one resource: they run, in real time, what the queue decides."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial

from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.counts import LaneCounts
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.lasting import Lasting
from olympus.runtime.scheduler.passage import Passage, make_passage
from olympus.runtime.scheduler.queue import Queue, Shed
from olympus.runtime.scheduler.reaper import Reaper
from olympus.runtime.scheduler.ticket import Outcome, Ticket, make_job, run_plain, shed_error
from olympus.runtime.scheduler.work import Abortable

_log = logging.getLogger(__name__)
CallSoon = Callable[[Callable[[], None]], object]


class Workers:
    """One resource in real time.

    A job runs on one of the resource's threads, or, when the resource is free and whoever asks may
    be held up, on the thread that asks: that saves two changes of thread. An event loop may be held
    up only by what is known to be quick.
    """

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue, self._clock = queue, clock
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._free = list(range(queue.rules.workers))
        self._tickets: dict[int, Ticket] = {}
        self._pieces: dict[int, tuple[Job, int]] = {}
        self._threads: list[threading.Thread] = []
        self._resting = 0
        self._number = 0
        self._is_closed = False
        self._reaper = Reaper(clock)
        rules = queue.rules
        self._lasting = Lasting(may_hold_up=rules.workers == 1 and not rules.cores)
        self._is_plain = not rules.cores and not rules.has_budgets  # a used up one has to wait
        """Whether a job may run on whatever thread asks, and only order decides."""

    def submit(self, ticket: Ticket) -> None:
        """Take in a job; its `deliver` is called when it has ended."""
        with self._lock:
            shed = self._arrive(ticket)
            self._call_a_thread()
        self._tell(shed)

    def run_here(self, ticket: Ticket) -> None:
        """Run a job on the calling thread if the resource is free, else take it in."""
        slot = -1
        with self._lock:
            is_free = bool(self._free) and not self._queue.has_waiting
            shed = self._arrive(ticket)
            if is_free and not shed and not self._queue.rules.cores:
                slot, shed = self._claim(ticket.job.arrived_ns)
            if slot < 0:
                self._call_a_thread()
        if shed:
            self._tell(shed)
        if slot >= 0:
            self._run_and_leave(slot, ticket)

    def pass_now(
        self, what: str, quick_ns: int, tier: Tier, deadline_ns: int, source: str
    ) -> Passage | None:
        """Start a plain job on the calling thread, if nothing waits and a slot is free.

        Returns:
            None where it has to be submitted; see `Dispatcher.pass_now`.
        """
        if quick_ns != NEVER_NS and self._lasting.usual_ns.get(what, NEVER_NS) > quick_ns:
            return None
        queue, lock = self._queue, self._lock
        if not self._is_plain or (deadline_ns != NEVER_NS and queue.rules.lanes[tier].aborts_late):
            return None
        lock.acquire()  # quicker than `with`
        try:
            now_ns = self._clock.now_ns()
            if not self._free or self._is_closed or deadline_ns < now_ns:
                return None
            slot, number = self._free[-1], self._number + 1
            job = make_job(number, tier, deadline_ns, source, what, now_ns)
            if not queue.begin(job, slot):
                return None
            self._number = number
            self._free.pop()
            self._pieces[slot] = job, now_ns
        finally:
            lock.release()
        return make_passage(self, self._clock, job, slot, End.FAILED, 0)

    def leave(self, passage: Passage) -> None:
        """Put down that a job has ended which `pass_now` has started."""
        job, slot, queue = passage.job, passage.slot, self._queue
        ran_ns = passage.ended_ns - job.arrived_ns
        with self._lock:
            if job.what:
                self._lasting.note(job.what, ran_ns)
            queue.finish(slot, passage.end, ran_ns, passage.ended_ns)
            self._leave(slot)
            if queue.has_waiting:
                self._call_a_thread()

    def submit_quick(self, ticket: Ticket, quick_ns: int, call_soon: CallSoon) -> None:
        """Take in a job from an event loop, and run it there if it is quick and alone.

        It runs when all has had its turn that came to the loop together with it: if another job is
        among that, both wait for a thread, and the choice is made between them.

        Args:
            ticket: The job.
            quick_ns: For how long it may hold the loop up: what it runs took no longer lately.
            call_soon: Has the loop call something soon.
        """
        with self._lock:
            is_free = bool(self._free) and not self._queue.has_waiting
            shed = self._arrive(ticket)
            is_apt = is_free and not shed and not ticket.is_stepped
            is_here = is_apt and self._lasting.is_quick(ticket.job.what, quick_ns)
            if not is_here:
                self._call_a_thread()
        if shed:
            self._tell(shed)
        if is_here:
            call_soon(partial(self._run_if_alone, ticket))

    def _run_if_alone(self, ticket: Ticket) -> None:
        slot, shed = -1, _NOBODY
        with self._lock:
            if self._free and self._queue.waiting() == (ticket.job,):
                slot, shed = self._claim(self._clock.now_ns())
            if slot < 0:
                self._call_a_thread()
        if shed:
            self._tell(shed)
        if slot >= 0:
            self._run_and_leave(slot, ticket)

    def _claim(self, now_ns: int) -> tuple[int, tuple[Shed, ...]]:
        """Take a free slot for the one job that waits, with the lock held.

        Returns:
            The slot, -1 if it may not run now: it is too late, or its budget is used up. And what
            was shed, which is to be told without the lock.
        """
        slot = self._free.pop()
        turn = self._queue.next(slot, now_ns)
        if turn.job is None:
            self._free.append(slot)
            slot = -1
        return slot, turn.shed

    def _run_and_leave(self, slot: int, ticket: Ticket) -> None:
        self._run(slot, ticket)
        if self._queue.has_waiting:  # whoever comes from now on finds the slot free
            with self._lock:
                self._call_a_thread()

    def cancel(self, ticket: Ticket) -> None:
        """Forget a job: at once if it waits, after its present piece if it runs."""
        ticket.is_cancelled = True
        with self._lock:
            is_out = self._queue.cancel(ticket.job, self._clock.now_ns())
            is_known = self._tickets.get(ticket.job.number) is ticket
        if is_out:
            self._tell([(ticket.job, End.CANCELLED)])
        elif is_known and isinstance(ticket.work, Abortable):
            ticket.work.abort()

    def lanes(self) -> tuple[LaneCounts, ...]:
        """Return the counters of its lanes."""
        with self._lock:
            return self._queue.counts.lanes(self._queue.waiting(), self._clock.now_ns())

    def running(self) -> tuple[tuple[Job, int], ...]:
        """Return the jobs that run, and since when each has been at its present piece, ns."""
        return tuple(self._pieces.copy().values())

    def digest(self) -> str:
        """Return the hash of the trace so far."""
        with self._lock:
            return self._queue.trace.digest()

    def flush(self) -> None:
        """Write what the trace has buffered."""
        with self._lock:
            self._queue.trace.flush()

    def close(self) -> None:
        """End the threads after the pieces they are at; what waits is cancelled."""
        with self._lock:
            self._is_closed = True
            waiting = [(job, End.CANCELLED) for job in self._queue.waiting()]
            for job, _ in waiting:
                self._queue.cancel(job, self._clock.now_ns())
            for ticket in self._tickets.values():
                ticket.is_cancelled |= ticket.is_stepped  # plain work ends by itself
            self._wake.notify_all()
            if not self._pieces:
                self._queue.trace.close()
        self._tell(waiting)
        self._reaper.close()

    def _arrive(self, ticket: Ticket) -> tuple[Shed, ...]:
        self._number += 1
        ticket.enter(self._number, self._clock.now_ns())
        self._tickets[self._number] = ticket
        return self._queue.arrive(ticket.job)

    def _call_a_thread(self) -> None:
        if not self._free or not self._queue.has_waiting:
            return
        if self._resting:
            self._wake.notify()
        elif len(self._threads) < self._queue.rules.workers:
            name = f"{self._queue.rules.name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        """Run jobs until the end: the body of a thread."""
        self._settle_down()
        while (taken := self._take()) is not None:
            self._run(*taken)

    def _settle_down(self) -> None:
        rules = self._queue.rules
        if rules.cores:
            try:
                os.sched_setaffinity(0, rules.cores)
            except OSError as error:
                _log.warning("resource %s can't use %s: %s", rules.name, rules.cores, error)

    def _take(self) -> tuple[int, Ticket] | None:
        """Wait for a job; None at the end."""
        while True:
            with self._lock:
                if self._is_closed:
                    return None
                taken, shed, wake_ns = self._look()
                if taken is None and not shed:
                    left_s = None if wake_ns == NEVER_NS else self._until(wake_ns)
                    self._resting += 1
                    self._wake.wait(left_s)
                    self._resting -= 1
            self._tell(shed)
            if taken is not None:
                return taken

    def _look(self) -> tuple[tuple[int, Ticket] | None, tuple[Shed, ...], int]:
        if not self._free:
            return None, (), NEVER_NS
        slot = self._free.pop()
        turn = self._queue.next(slot, self._clock.now_ns())
        if turn.job is None:
            self._free.append(slot)
            return None, turn.shed, turn.wake_ns
        return (slot, self._tickets[turn.job.number]), turn.shed, NEVER_NS

    def _until(self, time_ns: int) -> float:
        return max(0.0, (time_ns - self._clock.now_ns()) / NS_PER_S)

    def _run(self, slot: int, ticket: Ticket) -> None:
        job = ticket.job
        if job.deadline_ns != NEVER_NS and self._queue.rules.lanes[job.tier].aborts_late:
            self._reaper.watch(job.deadline_ns, partial(self._abort, ticket))
        if ticket.is_stepped:
            self._run_steps(slot, ticket)
            return
        begun_ns = self._clock.now_ns()
        self._pieces[slot] = job, begun_ns
        outcome = run_plain(ticket.call)
        with self._lock:
            outcome = self._finish(slot, ticket, outcome, begun_ns)
        ticket.deliver(outcome)

    def _run_steps(self, slot: int, ticket: Ticket) -> None:
        """Run pieces until the work is done or has to make way."""
        outcome: Outcome | None = None
        while outcome is None:
            begun_ns = self._clock.now_ns()
            self._pieces[slot] = ticket.job, begun_ns
            outcome = ticket.advance()
            with self._lock:
                if outcome is not None or ticket.is_unwanted:
                    outcome = self._finish(slot, ticket, outcome or _UNWANTED, begun_ns)
                    continue
                now_ns = self._clock.now_ns()
                self._queue.charge(ticket.job.tier, now_ns - begun_ns, now_ns)
                if self._queue.must_yield(slot, now_ns):
                    self._queue.preempt(slot, now_ns)
                    self._leave(slot)
                    return
        if outcome.end in (End.ABORTED, End.CANCELLED, End.FAILED):
            ticket.give_up()
        ticket.deliver(outcome)

    def _finish(self, slot: int, ticket: Ticket, outcome: Outcome, begun_ns: int) -> Outcome:
        """Put down that the job has ended; the lock is held."""
        job, now_ns = ticket.job, self._clock.now_ns()
        self._queue.charge(job.tier, now_ns - begun_ns, now_ns)
        if job.what and not ticket.is_stepped:
            self._lasting.note(job.what, now_ns - begun_ns)
        del self._tickets[job.number]
        if ticket.is_cancelled:
            outcome = Outcome(End.CANCELLED, error=shed_error(job, End.CANCELLED, now_ns))
        elif ticket.is_aborted and outcome.end is not End.DONE:
            outcome = Outcome(End.ABORTED, error=shed_error(job, End.ABORTED, now_ns))
        end = self._queue.end(slot, outcome.end, now_ns)
        self._leave(slot)
        return outcome if end is outcome.end else Outcome(end, outcome.value)

    def _leave(self, slot: int) -> None:
        del self._pieces[slot]
        self._free.append(slot)
        if self._is_closed and not self._pieces:
            self._queue.trace.close()

    def _abort(self, ticket: Ticket) -> None:
        """Stop a job that is past its deadline, unless it has ended."""
        with self._lock:
            is_running = any(job is ticket.job for job, _ in self._pieces.values())
            ticket.is_aborted = True
        if is_running and isinstance(ticket.work, Abortable):
            ticket.work.abort()

    def _tell(self, shed: Iterable[Shed]) -> None:
        """Tell those whose jobs were shed; without the lock."""
        for job, end in shed:
            with self._lock:
                ticket = self._tickets.pop(job.number, None)
            if ticket is not None:
                ticket.give_up()
                ticket.deliver(Outcome(end, error=shed_error(job, end, self._clock.now_ns())))


_NOBODY: tuple[Shed, ...] = ()
_UNWANTED = Outcome(End.FAILED)
"""Stands for the outcome of work that was stopped; what it really is, the ticket tells."""
