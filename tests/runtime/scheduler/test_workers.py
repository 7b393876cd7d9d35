from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual
from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    Dispatcher,
    End,
    JobDroppedError,
    LaneRules,
    Pace,
    Profile,
    ResourceRules,
)
from olympus.runtime.scheduler.trace import Event, read_trace

SOON_S = 20.0


class Talk:
    """Stepped work that says one letter a step; each step waits to be let."""

    def __init__(self, text: str, *, is_held: bool = False) -> None:
        self.said = ""
        self.closed = 0
        self.at_step = threading.Semaphore(0)
        self._text, self._go = text, threading.Semaphore(0)
        self._is_held = is_held

    def let(self, steps: int = 1) -> None:
        self._go.release(steps)

    def step(self) -> bool:
        self.at_step.release()
        if self._is_held:
            assert self._go.acquire(timeout=SOON_S)
        self.said += self._text[len(self.said)]
        return len(self.said) < len(self._text)

    def news(self) -> str:
        return self.said[-1]

    def result(self) -> str:
        return self.said

    def close(self) -> None:
        self.closed += 1


class Stuck:
    """A call that ends only when it is aborted."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def __call__(self) -> None:
        if self._ended.wait(SOON_S):
            raise RuntimeError("terminated")

    def abort(self) -> None:
        self._ended.set()


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(SystemClock())
    yield made
    made.close()


async def reached(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=SOON_S)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_job_in_steps_makes_way_and_goes_on_where_it_was(dispatcher: Dispatcher) -> None:
    talk = Talk("hello", is_held=True)
    told: list[str] = []
    saying = asyncio.create_task(
        dispatcher.run(talk, tier=Tier.LOW, on_news=lambda letter: told.append(str(letter)))
    )
    await reached(talk.at_step)
    looking = asyncio.create_task(
        dispatcher.run(lambda: talk.said, tier=Tier.CRITICAL, source="camera")
    )
    await asyncio.sleep(0)
    talk.let()
    assert await looking == "h"  # it ran after the step that was under way, and no later
    talk.let(4)
    assert await saying == "hello"
    await asyncio.sleep(0)
    assert told == list("hello")
    assert talk.closed == 0
    lanes = {lane.tier: lane for lane in dispatcher.lanes()["cpu"]}
    assert lanes[Tier.LOW].preempted == 1


async def test_a_caller_that_goes_away_ends_its_job_after_the_present_step(
    dispatcher: Dispatcher,
) -> None:
    talk = Talk("hello", is_held=True)
    saying = asyncio.create_task(dispatcher.run(talk))
    await reached(talk.at_step)
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)
    talk.let()
    assert await dispatcher.run(lambda: talk.said) == "h"
    assert talk.closed == 1
    assert dispatcher.counts[End.CANCELLED] == 1


async def test_a_late_job_is_stopped_where_its_lane_says_so() -> None:
    clock = SystemClock()
    lane = LaneRules(aborts_late=True)
    dispatcher = Dispatcher(clock, resources=[ResourceRules(lanes={Tier.NORMAL: lane})])
    with pytest.raises(JobDroppedError, match="as its lane says") as caught:
        await dispatcher.run(Stuck(), deadline_ns=clock.now_ns() + 500_000_000)
    assert caught.value.end is End.ABORTED
    assert await dispatcher.run(lambda: 42) == 42
    dispatcher.close()


async def test_a_late_job_is_let_finish_where_its_lane_does_not_say_so(
    dispatcher: Dispatcher,
) -> None:
    clock = SystemClock()
    deadline_ns = clock.now_ns() + 1_000_000_000  # so long that it begins before, on any machine

    def work() -> int:
        while clock.now_ns() <= deadline_ns:
            time.sleep(0.01)
        return 42

    assert await dispatcher.run(work, deadline_ns=deadline_ns) == 42
    assert dispatcher.counts == {End.LATE: 1}


def test_a_thread_that_may_wait_runs_the_job_itself(dispatcher: Dispatcher) -> None:
    assert dispatcher.call(threading.get_ident) == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        dispatcher.call(lambda: 1 / 0)
    assert dispatcher.counts == {End.DONE: 1, End.FAILED: 1}


def test_callers_on_many_threads_get_each_their_own_answer(dispatcher: Dispatcher) -> None:
    answers: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        answers[number] = [dispatcher.call(lambda i=i: (number, i)[1]) for i in range(50)]  # type: ignore[misc]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert answers == {number: list(range(50)) for number in range(8)}
    assert dispatcher.counts == {End.DONE: 400}


async def test_two_workers_run_two_jobs_at_once() -> None:
    dispatcher = Dispatcher(SystemClock(), resources=[ResourceRules(workers=2)])
    both = threading.Barrier(2)
    await asyncio.gather(*(dispatcher.run(lambda: both.wait(SOON_S)) for _ in range(2)))
    dispatcher.close()


async def test_resources_do_not_wait_for_each_other() -> None:
    dispatcher = Dispatcher(
        SystemClock(), resources=[ResourceRules(name="cpu"), ResourceRules(name="npu")]
    )
    gate = threading.Event()
    held = asyncio.create_task(dispatcher.run(lambda: gate.wait(SOON_S)))
    await until(lambda: len(dispatcher.running()) == 1)
    assert await dispatcher.run(lambda: 42, resource="npu") == 42
    with pytest.raises(ConfigError, match="did you mean 'npu'"):
        await dispatcher.run(lambda: 42, resource="nqu")
    gate.set()
    await held
    dispatcher.close()


async def test_what_waits_when_the_host_ends_is_told_so(tmp_path: Path) -> None:
    dispatcher, gate = Dispatcher(SystemClock(), trace_dir=tmp_path), threading.Event()
    running = asyncio.create_task(dispatcher.run(lambda: gate.wait(SOON_S)))
    await until(lambda: len(dispatcher.running()) == 1)
    waiting = asyncio.create_task(dispatcher.run(lambda: 1))
    await asyncio.sleep(0)
    dispatcher.close()
    gate.set()
    ended = await asyncio.gather(running, waiting, return_exceptions=True)
    assert ended[0] is True
    assert isinstance(ended[1], asyncio.CancelledError)
    with pytest.raises(JobDroppedError, match="the host is ending"):
        await dispatcher.run(lambda: 1)
    file = tmp_path / "cpu.trace"
    await until(lambda: len(read_trace(file).records) == 5)
    events = [record.event for record in read_trace(file).records]
    assert sorted(events) == [
        Event.ARRIVED,
        Event.ARRIVED,
        Event.STARTED,
        Event.DONE,
        Event.CANCELLED,
    ]


PROFILE = Profile(board="test", n=100, p50_ns=2_000_000, p99_ns=5_000_000, worst_ns=9_000_000)


def virtual_story(seed: int) -> tuple[str, int, list[str]]:
    """Run a talk and a camera in virtual time; return trace, time and the order of ends."""
    clock, order = VirtualClock(), list[str]()
    dispatcher = Dispatcher(clock, pace=Pace.SEEDED, seed=seed)

    async def camera() -> None:
        for i in range(5):
            await dispatcher.run(lambda: None, tier=Tier.CRITICAL, source="camera", profile=PROFILE)
            order.append(f"look {i}")
            await clock.sleep(0.003)

    async def story() -> None:
        looks = asyncio.create_task(camera())
        order.append(await dispatcher.run(Talk("hello"), tier=Tier.LOW, profile=PROFILE))
        await looks
        dispatcher.close()

    began_ns = clock.now_ns()
    run_virtual(story(), clock)
    return dispatcher.digests()["cpu"], clock.now_ns() - began_ns, order


def test_in_virtual_time_jobs_last_what_their_profile_says_and_two_runs_are_the_same() -> None:
    stories = [virtual_story(seed) for seed in (1, 1, 2)]
    assert stories[0] == stories[1]
    assert stories[0][0] != stories[2][0]
    assert stories[0][1] >= 10 * PROFILE.p50_ns
    assert stories[0][2][0] == "look 0"
