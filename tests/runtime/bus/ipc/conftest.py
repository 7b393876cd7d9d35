"""Two hosts of one machine and what is sent between them: real sockets, real shared memory."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Header, Image, Reading

CLOCK = SystemClock()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    with open_door(tmp_path / "ipc.sock"):
        yield tmp_path / "ipc.sock"
    assert list(tmp_path.iterdir()) == []


@asynccontextmanager
async def host(door: Path, name: str) -> AsyncIterator[Bus]:
    bus = Bus(CLOCK, host=name, door=door)
    yield bus
    await bus.close()


@pytest.fixture
async def buses(door: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    async with host(door, "a") as here, host(door, "b") as there:
        yield here, there


async def until(condition: Callable[[], Any], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


def reading(value: float, **header: Any) -> Reading:
    return Reading(header=Header(**header), name="a", value=value, unit="1")


def held(bus: Bus) -> int:
    gc.collect()
    assert bus.near is not None
    return bus.near.pools.held()


def picture(value: int, side: int = 256) -> Image:
    return Image(data=np.full((side, side, 3), value, np.uint8))
