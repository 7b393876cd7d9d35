"""What a consumer of recorded messages tells the recorder: how far it has got."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.messages.base import Message, message


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicEnd:
    """How far a consumer has got in a topic."""

    topic: str
    key: str
    """Key of the newest record that came in order, in hex digits."""
    late: int
    """Arrival of the newest record that came late, ns."""
    told: int
    """Of how many removed records it was told."""


@message("olympus/Acknowledge")
class Acknowledge(Message):
    """A consumer has dealt with all that came up to here; answered once that is on the disk."""

    folder: str
    """Of the store that is meant."""
    consumer: str
    topics: tuple[str, ...]
    """Patterns of what it reads."""
    since: int
    """First capture time that it wants, ns."""
    news: int
    """Number of the newest gap it was told of."""
    ends: tuple[TopicEnd, ...]
    is_over: bool = False
    """Whether the consumer is no more, and is to be forgotten."""
