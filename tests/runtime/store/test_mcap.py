"""Recordings as MCAP files, read by the libraries that other tools use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from tests.runtime.store.mcap_recording import (
    BEGAN,
    MS,
    PICTURES,
    Fruit,
    exported,
    header,
    messages,
)

from olympus.runtime.errors import DamageError, StoreError
from olympus.runtime.messages import (
    encode,
)
from olympus.runtime.store import Incoming, StreamStore
from olympus.runtime.store.mcap import Form, export_mcap


def test_other_readers_find_the_same_pictures_and_speeds(recording: Path) -> None:
    target = exported(recording, Form.ROS2)
    found: dict[str, list[Any]] = {}
    with target.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        for _, channel, _, value in reader.iter_decoded_messages():
            found.setdefault(channel.topic, []).append(value)
    pictures = found["/rover/camera/image"]
    assert [(p.height, p.width, p.encoding, p.step) for p in pictures] == [(24, 32, "rgb8", 96)] * 5
    for have, want in zip(pictures, PICTURES, strict=True):
        np.testing.assert_array_equal(np.frombuffer(have.data, np.uint8), want.ravel())
    stamps = [p.header.stamp.sec * 10**9 + p.header.stamp.nanosec for p in pictures]
    assert stamps == [BEGAN + n * 100 * MS for n in range(1, 6)]
    speeds = [(t.linear.x, t.angular.z) for t in found["/rover/twist"]]
    assert speeds == [(n / 3, -n / 7) for n in range(1, 6)] + [(0.0, 0.0)]
    assert [o.pose.pose.position.x for o in found["/rover/odometry"]] == [1, 2, 3, 4, 5]
    assert {r.value for r in found["/rover/iot/reading"]} == {n / 3 for n in range(1, 6)}
    assert list(found["/rover/fruit_2"][0].weights) == [0.1, 1 / 3]


def test_rosbags_opens_it_as_a_bag(recording: Path) -> None:
    target = exported(recording, Form.ROS2, compression="lz4")
    with AnyReader([target]) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
        assert types["/rover/camera/image"] == "sensor_msgs/msg/Image"
        assert types["/rover/twist"] == "geometry_msgs/msg/Twist"
        assert types["/rover/fruit_2"] == "olympus_msgs/msg/Fruit"
        values = [
            (connection.topic, time_ns, reader.deserialize(raw, connection.msgtype))
            for connection, time_ns, raw in reader.messages()
        ]
    assert [t for _, t, _ in values] == sorted(t for _, t, _ in values)
    seen: list[Any] = [value for topic, _, value in values if topic == "/rover/camera/image"]
    for have, want in zip(seen, PICTURES, strict=True):
        np.testing.assert_array_equal(have.data, want.ravel())
    assert sum(topic == "/rover/iot/reading" for topic, _, _ in values) == 5


def test_all_is_in_one_serialization_so_that_ros2_bag_play_takes_it(recording: Path) -> None:
    with exported(recording, Form.ROS2).open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert reader.get_header().profile == "ros2"
    assert summary is not None
    assert {c.message_encoding for c in summary.channels.values()} == {"cdr"}
    assert {s.encoding for s in summary.schemas.values()} == {"ros2msg"}
    assert all(c.metadata["topic_type_hash"] for c in summary.channels.values())


def test_our_own_types_as_json_have_a_schema(recording: Path) -> None:
    with exported(recording, Form.JSON).open("rb") as stream:
        found = list(make_reader(stream).iter_messages())
    kinds = {c.topic: (c.message_encoding, s.encoding if s else "") for s, c, _ in found}
    assert kinds["/rover/camera/image"] == ("cdr", "ros2msg")
    assert kinds["/rover/fruit-2"] == ("json", "jsonschema")


def test_a_part_of_it_by_time_and_topic(recording: Path) -> None:
    target = exported(
        recording, Form.ROS2, topics=["rover/*"], since=BEGAN + 200 * MS, until=BEGAN + 300 * MS
    )
    with target.open("rb") as stream:
        found = [channel.topic for _, channel, _ in make_reader(stream).iter_messages()]
    names = ("fruit_2", "mission", "odometry", "twist")
    assert sorted(found) == sorted(f"/rover/{name}" for name in names for _ in range(2))


def test_progress_is_told(recording: Path) -> None:
    told: list[int] = []
    exported(recording, Form.FRAMES, progress=told.append)
    assert told == [0]


def test_what_can_not_be_said_is_counted_and_named(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "r", is_durable=False) as store:
        store.append(messages()[:2])
        bad = encode(Fruit(header=header(1, "f"), name="plum")).replace(
            b"test/Fruit", b"test/Froot"
        )
        store.add([Incoming("fruit", BEGAN, 1, "s", 0, bad)])
        done = export_mcap(store, tmp_path / "a.mcap")
    assert done.messages.total() == 2
    ((reason, count),) = done.refused.items()
    assert (count, reason.partition(";")[0]) == (1, "fruit: unknown message type 'test/Froot'")


def test_a_file_that_is_there_and_a_topic_that_is_not_are_named(
    recording: Path, tmp_path: Path
) -> None:
    target = exported(recording, Form.ROS2)
    with StreamStore(recording, read_only=True) as store:
        with pytest.raises(StoreError, match="is there already"):
            export_mcap(store, target)
        with pytest.raises(StoreError, match="did you mean 'rover/twist'"):
            export_mcap(store, tmp_path / "b.mcap", topics=["rover/twits"])
        with pytest.raises(StoreError, match="No such file or directory"):
            export_mcap(store, tmp_path / "nowhere" / "b.mcap")


def test_a_damaged_recording_leaves_no_file(recording: Path, tmp_path: Path) -> None:
    data = recording / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"plum", b"plom"))
    with (
        StreamStore(recording, read_only=True) as store,
        pytest.raises(DamageError, match="its checksum is wrong"),
    ):
        export_mcap(store, tmp_path / "a.mcap")
    assert not list(tmp_path.glob("*.mcap*"))


def test_a_full_disk_is_named(recording: Path) -> None:
    with (
        StreamStore(recording, read_only=True) as store,
        pytest.raises(StoreError, match=r"writing /dev/full/x\.mcap: Not a directory"),
    ):
        export_mcap(store, Path("/dev/full/x.mcap"))
