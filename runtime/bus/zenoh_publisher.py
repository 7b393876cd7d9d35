"""The sending end of one topic over Zenoh."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.link import LastValue, Origin
from olympus.runtime.bus.zenoh_history import is_about_the_past
from olympus.runtime.bus.zenoh_samples import Declared, origin_bytes
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Message, encode


class ZenohPublisher:
    """The sending end of one topic."""

    def __init__(
        self, session: zenoh.Session, publisher: zenoh.Publisher, last: LastValue | None
    ) -> None:
        self._publisher: zenoh.Publisher | None = publisher
        self._last = last
        self._sending = threading.Lock()
        self.is_wanted = _is_matching(publisher.matching_status)
        """Whether anybody in another host listens."""
        self._answers: Declared | None = None
        publisher.declare_matching_listener(Callback(self._on_matching, indirect=False))
        if last is not None:

            def on_query(query: zenoh.Query) -> None:
                _answer_last(query, last, publisher.encoding)

            self._answers = Declared(
                session.declare_queryable(
                    str(publisher.key_expr),
                    Callback(on_query, indirect=False),
                    allowed_origin=zenoh.Locality.REMOTE,
                )
            )

    def send(self, message: Message, origin: Origin) -> int:
        """Send one message; returns its size.

        Raises:
            BusError: The publisher or the session is closed.
            MessageError: A field holds what its type does not allow.
        """
        frame = encode(message)
        self.put(frame, origin)
        return len(frame)

    def put(self, frame: bytes, origin: Origin, encoding: zenoh.Encoding | None = None) -> None:
        """Send one frame.

        Args:
            frame: The frame.
            origin: Where it comes from.
            encoding: Where it isn't that of the topic's type.

        Raises:
            BusError: The publisher or the session is closed.
        """
        with self._sending:
            if self._publisher is None:
                raise BusError(f"{origin.topic} can't be sent: its publisher is closed")
            try:
                self._publisher.put(frame, encoding=encoding, attachment=origin_bytes(origin))
            except zenoh.ZError as error:
                raise BusError(f"{origin.topic} can't be sent: {error}") from error

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._answers is not None:
            self._answers.close()
        with self._sending:  # Zenoh takes nothing back that another thread is using
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.undeclare()  # type: ignore[no-untyped-call]

    def _on_matching(self, status: zenoh.MatchingStatus) -> None:
        was_wanted, self.is_wanted = self.is_wanted, _is_matching(status)
        if self.is_wanted and not was_wanted and self._last is not None:
            # Who joined just before we did asked for the last value in vain.
            value = self._last()
            if value is not None:
                with contextlib.suppress(BusError):  # it is being closed
                    self.put(*value)


def _is_matching(status: Any) -> bool:
    return bool(status.matching)  # zenoh's stubs call it a bool; it is an object


def _answer_last(query: zenoh.Query, last: LastValue, encoding: zenoh.Encoding) -> None:
    with query:
        if is_about_the_past(query):
            return  # a store answers
        value = last()
        if value is not None:
            frame, origin = value
            query.reply(origin.topic, frame, encoding=encoding, attachment=origin_bytes(origin))
