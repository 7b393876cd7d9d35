"""What nodes see of the bus between hosts of one machine: real sockets, real shared memory."""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.bus.ipc.conftest import CLOCK, held, host, picture, reading, until

from olympus.runtime.bus import Bus, Publisher, PublisherOptions, SubscriptionOptions
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack, Empty, Image, Message, Reading
from olympus.runtime.qos import QoS


async def test_a_picture_crosses_hosts_bit_for_bit_and_can_only_be_read(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    seen: list[Image] = []
    there.subscribe("image", Image, seen.append)
    publisher = here.publisher("image", Image, PublisherOptions(node="camera"))
    await until(lambda: publisher.is_wanted)
    data = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    sent = publisher.publish(Image(data=data[::2, ::-1]))
    await until(lambda: seen)
    assert seen[0].header == sent.header
    np.testing.assert_array_equal(seen[0].data, data[::2, ::-1])
    with pytest.raises(ValueError, match="read-only"):
        seen[0].data[0, 0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        seen[0].data.flags.writeable = True


async def test_a_slot_is_free_as_soon_as_nobody_looks_at_it(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[Image] = []
    there.subscribe("image", Image, seen.append)
    publisher = here.publisher("image", Image)
    await until(lambda: publisher.is_wanted)
    publisher.publish(picture(7))
    await until(lambda: seen)
    corner = seen.pop().data[:2, :2]
    assert held(here) == 1
    for number in range(20):
        publisher.publish(picture(number))
        await until(lambda: seen)
        seen.clear()
    assert corner.tolist() == np.full((2, 2, 3), 7).tolist()
    del corner
    assert held(here) == 0


async def test_what_is_written_into_a_loan_travels_without_a_copy(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[Image] = []
    there.subscribe("image", Image, seen.append)
    publisher = here.publisher("image", Image)
    assert publisher.loan((2, 2, 3), np.uint8).shape == (2, 2, 3)  # nobody listens: ordinary
    await until(lambda: publisher.is_wanted)
    loan = publisher.loan((256, 256, 3), np.uint8)
    loan[:] = 9
    publisher.publish(Image(data=loan))
    await until(lambda: seen)
    assert (seen[0].data == 9).all()
    assert not loan.flags.writeable
    assert held(here) == 1
    loan = publisher.loan((256, 256, 3), np.uint8)
    assert held(here) == 2
    del loan
    seen.clear()
    assert held(here) == 0


async def test_who_keeps_everything_is_given_copies_and_starves_nobody(door: Path) -> None:
    async with host(door, "a") as here, host(door, "b") as hoarder, host(door, "c") as other:
        kept: list[Image] = []
        seen: list[int] = []
        options = SubscriptionOptions(qos=QoS.queue(100))
        everything = hoarder.subscribe("image", Image, kept.append, options)
        other.subscribe("image", Image, lambda m: seen.append(int(m.data[0, 0, 0])), options)
        publisher = here.publisher("image", Image)
        await until(lambda: len(here.near.pairs()) == 2 if here.near else False)
        await until(lambda: here.near is not None and len(here.near.routes("image")[1]) == 2)
        for value in range(200):
            publisher.publish(picture(value))
            await until(partial(_is_longer, kept, value))
            await until(partial(_is_longer, seen, value))
        assert [int(m.data[5, 5, 1]) for m in kept] == list(range(200))
        assert seen == list(range(200))
        assert everything.dropped == {}
        assert held(here) < 20
        assert hoarder.near is not None
        assert hoarder.near.copied > 150  # and it is seen
        assert other.near is not None
        assert other.near.copied == 0
        kept.clear()
        assert held(here) == 0


def _is_longer(seen: list[Any], than: int) -> bool:
    return len(seen) > than


async def test_thousands_arrive_in_order_without_loss_or_duplicate(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.lossless())
    subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = here.publisher("r", Reading)
    await until(lambda: publisher.is_wanted)
    for value in range(5000):  # far more than the socket holds, before anybody reads
        publisher.publish(reading(value))
    await until(lambda: len(seen) == 5000)
    assert seen == [float(v) for v in range(5000)]
    assert subscription.dropped == {}
    assert publisher.stats(0).dropped == {}


async def test_the_newest_supersedes_what_nobody_has_looked_at(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[float] = []
    subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value))
    publisher = here.publisher("r", Reading)
    await until(lambda: publisher.is_wanted)
    for value in range(50):
        publisher.publish(reading(value))
    await until(lambda: seen)
    assert seen == [49.0]
    assert subscription.dropped == {"superseded": 49}


async def test_a_reader_that_does_not_read_costs_the_publisher_nothing_but_a_count(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.queue(10))
    subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = here.publisher("r", Reading)
    await until(lambda: publisher.is_wanted)
    for value in range(5000):
        publisher.publish(reading(value))
    refused = publisher.stats(0).dropped["slow_reader"]
    await until(lambda: seen and seen[-1] == 4999.0)
    assert seen == sorted(set(seen))
    dropped = subscription.dropped
    assert dropped["lost"] == refused
    assert len(seen) + sum(dropped.values()) == 5000


async def test_an_expired_message_is_not_even_read(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[Reading] = []
    options = SubscriptionOptions(qos=QoS.queue())
    subscription = there.subscribe("r", Reading, seen.append, options)
    publisher = here.publisher("r", Reading)
    await until(lambda: publisher.is_wanted)
    publisher.publish(reading(1, stamp=10, expires=50))
    publisher.publish(reading(2))
    await until(lambda: seen)
    assert [m.value for m in seen] == [2.0]
    assert subscription.dropped == {"expired": 1}


async def test_a_trace_and_a_long_list_survive(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[Message] = []
    there.subscribe("**", Message, seen.append, SubscriptionOptions(qos=QoS.queue()))
    first = here.publisher("r", Reading, PublisherOptions(node="n"))
    second = here.publisher("a", Ack)
    await until(lambda: first.is_wanted and second.is_wanted)
    cause = first.publish(reading(1))
    long = second.publish(Ack(ok=True, text="x" * 300_000), cause=cause)
    await until(lambda: len(seen) == 2)
    assert isinstance(seen[1], Ack)
    assert (seen[1].header, seen[1].text) == (long.header, long.text)
    assert held(here) == 0


async def test_an_asynchronous_handler_gets_them_one_at_a_time(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[float] = []
    inside = 0

    async def handle(message: Reading) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.001)
        inside -= 1
        seen.append(message.value)

    def start(message: Reading) -> Any:
        return handle(message)

    for handler in (handle, start):
        seen.clear()
        options = SubscriptionOptions(qos=QoS.queue(100))
        subscription = there.subscribe("r", Reading, handler, options)
        publisher = here.publisher("r", Reading)
        await until(partial(_is_wanted, publisher))
        for value in range(50):
            publisher.publish(reading(value))
        await until(lambda: len(seen) == 50)
        assert seen == [float(v) for v in range(50)]
        await there.unsubscribe(subscription)
        here.withdraw(publisher)


async def test_a_late_joiner_in_another_host_gets_the_latched_value(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    publisher = here.publisher("map", Reading, PublisherOptions(node="n", latched=True))
    publisher.publish(reading(1))
    publisher.publish(reading(2))
    for _ in range(2):  # the second one in the same host too
        seen: list[float] = []
        options = SubscriptionOptions(qos=QoS.queue())
        there.subscribe("map", Reading, partial(_keep, seen), options)
        await until(partial(bool, seen))
        assert seen == [2.0]
    publisher.publish(reading(3))
    await until(lambda: len(seen) == 2)
    assert seen == [2.0, 3.0]


def _is_wanted(publisher: Publisher[Any]) -> bool:
    return publisher.is_wanted


def _keep(seen: list[float], message: Reading) -> None:
    seen.append(message.value)


async def test_the_last_word_of_who_leaves_arrives(door: Path) -> None:
    async with host(door, "b") as there:
        seen: list[float] = []
        there.subscribe("r", Reading, partial(_keep, seen), SubscriptionOptions(qos=QoS.queue(50)))
        async with host(door, "a") as here:
            publisher = here.publisher("r", Reading)
            await until(lambda: publisher.is_wanted)
            for value in range(20):
                publisher.publish(reading(value))
        await until(lambda: len(seen) == 20)


async def test_everybody_sees_who_is_there(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    node = here.announce_node("rover/camera", "olympus.nodes.camera")
    here.publisher("rover/image", Image, PublisherOptions(node="rover/camera"))
    options = SubscriptionOptions(node="rover/recorder")
    there.subscribe("rover/**", Message, lambda _: None, options)
    await until(lambda: len(there.graph()) == len(here.graph()) == 3)
    assert {(e.kind, e.host, e.node, e.topic, e.type) for e in there.graph()} == {
        ("node", "a", "rover/camera", "", "olympus.nodes.camera"),
        ("pub", "a", "rover/camera", "rover/image", "olympus/Image"),
        ("sub", "b", "rover/recorder", "rover/**", "*"),
    }
    node.close()
    await until(lambda: len(there.graph()) == 2)


TALKER = """
import asyncio, sys
from pathlib import Path
from olympus.runtime.bus import Bus, Publisher, PublisherOptions
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Reading, Empty

async def main():
    bus = Bus(SystemClock(), host="talker", door=Path(sys.argv[1]))
    bus.announce_node("talker", "a script")
    bus.serve("never", Empty, lambda _: asyncio.Event().wait())
    publisher = bus.publisher("r", Reading, PublisherOptions(node="talker"))
    while True:
        publisher.publish(Reading(name="a", value=1.0, unit="1"))
        await asyncio.sleep(0.005)

asyncio.run(main())
"""


async def test_a_killed_publisher_vanishes_and_a_new_one_is_heard(door: Path) -> None:
    async with host(door, "a") as here:
        seen: list[int] = []
        options = SubscriptionOptions(qos=QoS.queue(1000))
        subscription = here.subscribe("r", Reading, lambda m: seen.append(m.header.seq), options)
        for _ in range(2):
            talker = subprocess.Popen([sys.executable, "-c", TALKER, str(door)])
            try:
                await until(partial(_is_longer, seen, len(seen) + 20))
                asking = asyncio.create_task(here.call("never", Empty(), timeout_s=60))
                await asyncio.sleep(0.05)
            finally:
                talker.kill()
                talker.wait()
            with pytest.raises(BusError, match="its host talker is gone"):
                await asyncio.wait_for(asking, 10)
            assert here.graph() == []
        assert seen.count(1) <= 2
        assert "duplicate" not in subscription.dropped


async def test_without_a_door_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"ipc\.sock.*is the session running"):
        Bus(CLOCK, host="a", door=tmp_path / "ipc.sock")
