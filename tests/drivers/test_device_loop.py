import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from olympus.drivers.backoff import Backoff
from olympus.drivers.base import Device
from olympus.drivers.device_loop import DeviceLoop, DeviceState
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError


class Counter(Device):
    """Counts up as fast as it is let, and fails when it is told to."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.failure: BaseException | None = None
        self.refuses = 0
        self.count = 0
        self.opened = 0
        self.is_open = False
        self.threads: set[str] = set()

    def open(self) -> None:
        self.threads.add(threading.current_thread().name)
        if self.refuses:
            self.refuses -= 1
            raise DeviceError("not plugged in")
        self.opened += 1
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def let(self, count: int = 1) -> None:
        self.allowed.release(count)

    def fail(self, error: BaseException) -> None:
        self.failure = error
        self.let()

    def next(self) -> int:
        if not self.allowed.acquire(timeout=0.2):
            raise StallError("silent")
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self.count += 1
        return self.count


class Case:
    def __init__(self, device: Counter, depth: int) -> None:
        self.device = device
        self.items: list[int] = []
        self.told: list[tuple[DeviceState, str]] = []
        self.loop = DeviceLoop[Counter, int](
            device,
            read=lambda counter: counter.next(),
            deliver=self.items.append,
            on_change=lambda state, text: self.told.append((state, text)),
            backoff=Backoff(0.01, 0.04),
            depth=depth,
        )

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.loop.counts.delivered < count:
                await asyncio.sleep(0.002)

    async def until_told(self, state: DeviceState) -> str:
        async with asyncio.timeout(20):
            while not any(said is state for said, _ in self.told):
                await asyncio.sleep(0.002)
        return next(text for said, text in self.told if said is state)


@asynccontextmanager
async def looping(device: Counter, depth: int = 1) -> AsyncIterator[Case]:
    case = Case(device, depth)
    task = asyncio.create_task(case.loop.run())
    try:
        yield case
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_items_arrive_in_the_event_loop_and_the_thread_keeps_the_device() -> None:
    device = Counter()
    async with looping(device, depth=10) as case:
        device.let(3)
        await case.until(3)
        assert case.items == [1, 2, 3]
        assert device.is_open
        assert case.told == [(DeviceState.OK, "delivers")]
    assert not device.is_open
    assert device.threads == {"device"}


def hold_loop_until(condition: Callable[[], bool]) -> None:
    """Keep the event loop busy, on purpose, until the device's thread has done its part."""
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


async def test_while_the_loop_is_busy_the_latest_wins() -> None:
    device = Counter()
    async with looping(device) as case:
        device.let()
        await case.until(1)
        device.let(5)
        hold_loop_until(lambda: case.loop.counts.superseded == 4)
        await case.until(2)
        assert case.items == [1, 6]


async def test_sound_waits_up_to_its_depth() -> None:
    device = Counter()
    async with looping(device, depth=3) as case:
        device.let()
        await case.until(1)
        device.let(5)
        hold_loop_until(lambda: case.loop.counts.superseded == 2)
        await case.until(4)
        assert case.items == [1, 4, 5, 6]


async def test_a_device_that_comes_late_is_opened_when_it_is_there() -> None:
    device = Counter()
    device.refuses = 4
    async with looping(device) as case:
        device.let()
        await case.until(1)
        assert case.loop.counts.failures == 4
    waits = [text.rsplit("next try in ")[-1] for _, text in case.told[:4]]
    assert waits == ["0.01 s", "0.02 s", "0.04 s", "0.04 s"]


async def test_a_stalled_device_is_told_and_opened_again() -> None:
    device = Counter()
    async with looping(device) as case:
        device.let()
        await case.until(1)
        assert "silent; next try in 0.01 s" in await case.until_told(DeviceState.STALE)
        device.let()
        await case.until(2)
        assert case.loop.counts.stalls >= 1
        assert device.opened >= 2
        assert case.told[-1] == (DeviceState.OK, "delivers")


async def test_the_end_of_a_recording_is_no_failure_and_a_swap_goes_on() -> None:
    first, second = Counter(), Counter()
    async with looping(first) as case:
        first.fail(EndOfStream("it is over"))
        assert await case.until_told(DeviceState.STALE) == "it is over"
        assert case.loop.counts.failures == 0
        second.let()
        case.loop.swap(second)
        await case.until(1)
        assert second.is_open
        assert not first.is_open
        assert case.loop.device is second


async def test_a_working_device_is_swapped_at_its_next_item() -> None:
    first, second = Counter(), Counter()
    async with looping(first) as case:
        first.let()
        await case.until(1)
        case.loop.swap(second)
        second.let()
        await case.until(2)
        assert not first.is_open


async def test_a_bug_leaves_the_loop() -> None:
    device = Counter()
    device.fail(ZeroDivisionError("a bug"))
    case = Case(device, 1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(case.loop.run(), 20)
    assert not device.is_open


@pytest.mark.parametrize("failure", [StopIteration(), SystemExit("no device for me")])
async def test_what_no_future_can_carry_leaves_the_loop_too(failure: BaseException) -> None:
    """A thread that ended without a word would leave who waits for it waiting for ever."""
    device = Counter()
    device.fail(failure)
    case = Case(device, 1)
    with pytest.raises(RuntimeError, match=f"the device's thread ended: {type(failure).__name__}"):
        await asyncio.wait_for(case.loop.run(), 20)
    assert not device.is_open


async def test_it_can_run_again() -> None:
    device = Counter()
    async with looping(device) as case:
        device.let()
        await case.until(1)
    task = asyncio.create_task(case.loop.run())
    device.let()
    await case.until(2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert device.opened == 2


def test_waits_start_over_after_a_success() -> None:
    backoff = Backoff(1, 5)
    assert [backoff.next_s() for _ in range(4)] == [1, 2, 4, 5]
    backoff.reset()
    assert backoff.next_s() == 1
    with pytest.raises(ConfigError, match="first_s"):
        Backoff(2, 1)
