"""Messages of types that this process does not know: handed on as they came, or refused."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Packing
from olympus.runtime.bus.letters import TOPIC
from olympus.runtime.bus.link import Origin, Payload
from olympus.runtime.clock import VirtualClock
from olympus.runtime.errors import SchemaError
from olympus.runtime.messages import (
    Header,
    Hop,
    Message,
    Opaque,
    Reading,
    decode,
    encode,
    opaque,
    schema_by_class,
)
from olympus.runtime.messages.letters import DeadLetter
from olympus.runtime.messages.robot import Numbers
from olympus.runtime.qos import QoS

SENT = 9


def frame_of(message: Message, *, name: str = "") -> Frame:
    """Return a message as it comes from another host, of a type that may be unknown here."""
    schema, header = schema_by_class(type(message)), message.header
    whole = replace(header, trace=(Hop("r", header.seq, header.stamp, SENT),))
    packed = Packing(type(message), 5, Pools()).record(message, whole)
    data = packed if isinstance(packed, bytes) else packed.data
    kind = (name or schema.name, schema.version, schema.hash)
    return Frame(Channel("r", kind, "n", 1), HEAD.unpack_from(data), data, [])


MESSAGES = (
    Reading(header=Header(seq=3, stamp=5, expires=8), name="a", value=1.5, unit="1"),
    Numbers(header=Header(seq=1, stamp=2), values=np.arange(12.0)),
)


def test_who_is_refused_is_not_remembered() -> None:
    base = np.zeros(100, np.uint8)
    kept = weakref.ref(base)
    frame = frame_of(MESSAGES[0], name="none/Known")
    told = Frame(frame.channel, frame.head, frame.as_it_came(), [base])
    for read in (told.message, told.asked):
        with pytest.raises(SchemaError, match="unknown message type"):
            read()
    channel = frame.channel
    del base, told, frame, read
    gc.collect()  # errors and the calls they came through refer to each other
    assert kept() is None
    assert channel.unknown


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_its_frame_differs_in_nothing_but_the_name_of_its_type(message: Message) -> None:
    name = schema_by_class(type(message)).name
    strange = "x" * len(name)  # of the same length, so that the frames can be compared as bytes
    frame = frame_of(message, name=strange).to_bytes()
    known = frame_of(message).to_bytes()
    assert frame == known.replace(name.encode(), strange.encode(), 1)
    with pytest.raises(SchemaError, match="unknown message type"):
        decode(frame)
    came = opaque(frame)
    assert (came.type, came.header.stamp) == (strange, message.header.stamp)
    assert came.header.trace == (Hop("r", message.header.seq, message.header.stamp, SENT),)
    assert encode(came) == frame


class Came:
    """Bytes that arrived from another machine."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        return self._data


@pytest.mark.parametrize("takes_unknown", [True, False])
@pytest.mark.parametrize("way", ["near", "far"])
async def test_only_who_asks_for_it_gets_what_is_unknown(way: str, takes_unknown: bool) -> None:
    bus = Bus(VirtualClock(start_ns=100), host="bench")
    letters: list[DeadLetter] = []
    bus.letters.open(bus.publisher(TOPIC, DeadLetter))
    bus.subscribe(TOPIC, DeadLetter, letters.append, SubscriptionOptions(qos=QoS.lossless()))
    seen: list[Message] = []
    options = SubscriptionOptions(qos=QoS.lossless(), takes_unknown=takes_unknown)
    subscription = bus.subscribe("r", Message, seen.append, options)
    near = frame_of(Reading(name="a", value=1.5, unit="1"), name="none/Known")
    came: Payload = near if way == "near" else Came(near.to_bytes())
    subscription.push(came, Origin("r", "n", 1, 0))
    subscription.push(Came(b"nonsense"), Origin("r", "n", 1, 0))
    for _ in range(20):
        await asyncio.sleep(0)
    frame = near.to_bytes()
    reasons = {letter.reason: letter for letter in letters}
    if takes_unknown:
        assert [type(one) for one in seen] == [Opaque]
        assert encode(seen[0]) == frame
        assert set(reasons) == {"malformed"}
    else:
        assert not seen
        assert set(reasons) == {"schema", "malformed"}
        assert reasons["schema"].is_frame  # whole, so that who knows the type can be sent it again
        assert reasons["schema"].payload.tobytes() == frame
    await bus.close()
