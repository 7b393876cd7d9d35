"""Far models through a model host: what is given up is paid for, and holds up nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.models.far_endpoint import FarEndpoint, serving

from olympus.models.purse import purse_of
from olympus.nodes.far_calls import FAR_CALLS
from olympus.nodes.model_host import ModelHost
from olympus.runtime.config import Session
from olympus.runtime.errors import ServiceError
from olympus.runtime.messages.inference import Completed, Prompt
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import Tier

HELLO = {"prompt": "hello", "max_tokens": 5}


@pytest.fixture
def far() -> Iterator[FarEndpoint]:
    with serving() as endpoint:
        yield endpoint


@asynccontextmanager
async def hosting(
    far: FarEndpoint, session: Session | None = None, **remote: Any
) -> AsyncIterator[Bench[ModelHost]]:
    rules = {"tasks": {"say": {"candidates": ["remote:far"]}}, "remote": far.remote(**remote)}
    params = {"models": [], "router": rules}
    async with running(ModelHost, params=params, name="models", session=session) as bench:
        yield bench


def question(deadline: int = 0) -> Prompt:
    return Prompt(
        model="task:say", tier=Tier.LOW, deadline=deadline, source="x", request=json.dumps(HELLO)
    )


async def asked(far: FarEndpoint, questions: int) -> None:
    async with asyncio.timeout(20):
        while len(far.asked) < questions:
            await asyncio.sleep(0.002)


async def test_calls_that_are_given_up_are_paid_for_and_end_with_the_day_s_money(
    far: FarEndpoint, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with hosting(far, session) as bench:
        for paid in (0.5, 1.0):
            far.free.clear()
            call = asyncio.create_task(bench.bus.call("models/prompt", question(), Completed))
            await asked(far, round(2 * paid))
            call.cancel()
            await asyncio.wait({call})
            far.free.set()
            async with asyncio.timeout(20):
                while bench.node._router.spent("x").money < paid:
                    await asyncio.sleep(0.002)
        for _ in range(3):
            with pytest.raises(ServiceError, match="1 of 1 money are spent"):
                await bench.bus.call("models/prompt", question(), Completed)
    assert len(far.asked) == 2
    kept = purse_of(session.name, "models").spent_since(0)
    assert [money for _, money in kept] == [0.5, 0.5]


async def test_an_endpoint_that_hangs_holds_up_no_other_work_beside_the_loop(
    far: FarEndpoint,
) -> None:
    async with hosting(far, daily_budget=1000.0) as bench:
        far.free.clear()
        calls = [
            asyncio.create_task(
                bench.bus.call("models/prompt", question(), Completed, timeout_s=30)
            )
            for _ in range(FAR_CALLS + 40)  # more than asyncio's own threads
        ]
        await asked(far, FAR_CALLS)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: "done") == "done"
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        far.free.set()
        await bench.bus.call("models/prompt", question(), Completed)
    assert len(far.asked) == FAR_CALLS + 1  # those that waited for their turn were not made


async def test_a_far_call_whose_deadline_has_passed_is_not_made(far: FarEndpoint) -> None:
    async with hosting(far) as bench:
        with pytest.raises(ServiceError, match="past its deadline"):
            await bench.bus.call("models/prompt", question(deadline=1), Completed)
    assert far.asked == []


async def test_a_host_that_ends_cuts_off_its_calls_and_counts_them_as_the_most(
    far: FarEndpoint, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with hosting(far, session) as bench:
        far.free.clear()
        call = asyncio.create_task(bench.bus.call("models/prompt", question(), Completed))
        await asked(far, 1)
    call.cancel()
    await asyncio.wait({call})
    (file,) = tmp_path.rglob("models.money")
    async with asyncio.timeout(10):
        while len(lines := file.read_text().splitlines()) < 2:
            await asyncio.sleep(0.01)
    begun, ended = (json.loads(line) for line in lines)
    assert begun[1:3] == ended[1:3]
    assert 0 < ended[1] < 0.1
