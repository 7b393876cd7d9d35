"""How urgent a message is, and what a subscription does when they come too fast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from olympus.runtime.errors import ConfigError


class Tier(IntEnum):
    """Urgency, most urgent first; a lower number is served earlier."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    DEFERRED = 4


class Overflow(StrEnum):
    """What happens to a message that finds its subscription's queue full."""

    LATEST = "latest"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    BLOCK = "block"
    LOSSLESS = "lossless"


@dataclass(frozen=True, slots=True)
class QoS:
    """The queue of one subscription.

    `latest` keeps one message, the newest. `drop_oldest` and `drop_newest` keep `depth` and count
    what they drop. `block` makes a publisher that awaits `send` wait for room. `lossless` spills to
    disk what is beyond `depth`. What a handler fails on is counted as `failed` and kept by the
    recorder as a dead letter, whatever the rule.
    """

    overflow: Overflow
    depth: int = 1

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ConfigError(f"depth={self.depth}: a queue holds at least 1 message; try 1 or 10")
        if self.overflow is Overflow.LATEST and self.depth != 1:
            raise ConfigError(
                f"depth={self.depth}: 'latest' keeps exactly 1 message; use QoS.queue({self.depth})"
            )

    @classmethod
    def latest(cls) -> QoS:
        """Keep the newest message only: right for frames and states."""
        return cls(Overflow.LATEST)

    @classmethod
    def queue(cls, depth: int = 10, *, drop: Literal["oldest", "newest"] = "oldest") -> QoS:
        """Keep up to `depth` messages and drop the oldest or the newest beyond."""
        return cls(Overflow.DROP_OLDEST if drop == "oldest" else Overflow.DROP_NEWEST, depth)

    @classmethod
    def block(cls, depth: int = 10) -> QoS:
        """Keep up to `depth` messages; who awaits `send` waits for room."""
        return cls(Overflow.BLOCK, depth)

    @classmethod
    def lossless(cls, depth: int = 1000) -> QoS:
        """Keep every message: `depth` in memory, the rest in the store."""
        return cls(Overflow.LOSSLESS, depth)
