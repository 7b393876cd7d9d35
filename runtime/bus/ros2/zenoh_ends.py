"""The ends of topics and services over Zenoh, as rmw_zenoh's peers expect them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.ros2.backend import Reply
from olympus.runtime.bus.ros2.wire import Attachment, RosEntity
from olympus.runtime.errors import BusError

_LONGEST = 1000
"""Bytes of what a service says about its failure."""
_FOREVER_S = 10.0 * 365 * 86_400


class ZenohPublisher:
    """The sending end of one topic."""

    def __init__(self, entity: RosEntity, publisher: Any, shown: Shown) -> None:
        self._entity, self._shown = entity, shown
        self._gid = entity.gid
        self._publisher = publisher
        self._is_latched = entity.qos is not None and entity.qos.is_latched
        self._seq = 0
        self._lock = threading.Lock()
        self._is_wanted = True
        if not self._is_latched:
            self._is_wanted = bool(publisher.matching_status.matching)
            publisher.declare_matching_listener(Callback(self._on_matching, indirect=False))

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens; a latched topic keeps its last messages for who comes later."""
        return self._is_wanted

    def put(self, cdr: bytes) -> None:
        """Send one message.

        Raises:
            BusError: It is closed.
        """
        with self._lock:
            if self._publisher is None:
                raise BusError(f"{self._entity.topic} can't be sent: its publisher is closed")
            self._seq += 1
            attached = Attachment(self._seq, time.time_ns(), self._gid)
            try:
                self._publisher.put(cdr, attachment=attached.to_bytes())
            except zenoh.ZError as error:
                raise BusError(f"{self._entity.topic} can't be sent: {error}") from error

    def close(self) -> None:
        """Take it back; again is harmless."""
        with self._lock:
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._shown.close()
            undeclare(publisher)

    def _on_matching(self, status: zenoh.MatchingStatus) -> None:
        self._is_wanted = bool(status.matching)


class ZenohClient:
    """The asking end of one service."""

    def __init__(self, session: zenoh.Session, entity: RosEntity, shown: Shown) -> None:
        self._session, self._entity, self._shown = session, entity, shown
        self._gid = entity.gid
        self._numbers = itertools.count(1)
        self._querier: Any = session.declare_querier(
            entity.key, target=zenoh.QueryTarget.ALL_COMPLETE
        )
        """Only tells whether somebody serves it: a querier knows one time limit for all calls."""

    @property
    def is_ready(self) -> bool:
        """Whether somebody serves it."""
        return self._querier is not None and bool(self._querier.matching_status.matching)

    def call(self, cdr: bytes, reply: Reply, timeout_s: float | None) -> None:
        """Send a request; `reply` is called once."""
        name = self._entity.topic
        once = _Once(reply)

        def on_reply(answer: zenoh.Reply) -> None:
            if answer.ok is not None:
                once(answer.ok.payload.to_bytes())
            else:
                once(f"{name}: {_reason(answer)}")

        def on_end() -> None:
            once(f"no answer from service {name}; is it served, with the same type?")

        attached = Attachment(next(self._numbers), time.time_ns(), self._gid)
        self._session.get(
            self._entity.key,
            Callback(on_reply, on_end, indirect=False),
            payload=cdr,
            attachment=attached.to_bytes(),
            target=zenoh.QueryTarget.ALL_COMPLETE,
            consolidation=zenoh.ConsolidationMode.NONE,
            timeout=_FOREVER_S if timeout_s is None else timeout_s,
        )

    def close(self) -> None:
        """Take it back; again is harmless."""
        querier, self._querier = self._querier, None
        if querier is not None:
            self._shown.close()
            undeclare(querier)


def _reason(answer: zenoh.Reply) -> str:
    """Return why a service failed, in its own words; nothing in them that a terminal would obey."""
    if answer.err is None:
        return "no reason"
    text = answer.err.payload.to_bytes()[:_LONGEST].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


class _Once:
    """Lets the first call through."""

    def __init__(self, reply: Reply) -> None:
        self._reply, self._lock, self._is_done = reply, threading.Lock(), False

    def __call__(self, answer: bytes | str) -> None:
        with self._lock:
            was_done, self._is_done = self._is_done, True
        if not was_done:
            self._reply(answer)


class Shown:
    """The visible sign of an end, taken back once."""

    def __init__(self, hide: Callable[[], None]) -> None:
        self._hide = hide

    def close(self) -> None:
        """Take it back; again is harmless."""
        self._hide()


class Ends:
    """Declared Zenoh entities and their sign, taken back together."""

    def __init__(self, *ends: Any) -> None:
        self._ends = list(ends)

    def close(self) -> None:
        """Take them back; again is harmless."""
        while self._ends:
            end = self._ends.pop()
            end.close() if isinstance(end, Shown) else undeclare(end)


def undeclare(end: Any) -> None:
    """Take a Zenoh entity back, unless its session went before it."""
    try:
        end.undeclare()
    except zenoh.ZError:
        return  # the session is closed, and it went with it
