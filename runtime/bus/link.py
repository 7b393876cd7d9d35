"""What carries messages between hosts: the seam behind which zenoh, and later others, stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from olympus.runtime.messages import Message
from olympus.runtime.messages.history import History, HistoryQuery
from olympus.runtime.qos import Tier

ServeHandler = Callable[[bytes], Awaitable[bytes]]


AnswerHistory = Callable[[HistoryQuery], Awaitable[History]]


class Payload(Protocol):
    """Bytes that arrived; read only when they are wanted."""

    def to_bytes(self) -> bytes:
        """Return the frame."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who published something where, and its place in the row."""

    topic: str
    source: str
    incarnation: int
    """Another number after each start of the publisher."""
    seq: int


OnDropped = Callable[[str, int], None]
LastValue = Callable[[], "tuple[bytes, Origin] | None"]
Deliver = Callable[[Payload, Origin], None]
"""Called from any thread; must return within microseconds."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A node, or one end of a topic or service, alive somewhere in the session."""

    kind: str
    """`node`, `pub`, `sub` or `srv`."""
    host: str
    node: str
    topic: str = ""
    type: str = ""


class Closable(Protocol):
    """Something that was declared and can be taken back."""

    def close(self) -> None:
        """Take it back; again is harmless."""


class All:
    """Several things that are taken back together."""

    def __init__(self, ends: list[Closable]) -> None:
        self._ends = ends

    def close(self) -> None:
        """Take them back; again is harmless."""
        for end in self._ends:
            end.close()


class LinkPublisher(Closable, Protocol):
    """The sending end of a topic towards other hosts."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody in another host listens."""

    def send(self, message: Message, origin: Origin) -> int:
        """Send one message, never waiting for a receiver; returns how many bytes went out."""


class Link(Protocol):
    """Carries frames between hosts."""

    def advertise(
        self,
        topic: str,
        type_name: str,
        *,
        tier: Tier,
        is_reliable: bool,
        last: LastValue | None,
        on_dropped: OnDropped,
    ) -> LinkPublisher:
        """Open the sending end of a topic.

        Args:
            topic: Full name.
            type_name: Of the messages.
            tier: Of the messages.
            is_reliable: Make room for every message.
            last: Answers late joiners of a latched topic.
            on_dropped: Told, from any thread, the reason and the number of messages left out.
        """

    def listen(self, topic: str, deliver: Deliver) -> Closable:
        """Open the receiving end of a topic; `topic` may hold `*` and `**`."""

    def fetch_last(self, topic: str, deliver: Deliver) -> None:
        """Ask for the last value of a latched topic; it arrives through `deliver`, if at all."""

    def serve(self, name: str, handler: ServeHandler) -> Closable:
        """Answer requests; a raised OlympusError travels to the caller (see failure.py).

        `handler` runs in a task of its own, which is cancelled when the caller gives up, has waited
        as long as it said, or dies.
        """

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        """Ask the service `name` in another host.

        Raises:
            BusError: Nobody answers within `timeout_s`; at once where the link can tell.
            ServiceError: The service failed; also of the class that it raised.
        """

    def answer_history(self, answer: AnswerHistory) -> Closable:
        """Answer questions of outside clients about the past of any topic."""

    def announce(self, entity: Entity) -> Closable:
        """Make an entity visible to all, until it is taken back or this process dies."""

    def entities(self) -> list[Entity]:
        """Return all entities alive in the session."""

    def close(self) -> None:
        """End everything."""
