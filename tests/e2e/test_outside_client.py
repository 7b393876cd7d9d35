"""A client that knows nothing of Olympus, as docs/wire.md has it: plain, and with certificates."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from tests.ports import claimed_port

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Command, Header, Image, Reading, decode, encode
from olympus.runtime.messages.base import schema_by_name

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DOCS = Path(__file__).resolve().parents[2] / "docs"
CLIENT = DOCS / "examples" / "wire_client.py"
NODES = """
import numpy as np

from olympus.runtime.messages import Ack, Command, Image, MissionState, Reading
from olympus.runtime.node import Node, output, service, subscribe, timer
from olympus.runtime.qos import QoS

class Counter(Node):
    readings = output("count", Reading)
    image = output("image", Image)
    mission = output("mission", MissionState, latched=True, is_reliable=True)

    async def on_activate(self):
        self.count = 0
        self.mission.publish(MissionState(mission="none", state="idle"))

    @timer(0.05)
    def on_timer(self):
        self.count += 1
        self.readings.publish(Reading(name="count", value=float(self.count), unit="1"))

    @timer(0.2)
    def on_shutter(self):
        self.image.publish(Image(data=np.full((48, 64, 3), 90, np.uint8)))

    @subscribe("door", qos=QoS.queue(10))
    def on_door(self, reading: Reading):
        self.mission.publish(MissionState(mission=f"door {reading.value:g}", state="driving"))

    @service("say")
    def on_say(self, command: Command) -> Ack:
        return Ack(ok=True, text=f"heard: {command.text}")
"""
ROBOT = """
name: wired
namespace: rover
nodes:
  counter: {uses: "counter_node:Counter"}
  recorder:
    uses: olympus.nodes.recorder
    params: {path: "./store", topics: [rover/count]}
"""
Client = Callable[..., subprocess.CompletedProcess[str]]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wire_client", CLIENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for their own module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oly-") as name:
        folder = Path(name)
        (folder / "counter_node.py").write_text(NODES)
        yield folder


@contextmanager
def launched(folder: Path, bus: str) -> Iterator[Launched]:
    (folder / "robot.yaml").write_text(ROBOT + bus)
    root = folder / "run"
    root.mkdir(mode=0o700)
    with Launched(folder / "robot.yaml", root=root, name="wired") as robot:
        robot.until_active()
        yield robot


def client_of(folder: Path, endpoint: str) -> Client:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", str(CLIENT), endpoint, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return call


async def by(client: Client, *words: str) -> list[dict[str, Any]]:
    """What the client prints, this event loop going on meanwhile."""
    done = await asyncio.to_thread(client, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@asynccontextmanager
async def plain_robot(folder: Path) -> AsyncIterator[tuple[Seat, Client, Launched]]:
    with claimed_port() as port:
        bus = f"bus: {{listen: [tcp/127.0.0.1:{port}], topics: {{rover/image: {{jpeg: 80}}}}}}\n"
        with launched(folder, bus) as robot:
            async with robot.joined() as seat:
                yield seat, client_of(folder, f"tcp/127.0.0.1:{port}"), robot


def test_the_example_imports_nothing_of_ours_and_its_layouts_are_ours() -> None:
    assert not re.search(r"^\s*(?:from|import) olympus", CLIENT.read_text(), re.MULTILINE)
    for name, (version, layout) in loaded().LAYOUTS.items():
        schema = schema_by_name(name)
        assert (version, layout) == (schema.version, schema.kind.text)


def test_what_the_example_writes_we_read_and_the_other_way_round() -> None:
    client = loaded()
    back = decode(client.write("olympus/Reading", ["door", 1, "1", True, "d", ""], seq=3))
    assert isinstance(back, Reading)
    assert (back.value, back.header.seq, back.header.source) == (1.0, 3, "wire_client")
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    frame = client.read(encode(Image(header=Header(seq=7), data=picture)))
    assert (frame.type, frame.header[0]) == ("olympus/Image", 7)
    dtype, shape, raw = frame.arrays[0]
    assert (dtype, shape, bytes(raw)) == ("|u1", [2, 3, 3], picture.tobytes())
    for cut in range(len(encode(Command(text="a", verb="b")))):
        with pytest.raises(ValueError):
            client.read(encode(Command(text="a", verb="b"))[:cut])


async def test_a_plain_zenoh_client_sees_and_feeds_topics_and_calls_services(folder: Path) -> None:
    async with plain_robot(folder) as (seat, client, robot):
        listed = (await asyncio.to_thread(client, "list")).stdout
        assert "pub  counter  rover/counter  rover/count  olympus/Reading" in listed
        seen = await by(client, "watch", "*/count", "--count", "3")
        assert [one["key"] for one in seen] == ["rover/count"] * 3
        assert seen[0]["type"] == "olympus/Reading"
        assert seen[2]["seq"] == seen[0]["seq"] + 2
        await by(client, "save", "rover/image", "picture.jpg")
        picture = cv2.imread(str(folder / "picture.jpg"))
        assert picture is not None
        assert picture.shape == (48, 64, 3)
        (last,) = await by(client, "last", "rover/mission")
        assert last["body"][:2] == ["none", "idle"]
        mission = seat.watch("rover/mission")
        doors = seat.watch("rover/door")
        await by(client, "reading", "rover/door", "7", "1", "--count", "3")
        await seat.until(lambda: len(doors.messages) == 3, "our own subscribers hear it")
        assert [m.header.seq for m in doors.messages] == [1, 2, 3]
        await seat.until(lambda: mission.newest.mission == "door 7", "the node was told")
        (answer,) = await by(client, "call", "rover/counter/say", "go", "home")
        assert answer["body"] == [True, "heard: go home"]
        nobody = await asyncio.to_thread(client, "call", "rover/nobody/say", "go")
        assert (nobody.returncode, "nobody answers" in nobody.stderr) == (1, True)
        await the_past_is_known(seat, client, robot)
        told = robot.command("topic", "type", "rover/count", "--json")
        assert json.loads(told.stdout)["hash"] == schema_by_name("olympus/Reading").hash.hex()


async def the_past_is_known(seat: Seat, client: Client, robot: Launched) -> None:
    values: list[float] = []
    async with asyncio.timeout(20):
        while len(values) < 20:  # until so many are written
            past = await by(client, "last", "rover/*", "--count", "20")
            values = [one["body"][1] for one in past if one["key"] == "rover/count"]
    assert values == [values[0] + n for n in range(20)]
    assert past[0]["key"] == "rover/count"  # the latched topic is not the store's: no answer here
    for wrong in ("rover/count?last=x", "rover/count?last=3;since=-1"):
        refused = await asyncio.to_thread(client, "last", wrong)
        assert (refused.returncode, "is no number" in refused.stderr) == (1, True)
    assert await asyncio.to_thread(lambda: client("last", "rover/nothing?last=3").returncode) == 1

    told = await asyncio.to_thread(
        robot.command, "topic", "history", "rover/count", "--last", "5", "--json"
    )
    assert told.returncode == 0, told.stderr
    numbers = [json.loads(line)["value"] for line in told.stdout.splitlines()]
    assert numbers == [numbers[0] + n for n in range(5)]
    assert numbers[0] > values[0]
    echoed = await asyncio.to_thread(
        robot.command, "topic", "echo", "rover/count", "--last", "3", "-n", "6", "--json"
    )
    numbers = [json.loads(line)["value"] for line in echoed.stdout.splitlines()]
    assert len(set(numbers)) == 6
    assert numbers[:3] == [numbers[0] + n for n in range(3)]
    none = await asyncio.to_thread(robot.command, "topic", "history", "rover/mission")
    assert none.returncode != 0
    assert "nothing of it is recorded; it is not among the recorder's topics" in none.stderr


def block(kind: str, text: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def certificates(folder: Path) -> None:
    """Carry out what docs/wire.md says, and write the clients' configurations."""
    text = (DOCS / "wire.md").read_text().partition("## Who may come in")[2]
    (folder / "certs").mkdir()
    subprocess.run(
        ["bash", "-euc", block("sh", text)], cwd=folder / "certs", check=True, capture_output=True
    )
    config = block("json5", text)
    for who in ("viewer", "operator"):
        (folder / f"{who}.json5").write_text(config.replace("viewer", who))
    nobody = '{transport: {link: {tls: {root_ca_certificate: "certs/ca.pem"}}}}'
    (folder / "nobody.json5").write_text(nobody)


