"""A bag that rosbags wrote, played by the command to a node of a running session."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from olympus.runtime.config import Session

Olympus = Callable[..., subprocess.CompletedProcess[str]]
BEGAN = 1_700_000_000_000_000_000


@pytest.mark.e2e
def test_our_own_nodes_hear_a_bag(tmp_path: Path, session: Session, bare: Olympus) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    text = types.types["std_msgs/msg/String"]
    with Writer(tmp_path / "bag", version=9) as bag:
        end = bag.add_connection("/chatter", "std_msgs/msg/String", typestore=types)
        for n in range(3):
            raw = types.serialize_cdr(text(data=f"no. {n}"), "std_msgs/msg/String")
            bag.write(end, BEGAN + n * 10_000_000, raw)
    words = ["ros2", "bag", "play", str(tmp_path / "bag"), "--here", "--session", session.name]
    done = bare(*words, "--wait", "0.2", "--prefix", "past")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("played 3 messages, at most ")
    none = bare(*words, "--wait", "0", "--topics", "other")
    assert none.stdout == "played 0 messages\n"
