"""A turn of the loop of a host does what a turn of asyncio's own does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus import loop as loops
from olympus.runtime.bus.loop import BusLoop

TURNS = 12
"""Enough for all that a program below calls, and what that calls."""
_errors = st.sampled_from([None, None, None, ValueError, asyncio.CancelledError, GeneratorExit])
_whens = st.sampled_from([None, None, -3.0, -2.0, -1.0, 1e6])
"""When it is called: soon, as a timer that is due, or one that never is."""
_calls = st.recursive(
    st.tuples(_whens, _errors, st.integers(0, 9), st.just(())),
    lambda within: st.tuples(
        _whens, _errors, st.integers(0, 9), st.lists(within, max_size=3).map(tuple)
    ),
    max_leaves=12,
)
"""A call: when, what it raises, which earlier one it takes back, and what it has called."""
Call = tuple[float | None, type[BaseException] | None, int, tuple[Any, ...]]


class Player:
    """Carries out a program of calls in one loop, and writes down what happens."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.said: list[object] = []
        self._loop, self._handles = loop, list[asyncio.Handle]()
        loop.set_exception_handler(self._on_error)

    def play(self, calls: tuple[Call, ...], timers: int) -> list[object]:
        """Return what was called and told, in its order."""
        for _ in range(timers):
            self._loop.call_at(1e6, print).cancel()
        self._loop.run_until_complete(self._play(calls))
        return self.said

    async def _play(self, calls: tuple[Call, ...]) -> None:
        self._have_called(calls)
        for turn in range(TURNS):
            self.said.append(turn)
            await asyncio.sleep(0)

    def _have_called(self, calls: tuple[Call, ...]) -> None:
        for call in calls:
            when, number = call[0], len(self._handles)
            if when is None:
                self._handles.append(self._loop.call_soon(self._act, call, number))
            else:
                self._handles.append(self._loop.call_at(when, self._act, call, number))

    def _act(self, call: Call, number: int) -> None:
        _, error, other, within = call
        self.said.append(("called", number))
        if other < len(self._handles):
            self._handles[other].cancel()
        self._have_called(within)
        if error is not None:
            raise error(number)

    def _on_error(self, _: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        number = self._handles.index(told["handle"])
        is_said = told["message"].startswith("Exception in callback")
        self.said.append((number, is_said, repr(told["exception"]), sorted(told)))


@settings(max_examples=300, deadline=None)
@given(calls=st.lists(_calls, max_size=6).map(tuple), timers=st.sampled_from([0, 3, 150]))
def test_what_is_called_and_told_is_what_asyncio_does(calls: tuple[Call, ...], timers: int) -> None:
    said = []
    for make in (asyncio.SelectorEventLoop, BusLoop):
        loop = make()
        try:
            said.append(Player(loop).play(calls, timers))
        finally:
            loop.close()
    assert said[0] == said[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_wants_the_process_to_end_is_heard(error: type[BaseException]) -> None:
    loop = BusLoop()

    def end() -> None:
        raise error("now")

    loop.call_soon(end)
    with pytest.raises(error, match="now"):
        loop.run_forever()
    loop.close()


def test_a_handle_of_another_kind_runs_as_it_wants_to() -> None:
    """As those of Python 3.14 do that were made on another thread."""
    ran = []

    class Another(asyncio.Handle):
        def _run(self) -> None:
            ran.append(self)

    async def work() -> None:
        loop: Any = asyncio.get_running_loop()
        loop._ready.append(Another(print, (), loop))
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=BusLoop) as runner:
        runner.run(work())
    assert len(ran) == 1


def test_handles_are_those_of_asyncio_without_c_too(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = BusLoop()
    made = [loop.call_soon(print, 1)]
    monkeypatch.setattr(loops, "_make_handle", None)
    made.append(loop.call_soon(print, 1))
    names = (*loops._OF_A_HANDLE, "__class__")
    ours, theirs = ([getattr(one, name) for name in names] for one in made)
    context = names.index("_context")
    assert ours[:context] == theirs[:context] and type(ours[context]) is type(theirs[context])
    assert ours[-1] is theirs[-1] is asyncio.Handle
    assert repr(made[0]) == repr(made[1])
    loop.close()
