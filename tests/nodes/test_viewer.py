from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from olympus.nodes.viewer import Viewer
from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import (
    Ack,
    AudioChunk,
    Command,
    Detection,
    Detections,
    Header,
    HostStats,
    Image,
    Log,
    Message,
    NodeStats,
    Ranges,
    Reading,
    Sentence,
    TopicStats,
)
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from watched import guarded, session_in

DEADLINE_S = 10.0
PAIR = np.array([0.0, 1.0], np.float32)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return session_in(tmp_path)


@pytest.fixture
def guardian(session: Session) -> Iterator[SafetyClient]:
    with guarded(session) as client:
        yield client


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
    return httpx.AsyncClient(base_url=bench.node.url, headers=headers)


def picture(bench: Bench[Viewer], number: int) -> Image:
    header = Header(stamp=bench.node.clock.now_ns())
    return Image(header=header, data=np.full((120, 160, 3), number, np.uint8))


async def test_the_page_and_all_it_needs_come_from_the_installation() -> None:
    async with viewing() as bench, client(bench) as http:
        page = await http.get("/")
        assert page.status_code == 200
        assert "{{token}}" not in page.text
        assert "http://" not in page.text and "https://" not in page.text
        for path in ("/page/style.css", "/page/js/main.js", "/page/fonts/inter.woff2"):
            assert (await http.get(path)).status_code == 200
        assert (await http.get("/page/../node.py")).status_code == 404
        assert (await http.get("/healthz")).json() == {"ok": True, "clients": 0, "refused": 0}


async def test_the_address_is_left_in_the_run_folder_and_taken_away_at_the_end(
    session: Session,
) -> None:
    async with viewing(session) as bench:
        assert (session.run_dir / "viewer.url").read_text() == bench.node.url + "\n"
    assert not (session.run_dir / "viewer.url").exists()


async def test_a_taken_port_is_an_error_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=r"take another port: viewer.port:="):
            async with viewing(port=port):
                pass


async def test_a_foreign_address_is_an_error_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match=r"set its param 'host'"):
        async with viewing(host="192.0.2.1"):
            pass


async def test_a_page_sees_readings_logs_and_sound() -> None:
    async with viewing() as bench, open_page(bench) as page:
        await page.until(lambda p: "session" in p.values or "nodes" in p.values)
        stamp = bench.node.clock.now_ns()
        reading = Reading(header=Header(stamp=stamp), name="hall/t", value=21.5, unit="Cel")
        await bench.send("rover/iot/readings", reading)
        await bench.send(
            "@olympus/log", Log(level="warning", logger="rover/iot", text="broker slow")
        )
        loud = AudioChunk(header=Header(stamp=stamp), samples=np.full(1600, 8000, np.int16))
        await bench.send("rover/microphone/audio", loud)
        await page.until(lambda p: {"points", "logs", "levels"} <= p.streams.keys())
        assert page.streams["points"][-1][0::2] == ["hall/t", 21.5]
        assert page.streams["logs"][-1]["text"] == "broker slow"
        assert page.streams["levels"][-1][1] == pytest.approx(-12.2, abs=0.1)


async def test_a_page_that_comes_later_gets_what_happened_before() -> None:
    async with viewing() as bench:
        await bench.send("@olympus/log", Log(level="info", logger="x", text="earlier"))
        async with open_page(bench) as page:
            await page.until(
                lambda p: any(line["text"] == "earlier" for line in p.streams.get("logs", []))
            )


async def test_a_picture_comes_with_the_boxes_of_its_own_frame() -> None:
    async with viewing() as bench, open_page(bench) as page:
        frame = picture(bench, 100)
        box = Detection(label="person", confidence=0.9, x=0.1, y=0.2, w=0.3, h=0.4)
        found = Detections(header=Header(stamp=frame.header.stamp), items=(box,))
        while not page.pictures:
            await bench.send("rover/camera/image", frame)
            await bench.send("rover/detections", found)
            await page.until(lambda p: p.pictures or "nodes" in p.values)
            page.values.pop("nodes", None)
        head, jpeg = page.pictures[-1]
        assert jpeg[:2] == b"\xff\xd8"
        assert (head["width"], head["height"]) == (160, 120)
        assert head["boxes"] == [["person", 0.9, 0.1, 0.2, 0.3, 0.4]]


async def test_nobody_watches_so_no_picture_is_listened_to() -> None:
    def listens(bench: Bench[Viewer]) -> bool:
        ends = bench.bus.stats(bench.node.clock.now_ns())
        return any(e.topic == "rover/camera/image" and e.role == "sub" for e in ends)

    async with viewing() as bench:
        assert not listens(bench)
        async with open_page(bench) as page:
            await page.until(lambda _: listens(bench))
        async with asyncio.timeout(DEADLINE_S):
            while listens(bench):
                await asyncio.sleep(0.02)


