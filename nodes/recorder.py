"""The recorder: writes topics to the robot's store, and says what it could not write."""

from __future__ import annotations

# varies throughout: this writes to a disk, and nothing hears it
import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from olympus.nodes.acknowledging import Acknowledgements, settle
from olympus.nodes.acknowledging import Waiting as WaitingMark
from olympus.nodes.history import history_of
from olympus.nodes.recording import RecorderParams, Waiting, size_of
from olympus.runtime.bus import Subscription, SubscriptionOptions
from olympus.runtime.bus.letters import TOPIC as LETTERS
from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Ack, Diagnostic, Message, Opaque
from olympus.runtime.messages.consuming import Acknowledge
from olympus.runtime.messages.history import History, HistoryQuery
from olympus.runtime.messages.letters import ForgetLetters
from olympus.runtime.node import Node, output, service, timer
from olympus.runtime.qos import QoS
from olympus.runtime.store import DiskQueue, Gap, Incoming, Run, StreamStore
from olympus.runtime.store.consumers import Mark
from olympus.runtime.store.ledger import REFUSED, THINNED
from olympus.runtime.store.letters import bound_letters, forgotten
from olympus.runtime.store.places import store_of
from olympus.runtime.store.retention import Unread, make_room, prune_old
from olympus.runtime.store.room import TopicClass
from olympus.runtime.store.writer import BatchWriter, Written

DRAIN_TRIES = 100
"""Hundredths of a second that the end of a recording waits for what is in the queues."""
NAMED_GAPS = 20
"""So many gaps are named at the end of a recording; `olympus store stats` names all."""
MB = 2**20


