"""What is fed with hostile bytes: each target takes them, or refuses them as it promises.

Anything else that a target raises is a fault. `seeds` are good inputs to begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import Any

import numpy as np
import wire_stage
import zenoh
from other import Other, sanitized
from wire_script import BENT, GOOD, LOOK, MANY, ODD, PICTURE, RAW, SAY, TURN, step

from olympus.runtime.bus.failure import failure_bytes, failure_of
from olympus.runtime.bus.gateway import Refusals
from olympus.runtime.bus.graph import entity_of, token_key
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packing
from olympus.runtime.bus.link import Entity
from olympus.runtime.bus.pictures import expanded, jpeg
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.zenoh_samples import origin_of
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import (
    Command,
    CompressedImage,
    Detection,
    Detections,
    Header,
    Hop,
    Image,
    Log,
    Message,
    Percept,
    Ranges,
    Reading,
    decode,
    encode,
    read_header,
    schema_by_class,
)

ROS_TYPES = (
    "std_msgs/msg/String",
    "geometry_msgs/msg/Twist",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/LaserScan",
    "nav_msgs/msg/Odometry",
    "sensor_msgs/msg/PointCloud2",
)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads bytes from outside."""

    feed: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    instrument: Callable[[Callable[[Any], Any]], None] = lambda _: None
    """Has the fuzzer look into functions that are made at run time."""


def messages() -> list[Message]:
    """Return a few messages that use every kind of field."""
    hops = (Hop("rover/camera/image", 1, 2, 3),)
    header = Header(seq=3, stamp=5, expires=9, source="rover/camera", trace=hops)
    few = np.linspace(0, 1, 5, dtype=np.float32)
    box = Detection(label="person", confidence=0.5, x=0.1, y=0.2, w=0.3, h=0.4)
    return [
        Image(header=header, data=np.arange(27, dtype=np.uint8).reshape(3, 3, 3)),
        Reading(header=header, name="hall", value=21.5, unit="Cel"),
        Detections(header=header, items=(box, box)),
        Command(header=header, text="go", verb="go", args={"to": "1, 2"}),
        Log(level="info", logger="a", text="b", fields={"c": "d"}),
        Ranges(header=header, bearings_rad=few, distances_m=few, max_m=6.0),
        Percept(header=header, kind="object", label="person", confidence=0.5),
    ]


def feed_codec(data: bytes) -> None:
    """A frame; what is read can be written, and that is read as the same."""
    with suppress(MessageError):
        read_header(data)
    try:
        message = decode(data)
    except MessageError:
        return
    again = encode(message)
    if encode(decode(again)) != again:
        raise AssertionError("a message changes on its way")


_BASES = [np.zeros(4096, np.uint8)]


def feed_ipc(data: bytes) -> None:
    """A record of another host: the first byte says of which type its channel is."""
    kinds = messages()
    if len(data) < 1 + HEAD.size:
        return
    schema, record = schema_by_class(type(kinds[data[0] % len(kinds)])), data[1:]
    channel = Channel("r", (schema.name, schema.version, schema.hash), "n", 1)
    try:
        frame = Frame(channel, HEAD.unpack_from(record), record, _BASES)
        encode(frame.asked() if frame.head[0] else frame.message())
    except MessageError:
        return


@cache
def ros() -> Codecs:
    """Return the codecs of ROS 2 types."""
    return Codecs(catalogue_of("jazzy"))


def instrument_cdr(wrap: Callable[[Any], Any]) -> None:
    """Look into the readers that are made from definitions."""
    for name in ROS_TYPES:
        codec: Any = ros().get(name)
        codec.take = wrap(codec.take)


def feed_cdr(data: bytes) -> None:
    """A ROS 2 message: the first byte says of which type."""
    if not data:
        return
    codec = ros().get(ROS_TYPES[data[0] % len(ROS_TYPES)])
    try:
        value = codec.decode(data[1:])
    except MessageError:
        return
    codec.encode(value)


def feed_picture(data: bytes) -> None:
    """A picture as a file."""
    for kind in ("jpeg", "png"):
        with suppress(MessageError):
            expanded(CompressedImage(data=np.frombuffer(data, np.uint8), format=kind))


