"""The rclpy backend against a robot in plain rclpy, and our definitions against the installed ones.

`./run ros2 jazzy` or `./run ros2 kilted` installs a ROS 2 from wheels and runs them; without rclpy
they are skipped by name.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus.ros2.action_client import ActionClient
from olympus.runtime.bus.ros2.actions import ActionServer, Goal, Status
from olympus.runtime.bus.ros2.bags import read_bag
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.definitions import FILLER
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.qos import SENSOR_DATA, Durability, RosQos
from olympus.runtime.bus.ros2.rclpy_types import InstalledTypes
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Header, Twist
from olympus.runtime.messages import Image as OurImage
from olympus.runtime.store import StreamStore
from olympus.runtime.store.mcap import Form, export_mcap

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import RandomValue, Until

HERE = Path(__file__).parent
PACKAGE = HERE.parents[3] / "runtime" / "bus" / "ros2" / "olympus_msgs"
STRING, IMAGE, SWITCH = "std_msgs/msg/String", "sensor_msgs/msg/Image", "std_srvs/srv/SetBool"
ORDER = "int32 order\n---\nint32[] sequence\n---\nint32[] sequence"
FIVE = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=5)
real = [
    pytest.mark.ros2_real,
    pytest.mark.skipif(not has_rclpy(), reason="rclpy does not import: no ROS 2 is installed"),
]
Robot = Callable[..., AbstractContextManager[Iterator[Any]]]


@pytest.mark.skipif(has_rclpy(), reason="rclpy imports")
async def test_without_ros_the_backend_says_what_to_do() -> None:
    with pytest.raises(BusError, match=r"source your ROS 2 .* or choose `backend: zenoh`"):
        join_graph(Joining.model_validate({"backend": "rclpy"}))


def test_what_the_installed_ros_lacks_comes_with_the_way_out() -> None:
    types = InstalledTypes(catalogue_of("jazzy"), "jazzy")
    for type_, remedy in (
        ("no_such_msgs/msg/Thing", "build and source no_such_msgs"),
        ("olympus_msgs/msg/Nothing", "our ROS package does not have it either"),
    ):
        with pytest.raises(BusError, match=f"the installed ROS has no {type_}.*{remedy}"):
            types.get(type_)


@pytest.fixture
async def one(domain: int) -> AsyncIterator[Participant]:
    made = join_graph(Joining.model_validate({"backend": "rclpy", "domain": domain}))
    yield made
    await made.close()


@pytest.fixture
def robot(domain: int) -> Robot:
    return partial(plain_robot, domain)


@contextmanager
def plain_robot(domain: int, *words: str) -> Iterator[Iterator[Any]]:
    """Run a robot in plain rclpy; what it says comes line by line."""
    command = [sys.executable, str(HERE / "_rclpy_robot.py"), str(domain), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert process.stdout is not None
        yield (json.loads(line) for line in process.stdout)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def package() -> str:
    found = [p for p in ("example_interfaces", "test_msgs") if importlib.util.find_spec(p)]
    return found[0] if found else pytest.skip("neither example_interfaces nor test_msgs")


class TestReal:
    pytestmark = real

    async def test_a_plain_robot_is_heard_and_seen(
        self, one: Participant, robot: Robot, until: Until
    ) -> None:
        heard: dict[str, list[Any]] = {"chatter": [], "image": [], "latched": [], "echo": []}
        node = one.node("olympus/listener")
        with robot("talk") as said:
            assert await asyncio.to_thread(next, said) == "ready"
            for name, type_, qos in (
                ("chatter", STRING, RosQos()),
                ("image", IMAGE, RosQos()),
                ("latched", STRING, FIVE),
                ("echo", STRING, RosQos()),
            ):
                take = heard[name].append
                node.subscribe(f"/plain/{name}", type_, lambda v, _, take=take: take(v), qos)  # type: ignore[misc]
            publisher = node.publisher("/ours/chatter", STRING)
            await until(lambda: publisher.is_wanted and heard["image"] and heard["chatter"])
            await until(lambda: len(heard["latched"]) >= 5)
            async with asyncio.timeout(20):
                while not heard["echo"]:
                    publisher.publish(one.new(STRING, data="Grüße"))
                    await asyncio.sleep(0.05)
            found = {(e.kind, e.topic): e for e in one.backend.entities()}
        assert [v.data for v in heard["latched"]] == ["3", "4", "5", "6", "7"]
        assert heard["echo"][0].data == "Grüße"
        pixels = np.random.default_rng(7).integers(0, 256, (240, 320, 3), np.uint8)
        digest = hashlib.sha256(heard["image"][0].data.tobytes()).digest()
        assert digest == hashlib.sha256(pixels.tobytes()).digest()
        latched = found["MP", "/plain/latched"]
        assert latched.full_node == "/other/plain"
        assert latched.qos is not None
        assert latched.qos.is_latched
        assert latched.hash in ("", type_hash(one.codecs.catalogue, STRING))

    async def test_services_and_actions_of_a_plain_robot_are_used(
        self, one: Participant, robot: Robot, package: str
    ) -> None:
        kind = f"{package}/action/Fibonacci"
        one.codecs.catalogue.add(kind, ORDER)
        node = one.node("olympus/asker")
        client = node.client("/plain/switch", SWITCH)
        action = ActionClient(one, node, "/plain/fibonacci", kind)
        with robot("serve", package):
            answer = await client.call(one.new(f"{SWITCH}_Request", data=True), timeout_s=30)
            assert (answer.success, answer.message) == (True, "from rclpy")
            told: list[Any] = []
            goal = action.new_goal(order=3)
            handle = await action.send(goal, on_feedback=told.append, timeout_s=30)
            status, result = await handle.result(timeout_s=30)
            assert (status, result.sequence.tolist()) == (Status.SUCCEEDED, [0, 1, 1])
            handle = await action.send(action.new_goal(order=1000), timeout_s=30)
            assert await handle.cancel(timeout_s=30)
            assert (await handle.result(timeout_s=30))[0] is Status.CANCELED
            asked = node.client("/other/plain/get_parameters", "rcl_interfaces/srv/GetParameters")
            request = one.new("rcl_interfaces/srv/GetParameters_Request", names=["speed"])
            assert (await asked.call(request, timeout_s=30)).values[0].double_value == 0.5

    async def test_a_plain_robot_uses_our_services_and_actions(
        self, one: Participant, robot: Robot, package: str
    ) -> None:
        kind = f"{package}/action/Fibonacci"
        one.codecs.catalogue.add(kind, ORDER)
        node = one.node("olympus/server")

        async def switch(request: Any) -> Any:
            await asyncio.sleep(0.1)
            return one.new(f"{SWITCH}_Response", success=request.data, message="from Olympus")

        async def execute(goal: Goal) -> Any:
            goal.tell(one.new(f"{kind}_Feedback", sequence=[0, 1]))
            await asyncio.sleep(60 if goal.value.order == 1000 else 0.3)
            return one.new(f"{kind}_Result", sequence=[0, 1, 1])

        node.serve("/ours/switch", SWITCH, switch)
        ActionServer(one, node, "/ours/fibonacci", kind, execute)
        with robot("ask", package) as said:
            assert await asyncio.to_thread(list, _until_ready(said)) == [
                {"success": True, "message": "from Olympus"},
                {"status": 4, "sequence": [0, 1, 1], "told": [[0, 1]]},
                {"canceling": 1},
                {"status": 5},
            ]

    async def test_a_plain_robot_sees_our_node_with_its_ends(
        self, one: Participant, robot: Robot
    ) -> None:
        node = one.node("rover/camera")
        node.publisher("/rover/image", IMAGE, SENSOR_DATA)
        node.subscribe("/rover/cmd_vel", "geometry_msgs/msg/Twist", lambda _value, _arrival: None)
        node.serve("/rover/switch", SWITCH, lambda _: one.new(f"{SWITCH}_Response"))
        with robot("look", "/rover/camera") as said:
            published, taken, served = await asyncio.to_thread(next, said)
            assert published["/rover/image"] == [IMAGE]
            assert taken == {"/rover/cmd_vel": ["geometry_msgs/msg/Twist"]}
            assert served["/rover/switch"] == [SWITCH]
            end = await asyncio.to_thread(next, said)
            assert end == [IMAGE, "BEST_EFFORT", "VOLATILE"]

    def test_a_recording_as_mcap_is_read_by_the_installed_ros(self, tmp_path: Path) -> None:
        serialization = importlib.import_module("rclpy.serialization")
        pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
        stamp = 1_700_000_000_250_000_000
        header = Header(seq=1, stamp=stamp, source="rover/node")
        with StreamStore(tmp_path / "recording", is_durable=False) as store:
            store.append(
                [
                    ("rover/image", OurImage(header=header, data=pixels)),
                    ("rover/twist", Twist(header=header, linear_mps=0.5, angular_radps=-0.25)),
                ]
            )
            export_mcap(store, tmp_path / "drive.mcap", form=Form.ROS2)
        found: dict[str, Any] = {}
        for entry in read_bag(tmp_path / "drive.mcap"):
            package, _, title = entry.type.split("/")
            cls = getattr(importlib.import_module(f"{package}.msg"), title)
            found[entry.topic] = serialization.deserialize_message(entry.cdr, cls)
        image, twist = found["/rover/image"], found["/rover/twist"]
        assert bytes(image.data) == pixels.tobytes()
        assert (image.header.stamp.sec, image.header.stamp.nanosec) == divmod(stamp, 10**9)
        assert (twist.linear.x, twist.angular.z) == (0.5, -0.25)

    def test_every_installed_type_that_we_know_has_our_hash(self) -> None:
        checked = 0
        for file in _shares("*/msg/*.json", "*/srv/*.json"):
            for entry in json.loads(file.read_text()).get("type_hashes", []):
                if CODECS.catalogue.has(entry["type_name"]):
                    ours = type_hash(CODECS.catalogue, entry["type_name"])
                    assert ours == entry["hash_string"], entry["type_name"]
                    checked += 1
        assert checked > 100 or _shares("*/msg/*.json") == []

    def test_our_ros_package_is_read_and_hashed_alike_by_the_generators_of_ros(
        self, tmp_path: Path
    ) -> None:
        as_idl = importlib.import_module("rosidl_adapter.msg").convert_msg_to_idl
        generators = importlib.import_module("rosidl_generator_type_description")
        files = sorted((PACKAGE / "msg").glob("*.msg"))
        (tmp_path / "msg").mkdir()
        for file in files:
            as_idl(PACKAGE, PACKAGE.name, file.relative_to(PACKAGE), tmp_path / "msg")
        arguments = {
            "package_name": PACKAGE.name,
            "output_dir": str(tmp_path / "made"),
            "idl_tuples": [f"{tmp_path}:msg/{file.stem}.idl" for file in files],
            "include_paths": [
                f"{share.name}:{share}" for share in _shares("*_msgs", "*_interfaces")
            ],
        }
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        generators.generate_type_hash(str(tmp_path / "arguments.json"))
        for file in files:
            made = json.loads((tmp_path / "made" / "msg" / f"{file.stem}.json").read_text())
            name = f"{PACKAGE.name}/msg/{file.stem}"
            hashes = {one["type_name"]: one["hash_string"] for one in made["type_hashes"]}
            assert hashes[name] == type_hash(CODECS.catalogue, name)

    def test_any_value_is_read_and_written_alike_by_the_installed_ros(
        self, random_value: RandomValue
    ) -> None:
        serialization = importlib.import_module("rclpy.serialization")
        checked = 0
        for name in CODECS.catalogue.names():
            package, kind, title = name.split("/")
            if kind != "msg" or importlib.util.find_spec(package) is None:
                continue
            if CODECS.get(name).definition.fields[0].name == FILLER:
                continue  # what it holds says nothing and is not kept
            cls = getattr(importlib.import_module(f"{package}.msg"), title, None)
            for seed in range(5 if cls is not None else 0):
                cdr = CODECS.get(name).encode(random_value(CODECS, name, seed))
                back = serialization.serialize_message(serialization.deserialize_message(cdr, cls))
                # Not byte for byte: what Fast CDR pads with, and at the end, is whatever was there.
                assert CODECS.get(name).decode(back) == CODECS.get(name).decode(cdr), name
                checked += 1
        assert checked > 200

    async def test_a_type_that_differs_from_the_installed_one_is_refused(
        self, one: Participant
    ) -> None:
        one.codecs.catalogue.add(STRING, "string data\nint32 more")
        with pytest.raises(BusError, match="has other fields in the installed ROS"):
            one.node("a").publisher("/x", STRING)
        one.codecs.catalogue.add("no_such_msgs/msg/Thing", "string data")
        with pytest.raises(BusError, match=r"the installed ROS has no no_such_msgs/msg/Thing"):
            one.node("b").publisher("/y", "no_such_msgs/msg/Thing")


CODECS = Codecs(catalogue_of("jazzy"))


def _until_ready(said: Iterator[Any]) -> Iterator[Any]:
    for line in said:
        if line == "ready":
            return
        yield line


def _shares(*patterns: str) -> list[Path]:
    share = Path(sys.prefix) / "share"
    return [file for pattern in patterns for file in sorted(share.glob(pattern))]
