"""IoT devices against a real broker process."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import aiomqtt
import pytest

from olympus.runtime.clock import SystemClock
from olympus.sim.iot import SMOKE, DoorContact, SmokeDetector, Thermometer, all_devices, run_devices
from olympus.sim.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def broker() -> Iterator[str]:
    command = [sys.executable, "-m", "olympus.drivers.broker", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


@contextlib.asynccontextmanager
async def living(world: World, url: str) -> AsyncIterator[None]:
    task = asyncio.create_task(run_devices(world, url, clock=SystemClock()))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def collect(url: str, wanted: set[str]) -> dict[str, bytes]:
    """Return the first payload of each wanted topic."""
    host, _, port = url.removeprefix("mqtt://").partition(":")
    found: dict[str, bytes] = {}
    async with asyncio.timeout(20), aiomqtt.Client(host, int(port)) as client:
        await client.subscribe("#")
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                found.setdefault(message.topic.value, message.payload)
            if wanted <= set(found):
                break
    return found


async def test_every_device_publishes_its_kind_of_payload(broker: str) -> None:
    world = World(1, people=0)
    wanted = {device.topic for device in all_devices()}
    async with living(world, broker):
        found = await collect(broker, wanted)
    temperature = world.happenings.rooms["office"].temperature_c
    assert float(found["building/office/temperature"]) == pytest.approx(temperature, abs=0.5)
    assert json.loads(found["building/store/door"])["contact"] == "closed"
    version, smoke, tenths, battery = SMOKE.unpack(found["building/kitchen/smoke"])
    assert (version, battery) == (1, 88)
    assert smoke < 10
    assert tenths / 10 == pytest.approx(world.happenings.rooms["kitchen"].temperature_c, abs=0.5)


async def test_devices_say_that_they_are_online(broker: str) -> None:
    async with living(World(1, people=0), broker):
        found = await collect(broker, {"status/door-store", "status/smoke-lab"})
    assert found["status/door-store"] == b"online"


async def test_a_door_that_opens_is_told_at_once(broker: str) -> None:
    world = World(1, people=0)
    async with living(world, broker):
        await collect(broker, {"building/store/door"})
        world.happen("door_open")
        found = await collect(broker, {"building/store/door"})
    assert json.loads(found["building/store/door"])["contact"] == "open"


async def test_garbage_is_no_reading(broker: str) -> None:
    world = World(1, people=0)
    world.faults.mqtt_garbage = True
    async with living(world, broker):
        found = await collect(broker, {"building/kitchen/smoke", "building/office/temperature"})
    assert found["building/kitchen/smoke"] == b"\xff\xfe\x00\x17"


async def test_devices_wait_for_a_broker_that_is_not_there_yet() -> None:
    changes: list[bool] = []
    devices = (Thermometer("lab"),)
    told = asyncio.Event()

    def on_change(connected: bool, text: str) -> None:
        changes.append(connected)
        told.set()

    url = "mqtt://127.0.0.1:9"
    running = run_devices(
        World(1, people=0), url, clock=SystemClock(), devices=devices, on_change=on_change
    )
    task = asyncio.create_task(running)
    async with asyncio.timeout(10):
        await told.wait()
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert changes[0] is False


def test_payloads_follow_the_world() -> None:
    world = World(1, people=0)
    detector, door = SmokeDetector("lab"), DoorContact()
    assert detector.state(world) is False
    world.happen("smoke:lab")
    world.step(20.0)
    assert detector.state(world) is True
    assert SMOKE.unpack(detector.measure(world))[1] > 500
    world.happen("door_open")
    assert door.state(world) is True
