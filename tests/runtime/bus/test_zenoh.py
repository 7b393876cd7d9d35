"""The bus between hosts: real sessions through a real hub; one test kills a real process."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.graph import Graph, Token
from olympus.runtime.bus.joining import join
from olympus.runtime.bus.link import Entity
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack, Command, Empty, Image, Message, Reading
from olympus.runtime.qos import QoS

pytestmark = pytest.mark.e2e


@pytest.fixture
async def buses(session: Session) -> AsyncIterator[tuple[Bus, Bus]]:
    clock = SystemClock(session.clock_offset_ns)
    pair = tuple(Bus(clock, host=h, link=ZenohLink(session.endpoint)) for h in ("a", "b"))
    yield pair[0], pair[1]
    for bus in pair:
        await bus.close()


async def until(condition: Callable[[], Any], *, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def reading(value: float) -> Reading:
    return Reading(name="a", value=value, unit="1")


async def test_a_picture_crosses_hosts_bit_for_bit(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    seen: list[Image] = []
    there.subscribe("image", Image, seen.append)
    publisher = here.publisher("image", Image, PublisherOptions(node="camera"))
    await until(lambda: publisher.remote is not None and publisher.remote.is_wanted)
    data = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    sent = publisher.publish(Image(data=data))
    await until(lambda: seen)
    assert seen[0].header == sent.header
    np.testing.assert_array_equal(seen[0].data, data)


async def test_thousands_arrive_in_order_without_loss_or_duplicate(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.lossless())
    subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = here.publisher("r", Reading, PublisherOptions(node="n", is_reliable=True))
    await until(lambda: publisher.remote is not None and publisher.remote.is_wanted)
    for value in range(3000):
        publisher.publish(reading(value))
    await until(lambda: len(seen) == 3000)
    assert seen == [float(v) for v in range(3000)]
    assert subscription.dropped == {}


async def test_nobody_listening_costs_no_encoding(buses: tuple[Bus, Bus]) -> None:
    publisher = buses[0].publisher("r", Reading)
    publisher.publish(reading(1))
    assert publisher.stats(0).bytes_per_s == 0
    assert publisher.remote is not None
    assert not publisher.remote.is_wanted


async def test_a_late_joiner_in_another_host_gets_the_latched_value(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    publisher = here.publisher("map", Reading, PublisherOptions(node="n", latched=True))
    publisher.publish(reading(1))
    publisher.publish(reading(2))
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.queue())
    there.subscribe("map", Reading, lambda m: seen.append(m.value), options)
    await until(lambda: seen)
    publisher.publish(reading(3))
    await until(lambda: len(seen) == 2)
    assert seen == [2.0, 3.0]


async def test_who_joins_before_the_publisher_gets_a_latched_value_published_at_once(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    for number in range(20):
        seen: list[float] = []
        subscription = there.subscribe(f"map{number}", Reading, partial(_keep, seen))
        publisher = here.publisher(f"map{number}", Reading, PublisherOptions(latched=True))
        publisher.publish(reading(1))
        await until(partial(bool, seen))
        assert subscription.dropped == {}


def _keep(seen: list[float], message: Reading) -> None:
    seen.append(message.value)


async def test_a_publisher_can_be_withdrawn_while_another_thread_publishes(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    there.subscribe("r", Reading, lambda _: None)
    publisher = here.publisher("r", Reading)
    await until(lambda: publisher.remote is not None and publisher.remote.is_wanted)

    def publish_until_refused() -> None:
        while True:
            publisher.publish(reading(1))

    publishing = asyncio.create_task(asyncio.to_thread(publish_until_refused))
    await until(lambda: publisher.stats(0).count > 100)
    here.withdraw(publisher)
    publisher.close()
    with pytest.raises(BusError, match="its publisher is closed"):
        await asyncio.wait_for(publishing, 10)


async def test_a_service_answers_across_hosts_and_its_errors_come_back(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses

    def answer(command: Command) -> Ack:
        if not command.text:
            raise BusError("say something")
        return Ack(ok=True, text=command.text)

    there.serve("echo", Command, answer)
    await until(lambda: any(e.kind == "srv" for e in here.graph()))
    back = await here.call("echo", Command(text="hi", verb=""))
    assert isinstance(back, Ack)
    assert back.text == "hi"
    with pytest.raises(BusError, match="echo: say something"):
        await here.call("echo", Command(text="", verb=""))
    with pytest.raises(BusError, match="takes Command, not Empty"):
        await here.call("echo", Empty())
    with pytest.raises(BusError, match="no answer from service 'nobody'"):
        await here.call("nobody", Empty(), timeout_s=0.5)


async def test_everybody_sees_who_is_there(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    node = here.announce_node("rover/camera", "olympus.nodes.camera")
    here.publisher("rover/image", Image, PublisherOptions(node="rover/camera"))
    options = SubscriptionOptions(node="rover/recorder")
    there.subscribe("rover/**", Message, lambda _: None, options)
    await until(lambda: len(there.graph()) == 3)
    seen = {(e.kind, e.host, e.node, e.topic, e.type) for e in there.graph()}
    assert seen == {
        ("node", "a", "rover/camera", "", "olympus.nodes.camera"),
        ("pub", "a", "rover/camera", "rover/image", "olympus/Image"),
        ("sub", "b", "rover/recorder", "rover/**", "*"),
    }
    node.close()
    await until(lambda: len(there.graph()) == 2)


async def test_an_outside_client_that_sends_nonsense_is_counted_not_obeyed(
    session: Session, buses: tuple[Bus, Bus]
) -> None:
    seen: list[Message] = []
    subscription = buses[0].subscribe("r", Reading, seen.append)
    stranger = open_session("client", connect=[session.endpoint])
    publisher = stranger.declare_publisher("r")
    for payload in (b"", b"nonsense", b"OLY1" + b"\xff" * 40):
        publisher.put(payload, attachment=b"short")
        await asyncio.sleep(0)
    await until(lambda: sum(subscription.dropped.values()) == 3)
    assert seen == []
    assert set(subscription.dropped) <= {"malformed", "superseded"}
    stranger.close()  # type: ignore[no-untyped-call]


async def test_a_gap_on_the_way_is_counted_as_lost(
    session: Session, buses: tuple[Bus, Bus]
) -> None:
    here, there = buses
    seen: list[float] = []
    options = SubscriptionOptions(qos=QoS.queue())
    subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value), options)
    publisher = here.publisher("r", Reading, PublisherOptions(node="n"))
    await until(lambda: publisher.remote is not None and publisher.remote.is_wanted)
    publisher.publish(reading(1))
    remote, publisher.remote = publisher.remote, None  # three that never leave the host
    for value in (2, 3, 4):
        publisher.publish(reading(value))
    publisher.remote = remote
    publisher.publish(reading(5))
    await until(lambda: len(seen) == 2)
    assert seen == [1.0, 5.0]
    assert subscription.dropped == {"lost": 3}


def _has_grown(seen: list[int], size: int) -> bool:
    return len(seen) > size


TALKER = """
import asyncio, sys
from olympus.runtime.bus import Bus, PublisherOptions
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Reading

