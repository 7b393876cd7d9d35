"""The sending end of a topic."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.sender import Sender
from olympus.runtime.bus.link import Closable, LinkPublisher, Origin
from olympus.runtime.bus.options import PublisherOptions
from olympus.runtime.bus.subscription import Subscription
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.errors import BusError
from olympus.runtime.messages import (
    Header,
    Message,
    TopicStats,
    schema_by_class,
)
from olympus.runtime.messages.base import MAX_HOPS
from olympus.runtime.messages.parts import make_header, make_hop, parts_of
from olympus.runtime.qos import Tier
from olympus.runtime.telemetry.meters import TopicMeter

M = TypeVar("M", bound=Message)
Subscribers = Callable[[], Sequence[Subscription[Message]]]
_NOTHING_GIVEN = Message().header
"""The header that a message has unless it is given another."""


class Publisher(Generic[M]):
    """Publishes on one topic, by reference within the host, as frames to other hosts."""

    def __init__(
        self,
        topic: str,
        cls: type[M],
        *,
        clock: Clock,
        options: PublisherOptions,
        subscribers: Subscribers,
    ) -> None:
        self.topic, self.cls, self.options = topic, cls, options
        self.remote: LinkPublisher | None = None
        """Towards other machines."""
        self.near: Sender | None = None
        """Towards the other hosts of this machine."""
        self.announced: list[Closable] = []
        self._now_ns, self._subscribers = clock.now_ns, subscribers
        self._node, self._tier = options.node, options.tier
        self._is_latched, self._is_mortal = options.latched, bool(options.lifetime_s)
        self._seq = 0
        self._last: tuple[M, Origin] | None = None
        parts = parts_of(cls)
        self._with_header, self._published = parts.with_header, parts.published
        self._lock = threading.Lock()
        self.incarnation = clock.now_ns()
        self._meter = TopicMeter(
            topic, schema_by_class(cls).name, options.node, now_ns=self.incarnation
        )

    def publish(self, message: M, *, cause: Message | None = None) -> M:
        """Publish a message, from any thread; never waits for a subscriber.

        Args:
            message: The value. Its header's `stamp`, `expires` and `tier` are kept where they were
                set; the rest of the header is filled in here.
            cause: The message that led to this one: hands on its stamp and its trace.

        Returns:
            The message as published.

        Raises:
            BusError: The message is not of this topic's type.
            MessageError: A field holds what its type does not allow.
        """
        if type(message) is not self.cls:
            raise BusError(
                f"{self.topic} carries {self.cls.__name__}, not {type(message).__name__}"
            )
        self._lock.acquire()  # `with` takes a sixth of a microsecond
        try:
            now = self._now_ns()
            self._seq = seq = self._seq + 1
            given = message.header
            finished: M
            if cause is None and given is _NOTHING_GIVEN and not self._is_mortal:
                finished = self._published(message, self.topic, seq, now, self._tier, self._node)
            else:
                header = self._header(given, cause.header if cause else None, now)
                finished = self._with_header(message, header)
            nbytes = 0
            subscribers, remote, near = self._subscribers(), self.remote, self.near
            if subscribers or self._is_latched or (remote is not None and remote.is_wanted):
                nbytes = self._hand_out(finished, subscribers)
            if near is not None:
                sent = near.send(finished)
                if sent > nbytes:
                    nbytes = sent
            meter = self._meter  # as TopicMeter.on_publish, which would be one more call
            meter.count += 1
            meter.nbytes += nbytes
            return finished
        finally:
            self._lock.release()

    async def send(self, message: M, *, cause: Message | None = None) -> M:
        """Publish, after every `block` subscription of this host has room.

        Raises:
            BusError: The message is not of this topic's type.
            MessageError: A field holds what its type does not allow.
        """
        while full := [s for s in self._subscribers() if s.must_wait]:
            await full[0].wait_for_room()
        return self.publish(message, cause=cause)

    def last(self) -> tuple[M, Origin] | None:
        """Return the last value of a latched topic and its origin, or None if there is none."""
        return self._last

    def stats(self, now_ns: int) -> TopicStats:
        """Return what this end did up to robot time `now_ns`."""
        return self._meter.snapshot(now_ns)

    def close(self) -> None:
        """Stop being a publisher of the topic; again is harmless."""
        for entity in self.announced:
            entity.close()
        if self.remote is not None:
            self.remote.close()
        if self.near is not None:
            self.near.close()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens, in this host or another."""
        return bool(self._subscribers()) or self.is_wanted

    @property
    def is_wanted(self) -> bool:
        """Whether anybody in another host listens."""
        return self._is_wanted_afar() or (self.near is not None and self.near.is_wanted)

    def count_dropped(self, reason: str, number: int) -> None:
        """Count messages that did not reach somebody who listens."""
        self._meter.on_dropped(reason, number)

    def loan(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write into; published in a message, it is not copied on the way.

        It lies in memory shared with the other hosts of this machine if one of them listens, else
        it is an ordinary array: nobody has to care. Its content is not defined. Once published it
        can only be read, since others look at it.

        Args:
            shape: Of the array.
            dtype: Of the array.
        """
        return self.near.loan(shape, dtype) if self.near is not None else np.empty(shape, dtype)

    def replay(self, pair: Pair) -> None:
        """Send the last value of a latched topic to a host that listens from now on."""
        if self.near is not None and self.options.latched:
            with self._lock:
                if self._last is not None:
                    self.near.send_last(self._last[0], pair)

    def _hand_out(self, message: M, subscribers: Sequence[Subscription[Message]]) -> int:
        """Give a message to this host and to other machines; returns its size on the way there."""
        origin = Origin(self.topic, self.options.node, self.incarnation, self._seq)
        if self.options.latched:
            # Before it is sent, so that who joins meanwhile gets it either way.
            self._last = message, origin
        for subscription in subscribers:
            subscription.push(message, origin)
        return self._send(message, origin) if self._is_wanted_afar() else 0

    def _header(self, given: Header, cause: Header | None, now: int) -> Header:
        stamp = given.stamp or (cause.stamp if cause else 0) or now
        lifetime_s = self.options.lifetime_s
        expires = given.expires or (stamp + round(lifetime_s * NS_PER_S) if lifetime_s else 0)
        past = cause.trace if cause else ()
        if len(past) >= MAX_HOPS:  # the sensor and the newest hops tell most
            past = (past[0], *past[2 - MAX_HOPS :])
        tier = self.options.tier if given.tier is Tier.NORMAL else given.tier
        trace = (*past, make_hop(self.topic, self._seq, stamp, now))
        return make_header(self._seq, stamp, expires, tier, self.options.node, trace)

    def _is_wanted_afar(self) -> bool:
        return self.remote is not None and self.remote.is_wanted

    def _send(self, message: M, origin: Origin) -> int:
        if self.remote is None:
            return 0
        return self.remote.send(message, origin)
