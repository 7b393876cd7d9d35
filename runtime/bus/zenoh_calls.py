"""Service calls over Zenoh: a question is a query, its answer the reply, and both can be given up.

A query carries an attachment: who calls (u64), the number of the call (u64), and how long the
caller waits (u32, ms), little endian. Who gives up puts the number on `@olympus/cancel/<caller>`;
who dies takes its liveliness token `@olympus/caller/<caller>` along. In both cases, and when the
caller's time is up, the handler is cancelled. A query without the attachment is answered too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.failure import MAX_CALLS, busy, failure_bytes, failure_of
from olympus.runtime.bus.link import Closable, ServeHandler
from olympus.runtime.bus.zenoh_samples import FRAME, Declared
from olympus.runtime.errors import BusError, OlympusError

_PATIENCE_S = 3600.0
"""How long a caller waits who doesn't say."""
_GRACE_S = 1.0
"""Zenoh's own time-out comes after ours, which says more."""
_CALL = struct.Struct("<QQI")
_NUMBER = struct.Struct("<Q")
_CANCEL = "@olympus/cancel"
_CALLER = "@olympus/caller"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CallId:
    """Who asks, and which of its questions this is."""

    caller: str
    """16 hexadecimal digits; empty for an outside client that doesn't say."""
    number: int


class ZenohCalls:
    """Asks and answers for one session."""

    def __init__(self, session: zenoh.Session, loop: asyncio.AbstractEventLoop) -> None:
        self._session, self._loop = session, loop
        self._me = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._running: dict[_CallId, asyncio.Task[None]] = {}
        self._ears: list[Closable] = []
        self._token: zenoh.LivelinessToken | None = None

    def serve(self, name: str, handler: ServeHandler) -> Closable:
        """Answer requests that come from other hosts."""
        if not self._ears:
            self._ears = [self._hear_cancellations(), self._hear_ends()]

        def on_query(query: zenoh.Query) -> None:
            self._hand_over(self._start, query, handler)

        return Declared(
            self._session.declare_queryable(
                name,
                Callback(on_query, indirect=False),
                complete=True,
                allowed_origin=zenoh.Locality.REMOTE,
            )
        )

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        """Ask a service in another host; a caller that gives up has the handler cancelled.

        Raises:
            BusError: Nobody serves it, or it does not answer in time.
            ServiceError: It failed; also of the class that its handler raised.
            CancelledError: The caller is asked to end.
        """
        if self._token is None:
            self._token = self._session.liveliness().declare_token(f"{_CALLER}/{self._me}")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        number, ending = next(self._numbers), zenoh.CancellationToken()

        def on_reply(reply: zenoh.Reply) -> None:
            self._hand_over(_settle, answer, _content(reply, name))

        def on_end() -> None:
            error = BusError(f"no answer from service {name!r}; is its node active?")
            self._hand_over(_settle, answer, error)

        self._session.get(
            name,
            Callback(on_reply, on_end, indirect=False),
            payload=frame,
            attachment=_call_bytes(self._me, number, timeout_s),
            timeout=timeout_s + _GRACE_S,
            priority=zenoh.Priority.INTERACTIVE_HIGH,
            express=True,
            allowed_destination=zenoh.Locality.REMOTE,
            cancellation_token=ending,
        )
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            self._give_up(number, ending)
            raise BusError(f"service {name!r} gave no answer in {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._give_up(number, ending)
            raise

    def close(self) -> None:
        """Cancel what is being answered, and stop listening; again is harmless."""
        for task in self._running.values():
            task.cancel()
        for ear in self._ears:
            ear.close()
        self._ears.clear()
        if self._token is not None:
            self._token.undeclare()  # type: ignore[no-untyped-call]
            self._token = None

    def _give_up(self, number: int, ending: zenoh.CancellationToken) -> None:
        ending.cancel()  # type: ignore[no-untyped-call]
        try:
            self._session.put(f"{_CANCEL}/{self._me}", _NUMBER.pack(number), express=True)
        except zenoh.ZError as error:  # the session is closed: its token says the same
            _log.debug("a cancellation could not be sent: %s", error)

    def _hear_cancellations(self) -> Closable:
        def on_cancel(sample: zenoh.Sample) -> None:
            raw = sample.payload.to_bytes()
            if len(raw) == _NUMBER.size:
                caller = str(sample.key_expr).rpartition("/")[2]
                self._hand_over(self._cancel, caller, _NUMBER.unpack(raw)[0])

        return Declared(
            self._session.declare_subscriber(f"{_CANCEL}/*", Callback(on_cancel, indirect=False))
        )

    def _hear_ends(self) -> Closable:
        def on_token(sample: zenoh.Sample) -> None:
            if sample.kind == zenoh.SampleKind.DELETE:
                self._hand_over(self._cancel, str(sample.key_expr).rpartition("/")[2], None)

        return Declared(
            self._session.liveliness().declare_subscriber(
                f"{_CALLER}/*", Callback(on_token, indirect=False)
            )
        )

    def _hand_over(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the event loop call a function; this is one of Zenoh's threads."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed, and with it all calls have ended
            _log.debug("a call came to a host that has ended")

    def _start(self, query: zenoh.Query, handler: ServeHandler) -> None:
        caller, number, patience_s = _call_of(query)
        call = _CallId(caller, number or -next(self._numbers))
        if len(self._running) >= MAX_CALLS or call in self._running:
            _refuse(query, busy(len(self._running)))
            return
        task = self._loop.create_task(_answer(query, handler, patience_s))
        self._running[call] = task
        task.add_done_callback(lambda _: self._running.pop(call, None))

    def _cancel(self, caller: str, number: int | None) -> None:
        """Cancel one call of a caller, or with None all of them."""
        for call, task in list(self._running.items()):
            if call.caller == caller and number in (None, call.number):
                task.cancel()


def _call_bytes(caller: str, number: int, timeout_s: float) -> bytes:
    patience_ms = max(0, min(round(timeout_s * 1000), 2**32 - 1))
    return _CALL.pack(int(caller, 16), number, patience_ms)


def _call_of(query: zenoh.Query) -> tuple[str, int, float]:
    """Return who asks, the number of the question, and how long the asker waits, s."""
    raw = query.attachment.to_bytes() if query.attachment is not None else b""
    if len(raw) != _CALL.size:
        return "", 0, _PATIENCE_S
    caller, number, patience_ms = _CALL.unpack(raw)
    return f"{caller:016x}", number, patience_ms / 1000


async def _answer(query: zenoh.Query, handler: ServeHandler, patience_s: float) -> None:
    with query:
        question = query.payload.to_bytes() if query.payload is not None else b""
        try:
            async with asyncio.timeout(patience_s):
                query.reply(query.key_expr, await handler(question), encoding=FRAME)
        except OlympusError as error:
            query.reply_err(failure_bytes(error), encoding=zenoh.Encoding.TEXT_PLAIN)
        except TimeoutError:
            _log.debug("%s: the caller has stopped waiting", query.key_expr)


def _refuse(query: zenoh.Query, error: OlympusError) -> None:
    with query:
        query.reply_err(failure_bytes(error), encoding=zenoh.Encoding.TEXT_PLAIN)


def _content(reply: zenoh.Reply, name: str) -> bytes | BusError:
    if reply.ok is not None:
        return reply.ok.payload.to_bytes()
    return failure_of(reply.err.payload.to_bytes() if reply.err is not None else b"", name)


def _settle(answer: asyncio.Future[bytes], result: bytes | BusError) -> None:
    if answer.done():
        return
    if isinstance(result, BusError):
        answer.set_exception(result)
    else:
        answer.set_result(result)
