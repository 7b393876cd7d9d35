"""What a store answers when it is asked about the past."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from olympus.nodes.history import history_of
from olympus.nodes.recorder import Recorder
from olympus.runtime.messages import Image, Reading, decode
from olympus.runtime.messages.history import History, HistoryQuery
from olympus.runtime.node.testing import running
from olympus.runtime.store import StreamStore


async def recorded(folder: Path, *queries: HistoryQuery) -> list[History]:
    """Record ten readings of each of two topics and three pictures, and ask."""
    params = {"path": str(folder), "topics": ["**"]}
    async with running(Recorder, params=params) as bench:
        for number in range(10):
            for topic in ("rover/a", "rover/deep/b"):
                await bench.send(topic, Reading(name="a", value=float(number), unit="1"))
        for number in range(3):
            data = np.full((100, 100, 3), number, np.uint8)
            await bench.send("rover/image", Image(data=data))
        async with asyncio.timeout(20):
            while bench.node.recorded + bench.node.waiting < 23:
                await asyncio.sleep(0.01)
        await bench.node.flush()
        return [await bench.node.on_history(query) for query in queries]


def values(found: History, topic: str) -> list[float]:
    messages = [decode(item.frame.tobytes()) for item in found.items if item.topic == topic]
    return [message.value for message in messages if isinstance(message, Reading)]


async def test_the_newest_come_oldest_first(tmp_path: Path) -> None:
    last, three, all_, none, odd = await recorded(
        tmp_path,
        HistoryQuery(topic="rover/a"),
        HistoryQuery(topic="rover/**", count=3),
        HistoryQuery(topic="rover/a", count=10_000),
        HistoryQuery(topic="rover/c", count=3),
        HistoryQuery(topic="rover/a", count=-3),
    )
    assert values(last, "rover/a") == [9.0]
    assert values(three, "rover/a") == values(three, "rover/deep/b") == [7.0, 8.0, 9.0]
    assert values(all_, "rover/a") == [float(n) for n in range(10)]
    assert not all_.is_cut
    assert none.items == odd.items == ()


async def test_times_bound_what_is_told(tmp_path: Path) -> None:
    (whole,) = await recorded(tmp_path, HistoryQuery(topic="rover/a", count=10))
    stamps = [decode(item.frame.tobytes()).header.stamp for item in whole.items]
    query = HistoryQuery(topic="rover/a", count=10, since=stamps[2], until=stamps[5])
    with StreamStore(tmp_path, read_only=True) as store:
        found = history_of(store, query)
    told = [decode(item.frame.tobytes()).header.stamp for item in found.items]
    assert told == [stamp for stamp in stamps if stamps[2] <= stamp <= stamps[5]]


async def test_what_does_not_fit_into_one_answer_is_left_out_and_said(
    tmp_path: Path,
) -> None:
    query = HistoryQuery(topic="rover/image", count=3)
    await recorded(tmp_path)
    with StreamStore(tmp_path, read_only=True) as store:
        found = history_of(store, query, max_bytes=70_000)
        assert len(history_of(store, HistoryQuery(topic="**", count=9), max_items=5).items) == 5
    pictures = [decode(item.frame.tobytes()) for item in found.items]
    assert [int(p.data[0, 0, 0]) for p in pictures if isinstance(p, Image)] == [1, 2]
    assert found.is_cut
