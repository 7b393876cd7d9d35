"""Bags of ROS 2, as `ros2 bag record` lays them out."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.bus.ros2.bags import as_messages, bag_files, read_bag
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.mapping import Mapper
from olympus.runtime.bus.ros2.playing import BagPlayer
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Message, Odometry, Text
from olympus.runtime.qos import QoS

SCHEMA = """
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
  serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
"""
BEGIN = 1_700_000_000_000_000_000


@pytest.fixture
def bag(tmp_path: Path, codecs: Codecs) -> Path:
    folder = tmp_path / "drive"
    folder.mkdir()
    odometry, text = codecs.new("nav_msgs/msg/Odometry"), codecs.new("std_msgs/msg/String")
    odometry.pose.pose.position.x, text.data = 1.5, "hello"
    odometry.header.stamp.sec = BEGIN // 10**9
    rows = [
        (1, BEGIN + 20, codecs.get("nav_msgs/msg/Odometry").encode(odometry)),
        (2, BEGIN + 10, codecs.get("std_msgs/msg/String").encode(text)),
        (2, BEGIN + 30, b"\0\1\0\0\xff\xff\xff\xff"),
    ]
    with sqlite3.connect(folder / "drive_0.db3") as base:
        base.executescript(SCHEMA)
        base.execute("INSERT INTO topics VALUES (1, '/odom', 'nav_msgs/msg/Odometry', 'cdr', '')")
        base.execute("INSERT INTO topics VALUES (2, '/chatter', 'std_msgs/msg/String', 'cdr', '')")
        base.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
    base.close()
    return folder


def test_messages_come_in_the_order_of_their_time(bag: Path) -> None:
    found = list(read_bag(bag))
    assert [(m.topic, m.stamp_ns - BEGIN) for m in found] == [
        ("/chatter", 10),
        ("/odom", 20),
        ("/chatter", 30),
    ]
    assert found == list(read_bag(bag / "drive_0.db3"))


def test_they_become_ours_and_what_is_damaged_says_why(bag: Path, codecs: Codecs) -> None:
    found: list[tuple[str, Any]] = list(as_messages(read_bag(bag), Mapper(codecs)))
    assert [topic for topic, _ in found] == ["chatter", "odom", "chatter"]
    assert (found[0][1].text, found[0][1].header.stamp) == ("hello", BEGIN + 10)
    assert (found[1][1].x_m, found[1][1].header.stamp) == (1.5, BEGIN)
    assert isinstance(found[2][1], MessageError)


def test_a_mcap_bag_is_read_where_its_reader_is_installed(tmp_path: Path, codecs: Codecs) -> None:
    writer: Any = pytest.importorskip("mcap.writer", reason="the package mcap is not installed")
    codec = codecs.get("std_msgs/msg/String")
    with (tmp_path / "a.mcap").open("wb") as stream:
        bag = writer.Writer(stream)
        bag.start("ros2")
        schema = bag.register_schema(
            codec.name, "ros2msg", codecs.catalogue.schema_text(codec.name).encode()
        )
        channel = bag.register_channel("/chatter", "cdr", schema)
        cdr = codec.encode(codecs.new(codec.name, data="hi"))
        bag.add_message(channel, BEGIN, cdr, BEGIN)
        bag.finish()
    (one,) = read_bag(tmp_path / "a.mcap")
    assert (one.topic, one.type, one.stamp_ns, one.cdr) == ("/chatter", codec.name, BEGIN, cdr)


def test_what_is_no_bag_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db3").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match="is it a bag, and whole"):
        list(read_bag(tmp_path / "x.db3"))
    with pytest.raises(StoreError, match="is no bag of ROS 2"):
        list(read_bag(tmp_path / "missing"))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "a.db3.zstd").touch()
    with pytest.raises(StoreError, match="zstd -d"):
        list(read_bag(packed))
    (packed / "b.db3").touch()  # what is packed is not left out in silence
    with pytest.raises(StoreError, match="zstd -d"):
        list(read_bag(packed))
    (packed / "a.db3.zstd").rename(packed / "c.mcap")
    with pytest.raises(StoreError, match="so it is no one bag; name one file"):
        list(read_bag(packed))


def test_the_parts_of_a_split_bag_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0, 9, 11, 1):
        (tmp_path / f"drive_{number}.db3").touch()
    found = [file.stem for file in bag_files(tmp_path)]
    assert found == [f"drive_{number}" for number in (0, 1, 2, 9, 10, 11)]


def test_a_topic_whose_type_is_no_name_leaves_the_others(bag: Path, codecs: Codecs) -> None:
    with sqlite3.connect(bag / "drive_0.db3") as base:
        base.execute("UPDATE topics SET type = 'oops' WHERE id = 1")
    base.close()
    found: list[tuple[str, Any]] = list(as_messages(read_bag(bag), Mapper(codecs)))
    assert isinstance(found[0][1], Text)
    assert (found[1][0], type(found[1][1])) == ("odom", MessageError)
    assert "no definition of oops, and none in the bag" in str(found[1][1])


@pytest.mark.e2e
def test_a_bag_is_described_and_played(bag: Path, router: str) -> None:
    def ros2(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "olympus"), "ros2", "--router", router]
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=50, check=False
        )

    told = json.loads(ros2("bag", "info", str(bag), "--json").stdout)
    assert told["topics"] == [
        {"topic": "/chatter", "type": "std_msgs/msg/String", "count": 2},
        {"topic": "/odom", "type": "nav_msgs/msg/Odometry", "count": 1},
    ]
    assert ros2("bag", "play", str(bag), "--wait", "0").stdout == "played 3 messages\n"


async def test_a_bag_is_played_onto_our_bus_in_its_time_and_what_can_not_be_is_counted(
    bag: Path, codecs: Codecs
) -> None:
    clock = SystemClock()
    bus, heard = Bus(clock, host="test"), list[tuple[Message, int]]()
    listening = SubscriptionOptions(qos=QoS.lossless())
    for topic in ("past/odom", "past/chatter"):
        bus.subscribe(topic, Message, lambda m: heard.append((m, clock.now_ns())), listening)
    with sqlite3.connect(bag / "drive_0.db3") as base:  # 10, 20 and 30 ns become hundreds of ms
        slower = "UPDATE messages SET timestamp = ? + (timestamp - ?) * 10000000"
        base.execute(slower, (BEGIN, BEGIN))
        base.execute("INSERT INTO topics VALUES (3, '/what', 'what/msg/Ever', 'cdr', '')")
        unknown = "INSERT INTO messages(topic_id, timestamp, data) VALUES (3, ?, x'00')"
        base.execute(unknown, (BEGIN + 350_000_000,))
    base.close()
    player = BagPlayer(bus, clock, Mapper(codecs), prefix="past")
    player.announce(bag)
    begun_ns = clock.now_ns()
    done = await player.play(bag)
    while len(heard) < 2:
        await asyncio.sleep(0.005)
    (text, first_ns), (odometry, second_ns) = heard
    assert isinstance(text, Text)
    assert isinstance(odometry, Odometry)
    assert (text.text, odometry.x_m) == ("hello", 1.5)
    assert second_ns - begun_ns >= 90_000_000
    # String has no stamp and is new when it comes; the odometry is as old as it was then, 200 ms
    assert 0 <= first_ns - text.header.stamp < 10**9
    assert 200_000_000 <= second_ns - odometry.header.stamp < 10**9
    assert done.messages == {"chatter": 1, "odom": 1}
    damaged, unknown = sorted(done.refused)
    assert damaged.startswith("chatter: std_msgs/msg/String.data: 4294967295 items")
    assert unknown.startswith("what: no definition of what/msg/Ever")
    await bus.close()
