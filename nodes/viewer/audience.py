"""Who watches. Each client has one message of a kind under way at most, and slows nobody."""

from __future__ import annotations

# varies throughout: these are browsers
import asyncio
import json
from collections.abc import Callable
from typing import Protocol

from olympus.nodes.viewer.streams import Board, Cursor, Json


class Line(Protocol):
    """The way to one browser."""

    async def send_text(self, data: str) -> None:
        """Send text; returns when the line has taken it."""

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; returns when the line has taken them."""


class Client:
    """One browser: what it was sent, what it has acknowledged, what it missed."""

    def __init__(self, line: Line, *, is_patient: bool = False) -> None:
        self._is_patient, self._is_anew = is_patient, False
        self.wants_picture = True
        self.pictures_dropped = 0
        self._line = line
        self._cursor = Cursor()
        self._is_owed_state = True
        self._picture: bytes | None = None
        self._under_way: set[str] = set()
        self._wake = asyncio.Event()
        self._wake.set()

    @property
    def can_take_picture(self) -> bool:
        """Whether a picture sent now would not have to wait."""
        return self.wants_picture and "picture" not in self._under_way

    def offer_state(self) -> None:
        """Have news sent as soon as the client can take them."""
        self._is_owed_state = True
        self._wake.set()

    def offer_picture(self, data: bytes | None) -> None:
        """Have a picture sent if the client can take it now; drop the one that waits.

        Args:
            data: The picture; None when nobody could take it and it was not even encoded.
        """
        if not self.wants_picture:
            return
        if data is None or not (self.can_take_picture or self._is_patient):
            self.pictures_dropped += 1
            return
        self.pictures_dropped += self._picture is not None and not self._is_patient
        self._picture = data
        self._wake.set()

    def start_over(self) -> None:
        """Have everything sent anew, and what the page has forgotten."""
        self._cursor, self._is_anew = Cursor(), True
        self.offer_state()

    def on_ack(self, kind: str) -> None:
        """Take in that the client has dealt with a message of that kind."""
        self._under_way.discard(kind)
        self._wake.set()

    async def serve(self, board: Board, now_ms: Callable[[], float]) -> None:
        """Send what is owed, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._send_picture()
            await self._send_state(board, now_ms)

    async def _send_picture(self) -> None:
        picture = self._picture
        if picture is None or "picture" in self._under_way:
            return
        self._picture = None
        self._under_way.add("picture")
        await self._line.send_bytes(picture)

    async def _send_state(self, board: Board, now_ms: Callable[[], float]) -> None:
        if not self._is_owed_state or "state" in self._under_way:
            return
        self._is_owed_state = False
        self._under_way.add("state")
        news: dict[str, Json] = {"now": now_ms(), "pictures_dropped": self.pictures_dropped}
        news |= {"anew": True} if self._is_anew else {}
        self._is_anew = False
        await self._line.send_text(json.dumps(news | board.news(self._cursor), allow_nan=False))


class Audience:
    """All clients.

    Of a live robot only the newest picture is worth anything, and none waits for a slow client. A
    patient audience, of a recording, gets the last one as soon as it can take it.
    """

    def __init__(self, limit: int = 16, *, is_patient: bool = False) -> None:
        self._limit, self.is_patient = limit, is_patient
        self.clients: set[Client] = set()
        self.refused = 0
        """How many clients were one too many."""
        self.pictures_dropped_before = 0
        """Of clients that have left."""

    @property
    def is_full(self) -> bool:
        """Whether one more client would be too many."""
        return len(self.clients) >= self._limit

    @property
    def wants_picture(self) -> bool:
        """Whether anybody watches the camera."""
        return any(client.wants_picture for client in self.clients)

    @property
    def pictures_dropped(self) -> int:
        """Pictures that clients were too slow for, since the start."""
        return self.pictures_dropped_before + sum(c.pictures_dropped for c in self.clients)

    def leave(self, client: Client) -> None:
        """Forget a client, but not what it missed."""
        self.clients.discard(client)
        self.pictures_dropped_before += client.pictures_dropped

    def offer_state(self) -> None:
        """Have news sent to everybody."""
        for client in self.clients:
            client.offer_state()

    def start_over(self) -> None:
        """Have everything sent to everybody anew."""
        for client in self.clients:
            client.start_over()

    def offer_picture(self, encode: Callable[[], bytes]) -> None:
        """Have a picture sent to everybody who can take it; encode it only if somebody can."""
        is_wanted = any(
            client.can_take_picture or (self.is_patient and client.wants_picture)
            for client in self.clients
        )
        data = encode() if is_wanted else None
        for client in self.clients:
            client.offer_picture(data)
