"""`olympus replay` of a bag: shown on the page, and refused where nodes would have to run again."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

OLYMPUS = str(Path(sys.executable).parent / "olympus")
BEGAN = 1_700_000_000_000_000_000


@pytest.fixture(params=[StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=lambda one: one.name)
def bag(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    types = get_typestore(Stores.ROS2_JAZZY)
    image = types.types["sensor_msgs/msg/Image"]
    stamp = types.types["builtin_interfaces/msg/Time"](sec=BEGAN // 10**9, nanosec=0)
    header = types.types["std_msgs/msg/Header"](stamp=stamp, frame_id="optical")
    with Writer(tmp_path / "bag", version=9, storage_plugin=request.param) as made:
        end = made.add_connection("/cam/image", "sensor_msgs/msg/Image", typestore=types)
        for n in range(3):
            pixels = np.full(24 * 32 * 3, n, np.uint8)
            picture = image(
                header=header, height=24, width=32, encoding="rgb8", is_bigendian=0, step=96,
                data=pixels,
            )  # fmt: skip
            raw = types.serialize_cdr(picture, "sensor_msgs/msg/Image")
            made.write(end, BEGAN + n * 10**9, raw)
    return tmp_path / "bag"


@pytest.mark.e2e
def test_a_bag_is_shown_on_the_page_and_nothing_of_it_stays(bag: Path, tmp_path: Path) -> None:
    command = [OLYMPUS, "replay", str(bag), "--viewer", "--port", "0"]
    room = tmp_path / "room"
    room.mkdir()
    env = {**os.environ, "TMPDIR": str(room)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "bag: 3 messages of 1 topics\n"
            line = process.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http")).rstrip(";")
            with urllib.request.urlopen(url, timeout=20) as page:
                assert b"<html" in page.read()
            assert list(room.glob("olympus-bag-*"))
        finally:
            process.terminate()
    assert not list(room.glob("olympus-bag-*"))


@pytest.mark.e2e
def test_a_bag_has_no_nodes_that_could_run_again(bag: Path) -> None:
    done = subprocess.run(
        [OLYMPUS, "replay", str(bag)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "has no journal" in done.stderr
    assert "--viewer shows it" in done.stderr
