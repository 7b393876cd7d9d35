"""Applies reading rules to a stream of messages, and keeps count of what it could not use."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from olympus.drivers.mqtt import Delivery
from olympus.drivers.payload import PayloadError, decode_value
from olympus.drivers.readings import ReadingRule, covers, fill_levels, matches
from olympus.runtime.clock import NS_PER_S

_MOST_NAMES = 10_000
"""Readings whose silence is watched; a flood of made-up topics must not fill the memory."""


@dataclass(frozen=True, slots=True)
class SensorValue:
    """One value of one sensor, or the word that there is none."""

    name: str
    value: float
    """In `unit`; NaN where the payload held none."""
    unit: str
    valid: bool
    device: str
    stamp_ns: int
    """Robot time at which it arrived."""
    text: str = ""
    """Why it is not valid; its first word is the reason that is counted."""


@dataclass(slots=True)
class _Watch:
    rule: ReadingRule
    topic: str
    heard_ns: int
    is_stale: bool = False


class ReadingDecoder:
    """Turns deliveries into values; nothing that arrives makes it fail."""

    def __init__(self, rules: Sequence[ReadingRule], *, now_ns: int = 0) -> None:
        """Take the rules; those without wildcards are waited for from `now_ns` on.

        Args:
            rules: All that match a topic apply, in this order.
            now_ns: Robot time now.
        """
        self._rules = tuple(rules)
        self.refused: Counter[str] = Counter()
        """Messages that gave no valid value, by reason."""
        self._watched: dict[tuple[int, str], _Watch] = {}
        for index, rule in enumerate(self._rules):
            if "+" not in rule.topic and "#" not in rule.topic:
                self._hear(index, rule.topic, now_ns)

    @property
    def filters(self) -> list[str]:
        """The topic filters to subscribe to; those that another one covers are left out.

        A broker may deliver a message once for each filter that matches it.
        """
        found = list(dict.fromkeys(rule.topic for rule in self._rules))
        return [
            one for one in found if not any(other != one and covers(other, one) for other in found)
        ]

    def decode(self, delivery: Delivery) -> list[SensorValue]:
        """Return the values in a message, one per rule that matches its topic."""
        found = [
            (index, rule)
            for index, rule in enumerate(self._rules)
            if matches(delivery.topic, rule.topic)
        ]
        if not found:
            self.refused["unmapped"] += 1
        return [
            self._apply(index, rule, delivery)
            for index, rule in found
            if not (delivery.retained and rule.retained == "ignore")
        ]

    def stale(self, now_ns: int) -> list[SensorValue]:
        """Return, once each, the readings that have been silent for too long."""
        found = [watch for watch in self._watched.values() if _is_due(watch, now_ns)]
        for watch in found:
            watch.is_stale = True
            self.refused["stale"] += 1
        return [
            _value(watch.rule, watch.topic, now_ns, math.nan, _silence(watch, now_ns))
            for watch in found
        ]

    def _apply(self, index: int, rule: ReadingRule, delivery: Delivery) -> SensorValue:
        topic, stamp_ns = delivery.topic, delivery.stamp_ns
        try:
            value = decode_value(rule, delivery.payload)
        except PayloadError as error:
            self.refused[error.reason] += 1
            return _value(rule, topic, stamp_ns, math.nan, str(error))
        self._hear(index, topic, stamp_ns)
        if rule.range is not None and not rule.range[0] <= value <= rule.range[1]:
            self.refused["out_of_range"] += 1
            text = f"out_of_range: {value:g} is not in {rule.range[0]:g}..{rule.range[1]:g}"
            return _value(rule, topic, stamp_ns, value, text)
        return _value(rule, topic, stamp_ns, value, "")

    def _hear(self, index: int, topic: str, now_ns: int) -> None:
        rule = self._rules[index]
        if rule.stale_s == 0:
            return
        if (index, topic) in self._watched or len(self._watched) < _MOST_NAMES:
            self._watched[index, topic] = _Watch(rule, topic, now_ns)


def _is_due(watch: _Watch, now_ns: int) -> bool:
    return not watch.is_stale and now_ns - watch.heard_ns > watch.rule.stale_s * NS_PER_S


def _silence(watch: _Watch, now_ns: int) -> str:
    return f"stale: nothing usable for {(now_ns - watch.heard_ns) / NS_PER_S:.1f} s"


def _value(rule: ReadingRule, topic: str, stamp_ns: int, value: float, text: str) -> SensorValue:
    return SensorValue(
        name=fill_levels(rule.name, topic),
        value=value,
        unit=rule.unit,
        valid=not text,
        device=fill_levels(rule.device, topic) if rule.device else "",
        stamp_ns=stamp_ns,
        text=text,
    )