def feed_edges(data: bytes) -> None:
    """Attachment, error reply, liveliness key, and the words of access control."""
    origin = origin_of("r", zenoh.ZBytes(data))
    if origin.seq < 0 or origin.incarnation < 0:
        raise AssertionError("a number below zero")
    failure_of(data, "rover/say")
    entity_of(data.decode(errors="replace"))
    Refusals(lambda *_: None).read(data)


@cache
def other() -> Other:
    """Return the process that plays scripts too, in C where it is Python here, or the other way."""
    return Other()


def feed_wire(data: bytes) -> None:
    """What a stranger says and sends to a host: the same comes of it with C and without."""
    assert_alike(wire_stage.outcome(data), other().outcome(data))


def assert_alike(here: list[Any], there: list[Any]) -> None:
    """Fail if not the same came of a script here and there."""
    if here != there:
        odd = [(a, b) for a, b in zip_longest(here, there) if a != b]
        raise AssertionError(f"here and there: {odd[0]!r:.2000}")


def _wire_seeds() -> list[bytes]:
    good = step(GOOD, 0), step(GOOD, 1), step(GOOD, 0, detail=2), step(GOOD, 1, detail=2)
    stream = [step(PICTURE, slot, detail=slot & 2) for slot in (0, 1, 2, 4, 5)]
    rows = [step(GOOD, 0, later=True), step(GOOD, 0, later=True), step(GOOD, 0)]
    odd = [
        step(BENT, 0, 1, 1, 5), step(BENT, 0, 4, 40), step(RAW, 3, 1, 2, 3),
        step(RAW, 1, 9, detail=1), step(SAY, 0, detail=1), step(SAY, 1, 130, detail=6),
        step(SAY, 1, 128, detail=7), step(SAY, 3, 1, 2, 3, detail=2), step(SAY, 0, detail=3),
        step(SAY, 1, detail=4),
        step(SAY, 1, 1, 2, 3, 4, detail=5), step(MANY, detail=3), step(LOOK, 130),
        step(TURN, detail=15), step(GOOD, 0, detail=1), step(GOOD, 0, detail=3),
    ]  # fmt: skip
    heads = [bytes([who, how]) for who in range(20) for how in (0, 4, 8)]
    bent = [
        bytes([5 * channel, 0])
        + step(GOOD, 0, detail=channel) * 3
        + b"".join(
            step(BENT, 0, 16, place, n, detail=channel) + step(GOOD, 0, detail=channel)
            for n in range(len(ODD))
        )
        for channel in (0, 1)  # readings, pictures
        for place in range(10)
    ]
    return bent + [
        head + b"".join([*good, *stream, *odd[n % 4 :: 4], *rows, *good, *stream, step(TURN)])
        for n, head in enumerate(heads)
    ]


def _ipc_seeds() -> Iterator[bytes]:
    for number, message in enumerate(messages()):
        packing = Packing(type(message), 5, Pools())
        header = Header(seq=1, trace=(Hop("r", 1, 0, 0),))
        for packed in (packing.record(message, header), packing.call(Kind.ASK, message, 1)):
            yield bytes([number]) + (packed if isinstance(packed, bytes) else packed.data)


def _edge_seeds() -> list[bytes]:
    line = b"x: 96a9d6eb on a+96a9d6eb is unauthorized to Put (ingress) on rover/cmd_vel\n"
    key = token_key(Entity("pub", "h", "n", "t", "olympus/Image")).encode()
    return [bytes(16) + b"rover/camera", failure_bytes(BusError("no")), key, line]


def _cdr_seeds() -> list[bytes]:
    made: list[Any] = [(n, ros().get(name)) for n, name in enumerate(ROS_TYPES)]
    return [bytes([n]) + codec.encode(ros().new(codec.name)) for n, codec in made]


__all__ = ["TARGETS", "Other", "Target", "assert_alike", "sanitized"]
TARGETS = {
    "codec": Target(feed_codec, lambda: [encode(message) for message in messages()]),
    "ipc": Target(feed_ipc, lambda: list(_ipc_seeds())),
    "cdr": Target(feed_cdr, _cdr_seeds, instrument_cdr),
    "picture": Target(feed_picture, lambda: [jpeg(np.zeros((16, 16, 3), np.uint8))]),
    "edges": Target(feed_edges, _edge_seeds),
    "wire": Target(feed_wire, _wire_seeds),
}
