"""The two sockets between this host and another one, and everything that hangs on them.

`data` carries records and nothing else, so it is read with plain `recv`; `talk` carries what is
said about them, and descriptors. What a record relies on was said on `talk` before it was sent.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import socket
import struct
import termios
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.board import Board, OtherBoard
from olympus.runtime.bus.ipc.bounds import MOST_WORDS
from olympus.runtime.bus.ipc.door import Peer
from olympus.runtime.bus.ipc.frames import Channel, Lent
from olympus.runtime.bus.ipc.intake import make_intake
from olympus.runtime.bus.ipc.outbox import Outbox, Parcel, Rule
from olympus.runtime.bus.ipc.pool import Holds, Pools
from olympus.runtime.bus.ipc.records import HEAD, LENGTH, Packed
from olympus.runtime.bus.ipc.wire import make_wire
from olympus.runtime.bus.link import Entity
from olympus.runtime.bus.loop import selector_of, start_reading, stop_reading

MOST_TALK = 65_536
_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who takes in what a pair brings; all in the event loop."""

    def on_talk(self, pair: Pair, words: list[Any], descriptors: list[int]) -> None:
        """Take in what was said; the descriptors are ours now."""

    def on_record(self, pair: Pair, record: bytes | memoryview, later: bool) -> None:
        """Take in a record; with `later`, more are waiting and `on_batch` follows."""

    def on_claimed(
        self,
        pair: Pair,
        record: bytes | memoryview,
        head: tuple[int, ...],
        bases: Sequence[NDArray[np.uint8]],
        later: bool,
    ) -> None:
        """Take in a record whose slots are claimed."""

    def on_call(self, pair: Any, kind: int, number: int, channel: Channel, message: Any) -> None:
        """Take in a question or an answer that is read."""

    touched: dict[int, Any]
    """What waits for `on_batch`."""

    def on_batch(self) -> None:
        """Know that nothing more is waiting, or that it is time for something else."""

    def on_gone(self, pair: Pair) -> None:
        """Forget the pair."""


