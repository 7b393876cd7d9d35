"""This host among the hosts of its session on this machine: who is there, who listens to what."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.board import RELEASED
from olympus.runtime.bus.ipc.bounds import BoundError
from olympus.runtime.bus.ipc.calls import Calls
from olympus.runtime.bus.ipc.claiming import claim
from olympus.runtime.bus.ipc.door import DoorError, Peer, enter, next_peer
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.outbox import Rule, strictest
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Kind
from olympus.runtime.bus.ipc.sender import Sender
from olympus.runtime.bus.ipc.talk import greet, hear, here
from olympus.runtime.bus.link import Closable, Entity
from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import Message

if TYPE_CHECKING:
    from olympus.runtime.bus.service import Service
    from olympus.runtime.bus.subscription import Subscription

SETTLE_S = 1.0
_log = logging.getLogger(__name__)
OnListener = Callable[[str, Pair], None]
"""Told the pattern that another host listens to from now on."""


class Member:
    """One host's place among the others; belongs to the event loop it was made in."""

    def __init__(self, path: Path, host: str, *, on_listener: OnListener) -> None:
        """Come in and greet who is there.

        Args:
            path: Of the session's door.
            host: Our name.
            on_listener: Gives late joiners the last value of latched topics.

        Raises:
            BusError: Nobody opens the door.
        """
        self.pools, self.calls = Pools(), Calls(self)
        self.pools.reclaim = self._reclaim
        self.on_call = self.calls.take_read
        self.version = 0
        """Another number whenever who listens to what has changed."""
        self.stray = 0
        """Records that made no sense and were dropped."""
        self._on_listener = on_listener
        self._pairs: dict[int, Pair] = {}
        self.readers = 0
        """How many hosts may hold slots of ours."""
        self._listening: dict[int, tuple[str, Rule, Subscription[Any]]] = {}
        self._entities: dict[int, Entity] = {}
        self._numbers = itertools.count(1)
        self._changing = threading.Lock()
        """Held while pairs and patterns change: publishers on other threads look them up."""
        self.touched: dict[int, Subscription[Any]] = {}
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._door, peers = enter(path, host)
        for peer in peers:
            self._meet(peer)
        self._loop.add_reader(self._door, self._on_door)

    @property
    def copied(self) -> int:
        """How many arrays were copied on arrival because too many are looked at here."""
        return sum(one.copied for pair in self.pairs() for one in list(pair.pools.values()))

    def next_number(self) -> int:
        """Return a number that this host has not used for anything."""
        return next(self._numbers)

    def pairs(self) -> list[Pair]:
        """Return the pairs with all other hosts."""
        with self._changing:
            return list(self._pairs.values())

    def routes(self, topic: str) -> tuple[int, list[tuple[Pair, Rule]]]:
        """Return who listens to a topic and how, and the version that this is true for."""
        with self._changing:
            found = []
            for pair in self._pairs.values():
                rules = [r for pattern, r in pair.patterns.values() if matches(pattern, topic)]
                if rules:
                    found.append((pair, strictest(rules)))
            return self.version, found

    def advertise(
        self, topic: str, cls: type[Message], *, source: str, incarnation: int, is_reliable: bool,
        on_dropped: Callable[[str, int], None],
    ) -> Sender:  # fmt: skip
        """Open the sending end of a topic."""
        return Sender(
            self, topic, cls, source=source, incarnation=incarnation, is_reliable=is_reliable,
            on_dropped=on_dropped,
        )  # fmt: skip

    def listen(self, pattern: str, subscription: Subscription[Any]) -> Closable:
        """Have a subscription take in what other hosts publish on topics of a pattern."""
        number, qos = self.next_number(), subscription.options.qos
        rule = Rule(qos.overflow, qos.depth)
        self._listening[number] = pattern, rule, subscription
        self._aim_anew()
        self._tell_all("sub", number, pattern, rule.overflow.value, rule.depth)
        return _Ended(lambda: self._stop_listening(number))

    def serve(self, service: Service) -> Closable:
        """Answer the questions of other hosts to a service."""
        self.calls.services[service.name] = service
        self._tell_all("serve", service.name)
        return _Ended(lambda: self._stop_serving(service.name))

    async def server_of(self, name: str) -> Pair | None:
        """Return the host that serves `name`, also if it is only about to say so; else None."""
        for pair in self.pairs():  # it may be said already, and only not heard yet
            pair.read_talk()
        await self.settle()
        return self.known_server_of(name)

    def known_server_of(self, name: str) -> Pair | None:
        """Return the host that said it serves `name`; None if nobody did."""
        for pair in self._pairs.values():
            if name in pair.services:
                return pair
        return None

    def announce(self, entity: Entity) -> Closable:
        """Make an entity visible until it is taken back or this process ends."""
        number = self.next_number()
        self._entities[number] = entity
        self._tell_all(*here(number, entity))
        return _Ended(lambda: self._take_back(number))

    def entities(self) -> set[Entity]:
        """Return what all hosts of this machine announced."""
        return set().union(self._entities.values(), *(p.entities.values() for p in self.pairs()))

    async def settle(self) -> None:
        """Wait until everybody who is there has said what there is to know, at most a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while not all(pair.is_met for pair in self._pairs.values()):
                    self._news.clear()
                    await self._news.wait()

    def lend(self, pair: Pair, slots: Sequence[int]) -> None:
        """See that the other side has the pools of some slots."""
        for slot in slots:
            if slot >> 32 not in pair.lent:
                pool = self.pools.place_of(slot)[0]
                pair.lent.add(pool.number)
                words = ("pool", pool.number, pool.slot_nbytes, pool.count)
                pair.tell(*words, descriptors=(pool.memory.descriptor,))

    def close(self) -> None:
        """Leave; again is harmless."""
        if self._door.fileno() >= 0:
            self._loop.remove_reader(self._door)
            self._door.close()
            self.calls.close()
            for pair in self.pairs():
                pair.close()
            self.pools.close()

    # ── what pairs bring ──

    def on_talk(self, pair: Pair, words: list[Any], descriptors: list[int]) -> None:
        """Take in what another host said; what makes no sense is dropped and counted."""
        try:
            if not hear(self, pair, words, descriptors):
                self._stray(f"{pair.host} said {words!r:.80}")
        except BoundError as error:
            pair.refused[error.kind] += 1
            self._stray(str(error), pair.refused[error.kind])
        except (BusError, ValueError, IndexError) as error:
            self._stray(f"{pair.host} said {words!r:.80}: {error}")
        for descriptor in descriptors:
            os.close(descriptor)

    def set_pattern(self, pair: Pair, number: int, heard: tuple[str, Rule] | None) -> None:
        """Know that another host listens to a pattern from now on, or no longer."""
        with self._changing:
            if heard is None:
                pair.patterns.pop(number, None)
            else:
                pair.patterns[number] = heard
            self.version += 1
        if heard is not None:
            self._on_listener(heard[0], pair)

    def note_met(self, pair: Pair) -> None:
        """Know that another host has said all there is to know at first."""
        pair.is_met = True
        self._news.set()

    def aim(self, channel: Channel) -> None:
        """Find the subscriptions that a channel is for."""
        every = self._listening.values()
        channel.targets = [s for pattern, _, s in every if matches(pattern, channel.topic)]

    def on_record(self, pair: Pair, record: bytes | memoryview, later: bool) -> None:
        """Take in a record."""
        try:
            head = HEAD.unpack_from(record)
        except struct.error:
            return self._stray(f"a record of {len(record)} bytes from {pair.host}")
        bases: Sequence[NDArray[np.uint8]] = ()
        if head[8]:
            try:
                bases = claim(pair, record, head[8], self.readers)
            except MessageError as error:
                self._stray(f"slots of {pair.host}: {error!s:.80}")
        self.on_claimed(pair, record, head, bases, later)

    def on_claimed(
        self,
        pair: Pair,
        record: bytes | memoryview,
        head: tuple[int, ...],
        bases: Sequence[NDArray[np.uint8]],
        later: bool,
    ) -> None:
        """Take in a record whose slots are claimed."""
        channel = pair.channels.get(head[3]) or self._hear_of(pair, head[3])
        if channel is None:
            self._stray(f"a record of channel {head[3]}, which {pair.host} never opened")
            return
        frame = Frame(channel, head, record, bases)
        if head[0]:
            return self._take_other(pair, frame, record)
        for subscription in channel.targets:
            if subscription.arrive(frame, later):
                self.touched[id(subscription)] = subscription

    def on_batch(self) -> None:
        """Have the handlers called that waited for the newest message."""
        touched = list(self.touched.values())
        self.touched.clear()
        for subscription in touched:
            subscription.run_on()

    def on_gone(self, pair: Pair) -> None:
        """Forget another host."""
        with self._changing:
            self._pairs.pop(pair.number, None)
            self.readers = len(self._pairs)
            self.version += 1
        self.calls.forget(pair)
        self._news.set()

    def _take_other(self, pair: Pair, frame: Frame, record: bytes | memoryview) -> None:
        if frame.head[0] == Kind.SHUT:
            pair.channels.pop(frame.head[3], None)
        else:
            self.calls.take(pair, frame, record)

    def _hear_of(self, pair: Pair, channel: int) -> Channel | None:
        if not channel:
            return _NO_CHANNEL
        pair.read_talk(in_between=True)
        return pair.channels.get(channel)

    # ── who is there ──

    def _on_door(self) -> None:
        try:
            while (peer := next_peer(self._door)) is not None:
                self._meet(peer)
        except BlockingIOError:
            return
        except (DoorError, BusError) as error:  # who comes next may find room again
            _log.error("%s", error)
        except OSError:  # the launcher is gone, and with it who could come; the others stay
            self._loop.remove_reader(self._door)

    def _meet(self, peer: Peer) -> None:
        subs = [
            ("sub", number, pattern, rule.overflow.value, rule.depth)
            for number, (pattern, rule, _) in self._listening.items()
        ]
        things = [here(number, entity) for number, entity in self._entities.items()]
        pair = greet(
            self, peer, (*subs, *things, *(("serve", name) for name in self.calls.services))
        )
        with self._changing:
            self._pairs[peer.number] = pair

    def _tell_all(self, *words: Any) -> None:
        for pair in self.pairs():
            pair.tell(*words)

    def _stop_listening(self, number: int) -> None:
        if self._listening.pop(number, None) is not None:
            self._aim_anew()
            self._tell_all("unsub", number)

    def _stop_serving(self, name: str) -> None:
        if self.calls.services.pop(name, None) is not None:
            self._tell_all("unserve", name)

    def _take_back(self, number: int) -> None:
        if self._entities.pop(number, None) is not None:
            self._tell_all("gone", number)

    def _aim_anew(self) -> None:
        for pair in self._pairs.values():
            for channel in pair.channels.values():
                self.aim(channel)

    def _reclaim(self) -> None:
        for pair in list(self._pairs.values()):
            if (other := pair.other) is not None and other.cells[RELEASED] != other.seen:
                for slot in other.releases():
                    pair.holds.give_back(slot)

    def _stray(self, what: str, count: int = 0) -> None:
        self.stray += 1
        count = count or self.stray
        if count & (count - 1) == 0:
            _log.warning("dropped as no. %d that makes no sense: %s", self.stray, what)


class _Ended:
    """Something declared that is taken back once."""

    def __init__(self, take_back: Callable[[], None]) -> None:
        self.close = take_back


_NO_CHANNEL = Channel("", ("", 0, b""), "", 0)
