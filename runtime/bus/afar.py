"""What a topic's way to other machines costs: fewer messages, smaller pictures.

A rule stands in the launch file, `bus: topics`. It changes nothing on this machine. Making the
JPEG and the frame happens in a thread of its own, and only while somebody afar listens; the
publisher hands over and goes on. Only the newest message waits for that thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import zenoh
from pydantic import BaseModel, ConfigDict, Field

from olympus.runtime.bus.link import OnDropped, Origin
from olympus.runtime.bus.pictures import compressed, load_opencv
from olympus.runtime.bus.topics import matches
from olympus.runtime.bus.zenoh_publisher import ZenohPublisher
from olympus.runtime.bus.zenoh_samples import encoding_of
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, ConfigError, OlympusError
from olympus.runtime.messages import Image, Message, encode, schema_by_class

THINNED, BUSY, FAILED = "afar_thinned", "afar_busy", "afar_failed"
"""Why a message did not go to other machines: beyond `max_hz`; superseded by a newer one while the
one before it was made ready; could not be made ready or sent."""
_END_S = 1.0
_log = logging.getLogger(__name__)


class AfarRule(BaseModel):
    """How a topic goes to other machines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_hz: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """At most so many messages a second; None for all."""
    jpeg: Annotated[int, Field(ge=1, le=100)] | None = None
    """Quality of the JPEG that each picture goes as; None for bare pixels."""
    longest_px: Annotated[int, Field(ge=16, le=65_535)] | None = None
    """Pictures that go as JPEG are shrunk to this longest side; None for their own."""


def rule_for(topic: str, rules: Mapping[str, AfarRule]) -> AfarRule | None:
    """Return the first rule whose topic, or pattern with `*` and `**`, means a topic."""
    return next((rule for name, rule in rules.items() if matches(name, topic)), None)


def check_rule(topic: str, type_name: str, rule: AfarRule) -> None:
    """See that a rule can be kept.

    Raises:
        ConfigError: It asks for JPEG of what is no picture.
        BusError: It asks for JPEG, and OpenCV is not installed.
    """
    if rule.jpeg is None:
        return
    if type_name != schema_by_class(Image).name:
        raise ConfigError(f"bus.topics: {topic} carries {type_name}: only pictures become JPEG")
    load_opencv()


class ThinnedPublisher:
    """The sending end of a topic towards other machines, under a rule."""

    def __init__(self, end: ZenohPublisher, rule: AfarRule, on_dropped: OnDropped) -> None:
        """Wrap `end`; what is left out is told to `on_dropped`, from any thread."""
        self._end, self._rule, self._on_dropped = end, rule, on_dropped
        self._period_ns = round(NS_PER_S / rule.max_hz) if rule.max_hz else 0
        self._due_ns = 0
        self._seq = 0
        """Of what is sent: who listens counts what was lost on the way, not what was left out."""
        self._changed = threading.Condition()
        self._waiting: tuple[Message, Origin] | None = None
        self._sent_bytes = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody on another machine listens."""
        return self._end.is_wanted

    def send(self, message: Message, origin: Origin) -> int:
        """Hand a message over; returns the bytes that went out since the last call."""
        if self._is_too_soon(message.header.trace[-1].sent):
            self._on_dropped(THINNED, 1)
            return 0
        with self._changed:
            superseded, self._waiting = self._waiting, (message, origin)
            sent, self._sent_bytes = self._sent_bytes, 0
            self._changed.notify()
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(
                    target=self._work, name=f"afar:{origin.topic}", daemon=True
                )
                self._thread.start()
        if superseded is not None:
            self._on_dropped(BUSY, 1)
        return sent

    def close(self) -> None:
        """Take it back, after what is being sent; again is harmless."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_END_S)
        self._end.close()

    def _is_too_soon(self, now_ns: int) -> bool:
        """Keep the mean rate: who comes a little late doesn't move the next one."""
        if not self._period_ns:
            return False
        if now_ns < self._due_ns and self._due_ns - now_ns <= self._period_ns:
            return True
        late_ns = now_ns - self._due_ns
        begun = self._due_ns if 0 <= late_ns < self._period_ns else now_ns
        self._due_ns = begun + self._period_ns
        return False

    def _work(self) -> None:
        while (item := self._next()) is not None:
            message, origin = item
            try:
                small = self._made_small(message)
                frame = encode(small)
                self._seq += 1
                self._end.put(frame, replace(origin, seq=self._seq), _encoding(small))
            except OlympusError as error:
                self._refuse(origin.topic, error)
            else:
                with self._changed:
                    self._sent_bytes += len(frame)

    def _next(self) -> tuple[Message, Origin] | None:
        """Wait for a message; None at the end."""
        with self._changed:
            while self._waiting is None and not self._is_closed:
                self._changed.wait()
            item, self._waiting = self._waiting, None
            return None if self._is_closed else item

    def _made_small(self, message: Message) -> Message:
        if self._rule.jpeg is None or not isinstance(message, Image):
            return message
        return compressed(message, quality=self._rule.jpeg, longest_px=self._rule.longest_px)

    def _refuse(self, topic: str, error: OlympusError) -> None:
        if isinstance(error, BusError) and self._is_closed:
            return
        self._on_dropped(FAILED, 1)
        _log.warning("%s: a message could not go to other machines: %s", topic, error)


def _encoding(message: Message) -> zenoh.Encoding:
    return encoding_of(schema_by_class(type(message)).name)
