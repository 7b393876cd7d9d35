"""Jobs that begin as they come, on the thread that asks: a `Passage` in place of a ticket."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
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
CALLS = 300


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(SystemClock())
    yield made
    made.close()


def learn(dispatcher: Dispatcher) -> None:
    """Run a model so often that it is known."""
    for _ in range(RUNS):
        dispatcher.call(lambda: None, what="eyes")


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
        assert passing.begin(job, number % 3)
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


def test_what_began_is_told_before_all_that_comes_later() -> None:
    """Although it is written down with that: whoever asked has its answer first."""
    rules = ResourceRules(workers=2)
    passing, waiting = (Queue(rules, Trace(rules, 0)) for _ in range(2))
    first, second = (Job(n, Tier.HIGH, NEVER_NS, f"node{n}", "eyes", 10 * n) for n in (1, 2))
    third = Job(3, Tier.LOW, NEVER_NS, "node1", "ears", 25)
    assert passing.begin(first, 0)
    waiting.arrive(first)
    waiting.next(0, 10)
    for queue in (passing, waiting):
        assert queue.arrive(second) == () and queue.next(1, 21).job is second
        assert queue.arrive(third) == ()
        assert not queue.begin(first, 0)  # something waits: it has to be decided who runs
        queue.trace.charged(Tier.HIGH, 2, 26)
        queue.end(0, End.DONE, 27)
    assert passing.trace.digest() == waiting.trace.digest()


def call_all(dispatcher: Dispatcher, seed: int) -> None:
    """Call this and that from a thread."""
    draw = random.Random(seed)
    for _ in range(CALLS):
        what, tier = draw.choice(["eyes", "ears"]), draw.choice(list(Tier))
        dispatcher.call(lambda: None, what=what, tier=tier, source=f"thread {seed}")


async def ask_all(dispatcher: Dispatcher) -> None:
    """Begin jobs as they come, from a loop, or have them wait where that is not possible."""
    draw = random.Random(7)
    for _ in range(CALLS):
        if (passage := pass_now(dispatcher)) is None:
            await dispatcher.run_quick(lambda: None, QUICK_NS, what="eyes", source="loop")
            continue
        if draw.random() < 0.5:
            passage.done()
        if draw.random() < 0.2:
            await asyncio.sleep(0)  # so that the threads find the place taken
        passage.leave()


def test_whoever_begins_waits_or_leaves_at_whatever_moment_each_job_is_told_of_once(
    tmp_path: Path,
) -> None:
    dispatcher = Dispatcher(SystemClock(), trace_dir=tmp_path)
    learn(dispatcher)
    threads = [threading.Thread(target=call_all, args=(dispatcher, seed)) for seed in range(3)]
    for thread in threads:
        thread.start()
    asyncio.run(ask_all(dispatcher))
    for thread in threads:
        thread.join()
    dispatcher.close()
    records = read_trace(tmp_path / "cpu.trace").records
    assert [one.time_ns for one in records] == sorted(one.time_ns for one in records)
    stages: dict[int, list[Event]] = {}
    for one in records:
        stages.setdefault(one.job, []).append(one.event)
    assert len(stages) == RUNS + 4 * CALLS
    begun = [Event.ARRIVED, Event.STARTED]
    assert {tuple(told) for told in stages.values()} <= {
        (*begun, Event.DONE),
        (*begun, Event.FAILED),
    }
    ends = Counter(told[-1].name for told in stages.values())
    assert {end.name: count for end, count in dispatcher.counts.items()} == ends
