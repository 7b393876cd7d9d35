"""The loop of a host: what the bus brings is taken in from within the selector."""

from __future__ import annotations

import asyncio
import logging
import select
import selectors
import socket
import time
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.bus.alertness import FEWEST, Alertness
from olympus.runtime.bus.astray import ASTRAY
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.loop import (
    BusLoop,
    intake_failures,
    selector_of,
    start_reading,
    stop_reading,
)
from olympus.runtime.bus.selector import Events, Look, PromptSelector, look_again
from olympus.runtime.clock import SystemClock
from olympus.runtime.quick import quick


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=BusLoop) as runner:
        runner.run(work)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (near, far):
        end.setblocking(False)
    with near, far:
        yield near, far


def test_what_comes_is_read_at_once_until_it_is_no_longer_wanted(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    read: list[bytes] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        start_reading(loop, near, lambda: read.append(near.recv(100)))
        far.send(b"one")
        await asyncio.sleep(0)
        assert read == [b"one"]
        stop_reading(loop, near)
        far.send(b"two")
        await asyncio.sleep(0.01)
        assert read == [b"one"]

    run(work())


def test_one_waits_for_room_on_the_same_socket_that_is_read_at_once(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    read: list[bytes] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        start_reading(loop, near, lambda: read.append(near.recv(100)))
        with pytest.raises(BlockingIOError):
            while True:
                near.send(bytes(1000))
        loop.add_writer(near, room.set)
        far.send(b"read meanwhile")
        await asyncio.sleep(0.01)
        assert read == [b"read meanwhile"]
        assert not room.is_set()
        with pytest.raises(BlockingIOError):
            while True:
                far.recv(2000)
        await asyncio.wait_for(room.wait(), 10)
        loop.remove_writer(near)
        far.send(b"read afterwards")
        await asyncio.sleep(0.01)
        assert read[1:] == [b"read afterwards"]
        stop_reading(loop, near)

    run(work())


def test_a_reader_that_fails_is_logged_and_counted_and_the_loop_goes_on(
    ends: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    near, far = ends

    def fail() -> None:
        near.recv(100)
        raise RuntimeError("no sense in it")

    async def work() -> None:
        loop = asyncio.get_running_loop()
        bus = Bus(SystemClock(), host="a", door=tmp_path / "s")
        start_reading(loop, near, fail)
        for count in (1, 2):
            far.send(b"x")
            await asyncio.sleep(0.01)
            assert intake_failures(loop) == count
        (row,) = [row for row in bus.stats(0) if row.topic == ASTRAY]
        assert (row.node, row.dropped) == ("a", {"failed": 2})
        await bus.close()

    with caplog.at_level(logging.ERROR, logger="olympus"), open_door(tmp_path / "s"):
        run(work())
    assert "no. 2: RuntimeError('no sense in it')" in caplog.text


def test_a_reader_knows_whether_anything_else_has_come(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    selector, found = PromptSelector(), []

    def read(end: socket.socket) -> None:
        end.recv(100)
        found.append(selector.is_alone)

    try:
        for end in ends:
            selector.set_prompt(end.fileno(), partial(read, end))
        far.send(b"alone")
        selector.select(1.0)
        far.send(b"while callbacks are at hand")  # then asyncio does not wait
        selector.select(0)
        far.send(b"one")
        near.send(b"and another")
        selector.select(1.0)
        far.send(b"alone")
        selector.select(None)
        assert found == [True, False, False, False, True]
        assert not selector.is_alone
    finally:
        selector.close()


async def test_of_other_loops_nothing_is_known() -> None:
    assert selector_of(asyncio.get_running_loop()) is None


def test_a_reader_hears_of_the_end_of_the_other_side(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends

    async def work() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def read() -> None:
            if not near.recv(100):
                stop_reading(loop, near)
                over.set()

        start_reading(loop, near, read)
        far.close()
        await asyncio.wait_for(over.wait(), 10)

    run(work())


def test_other_loops_read_in_their_own_way(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    read: list[bytes] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        start_reading(loop, near, lambda: read.append(near.recv(100)))
        far.send(b"one")
        await asyncio.sleep(0.01)
        stop_reading(loop, near)

    asyncio.run(work())
    assert read == [b"one"]


def test_timers_tasks_signals_and_subprocesses_are_as_ever() -> None:
    async def work() -> None:
        process = await asyncio.create_subprocess_exec(
            "echo", "hello", stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert said == b"hello\n"
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    run(work())


either_way = pytest.mark.parametrize(
    "look", [look_again, *([quick.events_awake] if quick is not None else [])]
)
"""In Python, and in C where that is built."""


def test_what_is_called_soon_comes_in_order_in_its_context_and_can_be_taken_back() -> None:
    name = ContextVar("name", default="nobody")
    said: list[tuple[int, str]] = []

    def say(number: int) -> None:
        said.append((number, name.get()))

    async def work() -> None:
        loop = asyncio.get_running_loop()
        other = copy_context()
        other.run(name.set, "other")
        loop.call_soon(say, 1)
        loop.call_soon(say, 2, context=other)
        loop.call_soon(say, 3).cancel()
        name.set("me")
        loop.call_soon(say, 4)
        await asyncio.sleep(0)

    run(work())
    assert said == [(1, "nobody"), (2, "other"), (4, "me")]


def test_a_loop_that_is_closed_or_looks_for_mistakes_refuses_as_asyncio_does() -> None:
    loop = BusLoop()
    loop.set_debug(True)

    async def from_elsewhere() -> None:
        with pytest.raises(RuntimeError, match="other than the current one"):
            await asyncio.to_thread(loop.call_soon, print)

    loop.run_until_complete(from_elsewhere())
    loop.set_debug(False)
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)


@either_way
def test_a_selector_that_spins_finds_what_comes_and_still_sleeps_in_time(
    ends: tuple[socket.socket, socket.socket], look: Look
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=0.002)
    selector.look = look
    try:
        assert selector.select(0.005) == []
        selector.register(near, selectors.EVENT_READ, "near")
        far.send(b"x")
        ((key, events),) = selector.select(None)
        assert (key.data, events) == ("near", selectors.EVENT_READ)
    finally:
        selector.close()


class Looks:
    """An epoll that notes for how long it was asked to wait."""

    def __init__(self, epoll: select.epoll) -> None:
        self.timeouts: list[float | None] = []
        self._epoll = epoll

    def watch(self, look: Look) -> Look:
        """Note that somebody looks again and again, and what time that takes."""

        def noted(epoll: select.epoll, wires: list[object], *times_s: float) -> Events:
            self.timeouts.append(0)
            return look(self._epoll, wires, *times_s)

        return noted

    def poll(self, timeout: float | None, most: int) -> list[tuple[int, int]]:
        """Note it, and ask."""
        self.timeouts.append(timeout)
        return self._epoll.poll(timeout, most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


class Sleepless(Alertness):
    """It finds staying awake worth it after every message."""

    def until(self, now_s: float) -> float:
        """Stay awake."""
        super().until(now_s)
        return now_s + 0.005


@either_way
def test_it_stays_awake_for_a_while_after_the_bus_brought_something_and_only_then(
    ends: tuple[socket.socket, socket.socket], look: Look
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=0.005)
    selector._alertness = Sleepless(0.005)
    looks = Looks(selector._epoll)
    selector._epoll = looks  # type: ignore[assignment]
    selector.look = looks.watch(look)
    try:
        selector.set_prompt(near.fileno(), lambda: near.recv(100))
        selector.select(0.001)
        assert looks.timeouts == [0.001]  # nothing came yet: it goes to sleep at once
        far.send(b"x")
        selector.select(1.0)
        looks.timeouts.clear()
        selector.select(0.02)
        last = looks.timeouts.pop()
        assert set(looks.timeouts) == {0} and last is not None and last <= 0.016
        looks.timeouts.clear()
        selector.select(0.001)
        assert looks.timeouts == [0.001]
        far.send(b"x")
        selector.select(1.0)
        looks.timeouts.clear()
        begun = time.monotonic()
        selector.select(0.001)
        assert time.monotonic() - begun >= 0.001  # and not a moment less for being awake
    finally:
        selector.close()


@either_way
def test_it_stays_awake_once_messages_have_followed_each_other_closely(
    ends: tuple[socket.socket, socket.socket], look: Look
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=5.0)
    looks = Looks(selector._epoll)
    selector._epoll = looks  # type: ignore[assignment]
    selector.look = looks.watch(look)
    selector.set_prompt(near.fileno(), lambda: near.recv(100))
    try:
        for number in range(FEWEST + 2):
            looks.timeouts.clear()
            selector.select(0.001)
            assert (0 in looks.timeouts) is (number > FEWEST)
            far.send(b"x")
            selector.select(1.0)
    finally:
        selector.close()


def test_a_descriptor_is_registered_once_and_forgotten_even_if_it_was_closed_before(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = ends
    selector = PromptSelector()
    try:
        selector.register(near, selectors.EVENT_READ)
        with pytest.raises(KeyError, match="registered already"):
            selector.register(near, selectors.EVENT_READ)
        assert selector.modify(near, selectors.EVENT_WRITE).events == selectors.EVENT_WRITE
        assert list(selector.get_map()) == [near.fileno()]
        other = socket.socket(socket.AF_UNIX)
        descriptor = other.fileno()
        selector.register(descriptor, selectors.EVENT_WRITE)
        other.close()
        selector.unregister(descriptor)
        with pytest.raises(KeyError):
            selector.get_key(descriptor)
    finally:
        selector.close()


def test_a_socket_is_found_among_what_is_registered(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    selector = PromptSelector()
    selector.register(ends[0], selectors.EVENT_READ)
    found = selector.get_map()
    assert found[ends[0]].fd == ends[0].fileno() and found.get(ends[1]) is None
    selector.unregister(ends[0])
    assert found.get(ends[0]) is None and len(found) == 0
    selector.close()