class Recorder(Node):
    """Records every message of the chosen topics, in batches, each all or none."""

    class Params(RecorderParams):
        """What to record, and where."""

    is_replayed = False
    takes_journals = True

    params: Params
    diagnostics = output("diagnostics", Diagnostic)

    async def on_configure(self) -> None:
        """Open the store.

        Raises:
            StoreError: It can't be opened.
            ConfigError: The key can't be read.
        """
        params = self.params
        self.path = self._folder()
        self.store = StreamStore(
            self.path,
            map_bytes=(params.max_mb + params.reserve_mb) * MB,
            is_durable=params.is_durable,
            key=params.key,
        )
        self._writer = BatchWriter(
            self.store,
            max_bytes=params.max_mb * MB,
            reserve_bytes=params.reserve_mb * MB,
            patterns=params.classes,
        )
        self._subjects = {name: self.store.subject(name) for name in params.subjects}
        session = self.session
        self._of_session = (
            f"{session.name}@{session.clock_offset_ns}" if session else str(self.clock.now_ns())
        )
        self._batch: list[Waiting] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._told: dict[str, int] = {}
        self._unknown: set[str] = set()
        self._acknowledged = Acknowledgements(self.path)
        self.recorded = self.unrecorded = self.gaps = 0
        self.unread = 0
        """Messages that were removed before a consumer had read them."""

    async def on_activate(self) -> None:
        """Begin a run, and subscribe to everything that is to be recorded.

        Raises:
            StoreError: The disk or the store is full.
        """
        self._tell_of_the_last_run()
        now = self.clock.now_ns()
        self._found: list[Gap] = []
        self.store.begin_run(
            Run(
                number=0,
                session=self._of_session,
                started=now,
                seen=now,
                bound_s=1 / self.params.flush_hz,
                is_durable=self.params.is_durable,
                topics=self._topics,
            )
        )
        self._answering = self.bus.answer_history(self.on_history)
        self._subscriptions = [self._subscribe(topic) for topic in self._topics]
        self.log.info("recording", path=self.path, topics=", ".join(self._topics))

    async def on_deactivate(self) -> None:
        """Write what is left, and say whether the recording is complete and what it lacks."""
        self._answering.close()
        for subscription in self._subscriptions:
            await self._drain(subscription)
            await self.bus.unsubscribe(subscription)
            self.unrecorded += subscription.dropped.get("malformed", 0)
        await self.flush()
        run = self.store.end_run(self.clock.now_ns())
        whole = "complete" if not (self.unrecorded or self.gaps) else "NOT complete"
        self.log.info(
            f"recording is {whole}",
            run=run.number if run else 0,
            recorded=self.recorded,
            unrecorded=self.unrecorded,
            missing=self.gaps,
        )
        for gap in self._found[:NAMED_GAPS]:
            last = gap.after_seq + gap.missing
            self.log.info(
                f"missing: {gap.topic} no. {gap.after_seq + 1} to {last}, {gap.reason}",
                source=gap.source,
            )

    async def on_cleanup(self) -> None:
        """Close the store."""
        self.store.close()

    @timer(hz="flush_hz")
    async def on_flush_time(self) -> None:
        """Write what has come."""
        await self.flush()

    @timer(60.0)
    async def on_tidy_time(self) -> None:
        """Remove what is too old, and, if so ordered, the oldest when room runs out."""
        await asyncio.to_thread(self._tidy)

    @service("history")
    async def on_history(self, query: HistoryQuery) -> History:
        """Say what was on a topic, as far as it is written.

        Raises:
            StoreError: The store is damaged, or a key is missing.
        """
        return await asyncio.to_thread(history_of, self.store, query)

    @service("acknowledge")
    async def on_acknowledge(self, question: Acknowledge) -> Ack:
        """Write with the next commit how far a consumer has got, and say so then.

        Raises:
            StoreError: It can't be written.
        """
        return await self._acknowledged.written(question, self.clock.now_ns())

    @service("forget_letters")
    async def on_forget_letters(self, question: ForgetLetters) -> Ack:
        """Remove dead letters from the store.

        Raises:
            StoreError: The store can't be written.
        """
        return await asyncio.to_thread(forgotten, self.store, question)

    @property
    def _topics(self) -> list[str]:
        topics = ["**"] if self.params.journal else list(self.params.topics)
        has_letters = any(matches(pattern, LETTERS) for pattern in topics)
        return topics if has_letters or not self.params.dead_letters_mb else [*topics, LETTERS]

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
        batch, self._batch, self._waiting_bytes = self._batch, [], 0
        acknowledged = self._acknowledged.taken()
        if batch or acknowledged:
            work = self._write(batch, acknowledged)
            self._writing = asyncio.get_running_loop().create_task(work)
            await asyncio.shield(self._writing)

    async def _write(self, batch: list[Waiting], acknowledged: list[WaitingMark]) -> None:
        marks, now_ns = [mark for mark, _ in acknowledged], self.clock.now_ns()
        written = await asyncio.to_thread(self._write_now, batch, now_ns, marks)
        settle(acknowledged, written.error)
        self._on_written(written)

    def _write_now(self, batch: list[Waiting], now_ns: int, marks: list[Mark]) -> Written:
        if self.params.when_full == "oldest" and self._writer.fill > 0.8:
            self._make_room()
        incoming = [self._incoming(one) for one in batch]
        written = self._writer.write(incoming, now_ns=now_ns, marks=marks)
        if any(one.topic == LETTERS for one in batch) and self.params.dead_letters_mb:
            self._bound_letters()
        return written

    def _bound_letters(self) -> None:
        try:
            if removed := bound_letters(self.store, self.params.dead_letters_mb * MB):
                self.log.warning(f"removed the {removed} oldest dead letters for want of room")
        except StoreError as error:
            self.log.error(f"dead letters can't be removed: {error}")

    def _on_written(self, written: Written) -> None:
        self.recorded += written.recorded
        self.unrecorded += sum(written.missed.values())
        for gap in written.gaps:
            self._on_gap(gap)
        if written.trouble:
            self.log.error(written.trouble, fill=f"{written.fill:.0%}")
            self._diagnose("error", written.trouble)

    def _make_room(self) -> None:
        wanted, unread = self.params.max_mb * MB // 20, Unread()
        try:
            make_room(self.store, wanted, patterns=self.params.classes, unread=unread)
        except StoreError as error:  # what comes is still written, or counted as missing
            self.log.error(f"no room can be made: {error}")
        self._tell_unread(unread)

    def _incoming(self, one: Waiting) -> Incoming:
        header = one.message.header
        missed = THINNED
        if one.is_kept:
            try:
                subject = self._subject_of(one.about)
                return Incoming.of(one.topic, one.message, arrived=one.arrived, subject=subject)
            except MessageError as error:
                self.log.error(f"{one.topic} no. {header.seq} can't be recorded: {error}")
                missed = REFUSED
        return Incoming(
            one.topic, header.stamp, header.seq, header.source, one.arrived, missed=missed
        )

    def _subject_of(self, topic: str) -> int:
        for name, patterns in self.params.subjects.items():
            if any(matches(pattern, topic) for pattern in patterns):
                return self._subjects[name]
        return 0

    def _tidy(self) -> None:
        now, params, unread = self.clock.now_ns(), self.params, Unread()
        removed = prune_old(
            self.store,
            params.max_age_h,
            now,
            patterns=params.classes,
            keep_unread_h=params.keep_unread_h,
            unread=unread,
        )
        for topic, pruned in removed.items():
            self.log.info(f"removed {pruned.messages} old messages of {topic}")
        self._tell_unread(unread)

    def _tell_unread(self, unread: Unread) -> None:
        for (consumer, topic), count in unread.items():
            self.unread += count
            self.log.warning(
                f"removed {count} messages of {topic} that the consumer {consumer} has not read",
                all=self.unread,
            )

    def _tell_of_the_last_run(self) -> None:
        runs = self.store.runs()
        if runs and not runs[-1].ended:
            last = runs[-1]
            self.log.warning(
                f"run {last.number} was cut off: what came within {last.bound_s:g} s of "
                f"{last.seen} ns may be missing",
                recorded=last.recorded,
            )
            self._diagnose("warn", f"run {last.number} was cut off")

    async def _drain(self, subscription: Subscription[Any]) -> None:
        """Wait for what has arrived already; what takes too long is counted."""
        for _ in range(DRAIN_TRIES):
            if not len(subscription.inbox):
                return
            await self.clock.sleep(0.01)
        self.unrecorded += len(subscription.inbox)

    def _folder(self) -> Path:
        session = self.session.name if self.session is not None else "default"
        return Path(self.params.path).expanduser() if self.params.path else store_of(session)

    def _subscribe(self, topic: str) -> Subscription[Any]:
        spill = None
        if self.session is not None:
            folder = self.session.run_dir / "spill" / "recorder"
            spill = DiskQueue(folder / topic.replace("/", "%").replace("*", "+"))
        options = SubscriptionOptions(
            node=self.name,
            qos=QoS.lossless(),
            keep_expired=True,
            takes_unknown=True,
            spill=spill,
        )
        return self.bus.subscribe(topic, Message, partial(self._keep, topic), options)

    def _keep(self, pattern: str, message: Message) -> None:
        trace = message.header.trace
        topic = trace[-1].topic if trace else pattern
        is_kept = (
            self._waiting_bytes < self.params.max_waiting_mb * MB
            or self._writer.class_of(topic) is not TopicClass.SENSOR
        )
        self._waiting_bytes += size_of(message) if is_kept else 0
        if type(message) is Opaque and message.type not in self._unknown:
            self._unknown.add(message.type)
            self.log.info(f"{topic} is recorded as it comes: {message.type} is not known here")
        self._batch.append(Waiting(topic, message, self.clock.now_ns(), is_kept))

    def _on_gap(self, gap: Gap) -> None:
        self.gaps += gap.missing
        self._found.append(gap)
        told = self._told[gap.topic] = self._told.get(gap.topic, 0) + 1
        if told & (told - 1) == 0:  # 1, 2, 4, 8, …: loud, but no flood; the store has them all
            self.log.warning(
                f"{gap.missing} messages of {gap.topic} are missing after no. {gap.after_seq}",
                source=gap.source,
                reason=gap.reason,
            )
            self._diagnose("warn", f"gap in {gap.topic}: {gap.reason}")

    def _diagnose(self, level: str, text: str) -> None:
        values = {"recorded": str(self.recorded), "unrecorded": str(self.unrecorded)}
        self.diagnostics.publish(
            Diagnostic(level=level, name="recorder/store", text=text, values=values)
        )
