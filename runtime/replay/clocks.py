"""What a node that runs again has in place of the clock: the original's times."""

from __future__ import annotations

from typing import Protocol, TypeVar

from olympus.runtime.bus.link import Origin
from olympus.runtime.messages import Message
from olympus.runtime.node.journal import Wait

T = TypeVar("T")


class Actor(Protocol):
    """A node that runs again, as its clocks see it."""

    def looked(self) -> int:
        """Return what the original's clock said."""

    async def wait(self, wait: Wait[T]) -> T:
        """Wait as long as the original did."""

    def sends(self, topic: str) -> int:
        """Return when the original published its next message."""

    def push(self, message: Message, origin: Origin) -> None:
        """Hand on what was published."""


class ReplayClock:
    """Tells what the original was told."""

    def __init__(self, node: Actor) -> None:
        """Tell a node's time."""
        self._node = node

    def now_ns(self) -> int:
        """Return robot time in nanoseconds."""
        return self._node.looked()

    async def sleep(self, seconds: float) -> None:
        """Wait as long as the original did."""
        await self._node.wait(Wait("sleep", "", _never, _nothing))


class SendingClock:
    """A publisher's clock and its only subscriber."""

    must_wait = False

    def __init__(self, node: Actor, topic: str) -> None:
        """Stand between a node and its publisher of a topic."""
        self._node, self._topic = node, topic
        self.is_open = False

    def now_ns(self) -> int:
        """Return when the original published."""
        return self._node.sends(self._topic) if self.is_open else 0

    def push(self, message: Message, origin: Origin) -> None:
        """Take what is published."""
        self._node.push(message, origin)


async def _never() -> None:
    raise RuntimeError("a replay waits for its journal only")


def _nothing(_: object) -> None:
    return None
