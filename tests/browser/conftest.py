"""The page in a real browser, and what a small rover publishes to it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright, expect

from olympus.nodes.viewer import Viewer
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Detection,
    Detections,
    Header,
    HostStats,
    Image,
    Log,
    Message,
    NodeStats,
    Reading,
    TopicStats,
)
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from watched import CHROMIUM, FLAGS, guarded, session_in

FRAME_S = 1 / 15


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return session_in(tmp_path)


@pytest.fixture
def guardian(session: Session) -> Iterator[SafetyClient]:
    with guarded(session) as client:
        yield client


class Rover:
    """Publishes what a small rover would, at 15 Hz, until it is told to be quiet."""

    def __init__(self, bench: Bench[Viewer], session: Session) -> None:
        self.bench = bench
        self.frames = 0
        self.camera_pid = 100
        self.is_camera_away = False
        self.cameras: tuple[str, ...] = ("rover/camera/image",)
        self._hearts = HeartbeatWriter(session.safety_dir, "control")
        self.requests: list[str] = []

    async def drive(self) -> None:
        """Publish for ever."""
        due = asyncio.get_running_loop().time()
        while True:
            self._hearts.beat()
            await self._see()
            if self.frames % 5 == 0:
                await self._measure()
            if self.frames % 15 == 0:
                await self._report()
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    def header(self) -> Header:
        return Header(stamp=self.bench.node.clock.now_ns())

    async def send(self, topic: str, message: Message) -> None:
        await self.bench.send(topic, message)

    async def _see(self) -> None:
        self.frames += 1
        header = self.header()
        data = np.full((120, 160, 3), (self.frames * 5) % 200, np.uint8)
        await self.send("rover/camera/image", Image(header=header, data=data))
        person = Detection(label="person", confidence=0.9, x=0.3, y=0.2, w=0.2, h=0.6)
        await self.send("rover/detections", Detections(header=header, items=(person,)))

    async def _measure(self) -> None:
        for name, value in (("hall/temperature", 21.5), ("hall/smoke", 3.0)):
            unit = "Cel" if "temp" in name else "%"
            reading = Reading(header=self.header(), name=name, value=value, unit=unit)
            await self.send("rover/iot/readings", reading)

    async def _report(self) -> None:
        if not self.is_camera_away:
            await self.send("@olympus/stats/sensors", self._stats())
        level = ("debug", "info", "warning", "error")[self.frames // 15 % 4]
        line = Log(header=self.header(), level=level, logger="rover/iot", text=f"a {level} line")
        await self.send("@olympus/log", line)

    def _stats(self) -> HostStats:
        end = TopicStats(
            topic="rover/camera/image",
            type="olympus/Image",
            role="pub",
            node="rover/camera",
            count=self.frames,
            rate_hz=15.0,
            bytes_per_s=864_000.0,
            age_p50_ms=0.0,
            age_p99_ms=0.0,
            dropped={"superseded": 3},
        )
        return HostStats(
            host="sensors",
            pid=self.camera_pid,
            cpu=0.12,
            rss_mb=51.0,
            threads=4,
            uptime_s=1.0,
            restarts=0,
            loop_lag_ms=0.5,
            nodes=(NodeStats(name="rover/camera", uses="x", state="active", errors=0),),
            topics=tuple(replace(end, topic=topic) for topic in self.cameras),
        )


@asynccontextmanager
async def browsing(
    session: Session,
    *,
    width: int = 1280,
    height: int = 900,
    port: int = 0,
    errors: list[str] | None = None,
) -> AsyncIterator[tuple[Page, Rover]]:
    """Run viewer, rover and browser; fail on a script error or a request that leaves the host."""
    errors = [] if errors is None else errors
    async with running(
        Viewer, params={"port": port}, name="viewer", namespace="rover", session=session
    ) as bench:
        rover = Rover(bench, session)
        driving = asyncio.create_task(rover.drive())
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = await browser.new_page(viewport={"width": width, "height": height})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: rover.requests.append(request.url))
            await page.goto(bench.node.url)
            await expect(page.locator("html")).to_have_attribute("data-link", "live")
            yield page, rover
            await browser.close()
        driving.cancel()
    assert errors == []
    assert bench.crashes == []


async def permit(page: Page) -> None:
    """Hold the reset until it acts."""
    button = page.locator("#reset")
    await button.hover()
    await page.mouse.down()
    await expect(page.locator("#top")).to_have_attribute("data-state", "permitted")
    await page.mouse.up()
