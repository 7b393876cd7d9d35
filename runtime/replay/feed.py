"""The link of a free run: what came from outside arrives on it, and what is sent goes nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.bus.link import (
    AnswerHistory,
    Closable,
    Deliver,
    Entity,
    LastValue,
    OnDropped,
    Origin,
    ServeHandler,
)
from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Message, encode
from olympus.runtime.qos import Tier


class Feed:
    """A link on which what came from outside arrives again."""

    def __init__(self) -> None:
        self._listening: list[tuple[str, Deliver]] = []

    def give(self, topic: str, message: Message) -> None:
        """Let a message arrive as it was sent."""
        header = message.header
        origin = Origin(topic, header.source, 1, header.seq)
        payload = _Frame(encode(message))
        for pattern, deliver in self._listening:
            if matches(pattern, topic):
                deliver(payload, origin)

    def advertise(
        self,
        topic: str,
        type_name: str,
        *,
        tier: Tier,
        is_reliable: bool,
        last: LastValue | None,
        on_dropped: OnDropped,
    ) -> _Nobody:
        """Open a sending end that nobody listens to."""
        return _Nobody()

    def listen(self, topic: str, deliver: Deliver) -> Closable:
        """Open a receiving end."""
        self._listening.append((topic, deliver))
        return _Nobody()

    def fetch_last(self, topic: str, deliver: Deliver) -> None:
        """Do nothing: last values come as they came."""

    def serve(self, name: str, handler: ServeHandler) -> Closable:
        """Serve nobody outside."""
        return _Nobody()

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        """Refuse: the service is not replayed.

        Raises:
            BusError: Always.
        """
        raise BusError(f"service {name!r} is of a node that does not run in a replay")

    def answer_history(self, answer: AnswerHistory) -> Closable:
        """Answer nobody outside."""
        return _Nobody()

    def announce(self, entity: Entity) -> Closable:
        """Announce it to nobody."""
        return _Nobody()

    def entities(self) -> list[Entity]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """End everything."""
        self._listening.clear()


@dataclass(frozen=True, slots=True)
class _Frame:
    """A message on the link."""

    frame: bytes

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return self.frame


class _Nobody:
    """An end with nobody at the other one."""

    is_wanted = False

    def send(self, message: Message, origin: Origin) -> int:
        """Send to nobody."""
        return 0

    def close(self) -> None:
        """Close it."""
