"""A host that sends nonsense: counted, never obeyed, and it breaks nothing."""

import asyncio
import gc
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.astray import ASTRAY
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.ipc.board import NBYTES
from olympus.runtime.bus.ipc.door import VERSION, enter
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.memory import make_memory
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Packing
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import Header, Hop, Image, Message, Reading, opaque, schema_by_class
from olympus.runtime.qos import QoS

CARD = schema_by_class(Reading)
_MADE = Packing(Reading, 5, Pools()).record(
    Reading(name="a", value=1.0, unit="1"), Header(seq=1, trace=(Hop("r", 1, 0, 0),))
)
RECORD = _MADE if isinstance(_MADE, bytes) else _MADE.data


def repr_short(value: object) -> str:
    return f"{value!r:.12}"


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[tuple[Any, Bus, list[Message]]]:
    with open_door(tmp_path / "s"):
        bus = Bus(SystemClock(), host="a", door=tmp_path / "s")
        door, (peer,) = enter(tmp_path / "s", "stranger")
        peer.data.setblocking(True)
        seen: list[Message] = []
        bus.subscribe("r", Reading, seen.append, SubscriptionOptions(qos=QoS.queue(100)))
        yield peer, bus, seen
        await bus.close()
        for end in (door, peer.data, peer.talk):
            end.close()


async def taken_in(bus: Bus, count: int) -> None:
    async with asyncio.timeout(20):
        while bus.near is None or bus.near.stray < count:
            await asyncio.sleep(0.002)


def say(peer: Any, *words: Any) -> None:
    peer.talk.send(msgpack.packb(words))


async def test_nonsense_is_counted_and_the_next_message_heard(
    stranger: tuple[Any, Bus, list[Message]],
) -> None:
    peer, bus, seen = stranger
    peer.data.send(b"nonsense")
    peer.data.send(RECORD)  # on a channel that was never opened
    say(peer, "pool", 0, 65536, 4)  # and no memory came along
    say(peer, "board")
    say(peer, "sub", 1, "r", "whenever", 3)
    say(peer, ["what"], None)
    peer.talk.send(b"\xc1")
    assert ASTRAY not in {row.topic for row in bus.stats(0)}
    await taken_in(bus, 7)
    (row,) = [row for row in bus.stats(0) if row.topic == ASTRAY]
    assert (row.node, row.dropped) == ("a", {"senseless": 7})
    say(peer, "open", 5, "r", CARD.name, CARD.version, CARD.hash, "n", 1)
    peer.data.send(RECORD)
    async with asyncio.timeout(20):
        while not seen:
            await asyncio.sleep(0.002)


async def test_a_slot_that_does_not_exist_is_refused(
    stranger: tuple[Any, Bus, list[Message]],
) -> None:
    peer, bus, seen = stranger
    say(peer, "open", 5, "r", CARD.name, CARD.version, CARD.hash, "n", 1)
    head = HEAD.pack(0, 2, 1, 5, 1, 0, 0, 0, 1, 1)
    peer.data.send(head + struct.pack("<Q", 7 << 32 | 9) + b"\x90")
    await taken_in(bus, 1)
    assert seen == []


async def test_memory_of_another_size_is_refused(
    stranger: tuple[Any, Bus, list[Message]],
) -> None:
    peer, bus, _ = stranger
    pools = Pools()
    pools.take(10)
    descriptor = pools.pools[0].memory.descriptor
    said = msgpack.packb(["pool", 0, 2**40, 64])
    socket.send_fds(peer.talk, [said], [descriptor])
    await taken_in(bus, 1)
    pools.close()


async def test_who_speaks_another_version_is_sent_away(tmp_path: Path) -> None:
    with open_door(tmp_path / "s"):
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.settimeout(10)
        door.connect(str(tmp_path / "s"))
        door.send(msgpack.packb([99, "old"]))
        number, why = msgpack.unpackb(door.recv(100))
        assert (number, why) == (0, f"version 99 of the bus where {VERSION} is needed")
        assert door.recv(100) == b""
        door.close()
        with pytest.raises(BusError, match=r"may not come in: '' is no name of a host"):
            enter(tmp_path / "s", "")
        bus = Bus(SystemClock(), host="a", door=tmp_path / "s")
        await bus.close()


@pytest.mark.parametrize(
    "name", [b"\0" * 4000, "x" * 4000, {"a": 1}, "a\n\x1b[31m", None, [[]] * 99], ids=repr_short
)
async def test_a_name_that_is_none_keeps_nobody_else_out(tmp_path: Path, name: object) -> None:
    with open_door(tmp_path / "s"):
        bus = Bus(SystemClock(), host="a", door=tmp_path / "s")
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stranger.settimeout(10)
        stranger.connect(str(tmp_path / "s"))
        stranger.send(msgpack.packb([VERSION, name]))
        assert msgpack.unpackb(stranger.recv(1000))[0] == 0
        door, peers = enter(tmp_path / "s", "b")
        assert [peer.host for peer in peers] == ["a"]
        await bus.close()
        for end in (stranger, door, peers[0].data, peers[0].talk):
            end.close()


