from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from olympus.nodes.viewer.door import Door


async def asked(headers: dict[str, str], names: tuple[str, ...] = ()) -> httpx.Response:
    async def page(_request: Request) -> Response:
        return PlainTextResponse("in")

    app = Door(Starlette(routes=[Route("/", page, methods=["GET", "POST"])]), names)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
        return await client.post("/", headers=headers)


@pytest.mark.parametrize("name", ["127.0.0.1:8700", "localhost:1", "[::1]:8700", "LOCALHOST"])
async def test_loopback_names_come_in(name: str) -> None:
    assert (await asked({"host": name})).text == "in"


@pytest.mark.parametrize(
    "name", ["evil.example:8700", "127.0.0.1.evil.example", "", "10.0.0.9", "["]
)
async def test_a_name_that_was_made_to_point_here_stays_out(name: str) -> None:
    answer = await asked({"host": name})
    assert answer.status_code == 403
    assert "param 'names'" in answer.text


async def test_a_name_of_ones_own_can_be_let_in() -> None:
    assert (await asked({"host": "rover.local:8700"}, ("rover.local",))).text == "in"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://127.0.0.1",
        "https://x@127",
        "http://[",
    ],
)
async def test_another_sites_page_stays_out(origin: str) -> None:
    answer = await asked({"host": "127.0.0.1:8700", "origin": origin})
    assert answer.status_code == 403
    assert "another site" in answer.text


async def test_the_own_page_comes_in_and_may_load_nothing_from_elsewhere() -> None:
    answer = await asked({"host": "127.0.0.1:8700", "origin": "http://127.0.0.1:8700"})
    assert answer.text == "in"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
