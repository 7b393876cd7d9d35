"""The bus within one host: by reference, in order, honest about what it drops."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus import Bus, Entity, Origin, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.records import HEAD
from olympus.runtime.bus.link import (
    AnswerHistory,
    Closable,
    Deliver,
    LastValue,
    LinkPublisher,
    OnDropped,
    ServeHandler,
)
from olympus.runtime.bus.rows import MOST_ROWS
from olympus.runtime.clock import SystemClock, VirtualClock
from olympus.runtime.errors import BusError
from olympus.runtime.messages import (
    Command,
    Empty,
    Header,
    Image,
    Message,
    Reading,
    Twist,
    schema_by_class,
)
from olympus.runtime.qos import QoS, Tier


def reading(value: float = 1.0, **header: Any) -> Reading:
    return Reading(header=Header(**header), name="a", value=value, unit="1")


async def settle() -> None:
    """Let everything that is ready now run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_picture_is_handed_over_without_a_copy() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    bus.subscribe("image", Image, seen.append)
    image = Image(data=np.zeros((2, 2, 3), np.uint8))
    bus.publisher("image", Image).publish(image)
    await settle()
    assert seen[0].data is image.data
    await bus.close()


async def test_a_message_says_where_it_comes_from_and_what_caused_it() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    bus.subscribe("twist", Twist, seen.append)
    image = bus.publisher("image", Image, PublisherOptions(node="camera")).publish(
        Image(header=Header(stamp=77), data=np.zeros((1, 1, 3), np.uint8))
    )
    options = PublisherOptions(node="pilot", tier=Tier.HIGH, lifetime_s=1e-6)
    bus.publisher("twist", Twist, options).publish(
        Twist(linear_mps=0.0, angular_radps=0.0), cause=image
    )
    header = (
        bus.publisher("twist", Twist, options)
        .publish(Twist(linear_mps=0.0, angular_radps=0.0), cause=image)
        .header
    )
    assert (header.stamp, header.expires, header.source) == (77, 1077, "pilot")
    assert header.tier is Tier.HIGH
    assert [hop.topic for hop in header.trace] == ["image", "twist"]
    assert header.trace[0].stamp == 77
    await bus.close()


async def test_a_trace_keeps_the_sensor_and_the_newest_hops() -> None:
    bus = Bus(SystemClock())
    message: Message = bus.publisher("t0", Reading).publish(reading())
    for number in range(1, 20):
        message = bus.publisher(f"t{number}", Reading).publish(reading(), cause=message)
    topics = [hop.topic for hop in message.header.trace]
    assert topics == ["t0", "t13", "t14", "t15", "t16", "t17", "t18", "t19"]
    await bus.close()


async def test_an_expired_message_is_not_delivered_but_counted() -> None:
    clock = VirtualClock(100)
    bus = Bus(clock)
    seen: list[Reading] = []
    kept: list[Reading] = []
    late = bus.subscribe("r", Reading, seen.append)
    bus.subscribe("r", Reading, kept.append, SubscriptionOptions(keep_expired=True))
    bus.publisher("r", Reading).publish(reading(stamp=10, expires=50))
    await settle()
    assert (seen, len(kept), late.dropped) == ([], 1, {"expired": 1})
    await bus.close()


async def test_a_superseded_message_is_counted() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    subscription = bus.subscribe("r", Reading, seen.append)
    publisher = bus.publisher("r", Reading)
    for value in range(5):
        publisher.publish(reading(value))
    await settle()
    assert [r.value for r in seen] == [4.0]
    assert subscription.dropped == {"superseded": 4}
    await bus.close()


async def test_a_late_joiner_gets_the_last_value_of_a_latched_topic_once() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    publisher = bus.publisher("map", Reading, PublisherOptions(latched=True))
    publisher.publish(reading(1))
    publisher.publish(reading(2))
    bus.subscribe("map", Reading, seen.append, SubscriptionOptions(qos=QoS.queue()))
    await settle()
    publisher.publish(reading(3))
    await settle()
    assert [r.value for r in seen] == [2.0, 3.0]
    await bus.close()


