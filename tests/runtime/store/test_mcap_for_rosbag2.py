"""What `ros2 bag play` wants of a recording, asked by rosbags, which reads bags without ROS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.interfaces import ConnectionExtRosbag2, QosDurability, QosHistory, QosReliability
from tests.runtime.store.mcap_recording import BEGAN, exported, header, messages

from olympus.runtime.messages import Header, SafetyState, Transform, Transforms
from olympus.runtime.store import Run, StreamStore
from olympus.runtime.store.mcap import Form

ROS_NAME = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+\Z")


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    frame = Transform(
        parent="base_link", child="camera_link", stamp=BEGAN,
        x_m=0.1, y_m=0.0, z_m=0.2, qx=0.0, qy=0.0, qz=0.0, qw=1.0,
    )  # fmt: skip
    folder = tmp_path / "recording"
    with StreamStore(folder, is_durable=False) as store:
        store.begin_run(Run(number=0, session="drive", started=BEGAN, seen=BEGAN))
        store.append(
            [
                *messages(),
                ("tf_static", Transforms(header=header(1, "tf_static"), items=(frame,))),
                (
                    "@olympus/safety",
                    SafetyState(header=Header(seq=1, stamp=BEGAN), state="permitted"),
                ),
            ]
        )
        store.end_run(BEGAN + 10**9)
    return exported(folder, Form.ROS2)


def read(bag: Path) -> dict[str, list[Any]]:
    """Read every message by the definitions in the file, whose hashes the reader checks too."""
    found: dict[str, list[Any]] = {}
    with AnyReader([bag]) as reader:
        for connection, _, raw in reader.messages():
            value = reader.deserialize(raw, connection.msgtype)
            again = reader.typestore.serialize_cdr(value, connection.msgtype)
            assert bytes(again) == bytes(raw), connection.topic
            found.setdefault(connection.topic, []).append(value)
    return found


def test_every_message_is_read_by_the_definitions_in_the_file_and_written_alike(bag: Path) -> None:
    found = read(bag)
    assert {topic: len(values) for topic, values in found.items()} == {
        "/rover/camera/image": 5, "/rover/twist": 5, "/rover/odometry": 5, "/rover/iot/reading": 5,
        "/rover/fruit_2": 5, "/rover/mission": 5, "/tf_static": 1, "/_olympus/safety": 1,
    }  # fmt: skip


def test_each_topic_says_how_it_is_to_be_published_again(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        offered = {
            one.topic: one.ext.offered_qos_profiles
            for one in reader.connections
            if isinstance(one.ext, ConnectionExtRosbag2)
        }
    assert len(offered) == 8
    assert all(len(profiles) == 1 for profiles in offered.values())
    kinds = {
        topic: (one.history, one.depth, one.reliability, one.durability)
        for topic, (one,) in offered.items()
    }
    plain = (QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE)
    latched = (QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)
    assert {topic for topic, kind in kinds.items() if kind == latched} == {
        "/tf_static",
        "/_olympus/safety",
    }
    assert {kind for kind in kinds.values() if kind != latched} == {plain}


def test_a_player_finds_what_it_asks_a_file_for(bag: Path) -> None:
    with bag.open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        records = {one.name: one.metadata for one in reader.iter_metadata()}
        assert reader.get_header().profile == "ros2"
    assert summary is not None
    assert summary.statistics is not None  # how many messages, from when to when
    assert summary.statistics.message_count == sum(
        summary.statistics.channel_message_counts.values()
    )
    assert summary.chunk_indexes
    # Without it a player takes the numbers of offered_qos_profiles for names and refuses the file.
    assert records["rosbag2"] == {"ROS_DISTRO": "jazzy"}
    assert {one.encoding for one in summary.schemas.values()} == {"ros2msg"}
    for channel in summary.channels.values():
        assert channel.message_encoding == "cdr"
        assert ROS_NAME.match(channel.topic), channel.topic
        assert channel.metadata["topic_type_hash"].startswith("RIHS01_")
        schema = summary.schemas[channel.schema_id]
        assert re.fullmatch(r"\w+/msg/\w+", schema.name)
