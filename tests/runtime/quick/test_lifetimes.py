"""What C holds, it lets go: over many messages nothing is left, and what is dropped is gone."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import select
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import Packing
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Header, Hop, Message, message
from olympus.runtime.messages.parts import parts_of, python_parts
from olympus.runtime.messages.planned import planned
from olympus.runtime.messages.schema import field_kinds
from olympus.runtime.qos import QoS, Tier
from olympus.runtime.quick import quick, why_not

from .ends import End, record
from .shapes import Arrays, Level, Nest, Nested, Point, bare

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
MANY = 20_000
FEW = 300
"""Blocks of memory: fewer than one for each fiftieth of what is done."""
HEADER = Header(seq=1, stamp=2, source="n", trace=(Hop("t", 1, 2, 3),))


@message("quick/Counted")
class Counted(Message):
    """A little of everything."""

    number: int
    text: str
    rows: tuple[tuple[int, ...], ...]
    tier: Tier


FIELDS = [10**9, "some text", [[10**10, 2], []], 3]


def rss_bytes() -> int:
    """Return how much memory of this process is there, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def check_nothing_is_left(act: Callable[[int], object], *held: Any, times: int = MANY) -> None:
    """Do something many times; see that it leaves no memory behind and no reference to `held`."""
    for number in range(1000):
        act(number)
    gc.collect()
    blocks, rss = sys.getallocatedblocks(), rss_bytes()
    before = [sys.getrefcount(one) for one in held]
    for number in range(1000, 1000 + times):
        act(number)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < FEW
    after = [sys.getrefcount(one) for one in held]
    assert max((abs(b - a) for a, b in zip(before, after, strict=True)), default=0) < FEW
    assert rss_bytes() - rss < 16 * 2**20


def alive(cls: type[Any]) -> int:
    """Return how many instances of a class there are."""
    gc.collect()
    return sum(type(one) is cls for one in gc.get_objects())


async def test_messages_that_come_leave_nothing_behind() -> None:
    end, count = End(), 0

    def take(_: object) -> None:
        nonlocal count
        count += 1

    subscription = end.listen(Counted, take, QoS.queue(), FIELDS)
    (channel,) = end.channels.values()

    def come(number: int) -> None:
        end.send(record(number + 2, FIELDS))
        end.wire.read()

    held = Tier.LOW, channel, channel.topic, channel.source, channel.key, subscription, Counted
    check_nothing_is_left(come, *held, channel.incarnation, end.wire, take, "_came", None)
    assert (count, end.records) == (MANY + 1000, [])
    assert alive(Counted) == 0
    await subscription.close()
    end.end()


async def test_handlers_that_fail_and_records_for_python_leave_nothing_behind() -> None:
    end = End()
    error = ValueError("always the same one")

    def fail(_: object) -> None:
        raise ValueError("another one each time")

    subscription = end.listen(Counted, fail, QoS.queue(), FIELDS)
    object.__setattr__(subscription.options, "on_error", lambda *_: None)
    (channel,) = end.channels.values()
    bad = [*FIELDS[:3], "none"]

    def come(number: int) -> None:
        end.send(record(number + 2, FIELDS), record(number + 3, bad), b"\0short")
        end.wire.read()
        end.records.clear()
        end.error = error
        end.send(b"\1")
        with suppress(ValueError):
            end.wire.read()
        end.error = None
        error.__traceback__ = None

    held = Tier.LOW, channel, channel.key, subscription, Counted, ValueError, error, end.wire
    check_nothing_is_left(come, *held, times=5000)
    assert subscription.dropped == {"failed": 6000}
    assert alive(Counted) == 0
    await subscription.close()
    end.end()


