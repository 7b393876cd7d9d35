"""A host that announces without end, or never hears what it is told: nobody else suffers."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.ipc import bounds, open_door
from olympus.runtime.bus.ipc.door import enter
from olympus.runtime.bus.ipc.memory import make_memory
from olympus.runtime.bus.ipc.outbox import PATIENT
from olympus.runtime.bus.ipc.pair import Pair
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packing, bare
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Header, Hop, Message, Reading, schema_by_class
from olympus.runtime.qos import QoS

from .test_pair import Deaf, Heard, connected, drain

CARD = schema_by_class(Reading)
_MADE = Packing(Reading, 5, Pools()).record(
    Reading(name="a", value=1.0, unit="1"), Header(seq=1, trace=(Hop("r", 1, 0, 0),))
)
RECORD = _MADE if isinstance(_MADE, bytes) else _MADE.data


def opening(number: int) -> list[Any]:
    return ["open", number, "x", CARD.name, CARD.version, CARD.hash, "n", 1]


KINDS: dict[str, tuple[int, Callable[[int], list[Any]], list[Any] | bytes]] = {
    "pools": (bounds.MOST_POOLS, lambda n: ["pool", n, 65536, 1], []),
    "channels": (bounds.MOST_THINGS, opening, bare(Kind.SHUT, 7).data),
    "patterns": (bounds.MOST_THINGS, lambda n: ["sub", n, "x", "latest", 1], ["unsub", 7]),
    "entities": (bounds.MOST_THINGS, lambda n: ["here", n, "node", "h", "n", "", ""], ["gone", 7]),
    "services": (bounds.MOST_THINGS, lambda n: ["serve", f"n/{n}"], ["unserve", "n/7"]),
}
"""Of each kind how many, how one is announced, and how it is taken back."""


class Stranger:
    """Announces what it likes."""

    def __init__(self, peer: Any, bus: Bus) -> None:
        self.peer, self.bus = peer, bus
        self.memory = make_memory(65536)

    async def say(self, words: list[Any]) -> None:
        """Say something as soon as there is room for it."""
        has_memory = words[0] == "pool"
        descriptors = [self.memory.descriptor] if has_memory else []
        while True:
            try:
                socket.send_fds(self.peer.talk, [msgpack.packb(words)], descriptors)
                return
            except BlockingIOError:
                await asyncio.sleep(0)

    async def until_stray(self, count: int) -> None:
        """Wait until so much was refused."""
        async with asyncio.timeout(50):
            while self.bus.near is None or self.bus.near.stray < count:
                await asyncio.sleep(0.001)


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Stranger]:
    with open_door(tmp_path / "s"):
        bus = Bus(SystemClock(), host="a", door=tmp_path / "s")
        door, (peer,) = enter(tmp_path / "s", "stranger")
        one = Stranger(peer, bus)
        yield one
        await bus.close()
        one.memory.close()
        for end in (door, peer.data, peer.talk):
            end.close()


def pair_of(bus: Bus, host: str) -> Pair:
    assert bus.near is not None
    (pair,) = [pair for pair in bus.near.pairs() if pair.host == host]
    return pair


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_beyond_the_bound_of_its_kind_is_refused_and_told(
    stranger: Stranger, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    most, announcing, taking_back = KINDS[kind]
    for _ in range(3):  # so that the next one is no power of two
        await stranger.say(["what"])
    await stranger.until_stray(3)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for number in range(most + 2):
            await stranger.say(announcing(number))
        await stranger.say(announcing(most - 1))  # known already, so it is not refused
        await stranger.say(announcing(most + 2))
        await stranger.until_stray(6 + (kind == "pools"))
    assert len(getattr(pair_of(stranger.bus, "stranger"), kind)) == most
    said = [record.getMessage() for record in caplog.records]
    assert all(f"stranger has announced {most} {kind}" in text for text in said[:2])
    assert len(said) >= 2  # no. 1 and no. 2 of this kind
    if not taking_back:
        return
    if isinstance(taking_back, bytes):
        stranger.peer.data.send(taking_back)
        while 7 in pair_of(stranger.bus, "stranger").channels:
            await asyncio.sleep(0)
    else:
        await stranger.say(taking_back)
    await stranger.say(announcing(most))  # there is room again
    await stranger.say(["what"])
    await stranger.until_stray(7)
    held = getattr(pair_of(stranger.bus, "stranger"), kind)
    assert len(held) == most
    assert (f"n/{most}" if kind == "services" else most) in held


async def test_others_are_heard_while_one_announces_without_end(
    stranger: Stranger, tmp_path: Path
) -> None:
    seen: list[Message] = []
    options = SubscriptionOptions(qos=QoS.queue(100))
    subscription = stranger.bus.subscribe("r", Reading, seen.append, options)
    door, peers = enter(tmp_path / "s", "friend")
    (friend,) = [peer for peer in peers if peer.host == "a"]
    for kind in ("channels", "services", "entities"):
        for number in range(bounds.MOST_THINGS + 5):
            await stranger.say(KINDS[kind][1](number))
    await stranger.until_stray(15)
    words = ["open", 5, "r", CARD.name, CARD.version, CARD.hash, "friend", 1]
    friend.talk.send(msgpack.packb(words))
    friend.data.send(RECORD)
    async with asyncio.timeout(20):
        while not seen:
            await asyncio.sleep(0.001)
    assert stranger.bus.near is not None
    assert stranger.bus.near.stray == 15
    # A record of a channel that was refused is refused as well.
    beyond = HEAD.pack(0, 2, 0, bounds.MOST_THINGS + 3, 1, 0, 0, 0, 0, 1) + b"\x90"
    stranger.peer.data.send(beyond)
    await stranger.until_stray(16)
    assert len(seen) == 1
    await subscription.close()
    for end in (door, *(end for peer in peers for end in (peer.data, peer.talk))):
        end.close()


@pytest.mark.parametrize(
    "words",
    [["serve", "x" * 513], ["sub", 1, "x" * 513, "latest", 1],
     ["here", 1, "node", "h", "x" * 513, "", ""], ["open", 1, "r", "x", 1, b"x" * 513, "n", 1]],
    ids=lambda words: words[0],
)  # fmt: skip
async def test_a_text_that_is_too_long_is_refused(
    stranger: Stranger, words: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    await stranger.say(words)
    await stranger.until_stray(1)
    assert "513" in caplog.text and "at most 512" in caplog.text
    pair = pair_of(stranger.bus, "stranger")
    assert not (pair.services or pair.patterns or pair.entities or pair.channels)


async def test_who_never_hears_what_it_is_told_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    pair, far, far_talk = connected(heard)
    far.send(b"\0before")
    far_talk.send(msgpack.packb(["said", "before"]))
    for number in range(2 * bounds.MOST_WORDS):
        pair.tell("here", number)
    assert heard.gone == 0  # that is for the loop
    async with asyncio.timeout(20):
        while not heard.gone:
            await asyncio.sleep(0)
    assert (heard.records, heard.words) == ([b"\0before"], [["said", "before"]])
    (record,) = caplog.records
    assert f"far has not heard the last {bounds.MOST_WORDS} things" in record.getMessage()
    words = [msgpack.unpackb(said) for said in iter(lambda: far_talk.recv(1000), b"")]
    assert words == [["here", n] for n in range(len(words))]
    assert 0 < len(words) < bounds.MOST_WORDS
    pair.tell("gone")
    assert (pair.is_gone, heard.gone, pair.send(bare(Kind.SHUT, 1), 1, PATIENT)) == (True, 1, 0)
    far.close()
    far_talk.close()


async def test_who_hears_late_hears_all_of_it() -> None:
    pair, far, far_talk = connected(Deaf())
    for number in range(bounds.MOST_WORDS):
        pair.tell("here", number)
    words: list[Any] = []
    while len(words) < bounds.MOST_WORDS:
        words += [msgpack.unpackb(said) for said in drain(far_talk)]
        pair.push_on()
    assert words == [["here", n] for n in range(bounds.MOST_WORDS)]
    assert not pair.is_gone
    pair.close()
    far.close()
    far_talk.close()


class Flooded(Heard):
    """Finds another thing said, or sent, whenever it has taken one in."""

    def __init__(self) -> None:
        super().__init__()
        self.far: list[socket.socket] = []
        self.left = 5000
        """So that who does not stop fails, and does not hang."""

    def more(self) -> None:
        """Say and send more."""
        self.left -= 1
        if self.left > 0:
            for end in self.far:
                with suppress(OSError):
                    end.send(msgpack.packb(["again"]))

    def on_talk(self, pair: Pair, words: list[object], descriptors: list[int]) -> None:
        """Keep the words."""
        super().on_talk(pair, words, descriptors)
        self.more()

    def on_record(self, pair: Pair, record: bytes | memoryview, later: bool) -> None:
        """Keep the record."""
        self.records.append(bytes(record))
        self.more()


async def test_who_talks_without_end_leaves_others_their_turn() -> None:
    heard = Flooded()
    pair, far, far_talk = connected(heard)
    heard.far = [far_talk]
    for number in range(3):
        far_talk.send(msgpack.packb(["first", number]))
    pair.read_talk(in_between=True)
    assert [words[0] for words in heard.words] == ["first"] * 3
    pair.close()
    far.close()
    far_talk.close()


@pytest.mark.parametrize("is_noticed_here", [False, True])
async def test_who_hangs_up_half_and_goes_on_sending_is_ended(is_noticed_here: bool) -> None:
    heard = Flooded()
    pair, far, far_talk = connected(heard)
    heard.far = [far, far_talk]
    far.send(b"\0first")
    if is_noticed_here:
        far_talk.send(msgpack.packb(["first"]))
        pair.note_end()
    else:
        heard.far = [far]
        far_talk.close()
    async with asyncio.timeout(20):
        while not heard.gone:
            await asyncio.sleep(0)
    assert heard.left > 4000
    assert heard.records[0] == b"\0first"
    far.close()
    far_talk.close()
