"""The tasks of a node that runs again, and when what they do next is for the journal to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
SOON_S = 1e-6
"""A wait that is over, in virtual time, when the loop has nothing else to do; longer than what an
event loop takes for now, a nanosecond."""
_LONG_S = 60.0
"""A wait, in virtual time, within which whoever has a timer of its own in the loop goes on."""


class Threads(ThreadPoolExecutor):
    """The threads of an event loop, which knows of each piece of work until it has its result."""

    def __init__(self) -> None:
        """Have none yet; to be set as the default executor of a loop."""
        super().__init__(thread_name_prefix="replay")
        self.at_work = 0
        self.news = asyncio.Event()
        """Set when some work has ended."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread do some work; called by the loop."""
        loop, future = asyncio.get_running_loop(), super().submit(fn, *args, **kwargs)
        self.at_work += 1

        def ended(_: Future[T]) -> None:
            loop.call_soon_threadsafe(self._end)

        # Only then: the loop is to have the result first, and its callback is yet to be added.
        loop.call_soon(future.add_done_callback, ended)
        return future

    def _end(self) -> None:
        self.at_work -= 1
        self.news.set()


class Turns:
    """Lets a node's tasks run, in virtual time, until they wait for what only the journal tells."""

    def __init__(
        self, threads: Threads, failed: Callable[[Exception], None], alone: Callable[[], None]
    ) -> None:
        """Have no task yet.

        Args:
            threads: Those of the loop.
            failed: Told what ended a task.
            alone: Told that one waits for what neither a thread nor the journal ends.
        """
        self._threads, self._failed, self._alone = threads, failed, alone
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = 0

    def begins(self) -> None:
        """Take notice that something was begun whose end is in the journal."""
        self._begun += 1
        self._threads.news.set()

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work run until it is done, or waits for the journal."""
        begun, news = self._begun, self._threads.news
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: news.set())
        self._tasks.add(task)
        await self._let_run()
        while not task.done() and self._begun == begun:
            news.clear()
            try:
                async with asyncio.timeout(None if self._threads.at_work else _LONG_S):
                    await news.wait()
            except TimeoutError:
                self._alone()
                break
            await self._let_run()
        self._reap()

    async def go_on(self) -> None:
        """Let what was woken run until it waits again."""
        await self._let_run()
        self._reap()

    async def close(self) -> None:
        """End all tasks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _let_run(self) -> None:
        await asyncio.sleep(SOON_S)

    def _reap(self) -> None:
        for task in [one for one in self._tasks if one.done()]:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                if not isinstance(error, Exception):
                    raise error
                self._failed(error)
