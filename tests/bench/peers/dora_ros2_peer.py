"""dora's ROS 2 bridge over Zenoh, without a line of Olympus, for the ROS 2 benchmark.

dora_ros2_peer.py far|near ROUTER

Outside of a dora dataflow it calls nobody when a message comes: who wants one looks, again and
again. Here it is looked for every 50 us.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow
from _ros2_trips import COUNTS, STRING_TRIPS, TEXT, Answers, Taken, timed
from dora import Ros2Context, Ros2NodeOptions, Ros2QosPolicies, Ros2Transport

LOOK_S = 50e-6


class Looked:
    """A subscription that is looked at until something is there; has what `timed` needs."""

    def __init__(self, take: Callable[[], Any]) -> None:
        self._take = take

    def get(self, timeout: float = 0.0) -> Any:
        """Return the next message.

        Raises:
            queue.Empty: None came within `timeout`, s.
        """
        deadline = time.monotonic() + timeout
        while (found := self._take()) is None:
            if time.monotonic() > deadline:
                raise queue.Empty
            time.sleep(LOOK_S)
        return found

    def empty(self) -> bool:
        """Drop what is there, and say that nothing is."""
        while self._take() is not None:
            pass
        return True


def main(side: str, router: str) -> None:
    """Ask and measure, or answer for ever."""
    os.environ["AMENT_PREFIX_PATH"] = sys.prefix  # where definitions and hashes came with rclpy
    warnings.simplefilter("ignore", UserWarning)  # it says of itself that it is unstable
    settings = {
        "mode": "peer",
        "connect": {"endpoints": [router]},
        "listen": {"endpoints": ["tcp/127.0.0.1:0"]},
        "scouting": {"multicast": {"enabled": False}},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json5") as file:
        file.write(json.dumps(settings))
        file.flush()
        transport = Ros2Transport.zenoh("rep2016", file.name)
        context = Ros2Context(transport=transport, domain_id=0)
        node = context.new_node(side, "/dora", Ros2NodeOptions())
    qos = Ros2QosPolicies(reliable=True, keep_last=10)
    ping, pong = (node.create_topic(name, "std_msgs/String", qos) for name in ("/ping", "/pong"))
    if side == "near":
        publisher, answers = node.create_publisher(ping, qos), node.create_subscription(pong, qos)
        say = partial(publisher.publish, pyarrow.array([{"data": TEXT}]))
        trips = timed(say, cast("Answers", Looked(answers.next)), COUNTS[STRING_TRIPS])
        Taken({STRING_TRIPS: trips}).tell()
        return
    publisher, asked = (
        node.create_publisher(pong, qos),
        Looked(node.create_subscription(ping, qos).next),
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while os.getppid() != 1:
        try:
            publisher.publish(asked.get(timeout=1.0))
        except queue.Empty:
            continue


if __name__ == "__main__":
    main(*sys.argv[1:])