def test_packing_and_unpacking_leave_nothing_behind() -> None:
    parts, arrays = parts_of(Nested), parts_of(Arrays)
    nest = Nest(at=Point(x=1.5, y=10**9), path=(Point(x=1.0, y=2),), level=Level.TOP, deep=((1,),))
    whole = bare(Nested, {
        "header": HEADER, "nest": nest, "nests": (nest,), "checked": None, "loose": None,
        "points": {}, "maybe": None,
    })  # fmt: skip
    picture = np.zeros(3, np.float32)
    pictures = bare(Arrays, {"header": HEADER, "free": picture, "picture": 5})
    good = parts_of(Counted)
    made = Counted(header=HEADER, number=10**9, text="a", rows=((1,), (10**9,)), tier=Tier.LOW)
    names = "quick/Counted", "t", 10**9, 10**9, 10**9, 0, Tier.LOW, "n"

    def work(number: int) -> None:
        held: list[Any] = [picture]
        row = good.pack(made, held)
        good.unpack(row, held, "quick/Counted", HEADER)
        good.received(row, held, *names)
        good.published(made, "t", number, 10**9, Tier.LOW, "n")
        good.with_header(made, HEADER)
        for act in (
            lambda: parts.pack(whole, held),
            lambda: arrays.pack(pictures, held),
            lambda: good.unpack([*row[:3], 17], held, "quick/Counted", HEADER),
            lambda: good.received([10**9, "a", [[1], [None]], 1], held, *names),
        ):
            with suppress(MessageError, AttributeError):
                act()
        for odd in (whole, None, object.__new__(Counted)):
            with suppress(AttributeError):
                good.published(odd, "t", number, 10**9, Tier.LOW, "n")

    held = (
        picture,
        nest,
        whole,
        made,
        HEADER,
        Tier.LOW,
        Level.TOP,
        Counted,
        Point,
        Header,
        Hop,
        None,
    )
    check_nothing_is_left(work, *held, times=4000)
    assert alive(Counted) == 1


def test_records_that_are_made_leave_nothing_behind() -> None:
    packing = Packing(Counted, 5, Pools())
    good = Counted(header=HEADER, number=10**9, text="a", rows=((1,), (10**9,)), tier=Tier.LOW)
    bad = dataclasses.replace(good, text="\ud800")

    def work(_: int) -> None:
        packing.record(good, HEADER)
        with suppress(MessageError):
            packing.record(bad, HEADER)

    check_nothing_is_left(work, good, bad, HEADER, HEADER.trace, Tier.LOW, Counted)


def test_waiting_awake_leaves_nothing_behind() -> None:
    assert quick is not None
    end, epoll = End(), select.epoll()
    epoll.register(end.data.fileno(), select.EPOLLIN)
    wires = [end.wire, None]

    def work(number: int) -> None:
        if number % 2:
            end.send(b"\1")
            assert quick is not None
            assert quick.events_awake(epoll.fileno(), wires, time.monotonic() + 20)
            end.wire.read()
            end.records.clear()
        else:
            assert quick is not None
            assert not quick.events_awake(epoll.fileno(), wires, 0.0)

    check_nothing_is_left(work, end.wire, wires, None)
    epoll.close()
    end.end()


def test_a_plan_lets_its_class_go() -> None:
    slow = python_parts(Counted)
    shapes = [(part, [one.name for one in dataclasses.fields(part)]) for part in (Header, Hop)]
    names, kinds = field_kinds(Counted)

    def work(_: int) -> None:
        planned(Counted, names, kinds, parts=shapes, slow=slow)
        with suppress(AttributeError):
            planned(Counted, [*names[1:], "nothing"], kinds, parts=shapes, slow=slow)
        with suppress(TypeError):
            planned(Counted, names, kinds[1:], parts=shapes, slow=slow)

    check_nothing_is_left(work, Counted, Tier, Header, Hop, slow.pack, slow.published, times=3000)


async def test_a_wire_goes_with_who_is_at_its_end_though_they_hold_each_other() -> None:
    end = End()

    def handler(_: object) -> None:
        """Do nothing."""

    subscription = end.listen(Counted, handler, QoS.queue(), FIELDS)
    end.send(record(2, FIELDS))
    end.wire.read()
    await subscription.close()
    ends = weakref.ref(end), weakref.ref(handler), weakref.ref(subscription)
    end.data.close()
    end.far.close()
    del end, handler, subscription
    await asyncio.sleep(0)
    gc.collect()
    assert [one() for one in ends] == [None, None, None]