def secured(port: int) -> str:
    text = (DOCS / "wire.md").read_text().partition("## Who may come in")[2]
    return block("yaml", text).replace("0.0.0.0:7447", f"127.0.0.1:{port}")


@pytest.mark.skipif(
    subprocess.run(["which", "openssl"], capture_output=True, check=False).returncode != 0,
    reason="needs the command openssl",
)
async def test_with_certificates_each_may_do_what_the_docs_example_grants(folder: Path) -> None:
    certificates(folder)
    viewer, operator = ("--config", "viewer.json5"), ("--config", "operator.json5")
    with claimed_port() as port, launched(folder, secured(port)) as robot:
        client = client_of(folder, f"tls/localhost:{port}")
        async with robot.joined() as seat:
            mission = seat.watch("rover/mission")
            seen = await by(client, "watch", "rover/count", "--count", "2", *viewer)
            assert len(seen) == 2
            (last,) = await by(client, "last", "rover/mission", *viewer)
            assert last["body"][0] == "none"

            stranger = await asyncio.to_thread(client, "list", "--config", "nobody.json5")
            assert stranger.returncode == 2
            assert "nable to connect" in stranger.stderr

            await by(client, "reading", "rover/door", "1", "1", *viewer)
            call = ("call", "rover/counter/say", "go")
            assert (await asyncio.to_thread(client, *call, *viewer)).returncode == 1
            await by(client, "reading", "rover/door", "2", "1", *operator)
            await seat.until(lambda: mission.newest.mission == "door 2", "the operator was heard")
            assert [m.mission for m in mission.messages] == ["none", "door 2"]
            assert (await by(client, *call, *operator))[0]["body"] == [True, "heard: go"]
            await seat.until(
                lambda: "may not query: rover/counter/say" in robot.output, "the refusal is told"
            )
            assert re.search(r"access control: .* may not .*put.*: rover/door", robot.output)
