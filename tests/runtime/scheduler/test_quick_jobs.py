"""Jobs that may run on the event loop's own thread because they are known to be quick."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.clock import NS_PER_S, SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    NEVER_NS,
    Dispatcher,
    End,
    JobDroppedError,
    LaneRules,
    ResourceRules,
)
from olympus.runtime.scheduler.trace import Event, read_trace

QUICK_NS = NS_PER_S
"""So long that only what is made slow is slower, however busy the machine."""
RUNS = 8


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(SystemClock())
    yield made
    made.close()


def learn(dispatcher: Dispatcher, runs: int = RUNS) -> None:
    """Run a model so often that it is known; here, so that no thread is there yet to take a job."""
    for _ in range(runs):
        dispatcher.call(lambda: None, what="eyes")


async def test_what_is_known_to_be_quick_runs_on_the_loops_own_thread(
    dispatcher: Dispatcher,
) -> None:
    me = threading.get_ident()
    learn(dispatcher)
    assert await dispatcher.run_quick(threading.get_ident, QUICK_NS, what="eyes") == me
    assert await dispatcher.run_quick(threading.get_ident, QUICK_NS, what="ears") != me
    assert await dispatcher.run_quick(threading.get_ident, 1, what="eyes") != me  # 1 ns
    assert await dispatcher.run(threading.get_ident, what="eyes") != me
    assert dispatcher.counts == {End.DONE: RUNS + 4}


@pytest.mark.parametrize(
    ("slow", "runs", "is_here"), [(1, RUNS - 1, True), (2, RUNS - 2, False), (2, RUNS - 1, True)]
)
async def test_two_slow_runs_send_a_model_to_the_threads_until_one_is_forgotten(
    dispatcher: Dispatcher, slow: int, runs: int, is_here: bool
) -> None:
    for _ in range(slow):
        dispatcher.call(lambda: time.sleep(1.1), what="eyes")
    learn(dispatcher, runs)
    thread = await dispatcher.run_quick(threading.get_ident, QUICK_NS, what="eyes")
    assert (thread == threading.get_ident()) is is_here


async def test_of_two_that_come_together_the_urgent_one_goes_first(dispatcher: Dispatcher) -> None:
    learn(dispatcher)
    ran: list[Tier] = []

    async def ask(tier: Tier) -> None:
        await dispatcher.run_quick(lambda: ran.append(tier), QUICK_NS, tier=tier, what="eyes")

    await asyncio.gather(ask(Tier.LOW), ask(Tier.HIGH))
    assert ran == [Tier.HIGH, Tier.LOW]


async def test_a_job_too_late_at_its_turn_is_not_run_on_the_loop_either(
    dispatcher: Dispatcher,
) -> None:
    learn(dispatcher)
    clock, ran = SystemClock(), []
    soon_ns = clock.now_ns() + 20_000_000
    asked = asyncio.create_task(
        dispatcher.run_quick(lambda: ran.append(1), QUICK_NS, what="eyes", deadline_ns=soon_ns)
    )
    asyncio.get_running_loop().call_soon(time.sleep, 0.05)  # before its turn, after it has come
    with pytest.raises(JobDroppedError) as caught:
        await asked
    assert (caught.value.end, ran) == (End.EXPIRED, [])


async def test_a_job_whose_caller_goes_before_its_turn_is_not_run(dispatcher: Dispatcher) -> None:
    learn(dispatcher)
    ran: list[int] = []
    asked = asyncio.create_task(dispatcher.run_quick(lambda: ran.append(1), QUICK_NS, what="eyes"))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait({asked})
    assert asked.cancelled()
    assert ran == []
    assert dispatcher.counts[End.CANCELLED] == 1


class Stuck:
    """A call that ends only when it is aborted."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self.thread = 0

    def __call__(self) -> None:
        self.thread = threading.get_ident()
        assert self._ended.wait(20)
        raise RuntimeError("terminated")

    def abort(self) -> None:
        self._ended.set()


async def test_a_late_job_is_stopped_on_the_loop_too_where_its_lane_says_so() -> None:
    lanes, clock = {Tier.NORMAL: LaneRules(aborts_late=True)}, SystemClock()
    dispatcher, stuck = Dispatcher(clock, resources=[ResourceRules(lanes=lanes)]), Stuck()
    learn(dispatcher)
    with pytest.raises(JobDroppedError, match="past its deadline") as caught:
        await dispatcher.run_quick(
            stuck, QUICK_NS, what="eyes", deadline_ns=clock.now_ns() + 300_000_000
        )
    assert (caught.value.end, stuck.thread) == (End.ABORTED, threading.get_ident())
    dispatcher.close()


@pytest.mark.parametrize("is_now", [True, False])
async def test_the_trace_tells_of_a_quick_job_as_of_any_other(tmp_path: Path, is_now: bool) -> None:
    dispatcher = Dispatcher(SystemClock(), trace_dir=tmp_path)
    learn(dispatcher)
    if is_now:
        passage = dispatcher.pass_now("eyes", QUICK_NS, Tier.HIGH, NEVER_NS, "camera")
        assert passage is not None
        passage.done()
        passage.leave()
    else:
        await dispatcher.run_quick(lambda: 1, QUICK_NS, what="eyes", source="camera")
    dispatcher.close()
    *_, arrived, started, done = read_trace(tmp_path / "cpu.trace").records
    assert [one.event for one in (arrived, started, done)] == [
        Event.ARRIVED,
        Event.STARTED,
        Event.DONE,
    ]
    assert {one.job for one in (arrived, started, done)} == {RUNS + 1}


async def test_a_text_makes_way_for_a_quick_job_which_runs_on_the_texts_thread(
    dispatcher: Dispatcher,
) -> None:
    learn(dispatcher)
    is_over = threading.Event()

    class Text:
        def step(self) -> bool:
            time.sleep(0.001)
            return not is_over.is_set()

        def result(self) -> str:
            return "end"

        def close(self) -> None:
            """There is nothing to free."""

    writing = asyncio.create_task(dispatcher.run(Text(), tier=Tier.LOW))
    while not dispatcher.running():
        await asyncio.sleep(0)
    thread = await dispatcher.run_quick(
        threading.get_ident, QUICK_NS, tier=Tier.CRITICAL, what="eyes"
    )
    assert thread != threading.get_ident()
    assert not writing.done()
    is_over.set()
    assert await writing == "end"
