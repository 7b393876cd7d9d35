"""Who waits for the outcome of a job: an event loop, or a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from olympus.runtime.scheduler.job import End
from olympus.runtime.scheduler.ticket import OnNews, Outcome

T = TypeVar("T")


class Waiter(Generic[T]):
    """Hands outcome and news of a job to the event loop it was made in."""

    def __init__(self, on_news: OnNews | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self._on_news, self._me = on_news, threading.get_ident()

    def deliver(self, outcome: Outcome) -> None:
        """Give the outcome; from any thread."""
        if threading.get_ident() == self._me:
            _settle(self.future, outcome)
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                self.loop.call_soon_threadsafe(_settle, self.future, outcome)

    def call_soon(self, act: Callable[[], None]) -> None:
        """Have the loop call something soon, unless whoever waits has gone by then."""
        self.loop.call_soon(self._call_if_wanted, act)

    def _call_if_wanted(self, act: Callable[[], None]) -> None:
        if not self.future.done():
            act()

    def tell(self, news: object) -> None:
        """Give news; from any thread."""
        if self._on_news is not None:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._on_news, news)


class Latch:
    """Hands one outcome from one thread to another, or to itself."""

    __slots__ = ("_is_there", "_outcome")

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._is_there = threading.Lock()
        self._is_there.acquire()

    def put(self, outcome: Outcome) -> None:
        """Give the outcome; once."""
        self._outcome = outcome
        self._is_there.release()

    def take(self) -> Outcome:
        """Wait for the outcome; once."""
        self._is_there.acquire()
        return self._outcome or _LOST


_LOST = Outcome(End.CANCELLED)


def _settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if outcome.end is End.CANCELLED:
        future.cancel()
    elif outcome.error is not None:
        future.set_exception(outcome.error)
    else:
        future.set_result(outcome.value)
