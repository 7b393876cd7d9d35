"""The receiving end of a topic: queue, checks, counters, and the task that feeds the handler."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from olympus.runtime.bus.handling import as_failure, call_handler, is_ending
from olympus.runtime.bus.inbox import Inbox
from olympus.runtime.bus.ipc.frames import Frame
from olympus.runtime.bus.letters import DeadLetters
from olympus.runtime.bus.link import Origin, Payload
from olympus.runtime.bus.options import SubscriptionOptions
from olympus.runtime.bus.pictures import expanded
from olympus.runtime.bus.rows import MOST_ROWS, Row, is_news
from olympus.runtime.bus.spill import FrameSpill
from olympus.runtime.bus.topics import type_name
from olympus.runtime.clock import Clock
from olympus.runtime.errors import MessageError, SchemaError, StoreError
from olympus.runtime.messages import (
    CompressedImage,
    Image,
    Message,
    TopicStats,
    decode,
    opaque,
)
from olympus.runtime.qos import Overflow
from olympus.runtime.telemetry.meters import SubscriptionMeter

M = TypeVar("M", bound=Message)
Handler = Callable[[M], Awaitable[None] | None]
_AT_A_TIME = 64
_log = logging.getLogger(__name__)


class Subscription(Generic[M]):
    """One subscription of one node.

    Messages of the same host arrive by reference, those of other hosts as frames that are decoded
    only when their turn comes: a superseded camera frame costs nothing.
    """

    __slots__ = (
        "__weakref__", "_arrival", "_clock", "_handler", "_is_blocking", "_is_closed", "_is_latest",
        "_is_prompt", "_letters", "_loop", "_meter", "_now_ns", "_room", "_seen", "_task",
        "_thread", "_unfinished", "_wake", "_whose", "cls", "inbox", "options", "topic",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        cls: type[M],
        handler: Handler[M],
        *,
        clock: Clock,
        options: SubscriptionOptions,
        letters: DeadLetters,
    ) -> None:
        self._letters, self._whose = letters, (topic, options.node)
        self.topic, self.cls, self.options = topic, cls, options
        self._meter = SubscriptionMeter(topic, type_name(cls), options.node, now_ns=clock.now_ns())
        self._handler, self._clock = handler, clock
        self._now_ns = clock.now_ns
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._seen: dict[Row, tuple[int, int]] = {}
        self._arrival = threading.Lock()
        self._is_closed = False
        self._thread = threading.get_ident()
        self._is_prompt = not inspect.iscoroutinefunction(handler)
        """Whether the handler can be called straight from where a message arrives."""
        self._is_latest = options.qos.overflow is Overflow.LATEST
        self._is_blocking = options.qos.overflow is Overflow.BLOCK
        self._unfinished: tuple[Awaitable[object], M] | None = None
        spill = FrameSpill(options.spill) if options.spill is not None else None
        self.inbox: Inbox[M | Payload] = Inbox(options.qos, spill)
        self._task = self._loop.create_task(self._run(), name=f"sub:{topic}")

    def push(self, item: M | Payload, origin: Origin) -> None:
        """Take in a message or a frame; from any thread, in microseconds."""
        try:
            with self._arrival:  # else two threads could put what they bring in the wrong order
                key = (origin.topic, origin.source)
                if is_news(
                    self._seen, self.inbox, key, origin.incarnation, origin.seq
                ) and self.inbox.put(item):
                    self._notice()
        except StoreError as error:
            self._refuse("overflow", error, item=item, origin=origin)
        except MessageError as error:
            self._refuse("malformed", error, item=item, origin=origin)

    def arrive(self, frame: Frame, later: bool) -> bool:
        """Take in a frame that came through shared memory; in the event loop.

        Args:
            frame: The frame.
            later: More are waiting, so that this one may be superseded at once.

        Returns:
            Whether `run_on` has to be called once no more are waiting.
        """
        channel, head = frame.channel, frame.head
        key, incarnation, seq, seen = channel.key, channel.incarnation, head[4], self._seen
        refused: StoreError | MessageError | None = None
        self._arrival.acquire()  # quicker than `with`
        try:
            if seen.get(key) == (incarnation, seq - 1) and len(seen) < MOST_ROWS:
                seen[key] = (incarnation, seq)  # the next one, as nearly always
            elif not is_news(seen, self.inbox, key, incarnation, seq):
                return False
            if (
                (later and self._is_latest)
                or not self._is_prompt
                or self._unfinished is not None
                or self._is_closed
                or not self.inbox.is_empty
            ):
                return self._keep(frame)
        except (StoreError, MessageError) as error:
            refused = error
        finally:
            self._arrival.release()
        if refused is not None:
            reason = "overflow" if isinstance(refused, StoreError) else "malformed"
            self._refuse(reason, refused, item=frame)
            return False
        try:
            message = None if head[6] or self._is_blocking else frame.message()
        except MessageError:
            message = None  # the long way finds the same, and tells
        if type(message) is self.cls:
            self._deliver(message)
        else:
            self._handle(frame)
        return False

    def run_on(self) -> None:
        """Handle what is waiting, up to a point; in the event loop."""
        for _ in range(_AT_A_TIME):
            if self._unfinished is not None or self._is_closed or self.inbox.is_empty:
                return
            item = self._take()
            if item is not None:
                self._handle(item)
        self._wake.set()

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
            if self._unfinished is not None and inspect.iscoroutine(self._unfinished[0]):
                self._unfinished[0].close()
        self.inbox.clear()
        self.inbox.forget_spill()
        self._room.set()

    def _keep(self, frame: Frame) -> bool:
        """Queue a frame; returns whether `run_on` has to be called for it."""
        if self.inbox.put(frame) and not self._is_prompt:
            self._wake.set()
        return self._is_prompt

    def _notice(self) -> None:
        if threading.get_ident() == self._thread:
            self._wake.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        while not self._is_closed:
            if self._unfinished is not None:
                await self._finish()
                continue
            item = self._take()
            if item is None:
                self._wake.clear()
                if self.inbox.is_empty and self._unfinished is None:
                    await self._wake.wait()
                continue
            self._handle(item)

    def _handle(self, item: M | Payload) -> None:
        """Have the handler called with a message, if it is one that can be delivered."""
        if self._is_blocking:
            self._room.set()
        message = self._open(item)
        if message is not None:
            self._deliver(message)

    def _deliver(self, message: M) -> None:
        """Call the handler; if it has to wait, `_finish` sees to the end.

        Raises:
            CancelledError: The task of the subscription is asked to end.
        """
        age_ns = self._now_ns() - message.header.stamp
        meter = self._meter  # as SubscriptionMeter.on_delivered, which would be one more call
        meter.count += 1
        meter.ages_ns.append(age_ns if age_ns > 0 else 0)
        try:
            result = self._handler(message)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  the node boundary
            self._failed(error, message)
        else:
            if result is not None:
                self._came(result, message)

    def _came(self, result: object, message: M) -> None:
        """Take what a handler returned; what has to be awaited, `_finish` sees to."""
        if inspect.isawaitable(result):
            self._unfinished = result, message
            self._wake.set()

    def _failed(self, error: BaseException, message: M) -> None:
        """Take what a handler raised.

        Raises:
            CancelledError: The task of the subscription is asked to end.
        """
        if isinstance(error, asyncio.CancelledError):
            if is_ending():
                raise error
            error = as_failure(error)
        if not isinstance(error, Exception):
            raise error
        self._tell(error, message)

    async def _finish(self) -> None:
        if self._unfinished is None:
            return
        awaitable, message = self._unfinished
        try:
            await call_handler(lambda: awaitable)
        except Exception as error:  # noqa: BLE001  the node boundary
            self._tell(error, message)
        finally:
            self._unfinished = None

    def _take(self) -> M | Payload | None:
        try:
            return self.inbox.take()
        except StoreError as error:
            self._refuse("lost", error, self.inbox.forget_spill())
            return None

    def _open(self, item: M | Payload) -> M | None:
        try:
            if type(item) is Frame:
                expires = item.head[6]
                if expires and self._is_late(expires, item):
                    return None
                message: object = item.message()
            elif isinstance(item, Message):
                message = item
            else:
                message = decode(item.to_bytes())
            if self.cls is Image and isinstance(message, CompressedImage):
                message = expanded(message)
            if not isinstance(message, self.cls):
                raise MessageError(
                    f"{type(message).__name__} where {self.cls.__name__} is needed; "
                    "two nodes use one topic for different types, remap one of them"
                )
        except MessageError as error:
            message = self._unread(item) if self._is_unknown(error) else None
            if message is None:
                reason = "schema" if isinstance(error, SchemaError) else "malformed"
                self._refuse(reason, error, item=item)
                return None
        expires = message.header.expires
        return None if expires and self._is_late(expires, message) else message

    def _is_unknown(self, error: MessageError) -> bool:
        return self.options.takes_unknown and isinstance(error, SchemaError)

    def _unread(self, item: M | Payload) -> M | None:
        """Return a message of a type that is unknown here as it came; None if it is broken too."""
        try:
            made = None if isinstance(item, Message) else opaque(item.to_bytes())
        except MessageError:
            return None
        return made if isinstance(made, self.cls) else None

    def _is_late(self, expires: int, item: M | Frame) -> bool:
        if not expires or self.options.keep_expired or expires >= self._clock.now_ns():
            return False
        self.inbox.count("expired")
        if self.options.qos.overflow is Overflow.LOSSLESS:
            error = MessageError("it was worth nothing any more")
            self._letters.post("expired", error, self._whose, item)
        return True

    def _tell(self, error: Exception, message: M) -> None:
        self.inbox.count("failed")
        self._letters.post("failed", error, self._whose, message)
        try:
            self.options.on_error(error, message)
        except Exception:  # noqa: BLE001  the node boundary too
            _log.exception("%s: %r could not even be reported", self.topic, error)

    def _refuse(
        self,
        reason: str,
        error: Exception,
        number: int = 1,
        *,
        item: M | Payload | None = None,
        origin: Origin | None = None,
    ) -> None:
        count = self.inbox.count(reason, number)
        if count & (count - 1) == 0 or number > 1:  # 1, 2, 4, 8, …: loud, but no flood
            _log.warning("%s: %s message no. %d refused: %s", self.topic, reason, count, error)
        if number:
            self._letters.post(reason, error, self._whose, item, origin, number=number)
