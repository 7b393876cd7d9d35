import asyncio
import threading
import time

import pytest

from olympus.runtime.clock import SystemClock, VirtualClock, run_virtual


def test_robot_time_looks_like_unix_time_and_is_shared_by_an_offset() -> None:
    first = SystemClock()
    second = SystemClock(first.offset_ns)
    assert abs(first.now_ns() - time.time_ns()) < 5_000_000_000
    before, after = first.now_ns(), second.now_ns()
    assert before <= after


def test_an_hour_of_virtual_time_takes_no_time() -> None:
    clock = VirtualClock(0)
    began = time.monotonic()
    run_virtual(asyncio.sleep(3600), clock)
    assert 3600e9 <= clock.now_ns() < 3600.001e9
    assert time.monotonic() - began < 5


def test_sleepers_wake_in_order_of_time_in_every_run() -> None:
    def once() -> list[tuple[int, int]]:
        clock, seen = VirtualClock(0), []

        async def sleeper(number: int, seconds: float) -> None:
            for _ in range(5):
                await clock.sleep(seconds)
                seen.append((number, clock.now_ns() // 1_000_000))

        async def main() -> None:
            await asyncio.gather(*(sleeper(n, 0.1 + 0.037 * n) for n in range(6)))

        run_virtual(main(), clock)
        return seen

    first = once()
    assert [ms for _, ms in first] == sorted(ms for _, ms in first)
    assert all(once() == first for _ in range(5))


def test_a_thread_that_is_at_work_at_the_end_is_waited_for_in_real_time() -> None:
    clock, done = VirtualClock(0), threading.Event()

    def work() -> None:
        time.sleep(0.05)
        done.set()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)

    run_virtual(main(), clock)
    assert done.is_set()
    assert clock.now_ns() == 0


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        VirtualClock().advance(-1)
