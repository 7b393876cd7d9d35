"""The sockets between two hosts when one of them does not read for a while."""

import socket
from contextlib import suppress

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


async def test_nothing_overtakes_what_waits_even_if_it_began_to_wait_a_second_time() -> None:
    kinds = socket.AF_UNIX, socket.SOCK_SEQPACKET
    (data, far), (talk, far_talk) = socket.socketpair(*kinds), socket.socketpair(*kinds)
    for end in (data, far, talk, far_talk):
        end.setblocking(False)
    pair = Pair(Peer(1, "far", data, talk), Pools(), Deaf())
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
