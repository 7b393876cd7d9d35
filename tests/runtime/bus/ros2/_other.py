"""Another process of a ROS 2 graph: `python _other.py SETTINGS WHAT…`, until it is killed."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from typing import Any

from olympus.runtime.bus.ros2.actions import ActionServer, Goal
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import Durability, RosQos

FIVE = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=5)
STRING = "std_msgs/msg/String"
SWITCH = "std_srvs/srv/SetBool"
NAVIGATE = "nav2_msgs/action/NavigateToPose"


async def talk(one: Participant, node: RosNode) -> None:
    """Count on /chatter, 100 times a second."""
    publisher = node.publisher("/chatter", STRING)
    for number in range(1, 1_000_000):
        publisher.publish(one.new(STRING, data=f"hello {number}"))
        await asyncio.sleep(0.01)


async def latch(one: Participant, node: RosNode) -> None:
    """Say eight things on /last, of which five are kept."""
    publisher = node.publisher("/last", STRING, FIVE)
    for number in range(1, 9):
        publisher.publish(one.new(STRING, data=str(number)))


async def echo(one: Participant, node: RosNode) -> None:
    """Answer each picture on /image with its hash on /sha, and each text on /ping on /pong."""
    sha, pong = node.publisher("/sha", STRING), node.publisher("/pong", STRING)

    def on_image(value: Any, _arrival: Arrival) -> None:
        digest = hashlib.sha256(value.data.tobytes()).hexdigest()
        sha.publish(one.new(STRING, data=f"{value.width}x{value.height} {digest}"))

    node.subscribe("/image", "sensor_msgs/msg/Image", on_image)
    node.subscribe("/ping", STRING, lambda value, _arrival: pong.publish(value))


async def serve(one: Participant, node: RosNode) -> None:
    """Switch things on; off is refused."""
    switched = 0

    def switch(request: Any) -> Any:
        nonlocal switched
        if not request.data:
            raise ValueError("it stays on")
        switched += 1
        return one.new(f"{SWITCH}_Response", success=True, message=str(switched))

    node.serve("/switch", SWITCH, switch)


async def act(one: Participant, node: RosNode) -> None:
    """Serve an action: places ahead are reached at once, others never."""

    async def execute(goal: Goal) -> Any:
        if goal.value.pose.pose.position.x <= 0:
            await asyncio.Event().wait()
        goal.tell(one.new(f"{NAVIGATE}_Feedback", distance_remaining=0.5))

    ActionServer(one, node, "/navigate_to_pose", NAVIGATE, execute)


async def mine(one: Participant, node: RosNode) -> None:
    """Serve and say what the user's own definitions have: /ask, and /thing ten times a second."""
    publisher = node.publisher("/thing", "my_msgs/msg/Thing")

    def ask(request: Any) -> Any:
        return one.new("my_msgs/srv/Ask_Response", ok=request.thing.name == "key")

    node.serve("/ask", "my_msgs/srv/Ask", ask)
    while True:
        publisher.publish(one.new("my_msgs/msg/Thing", name="key", sizes=[1.5, 2.5]))
        await asyncio.sleep(0.1)


WORK = {"act": act, "mine": mine, "talk": talk, "latch": latch, "echo": echo, "serve": serve}


async def main(settings: str, *what: str) -> None:
    one = join_graph(Joining.model_validate_json(settings))
    node = one.node("other/robot")
    works = [asyncio.create_task(WORK[name](one, node)) for name in what]
    await asyncio.sleep(0)  # each has begun, and said what it says at once
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*works)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
