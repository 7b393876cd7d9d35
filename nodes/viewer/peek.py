"""The messages of any topic, as they are, while somebody looks at them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from olympus.nodes.viewer.streams import Json, ms
from olympus.runtime.bus import Bus, Entity, Subscription, SubscriptionOptions
from olympus.runtime.errors import BusError, did_you_mean
from olympus.runtime.messages import Message, message_types, schema_by_class
from olympus.runtime.messages.plain import plain
from olympus.runtime.qos import QoS

UNASKED_S = 5.0
"""A topic that nobody asked for so long is no longer listened to."""
MOST_TOPICS = 16
EXACT_IN_SCRIPT = 2**53
SHORT = 64
"""Arrays of more numbers are shown by type and shape alone."""


@dataclass(slots=True)
class _Look:
    subscription: Subscription[Message] | None = None
    newest: Message | None = None
    came: int = 0
    asked_s: float = 0.0


class Peek:
    """Listens to topics that are asked for, the newest message of each, and soon stops again."""

    def __init__(self, bus: Bus, node: str) -> None:
        """Listen on `bus`, in the name of a node."""
        self._bus, self._node = bus, node
        self._looks: dict[str, _Look] = {}

    @property
    def topics(self) -> list[str]:
        """Which topics are listened to."""
        return list(self._looks)

    def newest(self, topic: str) -> dict[str, Json]:
        """Return the newest message of a topic; the first call begins to listen.

        Args:
            topic: Full name.

        Raises:
            BusError: There is no such topic, or its messages can't be read here.
            ConfigError: It is no topic's name.
        """
        look = self._looks.get(topic) or self._begin(topic)
        look.asked_s = time.monotonic()  # varies: somebody watches
        return shown(look.newest, look.came)

    async def sweep(self) -> None:
        """Stop listening to what nobody asks for any more."""
        now = time.monotonic()  # varies: somebody watches
        for topic, look in list(self._looks.items()):
            if now - look.asked_s > UNASKED_S:
                await self._end(topic)

    async def close(self) -> None:
        """Stop listening."""
        for topic in self.topics:
            await self._end(topic)

    def _begin(self, topic: str) -> _Look:
        self._check(topic, self._bus.graph())
        if len(self._looks) >= MOST_TOPICS:
            raise BusError(f"{MOST_TOPICS} topics are looked at already; close one first")
        look = _Look()

        def take(message: Message) -> None:
            look.newest, look.came = message, look.came + 1

        options = SubscriptionOptions(node=self._node, qos=QoS.latest(), keep_expired=True)
        look.subscription = self._bus.subscribe(topic, Message, take, options)
        self._looks[topic] = look
        return look

    def _check(self, topic: str, graph: list[Entity]) -> None:
        if "*" in topic:
            raise BusError(f"{topic}: the name of one topic is needed, without '*'")
        ends = [one for one in graph if one.kind in ("pub", "sub")]
        here = [one for one in ends if one.topic == topic]
        if ends and not here:
            near = did_you_mean(topic, {one.topic for one in ends})
            raise BusError(f"{topic}: there is no such topic; {near}")
        strange = {one.type for one in here if one.kind == "pub"} - message_types().keys()
        if strange:
            raise BusError(
                f"{topic} carries {', '.join(sorted(strange))}, which this process does not know; "
                "list the module that defines it under 'plugins' in the launch file"
            )

    async def _end(self, topic: str) -> None:
        look = self._looks.pop(topic)
        if look.subscription is not None:
            await self._bus.unsubscribe(look.subscription)


def shown(message: Message | None, came: int) -> dict[str, Json]:
    """Return a message as the page shows it; `came` counts those that were looked at."""
    if message is None:
        return {"ok": True, "came": 0}
    fields = _for_script(plain(message, most=SHORT))
    fields["header"] = fields.pop("header")  # last: what matters comes first
    return {
        "ok": True,
        "came": came,
        "type": schema_by_class(type(message)).name,
        "t": ms(message.header.stamp),
        "fields": fields,
    }


def _for_script(value: Json) -> Any:
    """Write out integers of which a browser's numbers would lose the end."""
    if isinstance(value, int) and abs(value) > EXACT_IN_SCRIPT:
        return str(value)
    if isinstance(value, Mapping):
        return {name: _for_script(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_for_script(item) for item in value]
    return value