async def test_topics_and_nodes_come_from_the_hosts_and_so_do_the_metrics() -> None:
    end = TopicStats(
        topic="rover/camera/image",
        type="olympus/Image",
        role="pub",
        node="rover/camera",
        count=15,
        rate_hz=15.0,
        bytes_per_s=864_000.0,
        age_p50_ms=0.0,
        age_p99_ms=0.0,
        dropped={},
    )
    stats = HostStats(
        host="sensors",
        pid=7,
        cpu=0.1,
        rss_mb=50.0,
        threads=4,
        uptime_s=1.0,
        restarts=2,
        loop_lag_ms=0.5,
        nodes=(NodeStats(name="rover/camera", uses="x", state="active", errors=0),),
        topics=(end,),
    )
    async with viewing() as bench, open_page(bench) as page, client(bench) as http:
        await bench.send("@olympus/stats/sensors", stats)
        await page.until(lambda p: p.values.get("topics") and p.streams.get("rates"))
        assert page.values["topics"][0]["rate"] == 15.0
        assert page.values["nodes"][0]["restarts"] == 2
        metrics = await http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'olympus_host_restarts_total{host="sensors"} 2\n' in metrics.text


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


async def test_a_foreign_page_gets_no_line_to_a_live_viewer() -> None:
    async with viewing() as bench:
        url = bench.node.url.replace("http", "ws") + "ws"
        for origin in ("http://evil.example", "null", "http://[", bench.node.url[:-2]):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
        assert not bench.node.audience.clients


async def test_a_browser_that_never_reads_harms_nobody() -> None:
    """It takes the line and nothing from it; publishing and the other page go on as before."""
    async with viewing() as bench:
        stalled, camera = never_reading(bench), Filming(bench)
        async with open_page(bench) as page:
            await page.until(lambda p: len(p.pictures) >= 60)
            assert camera.longest_s < 0.2
            dropped = [c.pictures_dropped for c in bench.node.audience.clients]
            assert max(dropped) >= 50, "the stalled one took none of them"
        camera.cut()
        stalled.close()


def never_reading(bench: Bench[Viewer]) -> socket.socket:
    """Open a web socket and take nothing from it, not even the answer to the handshake."""
    host, port = bench.node.url[7:-1].split(":")
    line = socket.create_connection((host, int(port)))
    line.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return line


class Filming:
    """A camera that publishes 50 pictures a second with what is seen in them."""

    def __init__(self, bench: Bench[Viewer]) -> None:
        self.longest_s = 0.0
        """The slowest publication so far."""
        self._bench = bench
        self._task = asyncio.create_task(self._film())

    async def _film(self) -> None:
        for number in itertools.count():
            frame = picture(self._bench, number % 200)
            began = time.perf_counter()
            await self._bench.send("rover/camera/image", frame)
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            seen = Detections(header=Header(stamp=frame.header.stamp), items=())
            await self._bench.send("rover/detections", seen)
            await asyncio.sleep(0.02)

    def cut(self) -> None:
        self._task.cancel()


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


async def test_another_sites_page_gets_no_line() -> None:
    async with viewing() as bench:
        url = bench.node.url.replace("http", "ws") + "ws"
        with pytest.raises(websockets.InvalidStatus, match="403"):
            async with websockets.connect(url, origin="http://evil.example"):  # type: ignore[arg-type]
                pass


async def test_one_page_too_many_is_turned_away() -> None:
    async with viewing(clients=1) as bench, open_page(bench):
        with pytest.raises((websockets.InvalidStatus, websockets.ConnectionClosed)):
            async with open_page(bench):
                pass


async def test_a_page_that_talks_nonsense_loses_its_line_alone() -> None:
    async with viewing() as bench, open_page(bench) as good:
        url = bench.node.url.replace("http", "ws") + "ws"
        async with websockets.connect(url) as bad:
            await bad.send("{nonsense")
            with pytest.raises(websockets.ConnectionClosed):
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        await bad.recv()
        await good.until(lambda p: p.streams.get("rates"))


@pytest.mark.parametrize(("host", "warnings"), [("127.0.0.1", 0), ("0.0.0.0", 1)])
async def test_a_page_that_others_can_reach_is_warned_of(
    host: str, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Viewer, params={"port": 0, "host": host}):
        pass
    assert caplog.text.count("the page knows no users") == warnings
