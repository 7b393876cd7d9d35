from __future__ import annotations

import asyncio

from olympus.nodes.viewer.audience import Audience, Client
from olympus.nodes.viewer.streams import Board


class Tape:
    """A line that notes what is sent; `is_stuck` makes it never take anything."""

    def __init__(self, *, is_stuck: bool = False) -> None:
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self.blobs: asyncio.Queue[bytes] = asyncio.Queue()
        self._is_stuck = is_stuck

    async def send_text(self, data: str) -> None:
        self.texts.put_nowait(data)
        await self._stick()

    async def send_bytes(self, data: bytes) -> None:
        self.blobs.put_nowait(data)
        await self._stick()

    async def _stick(self) -> None:
        if self._is_stuck:
            await asyncio.Event().wait()


async def test_a_client_gets_the_next_picture_only_after_it_dealt_with_the_last() -> None:
    tape, audience = Tape(), Audience()
    client = Client(tape)
    audience.clients.add(client)
    serving = asyncio.create_task(client.serve(Board(), lambda: 0.0))
    audience.offer_picture(lambda: b"1")
    assert await asyncio.wait_for(tape.blobs.get(), 20) == b"1"
    for data in (b"2", b"3"):
        audience.offer_picture(lambda data=data: data)  # type: ignore[misc]
    assert client.pictures_dropped == 2
    client.on_ack("picture")
    audience.offer_picture(lambda: b"4")
    assert await asyncio.wait_for(tape.blobs.get(), 20) == b"4"
    serving.cancel()


async def test_a_picture_nobody_can_take_is_not_even_encoded() -> None:
    audience, client = Audience(), Client(Tape())
    audience.clients.add(client)
    client.wants_picture = False
    encoded: list[bytes] = []
    audience.offer_picture(lambda: encoded.append(b"") or b"")  # type: ignore[func-returns-value]
    assert encoded == []
    assert audience.wants_picture is False


async def test_a_stuck_client_costs_others_nothing() -> None:
    stuck, well, audience, board = Tape(is_stuck=True), Tape(), Audience(), Board()
    clients = [Client(stuck), Client(well)]
    audience.clients.update(clients)
    serving = [asyncio.create_task(client.serve(board, lambda: 0.0)) for client in clients]
    for number in range(20):
        audience.offer_state()
        audience.offer_picture(lambda: b"x")
        assert await asyncio.wait_for(well.blobs.get(), 20) == b"x", number
        clients[1].on_ack("picture")
        clients[1].on_ack("state")
    assert stuck.blobs.qsize() <= 1
    assert clients[0].pictures_dropped >= 18
    audience.leave(clients[0])
    assert audience.pictures_dropped >= 18
    for task in serving:
        task.cancel()
