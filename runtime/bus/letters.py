"""Dead letters: what subscriptions of this host could not handle, for a recorder to keep.

A message is not lost by being counted: it goes, with the reason, to a topic of its own. Each host
sends a few at once and then one a second, so that a handler which fails on every message costs
little; what is left out is counted by topic and reason, and told with the next letter.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.frames import Frame
from olympus.runtime.bus.link import Origin, Payload
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.errors import MessageError, OlympusError
from olympus.runtime.messages import Header, Message, encode, read_header
from olympus.runtime.messages.letters import DeadLetter

TOPIC = "@olympus/deadletters"
BURST = 20
PER_S = 1.0
MOST_BYTES = 64 * 1024
"""Of a message, so much is kept at most."""
LONGEST = 2000
"""Characters of an error's text."""
MOST_COUNTS = 1000
_ELSEWHERE = "other topics"
_log = logging.getLogger(__name__)


class LetterBox(Protocol):
    """Where letters are published."""

    def publish(self, message: DeadLetter) -> object:
        """Publish a letter."""


class DeadLetters:
    """The dead letters of one host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._box: LetterBox | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._tokens, self._filled = float(BURST), clock.now_ns()
        self._left_out: Counter[str] = Counter()

    def open(self, box: LetterBox) -> None:
        """Have letters published from now on, in the current event loop."""
        self._box, self._loop = box, asyncio.get_running_loop()

    def post(
        self,
        reason: str,
        error: Exception,
        whose: tuple[str, str],
        item: Message | Payload | None = None,
        origin: Origin | None = None,
        *,
        number: int = 1,
    ) -> None:
        """Take in what could not be handled; from any thread, never raises.

        Args:
            reason: As it is counted.
            error: Why.
            whose: Topic or pattern of the subscription, and its node.
            item: The message; None when it is gone.
            origin: Where it came from, if that is known.
            number: How many messages it is about.
        """
        loop = self._loop
        if self._box is None or loop is None:
            return
        topic, sender, seq, stamp = _place(whose[0], item, origin)
        if topic == TOPIC:
            return  # a letter about a letter would have no end
        with self._lock:
            if not self._may_go():
                self._count(f"{topic} {reason}", number)
                return
            left_out, self._left_out = dict(self._left_out), Counter()
        payload, size, is_frame = _content(item)
        letter = DeadLetter(
            topic=topic,
            node=whose[1],
            reason=reason,
            text=f"{type(error).__name__}: {error}"[:LONGEST],
            sender=sender,
            seq=seq,
            stamp=stamp,
            size=size,
            is_frame=is_frame,
            payload=payload,
            left_out=left_out,
        )
        self._send(loop, letter)

    def tell_left_out(self) -> None:
        """Tell what was left out since the last letter, if anything was; in the event loop."""
        with self._lock:
            left_out, self._left_out = dict(self._left_out), Counter()
        if left_out:
            text = f"{sum(left_out.values())} more messages could not be handled"
            self._publish(
                DeadLetter(topic="", node="", reason="left_out", text=text, left_out=left_out)
            )

    def _may_go(self) -> bool:
        now = self._clock.now_ns()
        more = max(now - self._filled, 0) * PER_S / NS_PER_S
        self._tokens, self._filled = min(self._tokens + more, float(BURST)), now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _count(self, what: str, number: int) -> None:
        is_known = what in self._left_out or len(self._left_out) < MOST_COUNTS
        self._left_out[what if is_known else _ELSEWHERE] += number

    def _send(self, loop: asyncio.AbstractEventLoop, letter: DeadLetter) -> None:
        try:
            loop.call_soon_threadsafe(self._publish, letter)
        except RuntimeError:  # the loop is closed: the host has ended
            _log.debug("a dead letter of %s came after the end", letter.topic)

    def _publish(self, letter: DeadLetter) -> None:
        if self._box is None:
            return
        try:
            self._box.publish(letter)
        except OlympusError as error:  # it is counted all the same, where it could not be handled
            _log.warning("a dead letter of %s can't be sent: %s", letter.topic, error)


def _place(
    topic: str, item: Message | Payload | None, origin: Origin | None
) -> tuple[str, str, int, int]:
    """Return topic, sender, number and capture time of a message, as far as they are known."""
    if isinstance(item, Frame):
        return (*item.channel.key, item.head[4], item.head[5])
    if isinstance(item, Message):
        return _told(item.header, topic)
    if item is not None:
        try:
            return _told(read_header(item.to_bytes())[1], topic)
        except MessageError:
            pass  # not even its header can be read
    return (origin.topic, origin.source, origin.seq, 0) if origin else (topic, "", 0, 0)


def _told(header: Header, topic: str) -> tuple[str, str, int, int]:
    own = header.trace[-1].topic if header.trace else topic
    return own, header.source, header.seq, header.stamp


def _content(item: Message | Payload | None) -> tuple[NDArray[np.uint8], int, bool]:
    """Return a message's bytes or the first of them, how many it has, and whether they are all."""
    data, is_frame = b"", False
    try:
        if item is not None:
            data, is_frame = encode(item) if isinstance(item, Message) else item.to_bytes(), True
    except MessageError:
        if isinstance(item, Frame):
            data = item.as_it_came()
    kept = np.frombuffer(data[:MOST_BYTES], np.uint8)
    return kept, len(data), is_frame and len(data) <= MOST_BYTES
