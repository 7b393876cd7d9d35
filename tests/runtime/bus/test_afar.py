"""Topics on the way to other machines: fewer messages, smaller pictures, all of it counted."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus import Bus, Publisher, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.afar import AfarRule, rule_for
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import VirtualClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import CompressedImage, Image, Reading, decode
from olympus.runtime.qos import QoS

pytestmark = pytest.mark.e2e
Rules = Mapping[str, AfarRule]


@asynccontextmanager
async def two(session: Session, rules: Rules) -> AsyncIterator[tuple[Bus, Bus]]:
    clock = VirtualClock(10**18)
    here = Bus(clock, host="a", link=ZenohLink(session.endpoint, afar=rules))
    there = Bus(clock, host="b", link=ZenohLink(session.endpoint))
    try:
        yield here, there
    finally:
        await here.close()
        await there.close()


async def until(condition: Callable[[], Any], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def until_wanted(publisher: Publisher[Any]) -> None:
    await until(lambda: publisher.remote is not None and publisher.remote.is_wanted)


def dropped(publisher: Publisher[Any]) -> dict[str, int]:
    return publisher.stats(10**18).dropped


def picture(side: int = 64) -> Image:
    data = np.zeros((side, side, 3), np.uint8)
    data[..., 0] = np.linspace(0, 255, side, dtype=np.uint8)
    return Image(data=data, frame_id="front")


async def test_a_picture_goes_as_jpeg_and_a_subscriber_to_pictures_gets_a_picture(
    session: Session,
) -> None:
    files: list[zenoh.Sample] = []
    stranger = open_session("client", connect=[session.endpoint])
    stranger.declare_subscriber("rover/image", Callback(files.append, indirect=False))
    async with two(session, {"*/image": AfarRule(jpeg=90)}) as (here, there):
        seen: list[Image] = []
        subscription = there.subscribe("rover/image", Image, seen.append)
        publisher = here.publisher("rover/image", Image, PublisherOptions(node="camera"))
        await until_wanted(publisher)
        sent = publisher.publish(picture())
        await until(lambda: seen and files)
        assert (seen[0].header, seen[0].frame_id) == (sent.header, "front")
        assert np.abs(seen[0].data.astype(int) - sent.data).max() < 12
        assert str(files[0].encoding) == "application/x-olympus;olympus/CompressedImage"
        file = decode(files[0].payload.to_bytes())
        assert isinstance(file, CompressedImage)
        assert file.data.tobytes()[:2] == b"\xff\xd8"
        assert file.data.nbytes < sent.data.nbytes / 3
        assert (subscription.dropped, dropped(publisher)) == ({}, {})
    stranger.close()  # type: ignore[no-untyped-call]


async def test_beyond_its_rate_a_topic_is_thinned_which_is_counted_here_and_no_loss_there(
    session: Session,
) -> None:
    async with two(session, {"r": AfarRule(max_hz=10)}) as (here, there):
        seen: list[float] = []
        options = SubscriptionOptions(qos=QoS.queue(1000))
        subscription = there.subscribe("r", Reading, lambda m: seen.append(m.value), options)
        near: list[float] = []
        here.subscribe("r", Reading, lambda m: near.append(m.value), options)
        publisher = here.publisher("r", Reading, PublisherOptions(node="n"))
        await until_wanted(publisher)
        clock = here.clock
        assert isinstance(clock, VirtualClock)
        for number in range(90):  # 30 a second, for three seconds
            publisher.publish(Reading(name="a", value=number, unit="1"))
            sent = number // 3 + 1
            await until(lambda sent=sent: len(seen) == sent)  # type: ignore[misc]
            clock.advance(33_333_334)
        await until(lambda: len(near) == 90)
        assert seen == [float(number) for number in range(0, 90, 3)]
        assert dropped(publisher) == {"afar_thinned": 60}
        assert subscription.dropped == {}


async def test_who_publishes_faster_than_jpegs_are_made_never_waits_and_the_newest_goes(
    session: Session,
) -> None:
    async with two(session, {"image": AfarRule(jpeg=80)}) as (here, there):
        seen: list[int] = []
        options = SubscriptionOptions(qos=QoS.queue(1000))
        there.subscribe("image", Image, lambda m: seen.append(m.header.seq), options)
        publisher = here.publisher("image", Image, PublisherOptions(node="camera"))
        await until_wanted(publisher)
        large = picture(1500)
        for _ in range(40):
            publisher.publish(large)
        await until(lambda: seen and seen[-1] == 40)
        assert seen == sorted(seen)
        assert len(seen) + dropped(publisher).get("afar_busy", 0) == 40
        assert dropped(publisher).get("afar_busy", 0) > 0
        assert publisher.stats(10**18 + 1).count == 40


async def test_while_nobody_listens_nothing_is_made_or_counted(session: Session) -> None:
    async with two(session, {"image": AfarRule(jpeg=80, max_hz=1)}) as (here, _):
        publisher = here.publisher("image", Image)
        for _ in range(5):
            publisher.publish(picture())
        assert dropped(publisher) == {}
        assert not any(thread.name.startswith("afar") for thread in threading.enumerate())


async def test_a_picture_that_can_not_become_a_jpeg_is_counted_and_the_next_one_goes(
    session: Session,
) -> None:
    async with two(session, {"image": AfarRule(jpeg=80)}) as (here, there):
        seen: list[Image] = []
        there.subscribe("image", Image, seen.append)
        publisher = here.publisher("image", Image)
        await until_wanted(publisher)
        publisher.publish(Image(data=np.zeros((0, 3, 3), np.uint8)))
        await until(lambda: dropped(publisher) == {"afar_failed": 1})
        publisher.publish(picture())
        await until(lambda: seen)


async def test_a_rule_that_can_not_be_kept_is_refused_by_name(session: Session) -> None:
    async with two(session, {"r": AfarRule(jpeg=80)}) as (here, _):
        with pytest.raises(ConfigError, match="r carries olympus/Reading: only pictures"):
            here.publisher("r", Reading)


async def test_a_latched_topic_goes_as_it_is_and_the_log_says_so(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(session, {"**": AfarRule(max_hz=0.001)}) as (here, there):
        seen: list[float] = []
        options = SubscriptionOptions(qos=QoS.queue())
        there.subscribe("map", Reading, lambda m: seen.append(m.value), options)
        publisher = here.publisher("map", Reading, PublisherOptions(latched=True))
        await until_wanted(publisher)
        for number in range(3):
            publisher.publish(Reading(name="a", value=number, unit="1"))
        await until(lambda: seen == [0.0, 1.0, 2.0])
        assert "map: `bus: topics` has no effect" in caplog.text


def test_the_first_rule_that_fits_counts() -> None:
    rules = {"rover/*": AfarRule(max_hz=1), "rover/image": AfarRule(max_hz=2)}
    assert rule_for("rover/image", rules) == AfarRule(max_hz=1)
    assert rule_for("lab/image", rules) is None
