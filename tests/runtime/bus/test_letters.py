"""What subscriptions can't handle goes where a recorder can keep it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.letters import BURST, MOST_BYTES, TOPIC
from olympus.runtime.bus.link import Origin
from olympus.runtime.bus.spill import Frame
from olympus.runtime.clock import VirtualClock
from olympus.runtime.messages import Header, Message, Reading, decode, encode
from olympus.runtime.messages.letters import DeadLetter
from olympus.runtime.qos import QoS

S = 10**9


class Office:
    """A bus whose dead letters are read."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start_ns=1000 * S)
        self.bus = Bus(self.clock, host="bench")
        self.letters: list[DeadLetter] = []
        box = self.bus.publisher(TOPIC, DeadLetter, PublisherOptions(node="bench"))
        self.bus.letters.open(box)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def office() -> AsyncIterator[Office]:
    one = Office()
    options = SubscriptionOptions(node="keeper", qos=QoS.lossless())
    one.bus.subscribe(TOPIC, DeadLetter, one.letters.append, options)
    yield one
    await one.bus.close()


def reading(value: float = 1.0, *, expires: int = 0, text: str = "") -> Reading:
    return Reading(header=Header(expires=expires), name="a", value=value, unit="1", text=text)


def refuse(message: Message) -> None:
    raise ValueError(f"no {type(message).__name__}, please")


async def test_what_a_handler_fails_on_is_handed_on_whole() -> None:
    async with office() as one:
        options = SubscriptionOptions(node="picky", on_error=lambda *_: None)
        one.bus.subscribe("rover/*", Reading, refuse, options)
        sent = one.bus.publisher("rover/a", Reading, PublisherOptions(node="n")).publish(reading())
        await one.settle()
        (letter,) = one.letters
        assert (letter.topic, letter.node, letter.reason) == ("rover/a", "picky", "failed")
        assert letter.text == "ValueError: no Reading, please"
        assert (letter.sender, letter.seq, letter.stamp) == ("n", 1, sent.header.stamp)
        assert letter.is_frame
        assert encode(decode(letter.payload.tobytes())) == encode(sent)


async def test_bytes_that_are_no_message_are_kept_as_they_came() -> None:
    async with office() as one:
        subscription = one.bus.subscribe("t", Reading, refuse, SubscriptionOptions(node="x"))
        subscription.push(Frame(b"no message"), Origin("t", "n", 1, 7))
        await one.settle()
        (letter,) = one.letters
        assert (letter.topic, letter.sender, letter.reason) == ("t", "", "malformed")
        assert letter.payload.tobytes() == b"no message"


async def test_what_has_expired_is_kept_where_nothing_may_be_lost() -> None:
    async with office() as one:
        for topic, qos in (("a", QoS.lossless()), ("b", QoS.latest())):
            one.bus.subscribe(topic, Reading, refuse, SubscriptionOptions(node="x", qos=qos))
            one.bus.publisher(topic, Reading).publish(reading(expires=one.clock.now_ns() - 1))
        await one.settle()
        assert [(letter.topic, letter.reason) for letter in one.letters] == [("a", "expired")]


async def test_a_handler_that_always_fails_costs_little_and_the_rest_is_counted() -> None:
    async with office() as one:
        options = SubscriptionOptions(node="picky", on_error=lambda *_: None)
        one.bus.subscribe("rover/a", Reading, refuse, options)
        publisher = one.bus.publisher("rover/a", Reading)
        for _ in range(BURST + 30):
            publisher.publish(reading())
            await one.settle()
        assert len(one.letters) == BURST
        one.clock.advance(S)
        publisher.publish(reading())
        await one.settle()
        assert len(one.letters) == BURST + 1
        assert one.letters[-1].left_out == {"rover/a failed": 30}
        publisher.publish(reading())
        await one.settle()
        one.bus.letters.tell_left_out()
        await one.settle()
        assert (one.letters[-1].reason, one.letters[-1].left_out) == (
            "left_out",
            {"rover/a failed": 1},
        )
        count = len(one.letters)
        one.bus.letters.tell_left_out()
        await one.settle()
        assert len(one.letters) == count


async def test_a_long_message_is_kept_in_part() -> None:
    async with office() as one:
        options = SubscriptionOptions(node="picky", on_error=lambda *_: None)
        one.bus.subscribe("t", Reading, refuse, options)
        sent = one.bus.publisher("t", Reading).publish(reading(text="x" * 2 * MOST_BYTES))
        await one.settle()
        (letter,) = one.letters
        assert (letter.payload.size, letter.size) == (MOST_BYTES, len(encode(sent)))
        assert not letter.is_frame


async def test_a_letter_that_can_not_be_handled_makes_no_other() -> None:
    async with office() as one:
        options = SubscriptionOptions(node="picky", on_error=lambda *_: None)
        one.bus.subscribe("**", Message, refuse, options)
        one.bus.publisher("t", Reading).publish(reading())
        await one.settle()
        assert [letter.topic for letter in one.letters] == ["t"]