async def test_a_failing_handler_is_reported_and_the_next_message_comes() -> None:
    bus = Bus(SystemClock())
    seen: list[float] = []
    errors: list[str] = []

    def handler(message: Reading) -> None:
        if message.value == 1:
            raise RuntimeError("no")
        seen.append(message.value)

    options = SubscriptionOptions(qos=QoS.queue(), on_error=lambda e, m: errors.append(str(e)))
    subscription = bus.subscribe("r", Reading, handler, options)
    for value in (1, 2):
        bus.publisher("r", Reading, PublisherOptions(node=f"n{value}")).publish(reading(value))
    await settle()
    assert (seen, errors, subscription.dropped) == ([2.0], ["no"], {"failed": 1})
    await bus.close()


async def test_another_type_on_the_topic_is_refused_and_counted() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    subscription = bus.subscribe("r", Command, seen.append)
    bus.publisher("r", Reading).publish(reading())
    await settle()
    assert (seen, subscription.dropped) == ([], {"malformed": 1})
    await bus.close()


async def test_a_publisher_refuses_a_message_of_another_type() -> None:
    bus = Bus(SystemClock())
    wrong: Any = Command(text="", verb="")
    with pytest.raises(BusError, match="carries Reading, not Command"):
        bus.publisher("r", Reading).publish(wrong)
    await bus.close()


async def test_send_waits_for_room_in_a_blocking_subscription() -> None:
    bus, gate = Bus(SystemClock()), asyncio.Event()
    seen: list[float] = []

    async def slow(message: Reading) -> None:
        await gate.wait()
        seen.append(message.value)

    bus.subscribe("r", Reading, slow, SubscriptionOptions(qos=QoS.block(2)))
    publisher = bus.publisher("r", Reading)

    async def produce() -> None:
        for value in range(10):
            await publisher.send(reading(value))

    producer = asyncio.create_task(produce())
    await settle()
    assert not producer.done()
    gate.set()
    await asyncio.wait_for(producer, 20)
    await settle()
    assert seen == [float(v) for v in range(10)]
    await bus.close()


async def test_stars_subscribe_to_many_topics() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    options = SubscriptionOptions(qos=QoS.queue())
    bus.subscribe("rover/**", Message, lambda m: seen.append(m.header.trace[-1].topic), options)
    for topic in ("rover/a", "rover/b/c", "other/a"):
        bus.publisher(topic, Reading).publish(reading())
    await settle()
    assert seen == ["rover/a", "rover/b/c"]
    await bus.close()


async def test_after_unsubscribing_nothing_comes() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    subscription = bus.subscribe("r", Reading, seen.append)
    await bus.unsubscribe(subscription)
    await bus.unsubscribe(subscription)
    bus.publisher("r", Reading).publish(reading())
    await settle()
    assert seen == []
    await bus.close()


async def test_statistics_tell_both_ends() -> None:
    clock = VirtualClock()
    bus = Bus(clock)
    bus.subscribe("r", Reading, lambda _: None, SubscriptionOptions(node="listener"))
    publisher = bus.publisher("r", Reading, PublisherOptions(node="talker"))
    for _ in range(10):
        publisher.publish(reading())
        clock.advance(100_000_000)
        await settle()
    sub, pub = sorted(bus.stats(clock.now_ns()), key=lambda s: s.role, reverse=True)
    assert (pub.role, pub.node, pub.count, round(pub.rate_hz)) == ("pub", "talker", 10, 10)
    assert (sub.role, sub.node, sub.count, sub.type) == ("sub", "listener", 10, "olympus/Reading")
    assert round(sub.age_p50_ms) == 100
    await bus.close()


async def test_two_senders_wait_for_room_in_every_blocking_subscription() -> None:
    bus = Bus(SystemClock())
    seen: dict[str, list[float]] = {"deep": [], "flat": []}
    gates = {who: asyncio.Event() for who in seen}

    async def take(who: str, message: Reading) -> None:
        await gates[who].wait()
        seen[who].append(message.value)

    for who, depth in (("deep", 2), ("flat", 1)):
        options = SubscriptionOptions(qos=QoS.block(depth))
        bus.subscribe("r", Reading, partial(take, who), options)
    publisher = bus.publisher("r", Reading)
    values = [float(n) for n in range(5)]
    sending = []
    for value in values:
        sending.append(asyncio.create_task(publisher.send(reading(value))))
        await settle()
    for who in ("flat", "deep"):
        gates[who].set()
        await settle()
    await asyncio.wait_for(asyncio.gather(*sending), 20)
    await settle()
    assert sorted(seen["deep"]) == sorted(seen["flat"]) == values
    await bus.close()


