"""The recorder: writes topics to the robot's store, and says what it could not write."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from olympus.runtime.bus import Subscription, SubscriptionOptions
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Diagnostic, Message
from olympus.runtime.node import Field, Node, NodeParams, output, timer
from olympus.runtime.qos import QoS
from olympus.runtime.store import DiskQueue, Gap, StreamStore

DRAIN_TRIES = 100
"""Hundredths of a second that the end of a recording waits for what is in the queues."""


class Recorder(Node):
    """Records every message of the chosen topics, in batches, each all or none."""

    class Params(NodeParams):
        """What to record, and where."""

        topics: list[str] = Field(
            default=["**"], description="Full topic names; `*` one part, `**` any number of them."
        )
        path: str = Field(
            "", description="Folder of the store; empty: ~/.local/share/olympus/SESSION."
        )
        max_mb: int = Field(2048, ge=16, le=1_000_000, description="Largest size of the store.")
        flush_hz: float = Field(
            2.0, ge=0.1, le=20, description="Flushes per second; SIGKILL loses at most one period."
        )
        is_durable: bool = Field(
            False, description="Wait for the disk at each flush, so that power loss costs no more."
        )

    params: Params
    diagnostics = output("diagnostics", Diagnostic)

    async def on_configure(self) -> None:
        """Open the store.

        Raises:
            StoreError: It can't be opened.
        """
        self.path = self._folder()
        self._store = StreamStore(
            self.path, map_bytes=self.params.max_mb * 2**20, is_durable=self.params.is_durable
        )
        self._batch: list[tuple[str, Message]] = []
        self._writing: asyncio.Task[None] | None = None
        self.recorded = self.unrecorded = self.gaps = 0
        self.log.info("recording", path=self.path, topics=", ".join(self.params.topics))

    async def on_activate(self) -> None:
        """Subscribe to everything that is to be recorded."""
        self._subscriptions = [self._subscribe(topic) for topic in self.params.topics]

    async def on_deactivate(self) -> None:
        """Write what is left and say whether the recording is complete."""
        for subscription in self._subscriptions:
            await self._drain(subscription)
            await self.bus.unsubscribe(subscription)
        await self.flush()
        whole = "complete" if not (self.unrecorded or self.gaps) else "NOT complete"
        self.log.info(
            f"recording is {whole}",
            recorded=self.recorded,
            unrecorded=self.unrecorded,
            missing=self.gaps,
        )

    async def on_cleanup(self) -> None:
        """Close the store."""
        self._store.close()

    @timer(hz="flush_hz")
    async def on_flush_time(self) -> None:
        """Write what has come."""
        await self.flush()

    @property
    def waiting(self) -> int:
        """Messages that have come and are not being written yet."""
        return len(self._batch)

    async def flush(self) -> None:
        """Write what has come, after what is being written; what can't be is counted and said.

        A cancelled caller does not cancel the writing: a store must not be closed in the middle.
        """
        while self._writing is not None and not self._writing.done():
            await asyncio.shield(self._writing)
        batch, self._batch = self._batch, []
        if batch:
            self._writing = asyncio.get_running_loop().create_task(self._write(batch))
            await asyncio.shield(self._writing)

    async def _write(self, batch: list[tuple[str, Message]]) -> None:
        try:
            gaps = await asyncio.to_thread(self._store.append, batch)
        except (StoreError, MessageError) as error:
            self.unrecorded += len(batch)
            self.log.error(f"{len(batch)} messages were not recorded: {error}")
            self._diagnose("error", str(error))
            return
        self.recorded += len(batch)
        for gap in gaps:
            self._on_gap(gap)

    async def _drain(self, subscription: Subscription[Any]) -> None:
        """Wait for what has arrived already; what takes too long is counted."""
        for _ in range(DRAIN_TRIES):
            if not len(subscription.inbox):
                return
            await self.clock.sleep(0.01)
        self.unrecorded += len(subscription.inbox)

    def _folder(self) -> Path:
        if self.params.path:
            return Path(self.params.path).expanduser()
        name = self.session.name if self.session is not None else "default"
        return Path.home() / ".local" / "share" / "olympus" / name

    def _subscribe(self, topic: str) -> Subscription[Any]:
        spill = None
        if self.session is not None:
            folder = self.session.run_dir / "spill" / "recorder"
            spill = DiskQueue(folder / topic.replace("/", "%").replace("*", "+"))
        options = SubscriptionOptions(
            node=self.name, qos=QoS.lossless(), keep_expired=True, spill=spill
        )
        return self.bus.subscribe(topic, Message, partial(self._keep, topic), options)

    def _keep(self, pattern: str, message: Message) -> None:
        trace = message.header.trace
        self._batch.append((trace[-1].topic if trace else pattern, message))

    def _on_gap(self, gap: Gap) -> None:
        self.gaps += gap.missing
        self.log.warning(
            f"{gap.missing} messages of {gap.topic} are missing after no. {gap.after_seq}",
            source=gap.source,
        )
        self._diagnose("warn", f"gap in {gap.topic}")

    def _diagnose(self, level: str, text: str) -> None:
        values = {"recorded": str(self.recorded), "unrecorded": str(self.unrecorded)}
        self.diagnostics.publish(
            Diagnostic(level=level, name="recorder/store", text=text, values=values)
        )
