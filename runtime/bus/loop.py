"""An event loop in which what a bus brings is taken in from within its selector.

A turn of it, and what it does for each future that ends, are asyncio's own with fewer calls: a
message that comes while all else rests finds the caches cold, and each function that it goes
through costs more than what is done there. All else is asyncio's.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVarTuple

from olympus.runtime.bus.selector import Act, HasFileno, PromptSelector
from olympus.runtime.quick import quick

Ts = TypeVarTuple("Ts")
_LONGEST_S = 24 * 3600.0
"""How long a turn waits at most, as asyncio's."""
_MANY_TIMERS = 100
"""With more of them asyncio looks whether most were cancelled, and then throws those away."""
_OF_A_HANDLE = "_callback", "_args", "_cancelled", "_loop", "_source_traceback", "_repr", "_context"
_PLAIN = asyncio.Handle, asyncio.TimerHandle
"""Of others it is not known what there is to running them."""


def _make_handles() -> Callable[..., asyncio.Handle] | None:
    """Return what makes a handle of values for `_OF_A_HANDLE`; None where asyncio's own has to."""
    if quick is None or {*asyncio.Handle.__slots__} != {*_OF_A_HANDLE, "__weakref__"}:
        return None
    made: Callable[..., asyncio.Handle] = quick.Maker(asyncio.Handle, _OF_A_HANDLE)
    return made


_make_handle = _make_handles()


class BusLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with a `PromptSelector`."""

    if TYPE_CHECKING:  # of asyncio's own
        _closed: bool
        _debug: bool
        _stopping: bool
        _clock_resolution: float
        _ready: deque[Any]
        _scheduled: list[Any]
        _process_events: Callable[[list[tuple[selectors.SelectorKey, int]]], None]

    def __init__(self, *, spin_s: float = 0.0) -> None:
        """Make it; `spin_s` as for `PromptSelector`."""
        self._prompt = PromptSelector(spin_s=spin_s)
        super().__init__(self._prompt)
        # What asyncio's own does, which is asked several times a turn, without a frame of its own.
        self.time = time.monotonic  # type: ignore[method-assign]
        # The same: each future, timer and callback of asyncio asks it.
        self.get_debug = partial(getattr, self, "_debug")  # type: ignore[method-assign]

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Do what asyncio's own does, in fewer frames: every future that ends asks for it.

        Raises:
            RuntimeError: The loop is closed; in debug mode, that another thread asks.
        """
        if self._closed or self._debug:
            return super().call_soon(callback, *args, context=context)
        if context is None:
            context = copy_context()
        handle = (
            asyncio.Handle(callback, args, self, context)
            if _make_handle is None
            else _make_handle(callback, args, False, self, None, None, context)
        )
        self._ready.append(handle)
        return handle

    def _run_once(self) -> None:
        """Take one turn, as asyncio's own does: wait for what comes, and call all that is due.

        It is asyncio's own where that debugs, or has timers to throw away that were cancelled.
        """
        ready, timers = self._ready, self._scheduled
        if self._debug or len(timers) > _MANY_TIMERS or (timers and timers[0]._cancelled):
            return super()._run_once()  # type: ignore[misc, no-any-return]
        if events := self._prompt.select(0.0 if ready or self._stopping else self._rest_s()):
            self._process_events(events)
        if timers and timers[0]._when < time.monotonic() + self._clock_resolution:
            self._take_due_timers()
        # What these have called is for the next turn. Other threads may add to them meanwhile.
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            try:
                if type(handle) in _PLAIN:
                    handle._context.run(handle._callback, *handle._args)
                else:
                    handle._run()
            except BaseException as error:  # noqa: BLE001  as asyncio does
                self._tell_of(handle, error)

    def _rest_s(self) -> float | None:
        """Return how long to wait at most, s; None for as long as nothing comes."""
        if not self._scheduled:
            return None
        return float(min(max(0.0, self._scheduled[0]._when - time.monotonic()), _LONGEST_S))

    def _take_due_timers(self) -> None:
        timers, end_s = self._scheduled, time.monotonic() + self._clock_resolution
        while timers and timers[0]._when < end_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            self._ready.append(timer)

    def _tell_of(self, handle: asyncio.Handle, error: BaseException) -> None:
        """Tell of what a callback has raised."""
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        self.call_exception_handler(
            {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        )

    def set_prompt_reader(self, descriptor: int, act: Act | None) -> None:
        """Call `act` as soon as there is something to read; with None, no longer.

        It is not called in a context of its own, and what it raises is logged and counted.
        """
        self._prompt.set_prompt(descriptor, act)

    @property
    def selector(self) -> PromptSelector:
        """What it waits with."""
        return self._prompt

    @property
    def failures(self) -> int:
        """How often a prompt reader has failed; what it was reading may be lost."""
        return self._prompt.failures


def start_reading(loop: asyncio.AbstractEventLoop, end: HasFileno, act: Act) -> None:
    """Have `act` called when there is something to read, at once where the loop can do that."""
    if isinstance(loop, BusLoop):
        loop.set_prompt_reader(end.fileno(), act)
    else:
        loop.add_reader(end.fileno(), act)


def stop_reading(loop: asyncio.AbstractEventLoop, end: HasFileno) -> None:
    """Have it called no longer."""
    if isinstance(loop, BusLoop):
        loop.set_prompt_reader(end.fileno(), None)
    else:
        loop.remove_reader(end.fileno())


def selector_of(loop: asyncio.AbstractEventLoop) -> PromptSelector | None:
    """Return what a loop waits with; None if it is not ours."""
    return loop.selector if isinstance(loop, BusLoop) else None


def intake_failures(loop: asyncio.AbstractEventLoop) -> int:
    """Return how often taking in what the bus brought has failed; 0 in a loop that is not ours."""
    return loop.failures if isinstance(loop, BusLoop) else 0
