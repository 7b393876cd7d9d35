"""Work beside the handlers ends with the node, wherever it stands."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine

import pytest

from olympus.runtime.node import Node
from olympus.runtime.node.journal import HostJournal, JournalKeeper
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.testing import running


class Plain(Node):
    """Does nothing by itself."""


async def work(begun: list[bool]) -> None:
    begun.append(True)
    await asyncio.sleep(60)


@pytest.mark.parametrize("is_journaled", [True, False])
@pytest.mark.parametrize("rounds", range(4))
async def test_work_is_closed_however_far_it_has_come(rounds: int, is_journaled: bool) -> None:
    begun: list[bool] = []
    async with running(Plain) as bench:
        if is_journaled:
            journal = HostJournal(bench.node.clock, {})
            bench.node._journal = JournalKeeper.of(journal, {})
        spawned: Coroutine[None, None, None] = work(begun)
        bench.node.spawn(spawned, name="work")
        for _ in range(rounds):
            await asyncio.sleep(0)
        await bench.runner.change(Transition.DEACTIVATE)
        assert inspect.getcoroutinestate(spawned) == inspect.CORO_CLOSED
    assert bool(begun) or rounds < 3
