"""The link over Zenoh: frames to other hosts and other machines; a topic is a key of its name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Literal

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.afar import AfarRule, ThinnedPublisher, check_rule, rule_for
from olympus.runtime.bus.graph import Graph, Token
from olympus.runtime.bus.link import (
    AnswerHistory,
    Closable,
    Deliver,
    Entity,
    LastValue,
    LinkPublisher,
    OnDropped,
    ServeHandler,
)
from olympus.runtime.bus.zenoh_calls import ZenohCalls
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_history import ZenohHistory
from olympus.runtime.bus.zenoh_publisher import ZenohPublisher
from olympus.runtime.bus.zenoh_samples import Declared, encoding_of, hand_over
from olympus.runtime.qos import Tier

_log = logging.getLogger(__name__)
_PRIORITY = {
    Tier.CRITICAL: zenoh.Priority.REAL_TIME,
    Tier.HIGH: zenoh.Priority.INTERACTIVE_HIGH,
    Tier.NORMAL: zenoh.Priority.DATA,
    Tier.LOW: zenoh.Priority.DATA_LOW,
    Tier.DEFERRED: zenoh.Priority.BACKGROUND,
}


class ZenohLink:
    """Carries a host's frames through the session's hub."""

    def __init__(
        self,
        endpoint: str,
        *,
        mode: Literal["client", "peer"] = "client",
        afar: Mapping[str, AfarRule] | None = None,
    ) -> None:
        """Connect.

        Args:
            endpoint: Where the hub listens.
            mode: The hub carries nothing between two peers: right for hosts that meet at the
                session's door besides. A client is told everything.
            afar: How topics go to other machines, by their names or patterns.

        Raises:
            BusError: Nobody listens there.
        """
        self._afar = dict(afar or {})
        self._session = open_session(mode, connect=[endpoint])
        self._calls = ZenohCalls(self._session, asyncio.get_running_loop())
        self._graph = Graph(self._session)

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

        Raises:
            ConfigError: The rule of the topic can't be kept.
            BusError: Likewise, for want of a package.
        """
        rule = rule_for(topic, self._afar)
        if rule is not None and is_reliable:
            # Of these every message counts: a last value, an event.
            _log.warning("%s: `bus: topics` has no effect on a latched or reliable topic", topic)
            rule = None
        if rule is not None:
            check_rule(topic, type_name, rule)
        publisher = self._session.declare_publisher(
            topic,
            encoding=encoding_of(type_name),
            priority=_PRIORITY[tier],
            express=tier <= Tier.NORMAL,
            congestion_control=(
                zenoh.CongestionControl.BLOCK if is_reliable else zenoh.CongestionControl.DROP
            ),
            allowed_destination=zenoh.Locality.REMOTE,
        )
        end = ZenohPublisher(self._session, publisher, last)
        return end if rule is None else ThinnedPublisher(end, rule, on_dropped)

    def listen(self, topic: str, deliver: Deliver) -> Closable:
        """Open the receiving end of a topic."""

        def on_sample(sample: zenoh.Sample) -> None:
            hand_over(sample, deliver)

        return Declared(
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
                hand_over(reply.ok, deliver)

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
        return self._calls.serve(name, handler)

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        """Ask a service in another host.

        Raises:
            BusError: Nobody serves it, or it does not answer in time.
            ServiceError: It failed.
        """
        return await self._calls.request(name, frame, timeout_s)

    def answer_history(self, answer: AnswerHistory) -> Closable:
        """Answer questions of outside clients about the past of any topic."""
        return ZenohHistory(self._session, asyncio.get_running_loop(), answer)

    def announce(self, entity: Entity) -> Closable:
        """Make an entity visible until it is taken back or this process dies."""
        return Token(self._session, entity)

    def entities(self) -> list[Entity]:
        """Return all entities alive in the session."""
        return self._graph.entities()

    def close(self) -> None:
        """End everything; again is harmless."""
        self._calls.close()
        if not self._session.is_closed():
            self._session.close()  # type: ignore[no-untyped-call]