class Elsewhere:
    """A link to a host that listens to everything; something happens at each sending."""

    is_wanted = True

    def __init__(self, at_sending: Callable[[], None]) -> None:
        self._at_sending = at_sending

    def advertise(
        self,
        topic: str,
        type_name: str,
        *,
        tier: Tier,
        is_reliable: bool,
        last: LastValue | None,
        on_dropped: OnDropped,
    ) -> LinkPublisher:
        return self

    def send(self, message: Message, origin: Origin) -> int:
        self._at_sending()
        return 0

    def listen(self, topic: str, deliver: Deliver) -> Closable:
        return self

    def fetch_last(self, topic: str, deliver: Deliver) -> None:
        """There is none."""

    def serve(self, name: str, handler: ServeHandler) -> Closable:
        return self

    async def request(self, name: str, frame: bytes, timeout_s: float) -> bytes:
        raise BusError(f"{name}: nobody is there")

    def answer_history(self, answer: AnswerHistory) -> Closable:
        return self

    def announce(self, entity: Entity) -> Closable:
        return self

    def entities(self) -> list[Entity]:
        return []

    def close(self) -> None:
        """Nothing was opened."""


async def test_who_joins_while_a_latched_value_is_on_its_way_gets_that_value() -> None:
    seen: list[float] = []

    def join() -> None:
        bus.subscribe("map", Reading, lambda m: seen.append(m.value))

    bus = Bus(SystemClock(), link=Elsewhere(join))
    publisher = bus.publisher("map", Reading, PublisherOptions(latched=True))
    for value in (1.0, 2.0, 3.0):
        publisher.publish(reading(value))
        await settle()
    assert seen == [1.0, 2.0, 2.0, 3.0, 3.0, 3.0]
    await bus.close()


async def test_closing_twice_is_harmless() -> None:
    bus = Bus(SystemClock())
    bus.subscribe("r", Reading, lambda _: None)
    publisher = bus.publisher("r", Reading)
    await bus.close()
    await bus.close()
    publisher.publish(reading())


async def test_the_rows_that_a_subscription_remembers_are_bounded_and_the_busy_ones_stay() -> None:
    bus = Bus(SystemClock())
    seen: list[Any] = []
    subscription = bus.subscribe("r", Reading, seen.append, SubscriptionOptions(qos=QoS.lossless()))
    message = reading()
    for number in range(MOST_ROWS + 100):
        subscription.push(message, Origin("r", "busy", 1, number + 1))
        subscription.push(message, Origin("r", f"passer-by {number}", 1, 1))
    subscription.push(message, Origin("r", "busy", 1, 7))  # long ago, and still known
    await settle()
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(subscription._seen) == MOST_ROWS
    assert subscription.dropped == {"duplicate": 1}
    await bus.close()


async def test_a_publisher_that_goes_on_in_order_is_not_the_one_forgotten() -> None:
    bus = Bus(VirtualClock())
    seen: list[Any] = []
    subscription = bus.subscribe("e", Empty, seen.append, SubscriptionOptions(qos=QoS.queue(64)))
    card = schema_by_class(Empty)
    kind = (card.name, card.version, card.hash)

    def arrive(source: str, seq: int) -> None:
        head = (0, 1, 0, 5, seq, 1, 0, 1, 0, 1)
        frame = Frame(Channel("e", kind, source, 1), head, HEAD.pack(*head) + b"\x90", [])
        assert not subscription.arrive(frame, later=False)

    arrive("busy", 1)
    for number in range(MOST_ROWS - 1):
        arrive(f"passer-by {number}", 1)
    arrive("busy", 2)
    arrive("one more", 1)  # now somebody has to be forgotten
    before = len(seen)
    arrive("busy", 1)
    assert (len(seen), subscription.dropped) == (before, {"duplicate": 1})
    assert before == MOST_ROWS + 2
    await bus.close()
