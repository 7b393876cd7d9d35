"""Our Zenoh wire against another hand's: dora's ROS 2 bridge over Zenoh, in a process of its own.

`./run ros2 jazzy` installs dora; without it these tests are skipped by name.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, Until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.ros2_real,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("dora", "pyarrow", "rclpy"))),
        reason="dora or rclpy does not import: `./run ros2 jazzy` installs both",
    ),
]
ROBOT = Path(__file__).with_name("_dora_robot.py")
STRING, SWITCH = "std_msgs/msg/String", "std_srvs/srv/SetBool"
Dora = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def dora(router: str, tmp_path: Path) -> Dora:
    """Return what runs dora's robot in the router's graph for a `with` block."""
    configuration = tmp_path / "zenoh.json5"
    configuration.write_text(
        json.dumps(
            {
                "mode": "peer",
                "connect": {"endpoints": [router]},
                "listen": {"endpoints": ["tcp/127.0.0.1:0"]},
                "scouting": {"multicast": {"enabled": False}},
            }
        )
    )

    @contextmanager
    def run(compatibility: str) -> Iterator[None]:
        command = [sys.executable, str(ROBOT), compatibility, str(configuration)]
        # Where it looks for definitions and their hashes: those that came with rclpy.
        process = subprocess.Popen(command, env={**os.environ, "AMENT_PREFIX_PATH": sys.prefix})
        try:
            yield
        finally:
            process.kill()
            process.wait()

    return run


@pytest.mark.parametrize(
    ("distro", "compatibility"), [("jazzy", "rep2016"), ("kilted", "rep2016"), ("humble", "humble")]
)
async def test_topics_and_services_go_both_ways_in_the_keys_of(
    join: Join, dora: Dora, until: Until, distro: str, compatibility: str
) -> None:
    one, heard, echoed = join(distro=distro), list[Any](), list[str]()
    node = one.node("olympus/listener")
    node.subscribe("/dora", STRING, lambda value, arrival: heard.append((value.data, arrival.seq)))
    node.subscribe("/echo", STRING, lambda value, _: echoed.append(value.data))
    publisher = node.publisher("/ours", STRING)
    client = node.client("/switch", SWITCH)
    with dora(compatibility):
        await until(lambda: len(heard) > 5 and publisher.is_wanted)
        async with asyncio.timeout(20):
            while not echoed:
                publisher.publish(one.new(STRING, data="Grüße"))
                await asyncio.sleep(0.05)
        answer = await client.call(one.new(f"{SWITCH}_Request", data=True), timeout_s=20)
        assert (answer.success, answer.message) == (True, "from dora")
        seen = {(e.kind, e.full_node, e.topic, e.type) for e in one.backend.entities()}
    assert heard == [(f"hello {seq}", seq) for _, seq in heard]
    assert echoed[0] == "Grüße"
    assert {
        ("NN", "/dora/robot", "", ""),
        ("MP", "/dora/robot", "/dora", STRING),
        ("MS", "/dora/robot", "/ours", STRING),
        ("SS", "/dora/robot", "/switch", SWITCH),
    } <= seen
    assert not one.tallies.refused