async def main():
    bus = Bus(SystemClock(), host="talker", link=ZenohLink(sys.argv[1]))
    bus.announce_node("talker", "a script")
    publisher = bus.publisher("r", Reading, PublisherOptions(node="talker"))
    while True:
        publisher.publish(Reading(name="a", value=1.0, unit="1"))
        await asyncio.sleep(0.005)

asyncio.run(main())
"""


async def test_a_killed_publisher_vanishes_and_a_new_one_is_heard(
    session: Session, buses: tuple[Bus, Bus]
) -> None:
    here, _ = buses
    seen: list[int] = []
    options = SubscriptionOptions(qos=QoS.queue(1000))
    subscription = here.subscribe("r", Reading, lambda m: seen.append(m.header.seq), options)
    for _ in range(2):
        talker = subprocess.Popen([sys.executable, "-c", TALKER, session.endpoint])
        try:
            await until(partial(_has_grown, seen, len(seen) + 20))
            await until(lambda: any(e.kind == "node" for e in here.graph()))
        finally:
            talker.kill()
            talker.wait()
        await until(lambda: not any(e.kind == "node" for e in here.graph()))
    assert seen.count(1) <= 2
    assert "duplicate" not in subscription.dropped


def test_without_a_hub_the_error_names_the_endpoint(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="is the session running"):
        open_session("client", connect=[f"unixsock-stream/{tmp_path}/no.sock"])


async def test_who_declares_more_than_a_session_can_have_is_counted_not_remembered(
    session: Session,
) -> None:
    observer = open_session("client", connect=[session.endpoint])
    graph = Graph(observer, most=3)
    stranger = open_session("client", connect=[session.endpoint])
    tokens = [Token(stranger, Entity("node", "h", f"n{number}", "", "x")) for number in range(5)]
    await until(lambda: graph.refused == 2)
    assert len(graph.entities()) == 3
    for token in tokens:
        token.close()
    await until(lambda: graph.entities() == [])
    for end in (observer, stranger):
        end.close()  # type: ignore[no-untyped-call]


async def test_nothing_is_put_on_zenoh_for_the_hosts_of_this_machine(session: Session) -> None:
    clock = SystemClock(session.clock_offset_ns)
    here, there = (join(session, clock, host=host) for host in ("a", "b"))
    seen: list[float] = []
    queue = SubscriptionOptions(qos=QoS.queue(100))
    there.subscribe("near/r", Reading, lambda m: seen.append(m.value), queue)
    spy = open_session("client", connect=[session.endpoint])
    put: list[str] = []
    spy.declare_subscriber("far/**", lambda sample: put.append(str(sample.key_expr)))
    near = here.publisher("near/r", Reading, PublisherOptions(node="n"))
    far = here.publisher("far/r", Reading, PublisherOptions(node="n"))
    # Once the spy is known, so would be whoever else listened.
    await until(lambda: far.remote is not None and far.remote.is_wanted)
    await until(lambda: near.near is not None and near.near.is_wanted)
    for value in range(10):
        near.publish(Reading(name="a", value=value, unit="1"))
    far.publish(Reading(name="a", value=1.0, unit="1"))
    await until(lambda: len(seen) == 10 and put)
    assert near.remote is not None
    assert not near.remote.is_wanted
    assert put == ["far/r"]
    spy.close()  # type: ignore[no-untyped-call]
    for bus in (here, there):
        await bus.close()
