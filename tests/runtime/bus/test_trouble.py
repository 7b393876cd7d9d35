"""Handlers and disks that misbehave: a subscription copes, counts, and goes on."""

import asyncio
import contextlib
from collections import deque
from pathlib import Path

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Message, Reading, encode
from olympus.runtime.qos import QoS
from olympus.runtime.store import DiskQueue


def reading(value: float = 1.0) -> Reading:
    return Reading(name="a", value=value, unit="1")


async def settle() -> None:
    """Let everything that is ready now run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_handler_that_waits_for_something_cancelled_fails_and_hears_the_next() -> None:
    bus = Bus(SystemClock())
    seen: list[float] = []

    async def handler(message: Reading) -> None:
        seen.append(message.value)
        other = asyncio.create_task(asyncio.Event().wait())
        other.cancel()
        await other

    subscription = bus.subscribe("r", Reading, handler)
    publisher = bus.publisher("r", Reading)
    for value in (1.0, 2.0):
        publisher.publish(reading(value))
        await settle()
    assert (seen, subscription.dropped) == ([1.0, 2.0], {"failed": 2})
    await bus.close()


async def test_a_failure_that_can_not_be_reported_does_not_end_the_subscription() -> None:
    bus = Bus(SystemClock())
    seen: list[float] = []

    def handler(message: Reading) -> None:
        seen.append(message.value)
        raise RuntimeError("no")

    def on_error(error: Exception, message: Message) -> None:
        raise RuntimeError("nor this")

    bus.subscribe("r", Reading, handler, SubscriptionOptions(on_error=on_error))
    publisher = bus.publisher("r", Reading)
    for value in (1.0, 2.0):
        publisher.publish(reading(value))
        await settle()
    assert seen == [1.0, 2.0]
    await bus.close()


async def test_a_handler_may_unsubscribe_itself_and_goes_on_to_its_end() -> None:
    bus = Bus(SystemClock())
    seen: list[float] = []

    async def once(message: Reading) -> None:
        await bus.unsubscribe(subscription)
        await asyncio.sleep(0)
        seen.append(message.value)

    options = SubscriptionOptions(qos=QoS.block(1))
    subscription = bus.subscribe("r", Reading, once, options)
    publisher = bus.publisher("r", Reading)
    for value in (1.0, 2.0, 3.0):
        await asyncio.wait_for(publisher.send(reading(value)), 20)
    await settle()
    publisher.publish(reading(4.0))
    await settle()
    assert seen == [1.0]
    await bus.close()


async def test_a_handler_that_ignores_its_cancellation_can_not_hold_up_the_end() -> None:
    bus, began = Bus(SystemClock()), asyncio.Event()

    async def stubborn(_: Reading) -> None:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    bus.subscribe("r", Reading, stubborn)
    bus.publisher("r", Reading).publish(reading())
    await began.wait()
    await asyncio.wait_for(bus.close(), 20)


async def test_what_was_spilled_before_a_crash_is_delivered_first(tmp_path: Path) -> None:
    before = DiskQueue(tmp_path)
    before.append(encode(reading(1.0)))
    before.close()
    bus = Bus(SystemClock())
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.lossless(1), spill=DiskQueue(tmp_path))
    bus.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = bus.publisher("r", Reading)
    for value in (2.0, 3.0):
        publisher.publish(reading(value))
    await settle()
    assert seen == [1.0, 2.0, 3.0]
    await bus.close()
    DiskQueue(tmp_path).close()  # the subscription has let go of it


class BrokenDisk(deque[bytes]):
    """A spill on a disk that fails."""

    def append(self, item: bytes) -> None:
        raise StoreError("the disk is full")

    def popleft(self) -> bytes:
        raise StoreError("the disk is broken")

    def close(self) -> None:
        """There is nothing to close."""


async def test_a_spill_that_fails_stops_neither_publisher_nor_subscriber() -> None:
    bus = Bus(SystemClock())
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.lossless(1), spill=BrokenDisk([b"from before"]))
    subscription = bus.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = bus.publisher("r", Reading)
    publisher.publish(reading(1.0))
    await settle()
    publisher.publish(reading(2.0))
    await settle()
    assert seen == [2.0]
    assert subscription.dropped == {"overflow": 1, "lost": 1}
    await bus.close()
