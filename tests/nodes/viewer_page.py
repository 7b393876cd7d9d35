"""A viewer for a test, and a page of it as a browser would open it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import websockets

from olympus.nodes.viewer import Viewer
from olympus.runtime.bus import Bus
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Header,
    Image,
)
from olympus.runtime.node.testing import Bench, running

DEADLINE_S = 30.0


@asynccontextmanager
async def viewing(
    session: Session | None = None, bus: Bus | None = None, **params: object
) -> AsyncIterator[Bench[Viewer]]:
    params = {"port": 0, **params}
    async with running(
        Viewer, params=params, name="viewer", namespace="rover", session=session, bus=bus
    ) as bench:
        yield bench
        assert bench.crashes == []


class Page:
    """What a browser would know, by the same protocol."""

    def __init__(self, line: websockets.ClientConnection) -> None:
        self.values: dict[str, Any] = {}
        self.streams: dict[str, list[Any]] = {}
        self.pictures: list[tuple[dict[str, Any], bytes]] = []
        self.token = ""
        self.pictures_dropped = 0
        self._line = line

    async def until(self, is_so: Callable[[Page], object]) -> Page:
        async with asyncio.timeout(DEADLINE_S):
            while not is_so(self):
                await self._take(await self._line.recv())
        return self

    async def _take(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            (size,) = struct.unpack_from("<I", data)
            self.pictures.append((json.loads(data[4 : 4 + size]), data[4 + size :]))
            await self._line.send(json.dumps({"ack": "picture"}))
            return
        news = json.loads(data)
        if "token" in news:
            self.token = news["token"]
            return
        self.values |= news["values"]
        self.pictures_dropped = news["pictures_dropped"]
        for name, items in news["streams"].items():
            self.streams.setdefault(name, []).extend(items)
        await self._line.send(json.dumps({"ack": "state"}))


@asynccontextmanager
async def open_page(bench: Bench[Viewer]) -> AsyncIterator[Page]:
    url = bench.node.url.replace("http", "ws") + "ws"
    async with websockets.connect(url, origin=bench.node.url.rstrip("/")) as line:  # type: ignore[arg-type]
        page = Page(line)
        await page.until(lambda p: p.token)
        yield page


def client(bench: Bench[Viewer], page: Page | None = None) -> httpx.AsyncClient:
    headers = {"x-olympus-token": page.token} if page else {}
    return httpx.AsyncClient(base_url=bench.node.url, headers=headers, timeout=DEADLINE_S)


def picture(bench: Bench[Viewer], number: int) -> Image:
    header = Header(stamp=bench.node.clock.now_ns())
    return Image(header=header, data=np.full((120, 160, 3), number, np.uint8))
