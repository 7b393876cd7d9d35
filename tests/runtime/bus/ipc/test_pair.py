"""The sockets between two hosts when one of them does not read for a while."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.door import Peer
from olympus.runtime.bus.ipc.outbox import PATIENT
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import Packed


class Deaf:
    """Hears nothing."""

    def on_talk(self, pair: Pair, words: list[object], descriptors: list[int]) -> None:
        """Do nothing."""

    def on_record(self, pair: Pair, record: bytes | memoryview, later: bool) -> None:
        """Do nothing."""

    def on_claimed(
        self,
        pair: Pair,
        record: bytes | memoryview,
        head: tuple[int, ...],
        bases: Sequence[NDArray[np.uint8]],
        later: bool,
    ) -> None:
        """Do nothing."""

    def on_call(self, pair: Pair, *what: object) -> None:
        """Not asked either."""

    touched: dict[int, object] = {}  # noqa: RUF012  never filled

    def on_batch(self) -> None:
        """Do nothing."""

    def on_gone(self, pair: Pair) -> None:
        """Do nothing."""


def drain(end: socket.socket, most: int = 1_000_000) -> list[bytes]:
    read: list[bytes] = []
    with suppress(BlockingIOError):
        while len(read) < most:
            read.append(end.recv(65_536))
    return read


class Heard(Deaf):
    """Keeps what it hears, and looks for what was said before each record, as a member does."""

    def __init__(self) -> None:
        self.words: list[list[object]] = []
        self.records: list[bytes] = []
        self.gone = 0

    def on_talk(self, pair: Pair, words: list[object], descriptors: list[int]) -> None:
        """Keep the words."""
        self.words.append(words)

    def on_record(self, pair: Pair, record: bytes | memoryview, later: bool) -> None:
        """Read what was said first, then keep the record."""
        pair.read_talk(in_between=True)
        self.records.append(bytes(record))

    def on_gone(self, pair: Pair) -> None:
        """Count it."""
        self.gone += 1


def connected(listener: Deaf) -> tuple[Pair, socket.socket, socket.socket]:
    """Return a pair and the far ends of its data and its talk."""
    kinds = socket.AF_UNIX, socket.SOCK_SEQPACKET
    (data, far), (talk, far_talk) = socket.socketpair(*kinds), socket.socketpair(*kinds)
    for end in (data, far, talk, far_talk):
        end.setblocking(False)
    return Pair(Peer(1, "far", data, talk), Pools(), listener), far, far_talk


RECORDS = [b"\0one", b"\0two", b"\0three"]


async def until_gone(heard: Heard) -> None:
    async with asyncio.timeout(20):
        while not heard.gone:
            await asyncio.sleep(0)


async def test_what_a_host_sent_is_read_though_it_ended_with_records_of_ours_unread() -> None:
    heard = Heard()
    pair, far, far_talk = connected(heard)
    assert pair.post(b"\0never read")
    pair.tell("never", "read")
    far_talk.send(msgpack.packb(["said", "before"]))
    for record in RECORDS:
        far.send(record)
    far.close()  # with something unread, so that Linux tells ECONNRESET before what is queued
    far_talk.close()
    await until_gone(heard)
    assert heard.records == RECORDS
    assert heard.words == [["said", "before"]]
    assert heard.gone == 1


async def test_what_a_host_sent_is_read_though_its_end_is_noticed_when_we_send() -> None:
    heard = Heard()
    pair, far, far_talk = connected(heard)
    for record in RECORDS:
        far.send(record)
    far.close()
    far_talk.close()
    assert pair.post(b"\0too late")
    await until_gone(heard)
    assert heard.records == RECORDS
    assert heard.gone == 1


async def test_nothing_overtakes_what_waits_even_if_it_began_to_wait_a_second_time() -> None:
    pair, far, far_talk = connected(Deaf())
    filler = bytes(20_000)
    for _ in range(2):  # between the two the loop has no turn: the first wait is still pending
        while pair.post(filler):
            pass
        pair.send(Packed(b"\0first"), 1, PATIENT)
        assert far.recv(65_536) == filler
        assert not pair.post(b"\0second")
        drain(far)
        pair.push_on()
        assert drain(far) == [b"\0first"]
    pair.close()
    far.close()
    far_talk.close()
