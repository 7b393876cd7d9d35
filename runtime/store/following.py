"""Following a store from within a session: reads the file, acknowledges to whoever records.

The file is read here, so that a slow consumer takes nothing from the recorder; but only the
recorder writes to it, and adds what is acknowledged to its next commit. A consumer that wrote by
itself would hold the store's one write lock: were it stopped at that moment, by a debugger or
Ctrl-Z, nothing could be recorded; and each acknowledgement would cost the SD card a commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

from olympus.runtime.bus import Bus
from olympus.runtime.errors import BusError, StoreError
from olympus.runtime.messages.consuming import Acknowledge, TopicEnd
from olympus.runtime.store.asking import PATIENCE_S, ask_recorder, bus_of_recorder
from olympus.runtime.store.consumers import Mark, Position
from olympus.runtime.store.consuming import Batch, Consumer, Start, acknowledge_here
from olympus.runtime.store.locks import is_held
from olympus.runtime.store.reading import RECORDING
from olympus.runtime.store.streams import StreamStore

LOOK_S = 0.1
"""How often it is looked for something new."""
HANDOVER_S = 10.0
"""How long it is tried again to acknowledge: a recorder may end, or another take its place."""


class Follower:
    """A consumer that goes on with what is being recorded.

    async with Follower(self.bus, folder, "mapper", ("rover/**",)) as follower:
        async for batch in follower.batches():
            ...
            await follower.acknowledge(batch)
    """

    def __init__(
        self,
        bus: Bus | None,
        folder: Path,
        name: str,
        topics: tuple[str, ...],
        *,
        start: Start = Start.BEGINNING,
        since: int = 0,
        key: str = "",
    ) -> None:
        """Say what is to be followed; `async with` begins.

        Args:
            bus: Of the session that records; None for a store that nobody records to.
            folder: Of the store, on this machine; another process records to it.
            name: Of the consumer.
            topics: Patterns of what it reads, `*` for one part and `**` for any number.
            start: Where it begins if the store does not know it yet.
            since: First capture time of interest, ns; likewise.
            key: Of an encrypted store: a file, or `command:LINE`.
        """
        self._bus, self._folder, self._name, self._topics = bus, folder, name, topics
        self._start, self._since, self._key = start, since, key
        self._turn = threading.Lock()
        """Held while a thread uses the store: who is cancelled must not close it meanwhile."""

    async def __aenter__(self) -> Self:
        """Take up the name, and have the store know it from now on.

        Raises:
            ConfigError: A name can't be used, or the key can't be read.
            StoreError: The store can't be read, or another process has the name.
            BusError: The recorder does not answer.
        """
        self._consumer = self._opened()
        try:
            if self._consumer.is_new:
                await self._write(self._consumer.mark)
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    async def batches(self, *, live: bool = True, idle_s: float = inf) -> AsyncIterator[Batch]:
        """Yield what has not been acknowledged, and then what is being recorded.

        Args:
            live: Go on for ever; else it ends where the recording is now.
            idle_s: Yield an empty batch when there has been nothing new for so long, s.

        Raises:
            StoreError: The store can't be read.
        """
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            batch = await asyncio.to_thread(self._take)
            if batch or loop.time() - last >= idle_s:
                yield batch
                last = loop.time()
            elif not live:
                return
            else:
                await asyncio.sleep(LOOK_S)

    async def acknowledge(self, batch: Batch) -> None:
        """Have it written that all up to this batch is dealt with; after a crash it goes on there.

        Raises:
            BusError: No recorder takes it; the next acknowledgement will cover this one.
            StoreError: It can't be written; likewise.
        """
        await self._write(batch.mark)

    async def retire(self) -> None:
        """Have the store forget this consumer: nothing is kept or counted for it any more.

        Raises:
            BusError: The recorder does not answer.
            StoreError: It can't be written.
        """
        await self._write(replace(self._consumer.mark, is_over=True))

    async def _write(self, mark: Mark) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + HANDOVER_S
        while True:
            try:
                await self._write_once(mark)
            except BusError:
                if self._bus is None or loop.time() > until:
                    raise
                await asyncio.sleep(LOOK_S)
            else:
                return

    async def _write_once(self, mark: Mark) -> None:
        if not is_held(self._folder / RECORDING) and await asyncio.to_thread(
            self._write_here, mark
        ):
            return
        if self._bus is None:
            raise BusError(
                f"{self._folder} is being recorded to, and its session was not joined; "
                "follow it from within the session"
            )
        period_s = max((run.bound_s for run in self._consumer.store.runs()), default=0.0)
        question = _question(self._folder, mark)
        await ask_recorder(self._bus, question, timeout_s=PATIENCE_S + 2 * period_s)

    def _take(self) -> Batch:
        with self._turn:
            return self._consumer.take()

    def _write_here(self, mark: Mark) -> bool:
        with self._turn:
            self._consumer.store.close()  # LMDB opens a file once in a process
            try:
                return acknowledge_here(self._folder, mark)
            finally:
                self._consumer.store = self._store()

    def _opened(self) -> Consumer:
        store = self._store()
        try:
            return Consumer(store, self._name, self._topics, start=self._start, since=self._since)
        except BaseException:
            store.close()
            raise

    def _store(self) -> StreamStore:
        return StreamStore(self._folder, read_only=True, key=self._key)

    def _close(self) -> None:
        with self._turn:
            self._consumer.close()
            self._consumer.store.close()


@asynccontextmanager
async def follow(
    folder: Path,
    name: str,
    topics: tuple[str, ...],
    *,
    session: str | None = None,
    start: Start = Start.BEGINNING,
    since: int = 0,
    key: str = "",
) -> AsyncIterator[Follower]:
    """Follow a store from a script: joins the session that records to it, if one does.

    Args:
        folder: Of the store, on this machine.
        name: Of the consumer.
        topics: Patterns of what it reads, `*` for one part and `**` for any number.
        session: The session's name; None for that of the store's folder, or the only one.
        start: Where it begins if the store does not know it yet.
        since: First capture time of interest, ns; likewise.
        key: Of an encrypted store: a file, or `command:LINE`.

    Yields:
        The follower.

    Raises:
        ConfigError: The session is not running, or a name can't be used.
        StoreError: The store can't be read, or another process has the name.
        BusError: The session can't be joined, or its recorder does not answer.
    """
    bus = bus_of_recorder(folder, session)
    try:
        async with Follower(
            bus, folder, name, topics, start=start, since=since, key=key
        ) as follower:
            yield follower
    finally:
        if bus is not None:
            await bus.close()


def mark_of(question: Acknowledge, now_ns: int) -> Mark:
    """Return what a consumer acknowledges.

    Args:
        question: What it sent.
        now_ns: Robot time.

    Raises:
        StoreError: A key in it is none.
    """
    try:
        ends = {
            one.topic: Position(one.topic, bytes.fromhex(one.key), one.late, one.told)
            for one in question.ends
        }
    except ValueError as error:
        raise StoreError(f"{question.consumer} acknowledges what is no record: {error}") from error
    return Mark(
        consumer=question.consumer,
        topics=question.topics,
        since=question.since,
        news=question.news,
        at=now_ns,
        ends=ends,
        is_over=question.is_over,
    )


def _question(folder: Path, mark: Mark) -> Acknowledge:
    ends = tuple(
        TopicEnd(topic=end.topic, key=end.key.hex(), late=end.late, told=end.told)
        for end in mark.ends.values()
    )
    return Acknowledge(
        folder=str(folder.resolve()),
        consumer=mark.consumer,
        topics=mark.topics,
        since=mark.since,
        news=mark.news,
        ends=ends,
        is_over=mark.is_over,
    )