CROWDED = """
import asyncio, logging, os, resource, sys
from pathlib import Path
from olympus.runtime.bus import Bus
from olympus.runtime.clock import SystemClock

async def main():
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    bus = Bus(SystemClock(), host="crowded", door=Path(sys.argv[1]))
    free = os.dup(0)
    os.close(free)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    await asyncio.to_thread(print)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + int(sys.argv[2]), most))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("again", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await bus.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_a_host_without_descriptors_says_whom_it_can_not_meet(tmp_path: Path, left: int) -> None:
    ends: list[socket.socket] = []

    def come_in(name: str) -> socket.socket:
        door, peers = enter(tmp_path / "s", name)
        ends.extend((door, *(end for peer in peers for end in (peer.data, peer.talk))))
        return peers[0].talk

    with open_door(tmp_path / "s"):
        command = [sys.executable, "-c", CROWDED, str(tmp_path / "s"), str(left)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as host:
            assert host.stdin is not None and host.stdout is not None
            assert host.stdout.readline() == "\n"
            assert host.stdout.readline() == "ready\n"
            come_in("late")
            assert "host late can't be met" in host.stdout.readline()
            print(file=host.stdin, flush=True)
            assert host.stdout.readline() == "again\n"
            talk = come_in("later")
            talk.settimeout(10)
            assert talk.recv(1000)
            print(file=host.stdin, flush=True)
            assert host.stdout.read() == ""
            assert host.wait(20) == 0
    for end in ends:
        end.close()


numbers = st.sampled_from([0, 1, 2, 5, -1, 2**31, 2**63 - 1, 2**64 - 1, -(2**63), True])
texts = st.sampled_from(
    ["", "r", "out", "**", "a//b", "**/" * 20_000 + "x", "\0", "latest", "block", CARD.name]
)
verbs: dict[str, list[Any]] = {
    "board": [], "pool": [numbers] * 3, "sub": [numbers, texts, texts, numbers],
    "unsub": [numbers], "met": [], "here": [numbers, *[texts] * 5], "gone": [numbers],
    "open": [numbers, texts, texts, numbers, st.binary(max_size=9), texts, numbers],
    "serve": [texts], "unserve": [texts],
}  # fmt: skip
said_things = st.one_of(
    st.binary(max_size=20),
    *(st.tuples(st.just(verb), *kinds).map(msgpack.packb) for verb, kinds in verbs.items()),
)
sent_things = st.builds(
    lambda head, slots, body: b"".join(
        (HEAD.pack(*head, len(slots), 9), struct.pack(f"<{len(slots)}Q", *slots), body)
    ),
    st.tuples(
        st.integers(0, 6), st.integers(0, 7), st.integers(0, 15), st.sampled_from([0, 1, 2, 5]),
        *[st.sampled_from([0, 1, 2**64 - 1])] * 4,
    ),
    st.lists(st.sampled_from([0, 3, 4, 1 << 32, 2**64 - 1]), max_size=3),
    st.binary(max_size=40) | st.just(b"\x91" * 3000),
)  # fmt: skip


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def bear(steps: list[tuple[bytes, list[int], bytes]], path: Path) -> None:
    """Have a stranger say and send what it likes to a host, and see that the host goes on."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
    given_away = [make_memory(NBYTES).descriptor, make_memory(65_536).descriptor]
    bus = Bus(SystemClock(), host="a", door=path)
    seen: list[Message] = []
    bus.subscribe("r", Reading, seen.append, SubscriptionOptions(qos=QoS.queue(100)))
    talker = bus.publisher("out", Reading)
    before = open_descriptors()
    door, (peer,) = enter(path, "stranger")
    for said, descriptors, sent in steps:
        with suppress(BlockingIOError, BrokenPipeError):  # it reads no faster, or has hung up
            socket.send_fds(peer.talk, [said], [given_away[n] for n in descriptors])
            peer.data.send(sent)
        await asyncio.sleep(0)
        talker.publish(Reading(name="a", value=1.0, unit="1"))
    for end in (door, peer.data, peer.talk):
        end.close()
    async with asyncio.timeout(20):
        while bus.near is not None and bus.near.readers:
            await asyncio.sleep(0.001)
    door, (peer,) = enter(path, "friend")
    say(peer, "open", 5, "r", CARD.name, CARD.version, CARD.hash, "friend", 99)
    peer.data.send(RECORD)
    async with asyncio.timeout(20):
        while not any(message.header.source == "friend" for message in seen):
            await asyncio.sleep(0.001)
    for end in (door, peer.data, peer.talk):
        end.close()
    async with asyncio.timeout(20):
        while open_descriptors() > before:
            gc.collect()
            await asyncio.sleep(0.001)
    await bus.close()
    for descriptor in given_away:
        os.close(descriptor)
    assert failures == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(said_things, st.lists(st.integers(0, 1), max_size=5), sent_things), max_size=30
    )
)
def test_whatever_a_host_says_and_sends_the_other_goes_on_and_keeps_nothing(
    steps: list[tuple[bytes, list[int], bytes]],
) -> None:
    with TemporaryDirectory() as folder, open_door(Path(folder) / "s"):
        asyncio.run(bear(steps, Path(folder) / "s"))


