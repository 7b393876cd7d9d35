"""One resource in virtual time: a job lasts what its profile says, and two runs are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.counts import LaneCounts
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.profile import Pace, Profile
from olympus.runtime.scheduler.queue import Queue, Shed
from olympus.runtime.scheduler.ticket import Outcome, Ticket, shed_error
from olympus.runtime.scheduler.work import Abortable


class VirtualWorkers:
    """Runs jobs on the event loop's own thread, and lets virtual time pass for them.

    Work is done when its piece begins, its outcome is known when the piece has lasted its time.
    Work without a profile, its own or its model's, takes no time.
    """

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        *,
        pace: Pace,
        seed: int,
        profiles: Mapping[str, Profile] = MappingProxyType({}),
    ) -> None:
        self._queue, self._clock = queue, clock
        self._pace, self._seed, self._profiles = pace, seed, profiles
        self._free = list(range(queue.rules.workers))
        self._tickets: dict[int, Ticket] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._number = 0
        self._alarm: asyncio.TimerHandle | None = None

    def submit(self, ticket: Ticket) -> None:
        """Take in a job; its `deliver` is called when it has ended."""
        self._number += 1
        ticket.enter(self._number, self._clock.now_ns())
        self._tickets[self._number] = ticket
        self._tell(self._queue.arrive(ticket.job))
        self._go_on()

    run_here = submit

    def submit_quick(self, ticket: Ticket, quick_ns: int, call_soon: Callable[..., object]) -> None:
        """Take in a job: all run on the loop's thread here."""
        del quick_ns, call_soon
        self.submit(ticket)

    def pass_now(self, what: str, quick_ns: int, tier: Tier, deadline_ns: int, source: str) -> None:
        """Start nothing: in virtual time every job takes a while."""

    def cancel(self, ticket: Ticket) -> None:
        """Forget a job: at once if it waits, after its present piece if it runs."""
        ticket.is_cancelled = True
        if self._queue.cancel(ticket.job, self._clock.now_ns()):
            self._tell([(ticket.job, End.CANCELLED)])

    def lanes(self) -> tuple[LaneCounts, ...]:
        """Return the counters of its lanes."""
        return self._queue.counts.lanes(self._queue.waiting(), self._clock.now_ns())

    def running(self) -> tuple[tuple[Job, int], ...]:
        """Return nothing: no piece takes real time."""
        return ()

    def digest(self) -> str:
        """Return the hash of the trace so far."""
        return self._queue.trace.digest()

    def flush(self) -> None:
        """Write what the trace has buffered."""
        self._queue.trace.flush()

    def close(self) -> None:
        """Cancel what waits and what runs."""
        for job in self._queue.waiting():
            self.cancel(self._tickets[job.number])
        for task in self._running.values():
            task.cancel()
        now_ns = self._clock.now_ns()
        for ticket in self._tickets.values():
            error = shed_error(ticket.job, End.CANCELLED, now_ns)
            ticket.deliver(Outcome(End.CANCELLED, error=error))
        self._tickets.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        self._queue.trace.close()

    def _go_on(self) -> None:
        """Give every free worker something to do, if there is anything."""
        while self._free:
            slot = self._free.pop()
            turn = self._queue.next(slot, self._clock.now_ns())
            self._tell(turn.shed)
            if turn.job is None:
                self._free.append(slot)
                self._look_again(turn.wake_ns)
                return
            work = self._run(slot, self._tickets[turn.job.number])
            self._running[slot] = asyncio.get_running_loop().create_task(work)

    def _look_again(self, wake_ns: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if wake_ns != NEVER_NS:
            left_s = (wake_ns - self._clock.now_ns()) / NS_PER_S
            self._alarm = asyncio.get_running_loop().call_later(left_s, self._go_on)

    async def _run(self, slot: int, ticket: Ticket) -> None:
        outcome: Outcome | None = None
        while outcome is None:
            piece_ns, is_cut = self._cut(ticket, self._piece_ns(ticket))
            outcome = ticket.advance()
            if is_cut:  # what came of it would not have been there yet
                outcome = None
            if piece_ns:
                await self._clock.sleep(piece_ns / NS_PER_S)
            now_ns = self._clock.now_ns()
            self._queue.charge(ticket.job.tier, piece_ns, now_ns)
            is_late = is_cut or self._is_too_late(ticket, now_ns)
            if outcome is None and (ticket.is_cancelled or is_late):
                end = End.CANCELLED if ticket.is_cancelled else End.ABORTED
                outcome = Outcome(end, error=shed_error(ticket.job, end, now_ns))
            if outcome is None and self._queue.must_yield(slot, now_ns):
                self._queue.preempt(slot, now_ns)
                break
        self._free.append(slot)
        if outcome is not None:
            self._end(slot, ticket, outcome)
        self._go_on()

    def _end(self, slot: int, ticket: Ticket, outcome: Outcome) -> None:
        del self._tickets[ticket.job.number]
        end = self._queue.end(slot, outcome.end, self._clock.now_ns())
        if end in (End.CANCELLED, End.ABORTED, End.FAILED):
            ticket.give_up()
        ticket.deliver(Outcome(end, outcome.value, outcome.error))

    def _piece_ns(self, ticket: Ticket) -> int:
        profile = ticket.profile or self._profiles.get(ticket.job.what)
        if profile is None:
            return 0
        number = ticket.job.number
        return self._pace.piece_ns(profile, seed=self._seed, job=number, piece=ticket.pieces)

    def _cut(self, ticket: Ticket, piece_ns: int) -> tuple[int, bool]:
        """Return how long a piece lasts, and whether it is aborted then: just past the deadline."""
        late_ns = ticket.job.deadline_ns + 1 - self._clock.now_ns()
        aborts = self._queue.rules.lanes[ticket.job.tier].aborts_late
        if aborts and piece_ns > late_ns and isinstance(ticket.work, Abortable):
            return max(0, late_ns), True
        return piece_ns, False

    def _is_too_late(self, ticket: Ticket, now_ns: int) -> bool:
        aborts = self._queue.rules.lanes[ticket.job.tier].aborts_late
        return aborts and now_ns > ticket.job.deadline_ns

    def _tell(self, shed: Iterable[Shed]) -> None:
        for job, end in shed:
            ticket = self._tickets.pop(job.number)
            ticket.give_up()
            ticket.deliver(Outcome(end, error=shed_error(job, end, self._clock.now_ns())))
