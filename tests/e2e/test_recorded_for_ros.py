"""A patrol recorded by `olympus record`, read by rosbags: a bag reader that knows nothing of us."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader

from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_each_message_of_a_recorded_patrol_is_read_by_the_schemas_in_the_file(
    patrol: Launched, tmp_path: Path
) -> None:
    file = tmp_path / "patrol.mcap"
    done = patrol.command("record", str(file), "--duration", "5")
    assert done.returncode == 0, done.stderr
    count = 0
    with AnyReader([file]) as reader:  # which checks the hash of every type, too
        for connection, _, raw in reader.messages():
            value = reader.deserialize(raw, connection.msgtype)
            again = bytes(reader.typestore.serialize_cdr(value, connection.msgtype))
            assert again == bytes(raw), connection.topic
            count += 1
        types = {one.topic: one.msgtype for one in reader.connections}
    assert f"{count} messages of" in done.stdout
    assert types["/rover/camera/image"] == "sensor_msgs/msg/Image"
    assert types["/rover/odometry"] == "nav_msgs/msg/Odometry"
    assert sum(type_.startswith("olympus_msgs/msg/") for type_ in types.values()) > 3
