"""What is done through the viewer's page: stop, reset, sentences, parameters, looking at topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import websockets
from tests.nodes.viewer_page import DEADLINE_S, Page, client, open_page, picture, viewing

from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Ack,
    Command,
    Header,
    Message,
    Ranges,
    Reading,
    Sentence,
)
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.protocol import UNGUARDED
from watched import guarded, session_in

PAIR = np.array([0.0, 1.0], np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return session_in(tmp_path)


@pytest.fixture
def guardian(session: Session) -> Iterator[SafetyClient]:
    with guarded(session) as client:
        yield client


async def test_of_a_hundred_pages_those_too_many_are_told_why_and_may_still_stop(
    session: Session, guardian: SafetyClient
) -> None:
    async with viewing(session) as bench, client(bench) as http, AsyncExitStack() as stack:
        url = bench.node.url.replace("http", "ws") + "ws"
        lines = [await stack.enter_async_context(websockets.connect(url)) for _ in range(100)]
        for line in lines[16:]:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await line.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                1013,
                "too many pages are open; close one of them",
            )
        for line in lines[:16]:
            assert "token" in json.loads(await line.recv())
        health = (await http.get("/healthz")).json()
        assert health == {"ok": True, "clients": 16, "refused": 84}
        await http.post("/api/stop", json={"cause": "one too many"})
        assert (await asyncio.to_thread(guardian.status)).cause == "one too many"


async def test_stop_reaches_the_guardian_and_reset_permits_again(
    session: Session, guardian: SafetyClient
) -> None:
    async with viewing(session) as bench, open_page(bench) as page, client(bench, page) as http:
        await page.until(lambda p: p.values.get("safety", {}).get("state") == "stopped")
        heart = asyncio.create_task(beat(session))
        answer = await reset(http, page)
        assert answer["ok"], answer
        await page.until(lambda p: p.values["safety"]["state"] == "permitted")
        stopped = (await http.post("/api/stop", json={"cause": "a test"})).json()
        assert stopped["outcome"] in ("CONFIRMED", "UNCERTAIN"), "there is no gate to read back"
        await page.until(lambda p: p.values["safety"]["state"] == "tripped")
        assert page.values["safety"]["cause"] == "a test"
        assert "viewer" in page.values["safety"]["by"]
        assert not (await asyncio.to_thread(guardian.status)).is_permitted
        heart.cancel()


async def test_a_reset_by_someone_who_has_not_seen_the_newest_stop_is_refused(
    session: Session, guardian: SafetyClient
) -> None:
    async with viewing(session) as bench, open_page(bench) as page, client(bench, page) as http:
        await page.until(lambda p: p.values.get("safety", {}).get("state") == "stopped")
        seen = page.values["safety"]["latch"]
        await asyncio.to_thread(guardian.stop, "meanwhile", "somebody else")
        answer = (await http.post("/api/reset", json={"latch": seen})).json()
        assert not answer["ok"]
        assert "another stop" in answer["text"]


async def beat(session: Session) -> None:
    writer = HeartbeatWriter(session.safety_dir, "control")
    while True:
        writer.beat()
        await asyncio.sleep(0.05)


async def reset(http: httpx.AsyncClient, page: Page) -> dict[str, Any]:
    answer = await http.post("/api/reset", json={"latch": page.values["safety"]["latch"]})
    result: dict[str, Any] = answer.json()
    return result


async def test_without_a_guardian_the_page_says_so(session: Session) -> None:
    async with viewing(session) as bench, open_page(bench) as page, client(bench, page) as http:
        await page.until(lambda p: p.values.get("safety", {}).get("state") == "unknown")
        answer = (await http.post("/api/stop", json={})).json()
        assert not answer["ok"]
        assert answer["outcome"] == "UNCERTAIN"


async def test_a_launch_without_a_guardian_is_no_guardian_that_is_silent(session: Session) -> None:
    (session.safety_dir / UNGUARDED).touch()
    async with viewing(session) as bench, open_page(bench) as page, client(bench, page) as http:
        await page.until(lambda p: p.values.get("safety", {}).get("state") == "unguarded")
        answer = (await http.post("/api/stop", json={})).json()
        assert not answer["ok"]
        assert "this launch has no guardian" in answer["text"]


async def test_without_a_session_a_stop_is_refused_with_the_reason() -> None:
    async with viewing() as bench, client(bench) as http:
        answer = await http.post("/api/stop", json={})
        assert answer.status_code == 409
        assert "no guardian" in answer.json()["text"]


async def test_a_sentence_becomes_a_command() -> None:
    async with viewing() as bench, open_page(bench) as page, client(bench, page) as http:
        answer = await http.post("/api/say", json={"text": "patrol the corridor"})
        assert answer.json()["ok"], answer.text
        command = await bench.receive("rover/command")
        assert isinstance(command, Command)
        assert (command.text, command.verb) == ("patrol the corridor", "patrol")
        assert command.header.source == "rover/viewer"


async def test_a_sentence_that_is_not_understood_is_answered_with_ones_that_are() -> None:
    async with viewing() as bench, open_page(bench) as page, client(bench, page) as http:
        answer = await http.post("/api/say", json={"text": "sing a song"})
        assert answer.status_code == 409
        assert "patrol the corridor" in answer.json()["text"]


async def test_a_free_sentence_goes_to_the_planner_if_there_is_one(tmp_path: Path) -> None:
    heard: list[str] = []

    async def plan(sentence: Sentence) -> Ack:
        heard.append(sentence.text)
        return Ack(ok=True, text="understood: go to the middle")

    async def refuse(command: Command) -> Ack:
        return Ack(ok=False, text=f"no place {command.args['place']!r} is known")

    with open_door(tmp_path / "ipc.sock"):
        bus = Bus(SystemClock(), host="bench", door=tmp_path / "ipc.sock")
        async with viewing(bus=bus) as bench, open_page(bench) as page, client(bench, page) as http:
            bench.bus.serve("rover/planner/understand", Sentence, plan)
            bench.bus.serve("rover/navigator/say", Command, refuse)
            said = ["be a dear and drive over to the middle", "yes", "go to the lab and then home"]
            for text in said:
                answer = (await http.post("/api/say", json={"text": text})).json()
                assert answer == {"ok": True, "text": "understood: go to the middle"}
            assert heard == said
            answer = (await http.post("/api/say", json={"text": "go to the moon"})).json()
            assert answer == {"ok": False, "text": "no place 'moon' is known"}


async def test_a_parameter_is_listed_set_and_refused() -> None:
    async with viewing() as bench, open_page(bench) as page, client(bench, page) as http:
        listed = (await http.post("/api/params", json={"node": "rover/viewer"})).json()
        assert json.loads(listed["values"]["push_hz"]) == 8.0
        change = {"node": "rover/viewer", "name": "push_hz", "value": "20"}
        assert (await http.post("/api/param", json=change)).json()["ok"]
        assert bench.node.params.push_hz == 20
        refused = (await http.post("/api/param", json={**change, "value": "0"})).json()
        assert not refused["ok"]
        assert "push_hz" in refused["text"]
        assert (await http.post("/api/params", json={"node": "rover/none"})).status_code == 409


async def test_any_topic_is_shown_message_by_message_while_somebody_looks() -> None:
    async with viewing() as bench, open_page(bench) as page, client(bench, page) as http:

        async def newest(topic: str, message: Message) -> dict[str, Any]:
            ask = {"topic": topic}
            assert (await http.post("/api/newest", json=ask)).json() == {"ok": True, "came": 0}
            await bench.send(topic, message)
            async with asyncio.timeout(DEADLINE_S):
                while not (told := (await http.post("/api/newest", json=ask)).json())["came"]:
                    await asyncio.sleep(0.02)
            found: dict[str, Any] = told
            return found

        header = Header(stamp=1_795_895_973_964_680_701)
        reading = Reading(header=header, name="hall/t", value=float("nan"), unit="Cel")
        told = await newest("rover/reading", reading)
        assert (told["came"], told["type"]) == (1, "olympus/Reading")
        assert (told["fields"]["value"], told["fields"]["unit"]) == (None, "Cel")
        assert list(told["fields"])[-1] == "header"
        assert told["fields"]["header"]["stamp"] == "1795895973964680701"  # no digit is lost
        ranges = Ranges(bearings_rad=PAIR, distances_m=PAIR, max_m=4.0)
        assert (await newest("rover/distances", ranges))["fields"]["bearings_rad"] == [0.0, 1.0]
        told = await newest("rover/picture", picture(bench, 1))
        assert told["fields"]["data"] == "uint8[120, 160, 3]"
        assert bench.node.peek.topics == ["rover/reading", "rover/distances", "rover/picture"]

        def heard() -> list[str]:
            ends = bench.bus.stats(bench.node.clock.now_ns())
            return [
                end.topic for end in ends if end.role == "sub" and end.topic == "rover/distances"
            ]

        assert heard()
        async with asyncio.timeout(DEADLINE_S):
            while heard():  # nobody looks any more
                await asyncio.sleep(0.1)
        assert not bench.node.peek.topics


async def test_what_can_t_be_looked_at_is_refused_with_a_reason(tmp_path: Path) -> None:
    with open_door(tmp_path / "ipc.sock"):
        bus = Bus(SystemClock(), host="bench", door=tmp_path / "ipc.sock")
        async with viewing(bus=bus) as bench, open_page(bench) as page, client(bench, page) as http:

            async def refusal(topic: str) -> str:
                answer = await http.post("/api/newest", json={"topic": topic})
                assert answer.status_code == 409
                text: str = answer.json()["text"]
                return text

            assert "did you mean 'rover/command'" in await refusal("rover/comand")
            assert "without '*'" in await refusal("rover/*")
            for number in range(16):
                topic = f"rover/many{number}"
                await bench.send(topic, Reading(name="x", value=1.0, unit="1"))
                assert (await http.post("/api/newest", json={"topic": topic})).is_success
            assert "close one first" in await refusal("rover/command")


@pytest.mark.parametrize("path", ["reset", "say", "params", "param", "newest"])
async def test_without_the_pages_token_nothing_but_a_stop_is_done(path: str) -> None:
    async with viewing() as bench, client(bench) as http:
        answer = await http.post(f"/api/{path}", json={"text": "patrol"})
        assert answer.status_code == 403
        assert "reload" in answer.json()["text"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"text": 3}', b'{"text": "x", "y": 1}', b"x" * 99_999]
)
async def test_nonsense_is_refused_by_name(body: bytes) -> None:
    async with viewing() as bench, open_page(bench) as page, client(bench, page) as http:
        assert (await http.post("/api/say", content=body)).status_code == 422
