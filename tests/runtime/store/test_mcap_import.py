"""MCAP files and bags, ours and those of others, taken in as recordings."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from rosbags.typesys import Stores, get_typestore
from tests.runtime.store.mcap_recording import (
    BEGAN,
    MS,
    PICTURES,
    exported,
    frames,
)

from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.errors import StoreError
from olympus.runtime.messages import (
    Detection,
    Detections,
    Header,
    Image,
    Message,
    Odometry,
    Twist,
)
from olympus.runtime.store import Incoming, Run, StreamStore
from olympus.runtime.store.mcap import Form, import_bag


def test_frames_come_back_bit_for_bit_with_their_gaps(recording: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    with StreamStore(again, is_durable=False) as store:
        done = import_bag(exported(recording, Form.FRAMES), store)
        assert (done.messages.total(), done.refused, done.missing) == (31, {}, 7)
        (run,) = store.runs()
        assert (run.recorded, run.missing, run.is_complete) == (31, 7, False)
        assert run.about["sessions"] == "drive"
    assert frames(again) == frames(recording)
    with StreamStore(recording) as one, StreamStore(again, is_durable=False) as two:
        assert [(g.topic, g.after_seq, g.missing, g.reason) for g in one.gaps()] == [
            (g.topic, g.after_seq, g.missing, g.reason) for g in two.gaps()
        ]


def test_our_own_types_as_json_come_back_bit_for_bit(recording: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    with StreamStore(again, is_durable=False) as store:
        assert not import_bag(exported(recording, Form.JSON), store).refused
    for topic in ("rover/fruit-2", "rover/iot/reading", "rover/mission"):
        assert frames(again)[topic] == frames(recording)[topic]


def test_ros_types_come_back_with_number_and_publisher(recording: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    with StreamStore(again, is_durable=False) as store:
        assert not import_bag(exported(recording, Form.ROS2), store).refused
        pictures = list(store.read("rover/camera/image"))
        twists: list[Any] = list(store.read("rover/twist"))
        fruits: list[Any] = list(store.read("rover/fruit-2"))
        sources = {m.header.source for m in store.read("rover/iot/reading")}
    for n, (have, want) in enumerate(zip(pictures, PICTURES, strict=True), 1):
        assert isinstance(have, Image)
        np.testing.assert_array_equal(have.data, want)
        kept = (have.header.seq, have.header.source, have.header.stamp)
        assert kept == (n, "rover/node", BEGAN + n * 100 * MS)
    # geometry_msgs/Twist has no stamp: the time of recording stands for it
    assert [t.linear_mps for t in twists] == [n / 3 for n in range(1, 6)] + [0.0]
    assert [(f.name, f.weights) for f in fruits] == [("plum", (0.1, n / 3)) for n in range(1, 6)]
    assert sources == {"iot-0", "iot-1"}


def kept(folder: Path, *made: tuple[str, Message, int]) -> Path:
    """Return the folder of a store with messages, each with when it came, ns after `BEGAN`."""
    with StreamStore(folder, is_durable=False) as store:
        store.begin_run(Run(number=0, session="drive", started=BEGAN, seen=0))
        rows = [Incoming.of(topic, one, arrived=BEGAN + came) for topic, one, came in made]
        store.add(rows, now_ns=BEGAN)
        store.end_run(BEGAN)
    return folder


@pytest.mark.parametrize("behind_s", [0, 1_699_999_000])
def test_what_is_taken_in_lasts_as_long_as_its_stamps_say_but_for_senseless_ones(
    tmp_path: Path, behind_s: int
) -> None:
    def at(ms: int, seq: int) -> Header:
        stamp = BEGAN + ms * MS - behind_s * 1000 * MS  # of a simulation it is far from the time
        return Header(seq=seq, stamp=stamp, source="a")

    def moved(header: Header) -> Odometry:
        return Odometry(
            header=header, x_m=0.0, y_m=0.0, yaw_rad=0.0, linear_mps=0.0, angular_radps=0.0
        )

    rows = [("odometry", moved(at(ms, n)), (ms + 2) * MS) for n, ms in enumerate((0, 100, 900), 1)]
    fixed = moved(Header(seq=1, stamp=5 if not behind_s else BEGAN * 2, source="b"))
    source = kept(tmp_path / "one", *rows, ("fixed", fixed, 300 * MS))
    with StreamStore(tmp_path / "two", is_durable=False) as store:
        done = import_bag(exported(source, Form.FRAMES), store)
        (run,) = store.runs()
    assert (done.messages.total(), done.refused) == (4, {})
    assert (run.started, run.ended) == (at(0, 1).stamp, at(900, 3).stamp)


def test_detections_are_taken_in_where_the_pictures_are_in_the_bag(tmp_path: Path) -> None:
    header = Header(seq=1, stamp=BEGAN, source="a")
    box = Detection(label="person", confidence=0.5, x=0.25, y=0.5, w=0.25, h=0.25)
    seen = Detections(header=header, items=(box,), width=32, height=24)
    picture = Image(header=header, data=PICTURES[0])
    shown = ("image", picture, MS), ("detections", seen, 2 * MS)
    with_picture = kept(tmp_path / "a" / "one", *shown)
    alone = kept(tmp_path / "b" / "one", shown[1])
    found = list[Any]()
    for source in (with_picture, alone):
        with StreamStore(source.parent / "two", is_durable=False) as store:
            done = import_bag(exported(source, Form.ROS2), store)
            found += store.read("detections") if store.topics() else []
    assert [(one.width, one.height, one.items) for one in found] == [(32, 24, (box,))]
    assert "a bag must hold the pictures themselves" in str(done.refused)


@pytest.mark.parametrize("form", list(Form))
def test_a_file_that_was_changed_anywhere_never_gives_other_messages(
    recording: Path, tmp_path: Path, form: Form
) -> None:
    whole = exported(recording, form, compression="none").read_bytes()
    true = {frame for rows in frames(recording).values() for _, frame in rows}
    luck, file = random.Random(4), tmp_path / "x.mcap"
    refused = 0
    for turn in range(40):
        data = bytearray(whole)
        if turn % 4:
            data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
        else:
            del data[luck.randrange(len(data)) :]
        file.write_bytes(data)
        folder = tmp_path / f"s{turn}"
        with StreamStore(folder, is_durable=False) as store:
            try:
                import_bag(file, store)
            except StoreError as error:
                refused += 1
                assert str(file) in str(error)
                assert not store.runs()[-1:] or not store.runs()[-1].is_complete
        if form is Form.FRAMES:
            assert {frame for rows in frames(folder).values() for _, frame in rows} <= true
    assert refused > 10


def test_bags_that_rosbags_wrote_become_recordings(tmp_path: Path) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    cls: dict[str, Any] = types.types
    stamp = cls["builtin_interfaces/msg/Time"](sec=BEGAN // 10**9, nanosec=5)
    head = cls["std_msgs/msg/Header"](stamp=stamp, frame_id="optical")
    picture = cls["sensor_msgs/msg/Image"](
        header=head, height=24, width=32, encoding="bgr8", is_bigendian=0, step=96,
        data=PICTURES[0].ravel(),
    )  # fmt: skip
    zero = cls["geometry_msgs/msg/Vector3"]
    twist = cls["geometry_msgs/msg/Twist"](linear=zero(0.5, 0.0, 0.0), angular=zero(0, 0, -0.25))
    for plugin in (StoragePlugin.SQLITE3, StoragePlugin.MCAP):
        folder = tmp_path / plugin.name
        with BagWriter(folder, version=9, storage_plugin=plugin) as bag:
            for n, (topic, value) in enumerate([("/cam/image", picture), ("/cmd_vel", twist)]):
                connection = bag.add_connection(topic, value.__msgtype__, typestore=types)
                raw = types.serialize_cdr(value, value.__msgtype__)
                bag.write(connection, BEGAN + n * MS, raw)
        with StreamStore(tmp_path / f"{plugin.name}-store", is_durable=False) as store:
            done = import_bag(folder, store)
            assert (done.messages, done.refused) == ({"cam/image": 1, "cmd_vel": 1}, {})
            (image,), (speed,) = store.read("cam/image"), store.read("cmd_vel")
            assert store.runs()[-1].is_complete
        assert isinstance(image, Image)
        assert (image.encoding, image.header.stamp) == ("bgr8", stamp.sec * 10**9 + 5)
        np.testing.assert_array_equal(image.data, PICTURES[0])
        assert isinstance(speed, Twist)
        assert (speed.linear_mps, speed.angular_radps) == (0.5, -0.25)
        assert (speed.header.stamp, speed.header.source) == (BEGAN + MS, "bag/cmd_vel")


def test_each_part_of_a_diagnostic_array_of_a_bag_is_a_message(tmp_path: Path) -> None:
    codecs, array = Codecs(catalogue_of("jazzy")), "diagnostic_msgs/msg/DiagnosticArray"
    told = [("wheel", 0), ("gripper", 2), ("lamp", 1)]
    file = tmp_path / "health.mcap"
    with file.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        text = codecs.catalogue.schema_text(array).encode()
        channel = writer.register_channel(
            "/diagnostics", "cdr", writer.register_schema(array, "ros2msg", text)
        )
        for number, parts in enumerate((told, [], told[:1])):
            status = [
                codecs.new("diagnostic_msgs/msg/DiagnosticStatus", name=name, level=level)
                for name, level in parts
            ]
            cdr = codecs.get(array).encode(codecs.new(array, status=status))
            writer.add_message(channel, BEGAN + number * MS, cdr, BEGAN)
        writer.finish()  # type: ignore[no-untyped-call]
    with StreamStore(tmp_path / "s", is_durable=False) as store:
        done = import_bag(file, store)
        found: list[Any] = list(store.read("diagnostics"))
        arrived = [record.arrived - BEGAN for record in store.records("diagnostics")]
    assert [(one.name, one.level, one.header.seq) for one in found] == [
        ("wheel", "ok", 1), ("gripper", "error", 2), ("lamp", "warn", 3), ("wheel", "ok", 4),
    ]  # fmt: skip
    assert arrived == [0, 1, 2, 2 * MS]  # a store has one place for one instant
    assert done.messages == {"diagnostics": 4}
    assert done.refused == {"diagnostics: a DiagnosticArray that says nothing": 1}
    assert done.missing == 0


def test_a_type_that_has_changed_since_is_refused_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "old.mcap"
    with file.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        about = {"topic_type_hash": "RIHS01_" + 64 * "0"}
        channel = writer.register_channel("/chatter", "cdr", schema, about)
        writer.add_message(channel, 1, b"\0\1\0\0\1\0\0\0\0", 1)
        writer.finish()  # type: ignore[no-untyped-call]
    with StreamStore(tmp_path / "s", is_durable=False) as store:
        done = import_bag(file, store)
    ((reason, _),) = done.refused.items()
    assert "was of another definition" in reason


def test_messages_of_unknown_encodings_and_types_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "foreign.mcap"
    with file.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE)
        writer.start()
        schema = writer.register_schema("what/msg/Ever", "", b"")
        proto = writer.register_channel("/proto", "protobuf", 0)
        ever = writer.register_channel("/ever", "cdr", schema)
        for n in range(3):
            writer.add_message(proto, n, b"x", n)
            writer.add_message(ever, n, b"\0\1\0\0\1\0\0\0", n)
        writer.finish()  # type: ignore[no-untyped-call]
    with StreamStore(tmp_path / "s", is_durable=False) as store:
        done = import_bag(file, store)
    assert not done.messages
    assert sorted(done.refused.values()) == [3, 3]
    assert any("no definition of what/msg/Ever" in reason for reason in done.refused)
