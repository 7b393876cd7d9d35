"""A pip-only router with rmw_zenohd's settings, participants, another process, random values."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ports import claimed_port
from tests.runtime.bus.ros2.bridge_place import Build, bridged

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.definitions import FieldType
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.record import DTYPES, attribute
from olympus.runtime.bus.ros2.zenoh_session import open_router
from olympus.runtime.config import Session, new_session

HERE = Path(__file__).parent
Join = Callable[..., Participant]
Until = Callable[[Callable[[], Any]], Awaitable[None]]
RandomValue = Callable[[Codecs, str, int], Any]
OtherProcess = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(scope="session")
def codecs() -> Codecs:
    return Codecs(catalogue_of("jazzy"))


@pytest.fixture(scope="session")
def vectors() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((HERE / "vectors.json").read_text())
    return found


@pytest.fixture
def router() -> Iterator[str]:
    with claimed_port() as port, open_router([endpoint := f"tcp/127.0.0.1:{port}"]):
        yield endpoint


RCLPY = pytest.param(
    "rclpy",
    marks=[
        pytest.mark.ros2_real,
        pytest.mark.skipif(not has_rclpy(), reason="rclpy does not import: no ROS 2 is installed"),
    ],
)
DOMAINS = range(60, 100)
"""Of the tests with rclpy: on a machine of its own nobody takes so high a number."""


@pytest.fixture(scope="session")
def domain() -> Iterator[int]:
    """Return a domain of ROS that no other run of these tests on this machine is in."""
    with socket.socket(socket.AF_UNIX) as claim:
        for number in DOMAINS:
            try:
                claim.bind(f"\0olympus-tests-in-ros-domain-{number}")
            except OSError:
                continue  # another run's, until it ends
            yield number
            return
    pytest.fail(f"other runs of these tests hold all of the domains {DOMAINS}")


@pytest.fixture(params=["zenoh", RCLPY])
def way(request: pytest.FixtureRequest, router: str) -> dict[str, Any]:
    """Return the settings of a graph over each backend."""
    if request.param == "rclpy":
        distro = os.environ.get("ROS_DISTRO", "jazzy")
        domain = request.getfixturevalue("domain")
        return {"backend": "rclpy", "domain": domain, "distro": distro}
    return _over_zenoh(router)


def _over_zenoh(router: str) -> dict[str, Any]:
    return {"backend": "zenoh", "router": [router], "listen": ["tcp/127.0.0.1:0"]}


@pytest.fixture
async def join(router: str) -> AsyncIterator[Join]:
    """Return what makes participants of the router's graph; they leave it with the test."""
    async with _joined(_over_zenoh(router)) as one:
        yield one


@pytest.fixture
async def join_any(way: dict[str, Any]) -> AsyncIterator[Join]:
    """Return the same for each backend in turn."""
    async with _joined(way) as one:
        yield one


@pytest.fixture
def session(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    made = new_session("ros2")
    with open_hub(made):
        yield made


@pytest.fixture
def build(session: Session, way: dict[str, Any], join_any: Join) -> Build:
    """Return what builds a place with the bridge's settings, over each backend in turn."""
    return partial(bridged, session, way, join_any)


@asynccontextmanager
async def _joined(way: dict[str, Any]) -> AsyncIterator[Join]:
    made: list[Participant] = []

    def one(**how: Any) -> Participant:
        made.append(join_graph(Joining.model_validate(way | how)))
        return made[-1]

    yield one
    for participant in made:
        await participant.close()


@pytest.fixture
def other_process(router: str) -> OtherProcess:
    """Return what runs another process of the graph for a `with` block."""

    def run(distro: str, *words: str, **more: Any) -> AbstractContextManager[subprocess.Popen[str]]:
        return _running(_over_zenoh(router) | {"distro": distro} | more, *words)

    return run


@pytest.fixture
def other_any(way: dict[str, Any]) -> OtherProcess:
    """Return the same for each backend in turn."""

    def run(*words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        return _running(way, *words)

    return run


@contextmanager
def _running(way: dict[str, Any], *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run `_other.py`, another process of the graph, until the block ends."""
    command = [sys.executable, str(HERE / "_other.py"), json.dumps(way), *words]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def until() -> Until:
    """Return what waits for a condition."""

    async def wait(condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def random_value() -> RandomValue:
    """Return what makes a random value of any ROS type, by a seed."""
    return lambda codecs, name, seed: _random_value(codecs, name, np.random.default_rng(seed))


TEXTS = ("", "a", "camera_link", "Grüße", "\N{ROCKET}", "x" * 33)


def _random_value(codecs: Codecs, name: str, rng: np.random.Generator, depth: int = 0) -> Any:
    codec = codecs.get(name)
    fields = {
        attribute(field.name): _random(codecs, field.type, rng, depth)
        for field in codec.definition.fields
    }
    return codec.cls(**fields)


def _random(codecs: Codecs, kind: FieldType, rng: np.random.Generator, depth: int) -> Any:
    if not kind.is_array:
        return _one(codecs, kind, rng, depth)
    most = min(kind.count or 4, 4) if depth < 3 else 1
    count = kind.count if kind.is_fixed else int(rng.integers(0, most + 1))
    if kind.base in DTYPES:
        return np.array([_one(codecs, kind, rng, depth) for _ in range(count)], DTYPES[kind.base])
    return [_one(codecs, kind, rng, depth) for _ in range(count)]


def _one(codecs: Codecs, kind: FieldType, rng: np.random.Generator, depth: int) -> Any:
    if kind.base == "string":
        text = TEXTS[int(rng.integers(len(TEXTS)))]
        return text[:1] if kind.most_chars else text
    if kind.base not in DTYPES:
        return _random_value(codecs, kind.base, rng, depth + 1)
    dtype = np.dtype(DTYPES[kind.base])
    if dtype.kind == "b":
        return bool(rng.integers(2))
    if dtype.kind == "f":
        return float(dtype.type(rng.choice([0.0, -0.0, 1.5, -2.25e7, 1e-9, np.inf, np.nan])))
    info = np.iinfo(dtype)
    return int(rng.integers(info.min, info.max, dtype=dtype, endpoint=True))