class Pair:
    """Our ends of the sockets to another host."""

    def __init__(self, peer: Peer, pools: Pools, listener: Listener) -> None:
        self.number, self.host = peer.number, peer.host
        self.board = Board()
        self.other: OtherBoard | None = None
        self.holds = Holds(pools)
        self.opened: set[int] = set()
        """Channels of ours that the other side knows."""
        self.lent: set[int] = set()
        """Pools of ours that it has."""
        self.patterns: dict[int, tuple[str, Rule]] = {}
        self.services: set[str] = set()
        self.entities: dict[int, Entity] = {}
        self.channels: dict[int, Channel] = {}
        self.pools: dict[int, Lent] = {}
        self.refused = Counter[str]()
        """What was announced beyond its bound, by kind."""
        self.is_met = self.is_gone = self._is_deaf = False
        self._data, self._talk = peer.data, peer.talk
        self._listener, self.on_batch = listener, listener.on_batch
        self.touched = listener.touched
        self._outbox, self._words = Outbox(), deque[tuple[bytes, list[int]]]()
        self._sending = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._selector = selector_of(self._loop)
        self._reset: set[socket.socket] = set()
        self._is_waiting = False
        self.wire = make_wire(
            self, self._data, self.board.cells, self._sending, make_intake(self, listener)
        )
        self.post = self.wire.post
        """Send a record at once; False if it can't go, so that `send` has to see to it."""
        start_reading(self._loop, self._data, self.wire.read)
        if self._selector is not None:
            self._selector.wires.append(self.wire)
            self._selector.on_crowd.append(self.board.tell_crowded)
        self._loop.add_reader(self._talk, self.read_talk)

    def send(self, packed: Packed, channel: int, rule: Rule) -> int:
        """Send a record whose slots are held for the reader; from any thread, never waits.

        Returns:
            How many records of this channel were dropped for want of room.
        """
        with self._sending:
            if self.is_gone:
                return 0
        if self.post(packed.data):
            return 0
        with self._sending:
            dropped = self._outbox.put(Parcel(packed.data, packed.slots), channel, rule)
            for parcel in dropped:
                for slot in parcel.slots:
                    self.holds.give_back(slot)
            self._ask_for_room()
            return len(dropped)

    @property
    def has_room(self) -> bool:
        """Whether what must not be dropped finds room."""
        return not self._outbox.is_full

    def push_on(self) -> None:
        """Try again to send what waits; from any thread."""
        with self._sending:
            if not self.is_gone:
                self._flush()

    def tell(self, *words: Any, descriptors: tuple[int, ...] = ()) -> None:
        """Say something; from any thread, in order, never waits.

        What is said can't be dropped as records can: who misses a part of it is wrong about us from
        then on. So who hears nothing for so long that too much waits is ended.
        """
        said = msgpack.packb(words)
        with self._sending:
            if self.is_gone or self._is_deaf:
                return
            if len(self._words) >= MOST_WORDS:
                self._is_deaf = True
                return self._in_loop(self._give_up)  # to log here could need the lock again
            self._words.append((said, list(descriptors)))
            self._flush()

    def read_talk(self, *, in_between: bool = False) -> None:
        """Take in what has been said until now; who goes on talking is heard at the next turn.

        Args:
            in_between: A record is being read: that the other side has ended is for later, else
                the record would lose its slots, and those after it would overtake it.
        """
        left = 0 if self.is_gone else max(1, _nbytes_waiting(self._talk))
        while left > 0 and not self.is_gone:
            try:
                said, descriptors, _, _ = socket.recv_fds(
                    self._talk, MOST_TALK, 4, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError as error:
                if self._is_before_the_rest(self._talk, error.errno or 0):
                    continue
                said, descriptors = b"", []
            if not said:
                for descriptor in descriptors:
                    os.close(descriptor)
                if in_between:
                    return
                self._read_rest()
                return self.close()
            self._listener.on_talk(self, _words_of(said), descriptors)
            left -= len(said)

    def close(self) -> None:
        """End it: the other side is gone, or we are; again is harmless."""
        with self._sending:
            if self.is_gone:
                return
            self.is_gone = True
            self.wire.close()
        stop_reading(self._loop, self._data)
        if self._selector is not None:
            self._selector.wires.remove(self.wire)
            self._selector.on_crowd.remove(self.board.tell_crowded)
        self._loop.remove_reader(self._talk)
        for end in (self._data, self._talk):
            self._loop.remove_writer(end)
            end.close()
        self._outbox.clear()
        self._words.clear()
        self.holds.clear()
        self.pools.clear()
        self.board.memory.close()
        self._listener.on_gone(self)

    def on_record(self, record: bytes | memoryview, later: bool) -> None:
        """Hand on a record."""
        self._listener.on_record(self, record, later)

    def on_claimed(self, record: bytes, base: NDArray[np.uint8], later: bool) -> None:
        """Hand on a picture whose slot is claimed."""
        self._listener.on_claimed(self, record, HEAD.unpack_from(record), (base,), later)

    def on_many(self, packet: bytes) -> int:
        """Take a packet of several records apart; returns how many."""
        view, position, count = memoryview(packet), 1, 0
        while position + LENGTH.size <= len(view):
            (length,) = LENGTH.unpack_from(view, position)
            position += LENGTH.size
            self._listener.on_record(self, view[position : position + length], True)
            position += length
            count += 1
        return count

    def on_error(self, number: int) -> bool:
        """Tell whether reading records goes on after an error."""
        return self._is_before_the_rest(self._data, number)

    def note_end(self) -> None:
        """Have it ended: the other side is gone."""
        self._in_loop(self._end)

    def _read_rest(self) -> None:
        """Take in what the other side sent before it ended."""
        _hang_up(self._data)
        before = -1
        while before != self.wire.received and not self.is_gone:
            before = self.wire.received
            self.wire.read()

    def _is_before_the_rest(self, end: socket.socket, number: int) -> bool:
        """Tell whether what the other side sent before it ended can still be read.

        Linux tells once that the other side ended with something of ours unread, and it does so
        before what is still queued for us: unix_release_sock() sets sk_err, and a read reports
        and clears it first (net/unix/af_unix.c, net/core/datagram.c).
        """
        if number != errno.ECONNRESET or end in self._reset:
            return False
        self._reset.add(end)
        return True

    def _flush(self) -> None:
        """Send what waits, as far as it goes."""
        try:
            while self._words:
                said, descriptors = self._words[0]
                _send_words(self._talk, said, descriptors)
                self._words.popleft()
            for packet, parcels in self._outbox.packets():
                if packet and not self.wire.send(packet):
                    return self._ask_for_room()
                self._outbox.done(parcels)
            self.wire.is_stuck = False
        except BlockingIOError:
            self._ask_for_room()
        except OSError:
            self.note_end()

    def _ask_for_room(self) -> None:
        self.wire.is_stuck = True  # also if it waits already: what comes now must not overtake
        if not self._is_waiting:
            self._is_waiting = True
            self._in_loop(self._wait_for_room)

    def _wait_for_room(self) -> None:
        if not self.is_gone:
            self._loop.add_writer(self._talk if self._words else self._data, self._on_room)

    def _on_room(self) -> None:
        for end in (self._data, self._talk):
            self._loop.remove_writer(end)
        with self._sending:
            self._is_waiting = False
            if not self.is_gone:
                self._flush()

    def _end(self) -> None:
        """Take in what is still to be read, and end it."""
        if self.is_gone:
            return
        _hang_up(self._talk)
        for _ in range(2):  # what is there, and then its end
            self.read_talk()
        self.close()

    def _give_up(self) -> None:
        """End it: too much of what was said waits."""
        if not self.is_gone:
            text = (
                "host %s has not heard the last %d things that it was told, so it is met no more; "
                "it hangs or is stopped, start it anew"
            )
            _log.error(text, self.host, len(self._words))
            self._end()

    def _in_loop(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and so is everything
            self._loop.call_soon_threadsafe(act)


def _nbytes_waiting(end: socket.socket) -> int:
    """Return how much can be read there now, bytes."""
    answer = fcntl.ioctl(end, termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", answer)[0])


def _hang_up(end: socket.socket) -> None:
    """Have no more come there; what was sent can still be read, and then the end."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)


def _words_of(said: bytes) -> list[Any]:
    try:
        words = msgpack.unpackb(said)
    except (ValueError, msgpack.UnpackException, RecursionError):
        return []
    return words if type(words) is list else []


def _send_words(talk: socket.socket, said: bytes, descriptors: list[int]) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    talk.sendmsg([said], ancillary if descriptors else [])
