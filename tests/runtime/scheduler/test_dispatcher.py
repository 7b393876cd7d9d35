import asyncio
import contextlib
import sys
import threading
import time
from functools import partial

import pytest

from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import Dispatcher, End, JobDroppedError, LaneRules, ResourceRules
from olympus.runtime.scheduler.profile import Profile


def narrow(clock: SystemClock) -> Dispatcher:
    """A dispatcher in which one job of a tier may wait."""
    rules = ResourceRules(lanes={Tier.NORMAL: LaneRules(length=1)})
    return Dispatcher(clock, resources=[rules])


async def begun(dispatcher: Dispatcher) -> None:
    """Wait until a job runs."""
    async with asyncio.timeout(20):
        while not dispatcher.running():
            await asyncio.sleep(0.001)


async def test_urgent_jobs_overtake_those_that_wait() -> None:
    dispatcher, order, gate = Dispatcher(SystemClock()), [], threading.Event()

    def job(name: str) -> None:
        order.append(name)

    first = asyncio.create_task(dispatcher.run(gate.wait))
    await begun(dispatcher)
    rest = [
        asyncio.create_task(dispatcher.run(lambda: job("low"), tier=Tier.LOW)),
        asyncio.create_task(dispatcher.run(lambda: job("normal"))),
        asyncio.create_task(dispatcher.run(lambda: job("critical"), tier=Tier.CRITICAL)),
    ]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *rest)
    assert order == ["critical", "normal", "low"]
    dispatcher.close()


async def test_a_job_past_its_deadline_is_not_run_and_its_caller_is_told() -> None:
    clock = SystemClock()
    dispatcher, ran = Dispatcher(clock), []
    with pytest.raises(JobDroppedError, match="past its deadline"):
        await dispatcher.run(lambda: ran.append(1), deadline_ns=clock.now_ns() - 1)
    assert (ran, dispatcher.counts[End.EXPIRED]) == ([], 1)
    dispatcher.close()


@pytest.mark.timeout(30)
def test_a_caller_that_waits_on_its_own_thread_is_told_too_that_its_job_is_too_late() -> None:
    clock = SystemClock()
    dispatcher, ran = Dispatcher(clock), []
    with pytest.raises(JobDroppedError, match="past its deadline"):
        dispatcher.call(lambda: ran.append(1), deadline_ns=clock.now_ns() - 1)
    assert (ran, dispatcher.counts[End.EXPIRED]) == ([], 1)
    assert dispatcher.call(lambda: 5) == 5
    dispatcher.close()


async def test_a_full_lane_refuses_and_says_what_to_do() -> None:
    dispatcher, gate = narrow(SystemClock()), threading.Event()
    running = asyncio.create_task(dispatcher.run(gate.wait))
    await begun(dispatcher)
    waiting = asyncio.create_task(dispatcher.run(lambda: None))
    await asyncio.sleep(0)
    with pytest.raises(JobDroppedError, match="NORMAL lane is full"):
        await dispatcher.run(lambda: None)
    gate.set()
    await asyncio.gather(running, waiting)
    assert dispatcher.counts == {End.DONE: 2, End.REJECTED: 1}
    dispatcher.close()


