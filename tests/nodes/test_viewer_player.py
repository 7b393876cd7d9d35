"""A recording on the viewer's page: at each time there is what there was, forward and back."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from olympus.nodes.viewer.audience import Audience, Client
from olympus.nodes.viewer.playback import PlaybackWeb
from olympus.nodes.viewer.player import Player, source_of
from olympus.nodes.viewer.streams import Board, Cursor
from olympus.runtime.replay.recording import Recording
from recorded_drive import BEGAN_NS, LENGTH_S, record


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    with Recording(record(tmp_path / "drive"), needs_journal=False) as opened:
        yield opened


def shown(board: Board) -> dict[str, Any]:
    news = board.news(Cursor())
    return {**news["values"], **news["streams"]}  # type: ignore[dict-item]


class Browser:
    """Keeps what it is sent, and acknowledges nothing by itself."""

    def __init__(self) -> None:
        self.heads: list[Any] = []
        self.states: list[Any] = []

    async def send_text(self, data: str) -> None:
        self.states.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        (size,) = struct.unpack_from("<I", data)
        self.heads.append(json.loads(data[4 : 4 + size]))


async def test_a_place_shows_the_same_whichever_way_one_comes_to_it(recording: Recording) -> None:
    direct = Player(recording, Audience())
    direct.seek(25.0)
    there = shown(direct.board)
    assert there["mission"]["mission"] == "home"
    assert there["safety"]["state"] == "permitted"
    assert there["battery"]["charge"] == 0.9  # from long before
    assert there["pose"]["x"] == pytest.approx(25.1 / 2, abs=0.06)
    back = Player(recording, Audience())
    back.seek(50.0)
    assert shown(back.board)["safety"]["state"] == "tripped"
    back.seek(25.0)
    assert shown(back.board) == there


async def test_before_anything_came_nothing_is_shown(recording: Recording) -> None:
    player = Player(recording, Audience())
    player.seek(59.0)
    player.seek(0.0)
    there = shown(player.board)
    assert there["battery"] is None
    assert there["mission"]["mission"] == "patrol"
    assert [point[0] for point in there["points"]].count("hall/heat") == 1


async def test_time_goes_by_at_the_wanted_speed_and_rests_at_the_end(recording: Recording) -> None:
    player = Player(recording, Audience())
    player.advance(5.0)
    assert player.place_s == 0.0  # at rest
    player.play(is_playing=True, speed=4.0)
    player.advance(5.0)
    assert player.place_s == pytest.approx(20.0)
    assert player.now_ms() == pytest.approx((BEGAN_NS + 20e9) / 1e6)
    assert shown(player.board)["mission"]["mission"] == "home"
    player.advance(60.0)
    assert (player.place_s, player.is_playing) == (LENGTH_S, False)
    player.play(is_playing=True)
    assert player.place_s == 0.0  # from the end it begins anew


async def test_a_loop_begins_again(recording: Recording) -> None:
    player = Player(recording, Audience(), loops=True)
    player.seek(59.0)
    player.play(is_playing=True)
    player.advance(2.0)
    assert (player.place_s, player.is_playing) == (0.0, True)
    player.play(loops=False)
    assert shown(player.board)["replay"]["loops"] is False
    player.seek(59.0)
    player.advance(2.0)
    assert (player.place_s, player.is_playing) == (60.0, False)


async def test_the_bar_has_marks_where_something_happened(recording: Recording) -> None:
    marks = shown(Player(recording, Audience()).board)["marks"]
    assert marks == [[20.0, "command", "go home"], [30.0, "stop", "stopped: a test"]]


async def test_a_slow_page_gets_the_picture_of_the_place_and_no_older_one_afterwards(
    recording: Recording,
) -> None:
    audience, browser = Audience(is_patient=True), Browser()
    client = Client(browser, is_patient=True)
    audience.clients.add(client)
    player = Player(recording, audience)
    serving = asyncio.create_task(client.serve(player.board, player.now_ms))
    for place in (10.0, 40.0, 20.0):
        player.seek(place)
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)  # longer than a picture waits for its detections
    client.on_ack("picture")
    await asyncio.sleep(0.02)
    serving.cancel()
    assert [head["seq"] for head in browser.heads][-1] == 201
    assert len(browser.heads) == 2
    assert browser.heads[-1]["boxes"][0][0] == "person"
    client.on_ack("state")
    assert any(state.get("anew") for state in browser.states)


async def test_wishes_come_over_the_line_and_everything_else_is_refused(
    recording: Recording,
) -> None:
    player = Player(recording, Audience())
    web = PlaybackWeb(player, Audience())
    line = httpx.AsyncClient(
        transport=httpx.ASGITransport(web.app()),
        base_url="http://127.0.0.1",
        headers={"x-olympus-token": web.token.text},
    )
    async with line as client:
        assert (await client.post("/api/playback", json={"place": 30.5, "speed": 2})).json()["ok"]
        assert (player.place_s, player.speed, player.is_playing) == (30.5, 2.0, False)
        assert (await client.post("/api/playback", json={"is_playing": True})).json()["ok"]
        assert player.is_playing
        assert (await client.post("/api/playback", json={"speed": 0})).status_code == 422
        for place, x_m in ((20.0, 10.0), (30.0, 15.0), (20.0, 10.0)):
            player.seek(place)
            told = (await client.post("/api/newest", json={"topic": "rover/odometry"})).json()
            assert told["fields"]["x_m"] == pytest.approx(x_m, abs=0.06)
        answer = await client.post("/api/newest", json={"topic": "rover/odometri"})
        assert answer.status_code == 409
        assert "was not recorded; did you mean 'rover/odometry'" in answer.json()["text"]
        plot = {"topic": "rover/odometry", "field": "x_m", "on": True}
        for path, body in (("plot", plot), ("stop", {}), ("reset", {}), ("say", {"text": "go"})):
            answer = await client.post(f"/api/{path}", json=body)
            assert answer.status_code == 409
            assert "this is a recording" in answer.json()["text"]
        web.token.text = "another"
        assert (await client.post("/api/playback", json={"place": 1.0})).status_code == 403


@pytest.mark.parametrize(
    ("topic", "end"),
    [
        ("rover/camera/image", "camera/image"),
        ("mission", "mission"),
        ("@olympus/stats/control", "@olympus/stats/*"),
        ("rover/submission", None),
        ("@olympus/journal/control", None),
    ],
)
def test_topics_are_known_by_the_end_of_their_names(topic: str, end: str | None) -> None:
    source = source_of(topic)
    assert (source.topic if source else None) == end
