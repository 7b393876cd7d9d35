"""Clients that break off, dawdle or talk nonsense: they are let go, and no error is logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from olympus.nodes.viewer import Viewer
from olympus.nodes.viewer.server import BACKLOG, MOST_IDLE, listening, serve
from olympus.runtime.messages import Image
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.telemetry import StructuredLog

DEADLINE_S = 10.0


@pytest.fixture
async def bench(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Bench[Viewer]]:
    async with running(Viewer, params={"port": 0}, name="viewer") as bench:
        yield bench
        async with httpx.AsyncClient() as http:
            assert (await http.get(bench.node.url + "healthz")).is_success
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def line_to(bench: Bench[Viewer]) -> websockets.connect:
    return websockets.connect(bench.node.url.replace("http", "ws") + "ws")


async def test_a_request_that_breaks_off_is_no_error(bench: Bench[Viewer]) -> None:
    host = bench.node.url.removeprefix("http://").rstrip("/")
    name, port = host.split(":")
    for _ in range(3):
        _, writer = await asyncio.open_connection(name, int(port))
        head = f"POST /api/stop HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n{{"
        writer.write(head.encode())
        await writer.drain()
        await asyncio.sleep(0.05)  # the request is under way by then, or the test shows nothing
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("nonsense", ["[" * 60_000, "{", b"\x00\xff", ""])
async def test_a_browser_that_talks_nonsense_is_let_go(
    bench: Bench[Viewer], nonsense: str | bytes
) -> None:
    async with line_to(bench) as line:
        await line.send(nonsense)
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await line.recv()
        assert line.close_code == 1007
        assert line.close_reason == "only JSON is understood"


@pytest.mark.parametrize("shape", [(70_000, 1, 3), (1, 70_000, 3)])
async def test_a_picture_of_any_shape_is_shown(
    bench: Bench[Viewer], shape: tuple[int, ...]
) -> None:
    async with line_to(bench) as line, asyncio.timeout(DEADLINE_S):
        while not isinstance(await line.recv(), bytes):
            await line.send('{"ack": "state"}')
            await bench.send("camera/image", Image(data=np.zeros(shape, np.uint8)))


async def test_a_connection_without_a_request_is_cut_off_and_a_busy_one_is_not() -> None:
    async def slow(_request: Request) -> Response:
        await asyncio.sleep(0.5)
        return PlainTextResponse("done")

    at = listening("127.0.0.1", 0)
    app = Starlette(routes=[Route("/", slow)])
    serving = asyncio.create_task(serve(app, at, StructuredLog("web"), idle_s=0.1))
    address: tuple[str, int] = at.getsockname()
    async with asyncio.timeout(DEADLINE_S):
        silent = [await asyncio.open_connection(*address) for _ in range(2)]
        silent[1][1].write(b"GET / HTTP/1.1\r\nHost: 127.")
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://{address[0]}:{address[1]}/")).text == "done"
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_a_thousand_connections_without_a_request_keep_nobody_from_stopping(
    bench: Bench[Viewer],
) -> None:
    name, port = bench.node.url.removeprefix("http://").rstrip("/").split(":")
    before = descriptors()
    async with line_to(bench) as page, AsyncExitStack() as stack:
        for _ in range(1000):
            slow = stack.enter_context(socket.create_connection((name, int(port))))
            slow.sendall(b"POST /api/stop HTTP/1.1\r\nX-Slow: ")
            await asyncio.sleep(0)
        async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
            assert (await http.post(bench.node.url + "api/stop", json={})).status_code == 409
        ours = 1000 + 20  # the ends of this test, which runs in the same process, and the page's
        assert descriptors() - before < ours + MOST_IDLE + BACKLOG
        assert await page.recv()  # a page that watches is not idle
