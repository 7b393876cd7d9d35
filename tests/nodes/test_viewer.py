"""What the viewer's page shows, and who gets no line to it."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time

import numpy as np
import pytest
import websockets
from tests.nodes.viewer_page import DEADLINE_S, client, open_page, picture, viewing

from olympus.nodes.viewer import Viewer
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import (
    AudioChunk,
    Detection,
    Detections,
    Header,
    HostStats,
    Log,
    NodeStats,
    Reading,
    TopicStats,
)
from olympus.runtime.node.testing import Bench, running


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
            assert camera.longest_s < 2.0, "one that waits for the stalled page waits for ever"
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
