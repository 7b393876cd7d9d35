"""The page, its web socket, its commands, and the metrics, as one ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from olympus.nodes.viewer.audience import Audience, Client
from olympus.nodes.viewer.door import Door, Token
from olympus.nodes.viewer.streams import Board, Json
from olympus.runtime.errors import OlympusError
from olympus.runtime.telemetry.prometheus import CONTENT_TYPE

PAGE = Path(__file__).parent / "page"
BODY_MAX = 16_384
BODY_S = 5.0
"""How long the body of a request may take to arrive."""
_TOKEN_MARK = "{{token}}"
Body = TypeVar("Body", bound=BaseModel)


class StrictBody(BaseModel):
    """What the page sends: nothing that is not asked for, nothing that has to be guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Stop(StrictBody):
    """A stop that an operator asked for."""

    cause: str = Field("stop button", max_length=200)


class Reset(StrictBody):
    """A latched stop is to be lifted."""

    latch: int | None = None
    """Number of the newest trip that the person saw; a newer one refuses the reset."""


class Say(StrictBody):
    """A sentence for the robot."""

    text: str = Field(min_length=1, max_length=500)


class ParamsOf(StrictBody):
    """Which node's parameters are asked for."""

    node: str = Field(min_length=1, max_length=200)


class Look(StrictBody):
    """Which topic's messages are asked for."""

    topic: str = Field(min_length=1, max_length=300)


class Plot(Look):
    """A field that shall be plotted, or no longer."""

    field: str = Field(min_length=1, max_length=200)
    on: bool


class ParamSet(ParamsOf):
    """A new value of a parameter, as JSON text."""

    name: str = Field(min_length=1, max_length=200)
    value: str = Field(max_length=4000)


class Desk(Protocol):
    """What the page can ask of the robot. Each returns what there is to say about the outcome."""

    async def stop(self, cause: str) -> dict[str, Json]:
        """Trip the guardian."""

    async def reset(self, latch: int | None) -> dict[str, Json]:
        """Lift the latch, if the guardian agrees."""

    async def say(self, text: str) -> dict[str, Json]:
        """Hand a sentence to the mission."""

    async def params_of(self, node: str) -> dict[str, Json]:
        """List a node's parameters."""

    async def set_param(self, node: str, name: str, value: str) -> dict[str, Json]:
        """Set a parameter."""

    async def newest(self, topic: str) -> dict[str, Json]:
        """Return the newest message of a topic."""

    async def plot(self, topic: str, field: str, *, on: bool) -> dict[str, Json]:
        """Plot a field of a topic's messages, or no longer."""

    def metrics(self) -> str:
        """Return the Prometheus text."""

    def now_ms(self) -> float:
        """Return robot time, ms."""


class Web:
    """Handlers of the viewer's requests."""

    def __init__(self, desk: Desk, board: Board, audience: Audience) -> None:
        self.token = Token()
        self._desk = desk
        self._board = board
        self._audience = audience

    def app(self, names: tuple[str, ...] = ()) -> Starlette:
        """Return the application; `names` are host names it may be reached by, besides loopback."""
        return Starlette(routes=self.routes(), middleware=[Middleware(Door, names=names)])

    def routes(self) -> list[BaseRoute]:
        """Return the addresses that are served."""
        desk = self._desk
        return [
            Route("/", self.index),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            # Stop asks for no token: a page left open over a restart must still stop.
            self._command("/api/stop", Stop, lambda b: desk.stop(b.cause), needs_token=False),
            self._command("/api/reset", Reset, lambda b: desk.reset(b.latch)),
            self._command("/api/say", Say, lambda b: desk.say(b.text)),
            self._command("/api/params", ParamsOf, lambda b: desk.params_of(b.node)),
            self._command(
                "/api/param", ParamSet, lambda b: desk.set_param(b.node, b.name, b.value)
            ),
            self._command("/api/newest", Look, lambda b: desk.newest(b.topic)),
            self._command("/api/plot", Plot, lambda b: desk.plot(b.topic, b.field, on=b.on)),
            WebSocketRoute("/ws", self.watch),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]

    async def index(self, _request: Request) -> Response:
        """Serve the page with its token."""
        text = (PAGE / "index.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace(_TOKEN_MARK, self.token.text))

    async def health(self, _request: Request) -> Response:
        """Say that the viewer is alive, how many watch, and how many were not let in."""
        audience = self._audience
        told = {"ok": True, "clients": len(audience.clients), "refused": audience.refused}
        return JSONResponse(told)

    async def metrics(self, _request: Request) -> Response:
        """Serve the metrics of all hosts."""
        text = self._desk.metrics()
        return PlainTextResponse(text, headers={"content-type": CONTENT_TYPE})

    def _command(
        self,
        path: str,
        shape: type[Body],
        act: Callable[[Body], Awaitable[dict[str, Json]]],
        *,
        needs_token: bool = True,
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            if needs_token and not self.token.is_right(request.headers):
                return _refusal(403, "the page is older than the viewer; reload it")
            try:
                async with asyncio.timeout(BODY_S):
                    body = await _body(request, shape)
                return JSONResponse(await act(body))
            except ClientDisconnect:
                return _refusal(400, "the line broke off")  # nobody is there to read it
            except TimeoutError:
                return _refusal(408, f"the request did not arrive within {BODY_S:g} s")
            except ValidationError as error:
                return _refusal(422, _first_problem(error))
            except OlympusError as error:
                return _refusal(409, str(error))

        return Route(path, endpoint, methods=["POST"])

    async def watch(self, line: WebSocket) -> None:
        """Serve one browser until it goes."""
        await line.accept()  # only an open line can carry the reason of a refusal
        if self._audience.is_full:
            self._audience.refused += 1
            await line.close(1013, "too many pages are open; close one of them")
            return
        client = Client(line, is_patient=self._audience.is_patient)
        self._audience.clients.add(client)
        try:
            await line.send_text(json.dumps({"token": self.token.text}))
            await self._attend(line, client)
        finally:
            self._audience.leave(client)

    async def _attend(self, line: WebSocket, client: Client) -> None:
        writer = asyncio.create_task(client.serve(self._board, self._desk.now_ms))
        reader = asyncio.create_task(_read(line, client))
        done, rest = await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for outcome in await asyncio.gather(*done, *rest, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome


async def _read(line: WebSocket, client: Client) -> None:
    """Take in acknowledgements and wishes until the client goes."""
    while (message := await line.receive())["type"] == "websocket.receive":
        try:
            said = json.loads(message.get("text") or "")
        except (ValueError, RecursionError):
            await line.close(1007, "only JSON is understood")
            return
        if isinstance(said, dict):
            client.on_ack(str(said.get("ack", "")))
            if isinstance(wish := said.get("picture"), bool):
                client.wants_picture = wish


async def _body(request: Request, shape: type[Body]) -> Body:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > BODY_MAX:
            return shape.model_validate_json("")
    return shape.model_validate_json(bytes(raw) or b"{}")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"


def _refusal(status: int, text: str) -> Response:
    return JSONResponse({"ok": False, "text": text}, status_code=status)
