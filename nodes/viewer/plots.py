"""Fields of any message, plotted beside the readings because somebody asked for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from olympus.nodes.viewer.streams import Json
from olympus.runtime.bus import Bus, Subscription, SubscriptionOptions
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Message
from olympus.runtime.qos import QoS

MOST = 24
UNITS = {
    "mps": "m/s", "radps": "rad/s", "mps2": "m/s²", "rad": "rad", "deg": "deg", "m": "m",
    "px": "px", "v": "V", "a": "A", "w": "W", "hz": "Hz", "s": "s", "ms": "ms", "ns": "ns",
    "c": "Cel", "mb": "MB", "dbfs": "dBFS", "pa": "Pa",
}  # fmt: skip
"""What the end of a field's name says of its unit."""
Put = Callable[[str, int, float, dict[str, Json]], None]


class Plots:
    """Listens to the topics whose fields are plotted."""

    def __init__(self, bus: Bus, node: str, put: Put) -> None:
        """Prepare.

        Args:
            bus: Where the topics are.
            node: In whose name to listen.
            put: Takes a point: series, capture time in ns, value, and what there is to say of it.
        """
        self._bus, self._node, self._put = bus, node, put
        self._running: dict[str, Subscription[Message]] = {}

    @property
    def names(self) -> list[str]:
        """What is plotted, each as `topic:field`."""
        return list(self._running)

    def add(self, topic: str, field: str) -> None:
        """Plot a field from now on.

        Args:
            topic: Full name.
            field: Its name, or the way to it: `pose.x_m`, `items.0.confidence`.

        Raises:
            ConfigError: `topic` is no topic name, or too many fields are plotted.
        """
        name = f"{topic}:{field}"
        if name in self._running:
            return
        if len(self._running) >= MOST:
            raise ConfigError(f"{MOST} fields are plotted already; leave one out first")
        way, unit = field.split("."), unit_of(field)

        def take(message: Message) -> None:
            value = number_at(message, way)
            state: dict[str, Json] = {"unit": unit, "device": topic, "text": "", "valid": True}
            if value is None:
                text = f"{type(message).__name__} has no number {field!r}"
                state |= {"valid": False, "text": text}
            self._put(name, message.header.stamp, math.nan if value is None else value, state)

        options = SubscriptionOptions(node=self._node, qos=QoS.queue(200), keep_expired=True)
        self._running[name] = self._bus.subscribe(topic, Message, take, options)

    async def remove(self, topic: str, field: str) -> None:
        """Plot a field no longer."""
        subscription = self._running.pop(f"{topic}:{field}", None)
        if subscription is not None:
            await self._bus.unsubscribe(subscription)

    async def close(self) -> None:
        """Plot nothing any more."""
        while self._running:
            _, subscription = self._running.popitem()
            await self._bus.unsubscribe(subscription)


def unit_of(field: str) -> str:
    """Return the unit that the end of a field's name tells; 1 where it tells none."""
    last = [part for part in field.split(".") if not part.isdigit()][-1:]
    words = "".join(last).split("_")
    return UNITS.get(words[-1], "1") if len(words) > 1 else "1"


def number_at(value: Any, way: Iterable[str]) -> float | None:
    """Return the number at the end of a way into a message; None where there is none."""
    for step in way:
        value = _inside(value, step)
    if isinstance(value, (bool, int, float, np.generic)):
        try:
            return float(value)
        except (TypeError, ValueError):
            return None
    return None


def _inside(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, (tuple, list, np.ndarray)):
        is_there = step.isdigit() and int(step) < len(value)
        return value[int(step)] if is_there else None
    return None if step.startswith("_") else getattr(value, step, None)


def parted(name: str) -> tuple[str, str]:
    """Return topic and field of what a launch file wants plotted.

    Raises:
        ConfigError: It is not written as `topic:field`.
    """
    topic, colon, field = name.rpartition(":")
    if not (topic and colon and field):
        raise ConfigError(f"{name!r} is no field of a topic; write it as odometry:linear_mps")
    return topic, field
