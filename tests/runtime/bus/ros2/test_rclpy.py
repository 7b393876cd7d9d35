"""The rclpy backend, where ROS 2 is installed: the list of test_graph.py once more."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus.ros2.actions import ActionClient, ActionServer, Status
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.qos import LATCHED
from olympus.runtime.errors import BusError

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Until

STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"
ADD, FIBONACCI = "example_interfaces/srv/AddTwoInts", "example_interfaces/action/Fibonacci"
real = [
    pytest.mark.ros2_real,
    pytest.mark.skipif(not has_rclpy(), reason="rclpy does not import: no ROS 2 is installed"),
]


@pytest.mark.skipif(has_rclpy(), reason="rclpy imports")
async def test_without_ros_the_backend_says_what_to_do() -> None:
    with pytest.raises(BusError, match=r"source your ROS 2 .* or choose `backend: zenoh`"):
        join_graph(Joining.model_validate({"backend": "rclpy"}))


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Participant, Participant]]:
    how = Joining.model_validate({"backend": "rclpy", "domain": 87})
    made = join_graph(how), join_graph(how)
    yield made
    for one in made:
        await one.close()


class TestReal:
    pytestmark = real

    async def test_a_text_is_heard(
        self, pair: tuple[Participant, Participant], until: Until
    ) -> None:
        heard: list[str] = []
        pair[0].node("listener").subscribe("/chatter", STRING, lambda v, _: heard.append(v.data))
        publisher = pair[1].node("talker").publisher("/chatter", STRING)
        await until(lambda: publisher.is_wanted)
        for number in range(5):
            publisher.publish(pair[1].new(STRING, data=str(number)))
        await until(lambda: heard == ["0", "1", "2", "3", "4"])

    async def test_a_late_joiner_gets_the_last(
        self, pair: tuple[Participant, Participant], until: Until
    ) -> None:
        pair[1].node("talker").publisher("/last", STRING, LATCHED).publish(
            pair[1].new(STRING, data="kept")
        )
        heard: list[str] = []
        pair[0].node("late").subscribe("/last", STRING, lambda v, _: heard.append(v.data), LATCHED)
        await until(lambda: heard == ["kept"])

    async def test_a_picture_keeps_its_hash(
        self, pair: tuple[Participant, Participant], until: Until
    ) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
        heard: list[str] = []
        pair[0].node("viewer").subscribe(
            "/image", IMAGE, lambda v, _: heard.append(hashlib.sha256(v.data.tobytes()).hexdigest())
        )
        publisher = pair[1].node("camera").publisher("/image", IMAGE)
        await until(lambda: publisher.is_wanted)
        publisher.publish(
            pair[1].new(IMAGE, height=480, width=640, step=1920, encoding="rgb8", data=pixels)
        )
        await until(lambda: heard == [hashlib.sha256(pixels.tobytes()).hexdigest()])

    async def test_a_service_answers(self, pair: tuple[Participant, Participant]) -> None:
        server, client = pair
        server.node("server").serve(
            "/add", ADD, lambda r: server.new(f"{ADD}_Response", sum=r.a + r.b)
        )
        asking = client.node("client").client("/add", ADD)
        answer = await asking.call(client.new(f"{ADD}_Request", a=40, b=2), timeout_s=20)
        assert answer.sum == 42

    async def test_an_action_gives_feedback_and_a_result(
        self, pair: tuple[Participant, Participant]
    ) -> None:
        server, asker = pair

        async def execute(goal: Any) -> Any:
            goal.tell(server.new(f"{FIBONACCI}_Feedback", sequence=[0, 1]))
            await asyncio.sleep(0.1)
            return server.new(f"{FIBONACCI}_Result", sequence=[0, 1, 1])

        ActionServer(server, server.node("server"), "/fibonacci", FIBONACCI, execute)
        client = ActionClient(asker, asker.node("client"), "/fibonacci", FIBONACCI)
        handle = await client.send(client.new_goal(order=3), timeout_s=20)
        status, result = await handle.result(timeout_s=20)
        assert (status, result.sequence.tolist()) == (Status.SUCCEEDED, [0, 1, 1])

    async def test_the_graph_is_seen(
        self, pair: tuple[Participant, Participant], until: Until
    ) -> None:
        pair[1].node("rover/camera").publisher("/chatter", STRING)
        pair[0].node("looker")
        await until(
            lambda: any(
                e.full_node == "/rover/camera" and e.kind == "MP"
                for e in pair[0].backend.entities()
            )
        )
