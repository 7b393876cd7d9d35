"""Questions about the past over Zenoh: a real hub, an outside client, a store of a few lines."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import zenoh

from olympus.runtime.bus import Bus, PublisherOptions
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_history import MAX_QUESTIONS
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Header, Reading, decode, encode
from olympus.runtime.messages.history import History, HistoryQuery, Recorded

pytestmark = pytest.mark.e2e
Ask = Callable[[str], Any]


@pytest.fixture
async def bus(session: Session) -> AsyncIterator[Bus]:
    made = Bus(SystemClock(), host="a", link=ZenohLink(session.endpoint))
    yield made
    await made.close()


@pytest.fixture
def ask(session: Session) -> Iterator[Ask]:
    """Return a coroutine function: a selector's replies, frames as values and errors as text."""
    stranger = open_session("client", connect=[session.endpoint])

    def get(selector: str) -> list[Any]:
        replies = stranger.get(
            selector,
            target=zenoh.QueryTarget.ALL,
            consolidation=zenoh.ConsolidationMode.NONE,
            timeout=30.0,
        )
        return [_told(reply) for reply in replies]

    threads = ThreadPoolExecutor(MAX_QUESTIONS + 2)  # each question waits in one

    async def in_a_thread(selector: str) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(threads, get, selector)

    yield in_a_thread
    threads.shutdown()
    stranger.close()  # type: ignore[no-untyped-call]


def _told(reply: zenoh.Reply) -> object:
    if reply.ok is None:
        assert reply.err is not None
        return reply.err.payload.to_bytes().decode()
    message = decode(reply.ok.payload.to_bytes())
    assert isinstance(message, Reading)
    assert str(reply.ok.encoding) == "application/x-olympus;olympus/Reading"
    return str(reply.ok.key_expr), message.value


def recorded(topic: str, value: float) -> Recorded:
    frame = encode(Reading(header=Header(seq=1), name="a", value=value, unit="1"))
    return Recorded(topic=topic, frame=np.frombuffer(frame, np.uint8))


async def until_asked(ask: Ask, selector: str) -> list[Any]:
    """Ask until the question finds its way; declarations take a moment."""
    async with asyncio.timeout(20):
        while not (found := await ask(selector)):
            await asyncio.sleep(0.02)
    return list(found)


async def test_each_topic_is_answered_under_its_own_key_and_the_selector_is_understood(
    bus: Bus, ask: Ask
) -> None:
    asked: list[HistoryQuery] = []

    async def answer(query: HistoryQuery) -> History:
        asked.append(query)
        return History(items=(recorded("r/a", 1), recorded("r/a", 2), recorded("r/b", 3)))

    answering = bus.answer_history(answer)
    found = await until_asked(ask, "r/*?last=2;since=5;until=9")
    assert found == [("r/a", 1.0), ("r/a", 2.0), ("r/b", 3.0)]
    query = asked[-1]
    assert (query.topic, query.count, query.since, query.until) == ("r/*", 2, 5, 9)
    assert await ask("r/a") == []  # a question for latched topics, of which there is none
    answering.close()
    async with asyncio.timeout(20):
        while await ask("r/*?last=2"):
            await asyncio.sleep(0.02)


async def test_a_latched_topic_does_not_answer_for_the_store(bus: Bus, ask: Ask) -> None:
    async def answer(_: HistoryQuery) -> History:
        return History(items=(recorded("map", 1),), is_cut=True)

    bus.answer_history(answer)
    publisher = bus.publisher("map", Reading, PublisherOptions(node="n", latched=True))
    publisher.publish(Reading(name="a", value=7, unit="1"))
    assert (await until_asked(ask, "map")) == [("map", 7.0)]
    found = await until_asked(ask, "map?last=5")
    assert found[0] == ("map", 1.0)
    assert found[1:] == ["BusError: there is more than goes into one answer; ask for less"]


@pytest.mark.parametrize(
    "wrong", ["last=x", "last=1;since=-1", "last=1;until=1e3", "last=" + "9" * 30]
)
async def test_what_is_no_number_is_refused(bus: Bus, ask: Ask, wrong: str) -> None:
    async def answer(_: HistoryQuery) -> History:
        return History(items=(recorded("r", 1),))

    bus.answer_history(answer)
    await until_asked(ask, "r?last=1")
    (refusal,) = await ask(f"r?{wrong}")
    assert "is no number" in refusal


async def test_the_error_of_a_store_travels(bus: Bus, ask: Ask) -> None:
    async def answer(_: HistoryQuery) -> History:
        raise StoreError("the disk is gone")

    bus.answer_history(answer)
    assert await until_asked(ask, "r?last=1") == ["StoreError: the disk is gone"]


async def test_more_questions_than_are_answered_at_once_are_refused_and_said(
    bus: Bus, ask: Ask
) -> None:
    gate, running = asyncio.Event(), 0

    async def answer(_: HistoryQuery) -> History:
        nonlocal running
        running += 1
        await gate.wait()
        return History(items=(recorded("r", 1),))

    bus.answer_history(answer)
    first = asyncio.create_task(until_asked(ask, "r?last=1"))
    async with asyncio.timeout(20):
        while not running:
            await asyncio.sleep(0.01)
    others = [asyncio.create_task(ask("r?last=1")) for _ in range(MAX_QUESTIONS - 1)]
    async with asyncio.timeout(20):
        while running < MAX_QUESTIONS:
            await asyncio.sleep(0.01)
    (refusal,) = await ask("r?last=1")
    assert refusal == f"BusError: {MAX_QUESTIONS} questions are being answered; try later"
    gate.set()
    for task in (first, *others):
        assert await task == [("r", 1.0)]
