"""A ROS 2 graph over a pip-only router: topics, late joiners, services, pictures, who is there."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.qos import SENSOR_DATA, Durability, RosQos
from olympus.runtime.bus.ros2.wire import Attachment
from olympus.runtime.bus.ros2.zenoh_session import open_ros_session
from olympus.runtime.errors import BusError, ConfigError, MessageError

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, OtherProcess, Until

pytestmark = pytest.mark.e2e
STRING = "std_msgs/msg/String"
SWITCH = "std_srvs/srv/SetBool"
FIVE = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=5)


@pytest.mark.parametrize("distro", ["humble", "jazzy", "kilted", "lyrical", "rolling"])
async def test_another_process_is_heard_in_every_distribution(
    join: Join, other_process: OtherProcess, until: Until, distro: str
) -> None:
    one, heard = join(distro=distro), list[tuple[str, int]]()
    one.node("me").subscribe("/chatter", STRING, lambda v, a: heard.append((v.data, a.seq)))
    with other_process(distro, "talk"):
        await until(lambda: len(heard) > 5)
    assert heard == [(f"hello {seq}", seq) for _, seq in heard]
    assert not one.tallies.refused


async def test_humble_and_jazzy_do_not_hear_each_other(
    join: Join, other_process: OtherProcess, until: Until
) -> None:
    jazzy, humble = join(), join(distro="humble")
    heard: list[str] = []
    jazzy.node("a").subscribe("/chatter", STRING, lambda v, _: heard.append("jazzy"))
    humble.node("b").subscribe("/chatter", STRING, lambda v, _: heard.append("humble"))
    with other_process("humble", "talk"):
        await until(lambda: len(heard) > 5)
    assert set(heard) == {"humble"}


@pytest.mark.parametrize(
    ("distro", "is_split"), [("lyrical", True), ("rolling", True), ("jazzy", False)]
)
async def test_large_arrays_are_heard_on_the_keys_of_their_distribution(
    router: str, join: Join, until: Until, distro: str, is_split: bool
) -> None:
    one, came = join(distro=distro), list[int]()
    node = one.node("viewer")
    node.subscribe("/image", "sensor_msgs/msg/Image", lambda v, _: came.append(v.width))
    node.subscribe("/chatter", "std_msgs/msg/String", lambda _value, _arrival: None)
    await until(lambda: len([e for e in one.backend.entities() if e.kind == "MS"]) == 2)
    ends = {e.topic: e for e in one.backend.entities() if e.kind == "MS"}
    assert ends["/image"].backends == ("backends:cpu:" if is_split else "")
    assert ends["/chatter"].backends == ""
    key, codec = ends["/image"].key, one.codecs.get("sensor_msgs/msg/Image")
    session = open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])
    try:
        for number, suffix in enumerate(("", "/_buf_cpu"), 1):
            cdr = codec.encode(codec.cls(width=number))
            attached = Attachment(1, 0, b"g" * 16).to_bytes()
            publisher: Any = session.declare_publisher(key + suffix)
            async with asyncio.timeout(20):
                while (is_split or not suffix) and not publisher.matching_status.matching:
                    await asyncio.sleep(0.01)
            publisher.put(cdr, attachment=attached)
        await until(lambda: len(came) == (2 if is_split else 1))
        await asyncio.sleep(0.1)
        assert sorted(came) == ([1, 2] if is_split else [1])
    finally:
        session.close()  # type: ignore[no-untyped-call]


async def test_a_late_joiner_gets_exactly_what_is_kept(
    join_any: Join, other_any: OtherProcess, until: Until
) -> None:
    with other_any("latch"):
        heard: list[str] = []
        join_any().node("late").subscribe("/last", STRING, lambda v, _: heard.append(v.data), FIVE)
        await until(lambda: len(heard) >= 5)
        await asyncio.sleep(0.2)
    assert heard == ["4", "5", "6", "7", "8"]


async def test_who_was_there_first_gets_what_a_late_publisher_kept(
    join_any: Join, other_any: OtherProcess, until: Until
) -> None:
    heard: list[str] = []
    join_any().node("early").subscribe("/last", STRING, lambda v, _: heard.append(v.data), FIVE)
    with other_any("latch"):
        await until(lambda: "8" in heard)
    assert heard == sorted(set(heard))


@pytest.mark.parametrize("distro", ["humble", "jazzy", "lyrical"])
async def test_a_picture_reaches_another_process_with_an_equal_hash(
    join: Join, other_process: OtherProcess, until: Until, distro: str
) -> None:
    one, answers = join(distro=distro), list[str]()
    node = one.node("camera")
    node.subscribe("/sha", STRING, lambda v, _: answers.append(v.data))
    publisher = node.publisher("/image", "sensor_msgs/msg/Image", SENSOR_DATA)
    pixels = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    picture = one.new(
        "sensor_msgs/msg/Image", height=1080, width=1920, encoding="rgb8", step=5760, data=pixels
    )
    with other_process(distro, "echo"):
        await until(lambda: publisher.is_wanted)
        for _ in range(50):  # the other's answer may not be wanted yet when it sends the first
            publisher.publish(picture)
            await asyncio.sleep(0.2)
            if answers:
                break
    assert answers[0] == f"1920x1080 {hashlib.sha256(pixels.tobytes()).hexdigest()}"


async def test_a_service_of_another_process_answers(
    join_any: Join, other_any: OtherProcess
) -> None:
    one = join_any()
    client = one.node("me").client("/switch", SWITCH)
    with other_any("serve"):
        request = one.new(f"{SWITCH}_Request", data=True)
        answers = await asyncio.gather(*(client.call(request, timeout_s=20) for _ in range(20)))
        assert sorted(int(one.message) for one in answers) == list(range(1, 21))
        off = one.new(f"{SWITCH}_Request", data=False)
        if one.backend.knows_own:
            with pytest.raises(BusError, match="it stays on"):
                await client.call(off, timeout_s=20)
        else:  # over rclpy a failure can't be said; nothing is filled in
            assert not (await client.call(off, timeout_s=20)).success
        with pytest.raises(MessageError, match="SetBool_Request"):
            await client.call(one.new(f"{SWITCH}_Response"), timeout_s=20)


async def test_a_service_that_nobody_serves_is_said_so(join_any: Join) -> None:
    client = join_any().node("me").client("/nobody", "std_srvs/srv/Trigger")
    with pytest.raises(BusError, match="nobody serves /nobody"):
        await client.call(timeout_s=1.0)


async def test_a_publisher_that_dies_mid_stream_leaves_the_graph(
    join: Join, other_process: OtherProcess, until: Until
) -> None:
    one, heard = join(), list[int]()
    one.node("me").subscribe("/chatter", STRING, lambda _, a: heard.append(a.seq))

    def others() -> list[str]:
        return [e.kind for e in one.backend.entities() if e.full_node == "/other/robot"]

    with other_process("jazzy", "talk"):
        await until(lambda: len(heard) > 5)
        assert sorted(others()) == ["MP", "NN"]
    await until(lambda: not others())
    with other_process("jazzy", "talk"):
        before = len(heard)
        await until(lambda: len(heard) > before + 3)
    assert one.tallies.lost["/chatter"] == 0, "another publisher's row is no gap"


async def test_gaps_are_counted_for_each_publisher(router: str, join: Join, until: Until) -> None:
    one, seqs = join(), list[tuple[bytes, int]]()
    one.node("me").subscribe("/chatter", STRING, lambda _, a: seqs.append((a.gid[:1], a.seq)))
    session = open_ros_session("client", connect=[router])
    try:
        sender: Any = session.declare_publisher(
            next(e.key for e in one.backend.entities() if e.kind == "MS")
        )
        await until(lambda: sender.matching_status.matching)
        for who, seq in ((b"a", 7), (b"a", 8), (b"b", 1), (b"a", 11), (b"b", 2), (b"b", 4)):
            attachment = Attachment(seq, 0, who * 16).to_bytes()
            sender.put(b"\0\1\0\0\2\0\0\0a\0", attachment=attachment)
        await until(lambda: len(seqs) == 6)
    finally:
        session.close()  # type: ignore[no-untyped-call]
    assert one.tallies.lost["/chatter"] == 3, "two of a's, one of b's"


async def test_hostile_bytes_are_refused_and_counted(router: str, join: Join, until: Until) -> None:
    one, heard = join(), list[Any]()
    node = one.node("me")
    node.subscribe("/chatter", STRING, lambda v, _: heard.append(v))
    key = next(e.key for e in one.backend.entities() if e.kind == "MS")
    attachment = bytes([1, *bytes(15), 16, *bytes(16)])
    session = open_ros_session("client", connect=[router])
    try:
        intruder: Any = session.declare_publisher(key)
        await until(lambda: intruder.matching_status.matching)
        intruder.put(b"\0\1\0\0\xff\xff\xff\xff", attachment=attachment)
        intruder.put(b"\0\1\0\0\2\0\0\0a\0")
        intruder.put(b"", attachment=attachment)
        intruder.put(b"\0\1\0\0\2\0\0\0a\0", attachment=b"short")
        intruder.put(b"\0\1\0\0\2\0\0\0a\0", attachment=attachment)
        await until(lambda: len(heard) == 1)
    finally:
        session.close()  # type: ignore[no-untyped-call]
    assert one.tallies.refused["/chatter"] == 4
    assert heard[0].data == "a"


async def test_a_handler_that_fails_is_counted_and_the_next_message_comes(
    join_any: Join, until: Until
) -> None:
    one, heard = join_any(), list[str]()
    node = one.node("me")

    def take(value: Any, _arrival: Arrival) -> None:
        heard.append(value.data)
        if value.data == "1":
            raise RuntimeError("a bug")

    node.subscribe("/chatter", STRING, take)
    publisher = node.publisher("/chatter", STRING)
    await until(lambda: publisher.is_wanted)
    for number in range(3):
        publisher.publish(one.new(STRING, data=str(number)))
    await until(lambda: len(heard) == 3)
    assert one.tallies.refused["/chatter"] == 1


async def test_what_is_closed_is_gone_from_the_graph(join_any: Join, until: Until) -> None:
    one, other = join_any(), join_any()
    node = one.node("rover/camera")
    publisher = node.publisher("/chatter", STRING)
    node.serve("/ask", "std_srvs/srv/Trigger", lambda _: None)

    def seen() -> list[str]:
        ours = [e for e in other.backend.entities() if e.full_node == "/rover/camera"]
        # a node of rclpy has ends of its own besides
        return sorted(e.kind for e in ours if e.topic in ("", "/chatter", "/ask"))

    await until(lambda: seen() == ["MP", "NN", "SS"])
    publisher.close()
    await until(lambda: seen() == ["NN", "SS"])
    with pytest.raises(BusError, match="is closed"):
        publisher.publish(one.new(STRING))
    node.close()
    await until(lambda: seen() == [])


async def test_a_client_of_the_router_hears_and_is_heard(join: Join, until: Until) -> None:
    peer, client = join(), join(mode="client")
    heard: list[str] = []
    peer.node("a").subscribe("/chatter", STRING, lambda v, _: heard.append(v.data))
    publisher = client.node("b").publisher("/chatter", STRING)
    await until(lambda: publisher.is_wanted)
    publisher.publish(client.new(STRING, data="from afar"))
    await until(lambda: heard == ["from afar"])


async def test_a_domain_of_its_own_hears_nothing_of_another(join: Join, until: Until) -> None:
    here, there = join(domain=1), join(domain=2)
    here.node("a")
    there.node("b")
    await until(lambda: len(here.backend.entities()) == 1)
    assert here.backend.entities()[0].node == "a"


async def test_own_messages_can_be_left_out(join: Join, until: Until) -> None:
    one, other, heard = join(), join(), list[str]()
    node = one.node("a")
    node.subscribe("/chatter", STRING, lambda v, _: heard.append(v.data), ignore_own=True)
    publishers = [p.node("b").publisher("/chatter", STRING) for p in (one, other)]
    for publisher in publishers:
        await until(lambda publisher=publisher: publisher.is_wanted)  # type: ignore[misc]
    publishers[0].publish(one.new(STRING, data="own"))
    publishers[1].publish(one.new(STRING, data="other"))
    await until(lambda: "other" in heard)
    await asyncio.sleep(0.1)
    assert heard == ["other"]


async def test_without_a_router_a_peer_starts_and_waits_for_it(until: Until) -> None:
    how = {"backend": "zenoh", "router": ["tcp/127.0.0.1:9"], "listen": ["tcp/127.0.0.1:0"]}
    one = join_graph(Joining.model_validate(how))
    one.node("alone")
    await until(lambda: len(one.backend.entities()) == 1)
    await one.close()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="'peer' on the robot itself"):
        open_ros_session("router")


async def test_whatever_a_handler_raises_is_counted_each_time_and_told_without_a_flood(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = join(), join()
    node = one.node("me")

    def fail(*_: Any) -> Any:
        raise KeyError("lost")

    node.subscribe("/chatter", STRING, fail)
    node.serve("/switch", SWITCH, fail)
    talking = other.node("you").publisher("/chatter", STRING)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(20):
            while one.tallies.refused["/chatter"] < 8:
                talking.publish(other.new(STRING, data="hello"))
                await asyncio.sleep(0.01)
        client = other.node("you").client("/switch", SWITCH)
        for _ in range(3):
            with pytest.raises(BusError, match="the service failed: KeyError: 'lost'"):
                await client.call(other.new(f"{SWITCH}_Request", data=True), timeout_s=20)
    assert one.tallies.refused["/switch"] == 3
    told = [line for line in caplog.records if "/chatter" in line.getMessage()]
    assert len(told) == one.tallies.refused["/chatter"].bit_length(), "the 1st, 2nd, 4th, 8th"
    assert all(line.exc_info and "KeyError: 'lost'" in line.getMessage() for line in told)
