"""The scheduler of one process: takes jobs for its resources and hands back what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar

from olympus.runtime.clock import Clock, VirtualClock
from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.counts import LaneCounts
from olympus.runtime.scheduler.job import NEVER_NS, End, Job, JobDroppedError
from olympus.runtime.scheduler.passage import Passage, PassNow
from olympus.runtime.scheduler.profile import Pace, Profile
from olympus.runtime.scheduler.queue import Queue
from olympus.runtime.scheduler.rules import ResourceRules
from olympus.runtime.scheduler.ticket import OnNews, Ticket, carried
from olympus.runtime.scheduler.trace import Trace
from olympus.runtime.scheduler.virtual import VirtualWorkers
from olympus.runtime.scheduler.waiting import Latch, Waiter
from olympus.runtime.scheduler.work import Work
from olympus.runtime.scheduler.workers import CallSoon, Workers

T = TypeVar("T")


class _Resource(Protocol):
    """Whatever runs the jobs of one resource."""

    def submit(self, ticket: Ticket) -> None: ...

    def submit_quick(self, ticket: Ticket, quick_ns: int, call_soon: CallSoon) -> None: ...

    def pass_now(
        self, what: str, quick_ns: int, tier: Tier, deadline_ns: int, source: str
    ) -> Passage | None: ...

    def run_here(self, ticket: Ticket) -> None: ...

    def cancel(self, ticket: Ticket) -> None: ...

    def lanes(self) -> tuple[LaneCounts, ...]: ...

    def running(self) -> tuple[tuple[Job, int], ...]: ...

    def digest(self) -> str: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Dispatcher:
    """The resources of one process, and the jobs that wait for them.

    In real time each resource has worker threads. Under a virtual clock jobs run on the loop's own
    thread and last what their profiles say, so that two runs are the same.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        resources: Sequence[ResourceRules] = (),
        trace_dir: Path | None = None,
        on_trace: Callable[[str, bytes], None] | None = None,
        pace: Pace = Pace.MEDIAN,
        seed: int = 0,
        profiles: Mapping[str, Profile] = MappingProxyType({}),
    ) -> None:
        """Make an idle dispatcher.

        Args:
            clock: Robot time, which deadlines are measured with.
            resources: What jobs run on; the first is the default. None = one worker, default lanes.
            trace_dir: Folder of the trace files, one a resource; None = only their hashes are kept.
            on_trace: Is given the traces' bytes, by name of the resource; from any thread.
            pace: Which time of its profile a job takes in virtual time.
            seed: Another seed gives other times where `pace` is `seeded`.
            profiles: How long a piece of each model takes in virtual time, by its name, where a
                job brings no profile of its own: `olympus.models.measured.profiles_on`.
        """
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._resources: dict[str, _Resource] = {}
        self._is_closed = False
        for rules in resources or (ResourceRules(),):
            file = trace_dir / f"{rules.name}.trace" if trace_dir else None
            on_bytes = partial(on_trace, rules.name) if on_trace is not None else None
            trace = Trace(rules, clock.now_ns(), file, on_bytes=on_bytes)
            queue = self._queues[rules.name] = Queue(rules, trace)
            self._resources[rules.name] = (
                VirtualWorkers(queue, clock, pace=pace, seed=seed, profiles=profiles)
                if isinstance(clock, VirtualClock)
                else Workers(queue, clock)
            )
        self._first = next(iter(self._resources))
        self.pass_now: PassNow = self._resources[self._first].pass_now
        """Start a plain job on the thread that asks and at once, on the first resource.

        For whoever knows that nothing else has come that might be more urgent: an event loop, while
        it takes in what came alone. Is given the name of the model, for how long the thread may be
        held up (ns; the model's last runs took no longer, or `NEVER_NS` for as long as it takes),
        tier, deadline (robot time, ns) and source. Returns a `Passage`; None where the job has to
        be submitted: nothing has happened then.
        """

    async def run(
        self,
        work: Work[T],
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
        source: str = "",
        what: str = "",
        resource: str | None = None,
        profile: Profile | None = None,
        on_news: OnNews | None = None,
    ) -> T:
        """Run `work` when its turn comes and return what it returns, without holding up the loop.

        Args:
            work: A function that needs no event loop, or stepped work; it runs on a worker thread.
            tier: Its urgency.
            deadline_ns: Robot time after which nobody wants the result.
            source: Who asks.
            what: Name of the model.
            resource: What it runs on; None = the first resource.
            profile: How long a piece of it takes; only asked under a virtual clock.
            on_news: Is told, on the loop, what stepped work has to tell meanwhile.

        Raises:
            JobDroppedError: It was not run, or not to its end; `end` says why.
            CancelledError: Who asked was cancelled, and so is the job.
        """
        waiter: Waiter[T] = Waiter(on_news)
        news = waiter.tell if on_news else None
        asked = Job(0, tier, deadline_ns, source, what)
        ticket = Ticket(asked, work, waiter.deliver, on_news=news, profile=profile)
        self.submit(ticket, resource)
        return await self._outcome(ticket, waiter, resource)

    async def run_quick(
        self,
        work: Work[T],
        quick_ns: int,
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
        source: str = "",
        what: str = "",
    ) -> T:
        """Run `work` like `run`; a call may hold up the loop where that is short.

        Where `what` lately took no longer than `quick_ns`, and nothing else runs or waits once all
        has had its turn that came to the loop together with it, it runs on the loop's own thread,
        which saves two changes of thread.

        Args:
            work: A function that needs no event loop, or stepped work.
            quick_ns: For how long it may hold up the loop, ns.
            tier: Its urgency.
            deadline_ns: Robot time after which nobody wants the result.
            source: Who asks.
            what: Name of the model.

        Raises:
            JobDroppedError: As for `run`.
            CancelledError: As for `run`.
        """
        waiter: Waiter[T] = Waiter(None)
        ticket = Ticket(Job(0, tier, deadline_ns, source, what), work, waiter.deliver)
        self._open(None, source).submit_quick(ticket, quick_ns, waiter.call_soon)
        return await self._outcome(ticket, waiter, None)

    async def _outcome(self, ticket: Ticket, waiter: Waiter[T], resource: str | None) -> T:
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self.cancel(ticket, resource)
            raise

    def call(
        self,
        work: Work[T],
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
        source: str = "",
        what: str = "",
        resource: str | None = None,
    ) -> T:
        """Run `work` when its turn comes and return what it returns; the calling thread waits.

        When the resource is free the work runs on the calling thread itself. Not for event loops:
        they would stand still.

        Raises:
            JobDroppedError: It was not run, or not to its end; `end` says why.
            Exception: What the work raised.
        """
        chosen = self._open(resource, source)
        if callable(work):
            passage = chosen.pass_now(what, NEVER_NS, tier, deadline_ns, source)
            if passage is not None:
                try:
                    value = work()
                    passage.done()
                    return value
                except (SystemExit, StopIteration) as error:
                    made = carried(error)
                    raise made from error
                finally:
                    passage.leave()
        done = Latch()
        ticket = Ticket(Job(0, tier, deadline_ns, source, what), work, done.put)
        chosen.run_here(ticket)
        found: T = done.take().unwrap()
        return found

    def submit(self, ticket: Ticket, resource: str | None = None) -> None:
        """Take in a job; its ticket's `deliver` is called when it has ended.

        Raises:
            JobDroppedError: The host is ending.
            ConfigError: There is no such resource.
        """
        self._open(resource, ticket.job.source).submit(ticket)

    def cancel(self, ticket: Ticket, resource: str | None = None) -> None:
        """Forget a job: at once if it waits, after its present piece if it runs."""
        self._resources[resource or self._first].cancel(ticket)

    @property
    def counts(self) -> Counter[End]:
        """Jobs that have ended, by how, of all resources."""
        return sum((queue.counts.total() for queue in self._queues.values()), Counter())

    def lanes(self) -> dict[str, tuple[LaneCounts, ...]]:
        """Return the counters of the lanes of each resource."""
        return {name: resource.lanes() for name, resource in self._resources.items()}

    def running(self) -> tuple[tuple[Job, int], ...]:
        """Return the jobs that run, and since when each has been at its present piece, ns."""
        return tuple(item for one in self._resources.values() for item in one.running())

    def digests(self) -> dict[str, str]:
        """Return the hash of each resource's dispatch trace so far."""
        return {name: resource.digest() for name, resource in self._resources.items()}

    def flush(self) -> None:
        """Write what the traces have buffered."""
        for resource in self._resources.values():
            resource.flush()

    def close(self) -> None:
        """End after the pieces that run; what waits is cancelled."""
        self._is_closed = True
        for resource in self._resources.values():
            resource.close()

    def _open(self, resource: str | None, source: str) -> _Resource:
        if self._is_closed:
            raise JobDroppedError(f"{source}: not run, the host is ending", End.CANCELLED)
        name = resource or self._first
        if name not in self._resources:
            raise ConfigError(f"no resource {name!r}; {did_you_mean(name, self._resources)}")
        return self._resources[name]