def frame_of(record: bytes, cls: type[Message] = Reading) -> Frame:
    card = schema_by_class(cls)
    channel = Channel("r", (card.name, card.version, card.hash), "n", 1)
    return Frame(channel, HEAD.unpack_from(record), record, [np.zeros(100, np.uint8)])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.integers(0, 15), st.integers(0, 255), st.data())
def test_no_record_breaks_the_reader(
    body: bytes, flags: int, tier: int, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, 2**64 - 1))
    length = data.draw(st.sampled_from([len(body), 2**32 - 1]))
    record = HEAD.pack(0, tier, flags, 5, number, number, 0, 0, 0, length) + body
    for cls in (Reading, Image):
        try:
            frame_of(record, cls).message()
        except MessageError:
            continue


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.integers(0, 15), st.integers(0, 255))
def test_no_record_of_an_unknown_type_breaks_who_passes_it_on(
    body: bytes, flags: int, tier: int
) -> None:
    record = HEAD.pack(0, tier, flags, 5, 7, 7, 0, 0, 0, len(body)) + body
    channel = Channel("r", ("none/Known", 1, bytes(8)), "n", 1)
    frame = Frame(channel, HEAD.unpack_from(record), record, [np.zeros(100, np.uint8)])
    with suppress(MessageError):
        assert opaque(frame.to_bytes()).type == "none/Known"


entries = st.one_of(
    st.none(),
    st.lists(
        st.one_of(
            st.sampled_from(["|u1", "<f4", "O", -1, 0, 1, 2**62, [2, 2, 3], [0], [2**40, 3], [-1]]),
            st.integers(-5, 2**63),
        ),
        max_size=5,
    ),
)


@settings(max_examples=300)
@given(st.lists(entries, max_size=3))
def test_no_list_of_arrays_leads_beyond_its_memory(arrays: list[Any]) -> None:
    body = msgpack.packb([0, "rgb8", "camera", arrays])
    record = HEAD.pack(0, 2, 1, 5, 1, 0, 0, 0, 0, len(body)) + body
    try:
        made = frame_of(record, Image).message()
    except MessageError:
        return
    assert isinstance(made, Image)
    assert made.data.nbytes <= 100


def picture_of(shape: tuple[int, ...], seq: int) -> bytes:
    pools = Pools()
    data = pools.loan(shape, np.uint8)
    assert data is not None
    header = Header(seq=seq, trace=(Hop("r", seq, 0, 0),))
    made = Packing(Image, 5, pools).record(Image(data=data), header)
    pools.close()
    assert not isinstance(made, bytes)
    return made.data


SHAPES = [(90, 90, 3), (81, 100, 3), (90, 80, 3)]
PICTURES = [picture_of(shape, seq) for seq, shape in enumerate(SHAPES)]
CARD_OF_IMAGE = schema_by_class(Image)
Read = tuple[object, ...]


def read_from(channel: Channel, record: bytes, base: NDArray[np.uint8]) -> Read:
    try:
        image = Frame(channel, HEAD.unpack_from(record), record, [base]).message()
    except MessageError:
        return ("refused",)
    assert isinstance(image, Image) and not image.data.flags.writeable
    return (image.header, image.encoding, image.data.shape, image.data.tobytes())


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PICTURES),
            st.sampled_from([65_536, 24_300, 24_299, 3]),
            st.none() | st.tuples(st.just(1) | st.integers(0, 100), st.integers(0, 255)),
        ),
        min_size=3,
        max_size=12,
    )
)
def test_what_was_read_before_changes_nothing_about_what_is_read(
    sent: list[tuple[bytes, int, tuple[int, int] | None]],
) -> None:
    def fresh() -> Channel:
        kind = (CARD_OF_IMAGE.name, CARD_OF_IMAGE.version, CARD_OF_IMAGE.hash)
        return Channel("r", kind, "n", 1)

    channel = fresh()
    for value, (record, room, broken) in enumerate(sent):
        if broken is not None:
            place, byte = broken[0], bytes([broken[1]])
            record = record[:place] + byte + record[place + 1 :]
        base = np.full(room, value, np.uint8)
        base.flags.writeable = False
        for _ in range(2):
            assert read_from(channel, record, base) == read_from(fresh(), record, base)
