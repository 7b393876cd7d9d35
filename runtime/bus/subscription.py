"""The receiving end of a topic: queue, checks, counters, and the task that feeds the handler."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from olympus.runtime.bus.handling import call_handler
from olympus.runtime.bus.inbox import Inbox
from olympus.runtime.bus.link import Origin, Payload
from olympus.runtime.bus.spill import FrameSpill, Spill
from olympus.runtime.clock import Clock
from olympus.runtime.errors import MessageError, SchemaError, StoreError
from olympus.runtime.messages import Message, TopicStats, decode, schema_by_class
from olympus.runtime.qos import Overflow, QoS
from olympus.runtime.telemetry.meters import SubscriptionMeter

M = TypeVar("M", bound=Message)
Handler = Callable[[M], Awaitable[None] | None]
OnError = Callable[[Exception, Message], None]
_log = logging.getLogger(__name__)


def _log_failure(error: Exception, message: Message) -> None:
    _log.error("a handler failed on %s: %s", type(message).__name__, error, exc_info=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """What a subscriber may choose."""

    node: str = ""
    """Full name of the node that subscribes."""
    qos: QoS = field(default_factory=QoS.latest)
    on_error: OnError = _log_failure
    """Told when the handler raises; the subscription goes on."""
    keep_expired: bool = False
    """Deliver messages that are past their `expires` too: for recorders and viewers."""
    spill: Spill[bytes] | None = None
    """Where a lossless queue keeps what is beyond its depth; closed with the subscription."""


class Subscription(Generic[M]):
    """One subscription of one node.

    Messages of the same host arrive by reference, those of other hosts as frames that are decoded
    only when their turn comes: a superseded camera frame costs nothing.
    """

    def __init__(
        self,
        topic: str,
        cls: type[M],
        handler: Handler[M],
        *,
        clock: Clock,
        options: SubscriptionOptions,
    ) -> None:
        self.topic, self.cls, self.options = topic, cls, options
        self._meter = SubscriptionMeter(topic, type_name(cls), options.node, now_ns=clock.now_ns())
        self._handler, self._clock = handler, clock
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._arrival = threading.Lock()
        self._is_closed = False
        spill = FrameSpill(options.spill) if options.spill is not None else None
        self.inbox: Inbox[M | Payload] = Inbox(options.qos, self._notice, spill)
        self._task = self._loop.create_task(self._run(), name=f"sub:{topic}")

    def push(self, item: M | Payload, origin: Origin) -> None:
        """Take in a message or a frame; from any thread, in microseconds."""
        try:
            with self._arrival:  # else two threads could put what they bring in the wrong order
                if self._is_news(origin):
                    self.inbox.put(item)
        except StoreError as error:
            self._refuse("overflow", error)
        except MessageError as error:
            self._refuse("malformed", error)

    @property
    def must_wait(self) -> bool:
        """Whether who awaits `send` must wait: a `block` subscription without room."""
        is_open = not self._is_closed and not self._task.done()
        return is_open and self.options.qos.overflow is Overflow.BLOCK and not self.inbox.has_room

    async def wait_for_room(self) -> None:
        """Wait until `must_wait` no longer holds."""
        while self.must_wait:
            self._room.clear()
            await self._room.wait()

    @property
    def dropped(self) -> dict[str, int]:
        """What did not reach the handler since the start, by reason."""
        return self.inbox.dropped

    def stats(self, now_ns: int) -> TopicStats:
        """Return what this end did up to robot time `now_ns`."""
        self._meter.dropped = self.dropped
        return self._meter.snapshot(now_ns)

    async def close(self) -> None:
        """Stop delivering; what is queued is dropped and counted.

        The subscription's own handler may ask for it, and then goes on to its end.
        """
        self._is_closed = True
        if asyncio.current_task() is not self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.inbox.clear()
        self.inbox.forget_spill()
        self._room.set()

    def _notice(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._wake.set)

    def _is_news(self, origin: Origin) -> bool:
        if not origin.seq:  # an outside client that does not count
            return True
        key = (origin.topic, origin.source)
        incarnation, last = self._seen.get(key, (0, 0))
        if incarnation == origin.incarnation:
            if origin.seq <= last:  # the newest once more is a latched value that came both ways
                self.inbox.count("duplicate", int(origin.seq < last))
                return False
            self.inbox.count("lost", origin.seq - last - 1)
        self._seen[key] = (origin.incarnation, origin.seq)
        return True

    async def _run(self) -> None:
        while not self._is_closed:
            item = self._take()
            if item is None:
                self._wake.clear()
                if not len(self.inbox):
                    await self._wake.wait()
                continue
            self._room.set()
            message = self._open(item)
            if message is not None:
                await self._deliver(message)

    def _take(self) -> M | Payload | None:
        try:
            return self.inbox.take()
        except StoreError as error:
            self._refuse("lost", error, self.inbox.forget_spill())
            return None

    def _open(self, item: M | Payload) -> M | None:
        try:
            message = item if isinstance(item, Message) else decode(item.to_bytes())
            if not isinstance(message, self.cls):
                raise MessageError(
                    f"{type(message).__name__} where {self.cls.__name__} is needed; "
                    "two nodes use one topic for different types, remap one of them"
                )
        except MessageError as error:
            self._refuse("schema" if isinstance(error, SchemaError) else "malformed", error)
            return None
        if not self.options.keep_expired and message.header.has_expired(self._clock.now_ns()):
            self.inbox.count("expired")
            return None
        return message

    async def _deliver(self, message: M) -> None:
        now = self._clock.now_ns()
        self._meter.on_delivered(max(0, now - message.header.stamp))
        try:
            await call_handler(self._handler, message)
        except Exception as error:  # noqa: BLE001  the node boundary: reported, counted, goes on
            self.inbox.count("failed")
            self._tell(error, message)

    def _tell(self, error: Exception, message: M) -> None:
        try:
            self.options.on_error(error, message)
        except Exception:  # noqa: BLE001  the node boundary too
            _log.exception("%s: %r could not even be reported", self.topic, error)

    def _refuse(self, reason: str, error: Exception, number: int = 1) -> None:
        count = self.inbox.count(reason, number)
        if count & (count - 1) == 0 or number > 1:  # 1, 2, 4, 8, …: loud, but no flood
            _log.warning("%s: %s message no. %d refused: %s", self.topic, reason, count, error)


def type_name(cls: type[Message]) -> str:
    """Return the name a message type travels under; `*` for Message itself, which means any."""
    return "*" if cls is Message else schema_by_class(cls).name
