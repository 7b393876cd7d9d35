"""When a turn of a node that runs again is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.replay.turns import Threads, Turns


class Node:
    """What a node does in a turn, and what is told of it."""

    def __init__(self) -> None:
        self.threads = Threads()
        asyncio.get_running_loop().set_default_executor(self.threads)
        self.said: list[str] = []
        self.turns = Turns(self.threads, self._failed, lambda: self.said.append("alone"))
        self.journal: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits_for_journal(self) -> None:
        self.turns.begins()
        await self.journal
        self.said.append("went on")

    def _failed(self, error: Exception) -> None:
        self.said.append(str(error))


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        run_virtual(test(), VirtualClock(1))

    return run


@in_virtual_time
async def test_a_turn_is_over_when_the_journal_is_to_tell() -> None:
    node = Node()
    await node.turns.start(node.waits_for_journal())
    assert node.said == []
    node.journal.set_result(None)
    await node.turns.go_on()
    assert node.said == ["went on"]


@in_virtual_time
async def test_a_turn_lasts_until_a_thread_has_done_its_part() -> None:
    node, gate = Node(), threading.Event()

    async def work() -> None:
        await asyncio.to_thread(gate.wait)
        node.said.append("loaded")
        await asyncio.to_thread(lambda: None)
        await node.waits_for_journal()

    turn = asyncio.create_task(node.turns.start(work()))
    await asyncio.sleep(1)
    assert not turn.done()
    gate.set()
    await turn
    assert node.said == ["loaded"]
    assert node.threads.at_work == 0


@in_virtual_time
async def test_what_a_thread_has_the_loop_do_ends_a_turn_too() -> None:
    node, gate, loop = Node(), threading.Event(), asyncio.get_running_loop()

    def begin_and_stay() -> None:
        loop.call_soon_threadsafe(node.turns.begins)
        gate.wait()

    turn = asyncio.create_task(node.turns.start(asyncio.to_thread(begin_and_stay)))
    await turn
    at_work = node.threads.at_work
    gate.set()
    assert (node.said, at_work) == ([], 1)


@in_virtual_time
async def test_who_sleeps_by_the_loop_s_own_timer_goes_on_within_the_turn() -> None:
    """Not as the docs say, but what it does then is in the journal all the same."""
    node = Node()

    async def work() -> None:
        await asyncio.sleep(0.5)
        node.said.append("slept")
        await node.waits_for_journal()

    await node.turns.start(work())
    assert node.said == ["slept"]


@in_virtual_time
async def test_who_waits_for_a_lock_of_the_node_holds_up_nobody() -> None:
    node, lock = Node(), asyncio.Lock()

    async def work(name: str) -> None:
        async with lock:
            node.said.append(name)
            if name == "first":
                await node.waits_for_journal()

    await node.turns.start(work("first"))
    await node.turns.start(work("second"))
    assert node.said == ["first", "alone"]
    node.journal.set_result(None)
    await node.turns.go_on()
    assert node.said == ["first", "alone", "went on", "second"]


@in_virtual_time
async def test_what_ends_a_task_is_told_and_closing_ends_the_rest() -> None:
    node = Node()

    async def fail() -> None:
        raise RuntimeError("no such luck")

    await node.turns.start(fail())
    await node.turns.start(node.waits_for_journal())
    await node.turns.close()
    assert node.said == ["no such luck"]
    assert node.journal.cancelled()
