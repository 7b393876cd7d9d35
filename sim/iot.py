"""The building's IoT devices: real MQTT clients, each with its own kind of payload.

| device | topic | payload |
|---|---|---|
| thermometer in every room | `building/<room>/temperature` | a plain number, degrees Celsius |
| contact of the store's door | `building/store/door` | JSON: `contact`, `battery`, `count` |
| smoke detector, kitchen and lab | `building/<room>/smoke` | binary, see `SMOKE` |

Each says `online` at `status/<device>`, retained, and the broker says `offline` when it vanishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from olympus.drivers.mqtt import MqttLink, MqttSettings
from olympus.runtime.clock import Clock
from olympus.runtime.errors import DeviceError
from olympus.sim.floorplan import ROOM_NAMES
from olympus.sim.world import WATCHED_DOOR, World

SMOKE = struct.Struct(">BHhB")
"""Version 1; obscuration in 0.01 %/m; temperature in 0.1 degrees Celsius; battery in percent."""
SMOKE_ROOMS = ("kitchen", "lab")
ALARM_PERCENT = 2.0
"""Obscuration per metre from which a smoke detector reports at once."""
POLL_S = 0.25
_GARBAGE = (b"\xff\xfe\x00\x17", b"NaN", b'{"contact": ', b"1e999", b"", b"-273.16 C?")


class IotDevice(ABC):
    """Something small with a sensor and a radio."""

    def __init__(self, name: str, topic: str, period_s: float) -> None:
        self.name, self.topic, self.period_s = name, topic, period_s
        self.sent = 0
        """Messages published so far."""

    @abstractmethod
    def measure(self, world: World) -> bytes:
        """Return the payload that says how things are now."""

    def state(self, world: World) -> object:
        """Return what is published at once when it changes; nothing by default."""
        return None


class Thermometer(IotDevice):
    """Tells a room's temperature as a plain number."""

    def __init__(self, room: str, period_s: float = 2.0) -> None:
        super().__init__(f"thermometer-{room}", f"building/{room}/temperature", period_s)
        self._room = room

    def measure(self, world: World) -> bytes:
        """Return degrees Celsius with two decimals."""
        return f"{world.happenings.rooms[self._room].temperature_c:.2f}".encode()


class DoorContact(IotDevice):
    """Tells in JSON whether the watched door is `open` or `closed`."""

    def __init__(self, period_s: float = 10.0) -> None:
        super().__init__(f"door-{WATCHED_DOOR}", f"building/{WATCHED_DOOR}/door", period_s)

    def measure(self, world: World) -> bytes:
        """Return a JSON object."""
        contact = "open" if world.is_door_open else "closed"
        fields = {"contact": contact, "battery": 0.93, "count": self.sent + 1}
        return json.dumps(fields).encode()

    def state(self, world: World) -> object:
        """Return whether the door is open."""
        return world.is_door_open


class SmokeDetector(IotDevice):
    """Tells smoke and temperature in six bytes."""

    def __init__(self, room: str, period_s: float = 5.0) -> None:
        super().__init__(f"smoke-{room}", f"building/{room}/smoke", period_s)
        self._room = room

    def measure(self, world: World) -> bytes:
        """Return a `SMOKE` record."""
        air = world.happenings.rooms[self._room]
        smoke = max(0, min(0xFFFF, round(air.smoke * 100)))
        return SMOKE.pack(1, smoke, round(air.temperature_c * 10), 88)

    def state(self, world: World) -> object:
        """Return whether there is smoke."""
        return world.happenings.rooms[self._room].smoke >= ALARM_PERCENT


def all_devices() -> tuple[IotDevice, ...]:
    """Return the devices of the building."""
    smoke = (SmokeDetector(room) for room in SMOKE_ROOMS)
    return (*(Thermometer(room) for room in ROOM_NAMES), DoorContact(), *smoke)


async def run_devices(
    world: World,
    url: str,
    *,
    clock: Clock,
    devices: tuple[IotDevice, ...] | None = None,
    on_change: Callable[[bool, str], None] | None = None,
) -> None:
    """Let all devices live at a broker until cancelled; they reconnect by themselves.

    Args:
        world: What they measure.
        url: `mqtt://host:port`.
        clock: Times their periods.
        devices: Which; None for all of the building.
        on_change: Told `(connected, text)` when a device's connection changes.

    Raises:
        ConfigError: The address can't be used.
        DeviceError: The MQTT library is not installed.
    """
    async with asyncio.TaskGroup() as group:
        for device in devices or all_devices():
            group.create_task(_live(device, world, url, clock, on_change))


async def _live(
    device: IotDevice,
    world: World,
    url: str,
    clock: Clock,
    on_change: Callable[[bool, str], None] | None,
) -> None:
    status = f"status/{device.name}"
    settings = MqttSettings.model_validate(
        {"url": url, "client_id": f"sim-{device.name}", "will": {"topic": status}}
    )
    link = MqttLink(settings, clock=clock, on_change=on_change)
    async with _connected(link):
        greeted = 0
        due_ns, last_state = 0, device.state(world)
        while True:
            await link.wait_connected()
            with contextlib.suppress(DeviceError):
                if greeted != link.connects:
                    await link.publish(status, "online", qos=1, retain=True)
                    greeted = link.connects
                state, now_ns = device.state(world), clock.now_ns()
                if now_ns >= due_ns or state != last_state:
                    await link.publish(device.topic, _payload(device, world), qos=1)
                    device.sent += 1
                    due_ns, last_state = now_ns + round(device.period_s * 1e9), state
            await clock.sleep(POLL_S)


@contextlib.asynccontextmanager
async def _connected(link: MqttLink) -> AsyncIterator[None]:
    """Keep a sending link connected meanwhile."""

    async def keep() -> None:
        async for _ in link.deliveries([]):
            pass

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _payload(device: IotDevice, world: World) -> bytes:
    if world.faults.mqtt_garbage:
        return _GARBAGE[device.sent % len(_GARBAGE)]
    return device.measure(world)
