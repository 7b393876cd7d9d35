"""A recording on the viewer's page: at each time there is what there was, forward and back."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from olympus.nodes.viewer.audience import Audience, Client
from olympus.nodes.viewer.playback import PlaybackWeb
from olympus.nodes.viewer.player import Player
from olympus.nodes.viewer.scene import source_of
from olympus.nodes.viewer.streams import Board, Cursor
from olympus.runtime.messages import Header, Image
from olympus.runtime.replay.recording import Recording
from olympus.runtime.store import Run, StreamStore
from recorded_drive import BEGAN_NS, LENGTH_S, record
from watched import end_of, host_of


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


async def test_a_host_that_spoke_all_the_time_was_never_away(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "talk") as store:
        store.begin_run(Run(number=0, session="talk", started=BEGAN_NS, seen=BEGAN_NS))
        for second in range(301):
            header = Header(stamp=BEGAN_NS + second * 10**9, seq=second + 1)
            stats = replace(host_of("sensors", end_of("a", "pub", "rover/x")), header=header)
            store.append([("@olympus/stats/sensors", stats)])
        store.end_run(BEGAN_NS + 300 * 10**9)
    with Recording(tmp_path / "talk", needs_journal=False) as opened:
        player = Player(opened, Audience())
        for place in (250.0, 299.0, 130.0):
            player.seek(place)
            there = shown(player.board)
            (node,) = there["nodes"]
            assert (node["gaps"], node["away"]) == ([], False)
            assert {rate["hz"].get("a") for rate in there["rates"]} == {15.0}


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


async def test_on_the_way_to_a_place_others_have_their_turn_and_the_page_keeps_what_it_shows(
    recording: Recording,
) -> None:
    player = Player(recording, Audience())
    player.seek(20.0)
    player.play(is_playing=True)
    before, turns = shown(player.board), 0
    going = asyncio.create_task(player.go(50.0, turn_s=0.0))
    while not going.done():
        await asyncio.sleep(0)
        if not going.done():
            turns += 1
            player.advance(1.0)  # it rests meanwhile
            assert shown(player.board) == before
    assert turns > 100
    assert (going.result(), player.place_s) == (True, 50.0)
    there = shown(player.board)
    player.advance(1.0)
    assert player.place_s == 51.0
    direct = Player(recording, Audience())
    direct.seek(50.0)
    there["replay"] = shown(direct.board)["replay"]
    assert shown(direct.board) == there


@pytest.mark.parametrize("is_sudden", [False, True])
async def test_who_wants_to_be_elsewhere_on_the_way_gets_there(
    recording: Recording, is_sudden: bool
) -> None:
    player = Player(recording, Audience())
    first = asyncio.create_task(player.go(50.0, turn_s=0.0))
    await asyncio.sleep(0)
    if is_sudden:
        player.seek(10.0)
    else:
        assert await player.go(10.0, turn_s=0.0)
    assert await first is False
    assert player.place_s == 10.0
    player.play(is_playing=True)
    player.advance(1.0)
    assert player.place_s == 11.0


async def test_what_can_t_be_shown_is_counted_and_said_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    folder = record(tmp_path / "drive")
    with StreamStore(folder) as store:
        for seq in (1, 2):
            header = Header(stamp=BEGAN_NS + seq * 5 * 10**9, seq=seq)
            empty = Image(header=header, data=np.zeros((0, 0, 3), np.uint8))
            store.append([("rover/rear/camera/image", empty)])
    audience, browser = Audience(is_patient=True), Browser()
    audience.clients.add(Client(browser, is_patient=True))
    with Recording(folder, needs_journal=False) as opened:
        player = Player(opened, audience)
        player.play(is_playing=True)
        player.advance(10.0)
        there = shown(player.board)
        assert (player.place_s, there["replay"]["unread"]) == (10.0, 2)
        (line,) = there["logs"]
        assert (line["level"], line["t"]) == ("error", (BEGAN_NS + 5e9) / 1e6)
        assert "rover/rear/camera/image: a message can't be shown: a picture of" in line["text"]
        assert there["pose"]["x"] == pytest.approx(5.0, abs=0.1)


async def test_a_damaged_message_is_counted_and_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = record(tmp_path / "drive")
    data = folder / "data.mdb"
    data.write_bytes(data.read_bytes().replace(b"\xa4home", b"\xa4hxme"))  # the mission at 20 s
    with Recording(folder, needs_journal=False) as opened:
        player = Player(opened, Audience())
        assert "logs" not in shown(player.board)
        for place, count in ((19.0, 0), (21.0, 1), (59.0, 1)):
            await player.go(place)
            there = shown(player.board)
            assert there["replay"]["unread"] == count
            assert there["pose"]["x"] == pytest.approx(place / 2, abs=0.1)
        assert "rover/mission: a message can't be shown: " in there["logs"][0]["text"]
        assert "checksum is wrong" in there["logs"][0]["text"]


async def test_where_the_store_can_t_be_read_it_rests_and_says_why(tmp_path: Path) -> None:
    folder = record(tmp_path / "drive")
    with Recording(folder, needs_journal=False) as opened:
        player = Player(opened, Audience())
        player.play(is_playing=True)
        player.advance(1.0)
        opened.store.close()
        player.advance(50.0)
        there = shown(player.board)
        assert (player.is_playing, there["replay"]["is_playing"]) == (False, False)
        assert "can't be played on from here" in there["logs"][-1]["text"]


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
