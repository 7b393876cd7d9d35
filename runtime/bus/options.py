"""What each end of a topic may choose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from olympus.runtime.bus.spill import Spill
from olympus.runtime.messages import Message
from olympus.runtime.qos import QoS, Tier

OnError = Callable[[Exception, Message], None]
_log = logging.getLogger(__name__)


def _log_failure(error: Exception, message: Message) -> None:
    _log.error("a handler failed on %s: %s", type(message).__name__, error, exc_info=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherOptions:
    """What a publisher may choose."""

    node: str = ""
    """Full name of the node that publishes."""
    tier: Tier = Tier.NORMAL
    latched: bool = False
    """Keep the last value for late joiners."""
    is_reliable: bool = False
    """Make room for every message on the way to other hosts; right for events, wrong for frames."""
    lifetime_s: float | None = None
    """A message is worth nothing this long after its stamp; None = it never expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """What a subscriber may choose."""

    node: str = ""
    """Full name of the node that subscribes."""
    qos: QoS = field(default_factory=QoS.latest)
    on_error: OnError = _log_failure
    """Told when the handler raises; the subscription goes on."""
    keep_expired: bool = False
    """Deliver messages that are past their `expires` too: for recorders and viewers."""
    takes_unknown: bool = False
    """Deliver what is of an unknown type as `Opaque`: for recorders, which subscribe to any."""
    spill: Spill[bytes] | None = None
    """Where a lossless queue keeps what is beyond its depth; closed with the subscription."""
