"""The link over Zenoh: frames to other hosts and other machines.

A topic is a Zenoh key of the same name. The payload is a frame (see messages/codec.py), the
attachment says who sent it: u64 seq, u64 incarnation, both little endian, then the node's name in
UTF-8.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from typing import Any

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.graph import Graph, Token
from olympus.runtime.bus.link import (
    Closable,
    Deliver,
    Entity,
    LastValue,
    LinkPublisher,
    Origin,
    ServeHandler,
)
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.errors import BusError, OlympusError
from olympus.runtime.qos import Tier

_ORIGIN = struct.Struct("<QQ")
_PRIORITY = {
    Tier.CRITICAL: zenoh.Priority.REAL_TIME,
    Tier.HIGH: zenoh.Priority.INTERACTIVE_HIGH,
    Tier.NORMAL: zenoh.Priority.DATA,
    Tier.LOW: zenoh.Priority.DATA_LOW,
    Tier.DEFERRED: zenoh.Priority.BACKGROUND,
}


class ZenohLink:
    """Carries a host's frames through the session's hub."""

    def __init__(self, endpoint: str) -> None:
        """Connect.

        Args:
            endpoint: Where the hub listens.

        Raises:
            BusError: Nobody listens there.
        """
        self._session = open_session("client", connect=[endpoint])
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._graph = Graph(self._session)

    def advertise(
        self, topic: str, *, tier: Tier, is_reliable: bool, last: LastValue | None
    ) -> LinkPublisher:
        """Open the sending end of a topic."""
        publisher = self._session.declare_publisher(
            topic,
            priority=_PRIORITY[tier],
            express=tier <= Tier.NORMAL,
            congestion_control=(
                zenoh.CongestionControl.BLOCK if is_reliable else zenoh.CongestionControl.DROP
            ),
            allowed_destination=zenoh.Locality.REMOTE,
        )
        return _ZenohPublisher(self._session, publisher, last)

    def listen(self, topic: str, deliver: Deliver) -> Closable:
        """Open the receiving end of a topic."""

        def on_sample(sample: zenoh.Sample) -> None:
            _hand_over(sample, deliver)

        return _Undeclare(
            self._session.declare_subscriber(
                topic,
                Callback(on_sample, indirect=False),
                allowed_origin=zenoh.Locality.REMOTE,
            )
        )

    def fetch_last(self, topic: str, deliver: Deliver) -> None:
        """Ask for the last value of a latched topic."""

        def on_reply(reply: zenoh.Reply) -> None:
            if reply.ok is not None:
                _hand_over(reply.ok, deliver)

        self._session.get(
            topic,
            Callback(on_reply, indirect=False),
            target=zenoh.QueryTarget.ALL,
            consolidation=zenoh.ConsolidationMode.NONE,
            allowed_destination=zenoh.Locality.REMOTE,
            timeout=2.0,
        )

    def serve(self, name: str, handler: ServeHandler) -> Closable:
        """Answer requests that come from other hosts."""

        def on_query(query: zenoh.Query) -> None:
            self._loop.call_soon_threadsafe(self._start_answer, query, handler)

        return _Undeclare(
            self._session.declare_queryable(
                name,
                Callback(on_query, indirect=False),
                complete=True,
                allowed_origin=zenoh.Locality.REMOTE,
            )
        )

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        """Ask a service in another host.

        Raises:
            BusError: Nobody serves it, it does not answer in time, or it failed.
        """
        answer: asyncio.Future[bytes] = self._loop.create_future()

        def settle(result: bytes | BusError) -> None:
            if answer.done():
                return
            if isinstance(result, BusError):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        def on_reply(reply: zenoh.Reply) -> None:
            self._loop.call_soon_threadsafe(settle, _content(reply, name))

        def on_end() -> None:
            error = BusError(f"no answer from service {name!r}; is its node active?")
            self._loop.call_soon_threadsafe(settle, error)

        self._session.get(
            name,
            Callback(on_reply, on_end, indirect=False),
            payload=frame,
            timeout=timeout_s,
            allowed_destination=zenoh.Locality.REMOTE,
        )
        try:
            return await asyncio.wait_for(answer, timeout_s + 0.5)
        except TimeoutError:
            raise BusError(f"service {name!r} gave no answer in {timeout_s:g} s") from None

    def announce(self, entity: Entity) -> Closable:
        """Make an entity visible until it is taken back or this process dies."""
        return Token(self._session, entity)

    def entities(self) -> list[Entity]:
        """Return all entities alive in the session."""
        return self._graph.entities()

    def close(self) -> None:
        """End everything; again is harmless."""
        for task in self._tasks:
            task.cancel()
        if not self._session.is_closed():
            self._session.close()  # type: ignore[no-untyped-call]

    def _start_answer(self, query: zenoh.Query, handler: ServeHandler) -> None:
        task = self._loop.create_task(_answer(query, handler))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _ZenohPublisher:
    """The sending end of one topic."""

    def __init__(
        self, session: zenoh.Session, publisher: zenoh.Publisher, last: LastValue | None
    ) -> None:
        self._publisher: zenoh.Publisher | None = publisher
        self._last = last
        self._sending = threading.Lock()
        self._is_wanted = _is_matching(publisher.matching_status)
        self._answers = None
        publisher.declare_matching_listener(Callback(self._on_matching, indirect=False))
        if last is not None:

            def on_query(query: zenoh.Query) -> None:
                _answer_last(query, last)

            self._answers = session.declare_queryable(
                str(publisher.key_expr),
                Callback(on_query, indirect=False),
                allowed_origin=zenoh.Locality.REMOTE,
            )

    @property
    def is_wanted(self) -> bool:
        """Whether anybody in another host listens."""
        return self._is_wanted

    def put(self, frame: bytes, origin: Origin) -> None:
        """Send one frame.

        Raises:
            BusError: The publisher or the session is closed.
        """
        with self._sending:
            if self._publisher is None:
                raise BusError(f"{origin.topic} can't be sent: its publisher is closed")
            try:
                self._publisher.put(frame, attachment=_origin_bytes(origin))
            except zenoh.ZError as error:
                raise BusError(f"{origin.topic} can't be sent: {error}") from error

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._answers is not None:
            self._answers.undeclare()  # type: ignore[no-untyped-call]
            self._answers = None
        with self._sending:  # Zenoh takes nothing back that another thread is using
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.undeclare()  # type: ignore[no-untyped-call]

    def _on_matching(self, status: zenoh.MatchingStatus) -> None:
        was_wanted, self._is_wanted = self._is_wanted, _is_matching(status)
        if self._is_wanted and not was_wanted and self._last is not None:
            # Who joined just before we did asked for the last value in vain.
            value = self._last()
            if value is not None:
                with contextlib.suppress(BusError):  # it is being closed
                    self.put(*value)


class _Undeclare:
    """A declared Zenoh entity that is taken back once."""

    def __init__(self, entity: Any) -> None:
        self._entity = entity

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._entity is not None:
            self._entity.undeclare()
            self._entity = None


def _is_matching(status: Any) -> bool:
    return bool(status.matching)  # zenoh's stubs call it a bool; it is an object


def _origin_bytes(origin: Origin) -> bytes:
    return _ORIGIN.pack(origin.seq, origin.incarnation) + origin.source.encode()


def _hand_over(sample: zenoh.Sample, deliver: Deliver) -> None:
    """Pass a sample on; one without our attachment is from an outside client: no place in a row."""
    topic = str(sample.key_expr)
    raw = sample.attachment.to_bytes() if sample.attachment is not None else b""
    if len(raw) < _ORIGIN.size:
        deliver(sample.payload, Origin(topic, "", 0, 0))
        return
    seq, incarnation = _ORIGIN.unpack_from(raw)
    source = raw[_ORIGIN.size :].decode(errors="replace")
    deliver(sample.payload, Origin(topic, source, incarnation, seq))


def _answer_last(query: zenoh.Query, last: LastValue) -> None:
    with query:
        value = last()
        if value is not None:
            frame, origin = value
            query.reply(query.key_expr, frame, attachment=_origin_bytes(origin))


async def _answer(query: zenoh.Query, handler: ServeHandler) -> None:
    with query:
        question = query.payload.to_bytes() if query.payload is not None else b""
        try:
            query.reply(query.key_expr, await handler(question))
        except OlympusError as error:
            query.reply_err(str(error))


def _content(reply: zenoh.Reply, name: str) -> bytes | BusError:
    if reply.ok is not None:
        return reply.ok.payload.to_bytes()
    reason = reply.err.payload.to_string() if reply.err is not None else "no reason given"
    return BusError(f"{name}: {reason}")