async def test_a_failing_job_fails_its_caller_and_nobody_else() -> None:
    dispatcher = Dispatcher(SystemClock())
    with pytest.raises(ZeroDivisionError):
        await dispatcher.run(lambda: 1 // 0)
    assert await dispatcher.run(lambda: 42) == 42
    dispatcher.close()


async def test_a_job_that_runs_out_of_items_fails_and_the_next_one_runs() -> None:
    dispatcher, nothing = Dispatcher(SystemClock()), iter(())
    with pytest.raises(RuntimeError, match="nothing left"):
        await asyncio.wait_for(dispatcher.run(lambda: next(nothing)), 20)
    assert await asyncio.wait_for(dispatcher.run(lambda: 42), 20) == 42
    dispatcher.close()


async def test_a_job_that_asks_to_exit_fails_its_caller_and_ends_neither_worker_nor_host() -> None:
    dispatcher = narrow(SystemClock())
    for work in (partial(sys.exit, "not today"), Exiting()):
        with pytest.raises(RuntimeError, match="the job asked to exit: not today"):
            await asyncio.wait_for(dispatcher.run(work), 20)
    assert await asyncio.wait_for(dispatcher.run(lambda: 42), 20) == 42
    assert dispatcher.counts == {End.FAILED: 2, End.DONE: 1}
    dispatcher.close()


class Exiting:
    """Work in steps, of which the first asks to exit."""

    def step(self) -> bool:
        sys.exit("not today")

    def result(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing is open."""


async def test_jobs_past_their_deadline_make_room_in_their_lane_while_another_runs() -> None:
    clock = SystemClock()
    dispatcher, gate = narrow(clock), threading.Event()
    running = asyncio.create_task(dispatcher.run(gate.wait))
    await begun(dispatcher)
    deadline_ns = clock.now_ns() + 50_000_000
    late = asyncio.create_task(dispatcher.run(lambda: None, deadline_ns=deadline_ns))
    while clock.now_ns() <= deadline_ns:
        await asyncio.sleep(0)
    fresh = asyncio.create_task(dispatcher.run(lambda: 42))
    with pytest.raises(JobDroppedError, match="past its deadline"):
        await late
    gate.set()
    assert await running
    assert await fresh == 42
    dispatcher.close()


async def test_a_job_whose_caller_has_gone_is_not_run() -> None:
    dispatcher, gate, ran = Dispatcher(SystemClock()), threading.Event(), []
    running = asyncio.create_task(dispatcher.run(gate.wait))
    await begun(dispatcher)
    gone = asyncio.create_task(dispatcher.run(lambda: ran.append(1)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    gate.set()
    await running
    assert await dispatcher.run(lambda: 42) == 42
    assert (ran, dispatcher.counts) == ([], {End.DONE: 2, End.CANCELLED: 1})
    dispatcher.close()


async def test_a_closed_dispatcher_takes_no_job() -> None:
    dispatcher, gate = Dispatcher(SystemClock()), threading.Event()
    running = asyncio.create_task(dispatcher.run(gate.wait))
    await begun(dispatcher)
    waiting = asyncio.create_task(dispatcher.run(lambda: None))
    await asyncio.sleep(0)
    dispatcher.close()
    gate.set()
    assert await running
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(JobDroppedError, match="the host is ending"):
        await dispatcher.run(lambda: None)


async def test_the_event_loop_goes_on_while_a_job_computes() -> None:
    dispatcher, ticks = Dispatcher(SystemClock()), 0
    job = asyncio.create_task(dispatcher.run(lambda: time.sleep(0.1)))
    while not job.done():
        ticks += 1
        await asyncio.sleep(0.005)
    assert ticks > 3
    dispatcher.close()


def test_under_a_virtual_clock_a_job_runs_at_once_on_the_loops_thread() -> None:
    clock = VirtualClock()

    async def main() -> bool:
        return await Dispatcher(clock).run(
            lambda: threading.current_thread() is threading.main_thread()
        )

    assert run_virtual(main(), clock)


class Run:
    """A model's run, which can be aborted."""

    def __call__(self) -> str:
        return "seen"

    def abort(self) -> None:
        """It takes no real time."""


@pytest.mark.parametrize(("aborts", "is_run", "ms"), [(1, 1, 4), (1, 0, 9), (0, 1, 9)])
def test_in_virtual_time_too_a_run_is_aborted_late_where_its_lane_says_so(
    aborts: int, is_run: int, ms: int
) -> None:
    clock = VirtualClock()
    rules = ResourceRules(lanes={Tier.NORMAL: LaneRules(aborts_late=bool(aborts))})
    nine_ms = 9_000_000
    profile = Profile(board="here", n=1, p50_ns=nine_ms, p99_ns=nine_ms, worst_ns=nine_ms)

    async def main() -> tuple[End, int]:
        dispatcher, begun_ns = Dispatcher(clock, resources=[rules]), clock.now_ns()
        work = Run() if is_run else (lambda: "seen")
        until_ns = begun_ns + 4_000_000
        with contextlib.suppress(JobDroppedError):
            await dispatcher.run(work, deadline_ns=until_ns, profile=profile)
        (end,) = dispatcher.counts
        return end, (clock.now_ns() - begun_ns) // 1_000_000

    assert run_virtual(main(), clock) == (End.ABORTED if ms == 4 else End.LATE, ms)
