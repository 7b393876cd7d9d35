"""Jobs that may run on the event loop's own thread because they are known to be quick."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.clock import NS_PER_S, SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    NEVER_NS,
    Dispatcher,
    End,
    Job,
    JobDroppedError,
    LaneRules,
    ResourceRules,
)
from olympus.runtime.scheduler.passage import Passage
from olympus.runtime.scheduler.queue import Queue
from olympus.runtime.scheduler.trace import Event, Trace, read_trace
from olympus.runtime.scheduler.workers import Workers

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


def pass_now(
    dispatcher: Dispatcher, what: str = "eyes", quick_ns: int = QUICK_NS, until_ns: int = NEVER_NS
) -> Passage | None:
    return dispatcher.pass_now(what, quick_ns, Tier.HIGH, until_ns, "camera")


def test_who_has_nothing_else_to_do_runs_what_is_quick_here_and_now(dispatcher: Dispatcher) -> None:
    assert pass_now(dispatcher) is None  # nobody knows yet how long it takes
    learn(dispatcher)
    for name, quick_ns in (("ears", QUICK_NS), ("eyes", 1)):
        assert pass_now(dispatcher, name, quick_ns) is None
    passage = pass_now(dispatcher)
    assert passage is not None
    ((job, begun_ns),) = dispatcher.running()
    assert (job.what, job.source, job.arrived_ns) == ("eyes", "camera", begun_ns)
    passage.done()
    assert dispatcher.running()  # its end is put down when it leaves
    passage.leave()
    assert not dispatcher.running()
    failed = pass_now(dispatcher)
    assert failed is not None
    failed.leave()
    assert dispatcher.counts == {End.DONE: RUNS + 1, End.FAILED: 1}


class SetClock:
    """Real time's workers, and a clock that a test sets."""

    time_ns = 1_000

    def now_ns(self) -> int:
        return self.time_ns

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError(f"nobody sleeps {seconds} s here")


@pytest.mark.parametrize(("until_ns", "end"), [(1_040, End.DONE), (1_039, End.LATE)])
def test_a_job_took_as_long_as_until_it_was_done_whenever_that_is_put_down(
    until_ns: int, end: End
) -> None:
    clock = SetClock()
    dispatcher = Dispatcher(clock)
    learn(dispatcher)
    passage = pass_now(dispatcher, until_ns=until_ns)
    assert passage is not None
    clock.time_ns += 40
    passage.done()
    clock.time_ns += 500
    passage.leave()
    (lane,) = (one for one in dispatcher.lanes()["cpu"] if one.tier is Tier.HIGH)
    assert (lane.ran_ns, lane.ends) == (40, {end: 1})
    dispatcher.close()


def test_the_trace_never_goes_back_in_time_and_who_was_in_time_stays_so(tmp_path: Path) -> None:
    clock = SetClock()
    rules = ResourceRules(workers=2)
    workers = Workers(Queue(rules, Trace(rules, 0, tmp_path / "cpu.trace")), clock)
    first, second = (workers.pass_now("eyes", NEVER_NS, Tier.HIGH, 1_039, "me") for _ in range(2))
    assert first is not None and second is not None
    first.done()
    clock.time_ns += 40
    second.done()
    second.leave()
    first.leave()
    workers.close()
    records = read_trace(tmp_path / "cpu.trace").records
    assert [one.time_ns for one in records] == [1_000] * 4 + [1_040] * 2
    assert [one.event for one in records[4:]] == [Event.LATE, Event.DONE]


def test_a_job_that_came_too_late_does_not_begin_here_and_now(dispatcher: Dispatcher) -> None:
    learn(dispatcher)
    late_ns = SystemClock().now_ns() - 1
    assert pass_now(dispatcher, until_ns=late_ns) is None
    assert dispatcher.counts == {End.DONE: RUNS}
    with pytest.raises(JobDroppedError, match="past its deadline"):
        dispatcher.call(lambda: 1, what="eyes", deadline_ns=late_ns)
    assert dispatcher.counts == {End.DONE: RUNS, End.EXPIRED: 1}


def test_while_another_job_runs_nothing_begins_here_and_now(dispatcher: Dispatcher) -> None:
    learn(dispatcher)
    has_begun, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        has_begun.set()
        assert may_end.wait(20)

    other = threading.Thread(target=partial(dispatcher.call, hold))
    other.start()
    assert has_begun.wait(20)
    assert pass_now(dispatcher) is None
    may_end.set()
    other.join()
    assert dispatcher.counts == {End.DONE: RUNS + 1}
    passage = pass_now(dispatcher)
    assert passage is not None
    passage.done()
    passage.leave()


async def test_a_job_that_comes_meanwhile_waits_until_who_passes_has_left(
    dispatcher: Dispatcher,
) -> None:
    learn(dispatcher)
    passage = pass_now(dispatcher)
    assert passage is not None
    asked = asyncio.create_task(dispatcher.run(lambda: "after", what="ears"))
    while not any(lane.waiting for lane in dispatcher.lanes()["cpu"]):
        await asyncio.sleep(0)
    assert pass_now(dispatcher) is None
    passage.done()
    passage.leave()
    assert await asked == "after"


def test_where_tiers_have_budgets_nothing_begins_here_and_now() -> None:
    lanes = {Tier.LOW: LaneRules(limit=0.5)}
    dispatcher = Dispatcher(SystemClock(), resources=[ResourceRules(lanes=lanes)])
    learn(dispatcher)
    assert pass_now(dispatcher) is None
    dispatcher.close()


def test_where_a_late_job_is_to_be_stopped_only_one_without_a_deadline_begins_so() -> None:
    lanes = {Tier.HIGH: LaneRules(aborts_late=True)}
    dispatcher = Dispatcher(SystemClock(), resources=[ResourceRules(lanes=lanes)])
    learn(dispatcher)
    assert pass_now(dispatcher, until_ns=SystemClock().now_ns() + 10**10) is None
    passage = pass_now(dispatcher)
    assert passage is not None
    passage.leave()
    dispatcher.close()


def test_a_host_that_ends_begins_nothing_here_and_now(dispatcher: Dispatcher) -> None:
    learn(dispatcher)
    dispatcher.close()
    assert pass_now(dispatcher) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(Tier), st.integers(0, 3), st.integers(0, 9), st.booleans()),
        max_size=20,
    )
)
def test_a_job_that_begins_as_it_comes_is_told_and_counted_like_one_that_waits(
    jobs: list[tuple[Tier, int, int, bool]],
) -> None:
    rules = ResourceRules(workers=3)
    both = [Queue(rules, Trace(rules, 0)) for _ in range(2)]
    now_ns = 0
    for number, (tier, text, passed_ns, is_done) in enumerate(jobs, 1):
        now_ns += passed_ns
        deadline_ns = NEVER_NS if text else now_ns + text
        job = Job(number, tier, deadline_ns, f"node{text}", f"model{text % 2}", now_ns)
        passing, waiting = both
        passing.begin(job, number % 3)
        assert waiting.arrive(job) == ()
        assert waiting.next(number % 3, now_ns).job is job
        now_ns += passed_ns
        end = End.DONE if is_done else End.FAILED
        passing.finish(number % 3, end, passed_ns, now_ns)
        waiting.charge(tier, passed_ns, now_ns)
        waiting.end(number % 3, end, now_ns)
        assert passing.counts.lanes((), now_ns) == waiting.counts.lanes((), now_ns)
    assert both[0].trace.digest() == both[1].trace.digest()
    assert all(queue.is_idle for queue in both)


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
        passage = pass_now(dispatcher)
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
