"""Robot time: one steady clock that a whole session agrees on.

Robot time counts nanoseconds and looks like Unix time, but never steps: it is CLOCK_MONOTONIC plus
one offset that the launcher fixes when a session starts and hands to every process. So the age of a
message is right even when NTP sets the wall clock meanwhile.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Where a node's time comes from."""

    def now_ns(self) -> int:
        """Return robot time in nanoseconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of robot time."""


def wall_offset_ns() -> int:
    """Return what must be added to CLOCK_MONOTONIC to get Unix time, in ns, as of now."""
    return time.time_ns() - time.monotonic_ns()


class SystemClock:
    """Robot time of a running session."""

    def __init__(self, offset_ns: int | None = None) -> None:
        self.offset_ns = wall_offset_ns() if offset_ns is None else offset_ns

    def now_ns(self) -> int:
        """Return robot time in nanoseconds."""
        return time.monotonic_ns() + self.offset_ns

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of robot time."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that stands still until nobody has anything left to do now.

    It is the clock of a `VirtualLoop`: every `asyncio.sleep` there ends after exactly its virtual
    time, at once in real time, and in the same order in every run.
    """

    def __init__(self, start_ns: int = 1_000_000 * NS_PER_S) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return virtual time in nanoseconds."""
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of virtual time."""
        await asyncio.sleep(seconds)

    def advance(self, nanoseconds: int) -> None:
        """Move time forward.

        Args:
            nanoseconds: How far, not negative.

        Raises:
            ValueError: `nanoseconds` is negative; time does not run backwards here.
        """
        if nanoseconds < 0:
            raise ValueError(f"nanoseconds={nanoseconds}: time can't run backwards; give 0 or more")
        self._now_ns += nanoseconds


class _LeapingSelector(selectors.DefaultSelector):
    """A selector that, instead of waiting for a timer, moves the clock to it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            # Rounded up, so that the timer that is waited for is due afterwards.
            self._clock.advance(int(timeout * NS_PER_S) + 1)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which time is virtual: idle time costs nothing."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_LeapingSelector(clock))
        self.clock = clock
        # From zero: a float can't tell nanoseconds of Unix time apart, and a timer that is due
        # "now" but not before the end of now would never fire.
        self._origin_ns = clock.now_ns()

    def time(self) -> float:
        """Return virtual time in seconds, as timers of this loop count it."""
        return (self.clock.now_ns() - self._origin_ns) / NS_PER_S

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads that are still at work, however long they take.

        Args:
            timeout: Left aside. `asyncio.Runner` gives 300 s since Python 3.12; in virtual time
                they are over at once, and a thread works in real time.
        """
        await super().shutdown_default_executor()


def run_virtual(main: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """Run a coroutine to its end in virtual time.

    Args:
        main: What to run.
        clock: The clock that `main` and its nodes use.

    Returns:
        What `main` returns.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
