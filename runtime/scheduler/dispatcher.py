"""Runs jobs one at a time on a worker thread, in the order the queue decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from olympus.runtime.clock import Clock, VirtualClock
from olympus.runtime.errors import OlympusError
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.queue import NEVER_NS, Job, choose

T = TypeVar("T")
LANE_LENGTH = 16


class JobDroppedError(OlympusError):
    """A job was not run: too late, or its lane was full."""


class Dispatcher:
    """One resource that runs one job at a time.

    It belongs to one event loop. Under a virtual clock jobs run at once, on the loop's own thread,
    so that two runs are the same.
    """

    def __init__(self, clock: Clock, *, lane_length: int = LANE_LENGTH) -> None:
        """Make an idle dispatcher.

        Args:
            clock: Robot time, which deadlines are measured with.
            lane_length: How many jobs of one tier may wait; one more is refused.
        """
        self.counts: Counter[str] = Counter()
        self._clock, self._lane_length = clock, lane_length
        self._waiting: dict[Job, tuple[Callable[[], Any], asyncio.Future[Any]]] = {}
        self._number = 0
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False
        self._worker: ThreadPoolExecutor | None = None

    async def run(
        self,
        work: Callable[[], T],
        *,
        tier: Tier = Tier.NORMAL,
        deadline_ns: int = NEVER_NS,
        source: str = "",
    ) -> T:
        """Run `work` when its turn comes and return what it returns.

        Args:
            work: A function that needs no event loop; it runs on the worker thread.
            tier: Its urgency.
            deadline_ns: Robot time after which nobody wants the result.
            source: Who asks, for the counters.

        Raises:
            JobDroppedError: Its deadline passed before its turn, its lane was full, or the
                dispatcher is closed.
        """
        if self._is_closed:
            raise JobDroppedError(f"{source}: not run, the host is ending")
        self._number += 1
        job = Job(self._number, tier, deadline_ns, source)
        self._next()
        if sum(other.tier is tier for other in self._waiting) >= self._lane_length:
            self.counts["rejected"] += 1
            raise JobDroppedError(
                f"{source}: the {tier.name} lane is full ({self._lane_length} jobs wait); "
                "ask less often, or give a deadline so that old jobs leave"
            )
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[job] = (work, future)
        self._start_next()
        try:
            return await future
        finally:
            self._waiting.pop(job, None)

    def close(self) -> None:
        """End the worker thread after the job it is at; what waits is cancelled."""
        self._is_closed = True
        for _, future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)

    def _start_next(self) -> None:
        if self._running is None and (job := self._next()) is not None:
            work, future = self._waiting.pop(job)
            self._running = asyncio.get_running_loop().create_task(self._execute(work, future))

    def _next(self) -> Job | None:
        """Drop what is too late, and return the job whose turn it is."""
        wanted = [job for job, (_, future) in self._waiting.items() if not future.done()]
        choice = choose(wanted, self._clock.now_ns())
        for job in choice.expired:
            self._drop(job)
        return choice.run

    def _drop(self, job: Job) -> None:
        _, future = self._waiting.pop(job)
        self.counts["expired"] += 1
        if not future.done():
            late_ms = (self._clock.now_ns() - job.deadline_ns) / 1e6
            future.set_exception(
                JobDroppedError(f"{job.source}: not run, {late_ms:.0f} ms past its deadline")
            )

    async def _execute(self, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        try:
            result = await self._on_worker(work)
        except Exception as error:  # noqa: BLE001  handed to the caller, who asked for it
            self.counts["failed"] += 1
            if not future.done():
                future.set_exception(error)
        else:
            self.counts["done"] += 1
            if not future.done():
                future.set_result(result)
        finally:
            self._running = None
            self._start_next()

    async def _on_worker(self, work: Callable[[], T]) -> T:
        if isinstance(self._clock, VirtualClock):
            return _done(work)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        return await asyncio.get_running_loop().run_in_executor(self._worker, _done, work)


def _done(work: Callable[[], T]) -> T:
    try:
        return work()
    except StopIteration as error:  # no future can carry it: its caller would wait for ever
        raise RuntimeError("the job took from an iterator that had nothing left") from error
