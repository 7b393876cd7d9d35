"""The page in a real browser, against a real viewer node and a real guardian process."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.async_api import expect
from tests.browser.conftest import browsing, permit
from tests.ports import claimed_port

from olympus.runtime.bus import PublisherOptions
from olympus.runtime.config import Session
from olympus.runtime.messages import (
    Diagnostic,
    Image,
    Log,
    Odometry,
)
from olympus.runtime.node import Transition
from olympus.runtime.safety.client import SafetyClient
from watched import needs_chromium

pytestmark = [
    pytest.mark.browser,
    needs_chromium,
]


async def test_the_page_shows_topics_nodes_picture_readings_and_log(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        row = page.locator('tr[data-topic="rover/camera/image"]')
        await expect(row).to_contain_text("15.0 Hz")
        await expect(row).to_contain_text("864 kB/s")
        await expect(row.locator("td").last).to_have_attribute("title", "3 superseded")
        await row.click()
        await expect(page.locator("tr.ends:visible")).to_contain_text("rover/camera")

        node = page.locator('[data-node="rover/camera"]')
        await expect(node).to_have_attribute("data-state", "active")
        await expect(page.locator('[data-host="sensors"]')).to_contain_text("51 MB")

        picture = page.locator("#picture")
        await expect(picture).to_have_attribute("data-boxes", "1")
        await expect(page.locator("#boxes")).to_contain_text("person 90 %")
        await expect(page.locator("#camera-age")).to_contain_text("old")
        before = await picture.get_attribute("data-seq")
        await expect(picture).not_to_have_attribute("data-seq", before or "")

        await expect(page.locator('[data-series="hall/temperature"]')).to_contain_text("21.5 °C")
        await expect(page.locator("#logs")).to_contain_text("a warning line")
        assert {urlsplit(url).hostname for url in rover.requests} == {"127.0.0.1"}


async def test_plots_can_be_paused_and_a_series_hidden(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, _):
        lane = page.locator('canvas[data-unit="Cel"]')
        await expect(lane).to_be_visible()
        pause = page.locator("#plot-pause")
        await pause.click()
        await expect(pause).to_have_attribute("aria-pressed", "true")
        frozen = await lane.evaluate("c => c.toDataURL()")
        await expect(page.locator("#picture")).not_to_have_attribute(
            "data-seq", await page.locator("#picture").get_attribute("data-seq") or ""
        )
        await page.wait_for_timeout(400)  # three redraws, if it did redraw
        assert await lane.evaluate("c => c.toDataURL()") == frozen
        await pause.click()
        await page.wait_for_function(
            "was => document.querySelector('canvas[data-unit=Cel]').toDataURL() !== was", arg=frozen
        )
        await page.locator('[data-series="hall/smoke"]').click()
        await expect(page.locator('canvas[data-unit="%"]')).to_have_count(0)


async def test_the_log_is_filtered_by_level_and_by_text(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        logs = page.locator("#logs li")
        await rover.send("@olympus/log", Log(level="debug", logger="x", text="deep down"))
        await rover.send("@olympus/log", Log(level="error", logger="x", text="broker is lost"))
        await expect(page.locator("#logs")).to_contain_text("broker is lost")
        await expect(page.locator("#logs")).not_to_contain_text("deep down")
        await page.get_by_role("button", name="Debug").click()
        await expect(page.locator("#logs")).to_contain_text("deep down")
        await page.get_by_role("button", name="Error").click()
        await expect(page.locator('#logs li:not([data-level="error"])')).to_have_count(0)
        await page.get_by_label("Filter log").fill("BROKER")
        await expect(logs).to_have_count(1)


async def test_stop_reaches_the_guardian_and_reset_must_be_held(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, _):
        top = page.locator("#top")
        await expect(top).to_have_attribute("data-state", "stopped")
        await page.locator("#reset").click()  # a mere click
        await page.wait_for_timeout(300)
        assert not (await asyncio.to_thread(guardian.status)).is_permitted
        await permit(page)
        assert (await asyncio.to_thread(guardian.status)).is_permitted

        await page.locator("#stop").click()
        await expect(top).to_have_attribute("data-state", "tripped")
        status = await asyncio.to_thread(guardian.status)
        assert not status.is_permitted
        assert status.cause == "stop button"
        await expect(page.locator("#latch-why")).to_contain_text("stop button · by operator")
        await expect(page.locator("#outcome")).to_contain_text("Stop ")


@pytest.mark.parametrize(("key", "cause"), [("Escape", "key Esc"), ("Space", "key Space")])
async def test_a_key_stops_but_not_out_of_a_text_field(
    session: Session, guardian: SafetyClient, key: str, cause: str
) -> None:
    async with browsing(session) as (page, _):
        await permit(page)
        await page.locator("#sentence").focus()
        await page.keyboard.press(key)
        await page.wait_for_timeout(200)
        assert (await asyncio.to_thread(guardian.status)).is_permitted
        await page.locator("#plot-pause").focus()
        await page.keyboard.press(key)
        await expect(page.locator("#top")).to_have_attribute("data-state", "tripped")
        assert (await asyncio.to_thread(guardian.status)).cause == cause
        await expect(page.locator("#plot-pause")).to_have_attribute("aria-pressed", "false")


async def test_a_host_that_was_away_leaves_a_visible_gap(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        node = page.locator('[data-node="rover/camera"]')
        await expect(node).to_have_attribute("data-state", "active")
        rover.is_camera_away = True
        await expect(node).to_have_attribute("data-state", "away")
        await expect(page.locator('tr[data-topic="rover/camera/image"]')).to_contain_text("away")
        rover.is_camera_away, rover.camera_pid = False, 101
        await expect(node).to_have_attribute("data-state", "active")
        await expect(node).to_contain_text("gap")
        await expect(page.locator('[data-host="sensors"] .presence i')).to_have_count(1)
        await expect(page.locator('[data-host="sensors"]')).to_contain_text("↻ 1")


async def test_a_sentence_is_sent_and_answered(session: Session, guardian: SafetyClient) -> None:
    async with browsing(session) as (page, rover):
        await page.locator("#sentence").fill("patrol the corridor")
        await page.keyboard.press("Enter")
        await expect(page.locator("#answer")).not_to_be_empty()
        command = await rover.bench.receive("rover/command")
        assert getattr(command, "text", "") == "patrol the corridor"


async def test_a_lost_line_is_said_plainly_and_mends_itself(
    session: Session, guardian: SafetyClient
) -> None:
    with claimed_port() as port:
        await lose_the_line(session, port)


async def lose_the_line(session: Session, port: int) -> None:
    async with browsing(session, port=port) as (page, rover):
        root, runner = page.locator("html"), rover.bench.runner
        await expect(page.locator("#picture")).to_have_attribute("data-boxes", "1")
        await runner.change(Transition.DEACTIVATE)
        await expect(root).to_have_attribute("data-link", "lost")
        await expect(page.locator("#lost")).to_contain_text("Connection lost")
        await expect(page.locator("#picture-note")).to_contain_text("Last picture")
        await expect(page.locator("#reset")).to_be_hidden()
        await page.locator("#stop").click()
        await expect(page.locator("#outcome")).to_contain_text("NOT reached")
        await runner.change(Transition.ACTIVATE)
        await expect(root).to_have_attribute("data-link", "live")
        await expect(page.locator("#lost")).to_be_hidden()
        await expect(page.locator("#top")).to_have_attribute("data-state", "tripped")
        await permit(page)


async def test_at_phone_width_the_stop_stays_in_reach(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session, width=390, height=844) as (page, _):
        await page.mouse.wheel(0, 2000)
        box = await page.locator("#stop").bounding_box()
        assert box is not None
        assert box["height"] >= 60
        assert 0 <= box["y"] <= 844 - box["height"]
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "nothing hangs over the side"


async def test_at_phone_width_topics_of_one_last_word_can_be_told_apart(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session, width=390, height=844) as (page, _):
        row = page.locator('tr[data-topic="rover/camera/image"]')
        await expect(row.locator("td .dim")).to_be_visible()
        await expect(row.locator("td").first).to_have_text("rover/camera/image")


async def test_of_several_cameras_one_is_chosen(session: Session, guardian: SafetyClient) -> None:
    async with browsing(session) as (page, rover):
        choice = page.locator("#camera-choice")
        await expect(page.locator("#picture")).to_have_attribute("data-seq", re.compile(r"\d"))
        await expect(choice).to_be_hidden()
        rover.cameras = ("rover/camera/image", "rover/rear/image")
        await expect(choice).to_be_visible()
        await choice.select_option("rover/rear/image")
        async with asyncio.timeout(20):
            while "80\N{MULTIPLICATION SIGN}60" not in (
                await page.locator("#camera-source").text_content() or ""
            ):
                rear = Image(header=rover.header(), data=np.zeros((60, 80, 3), np.uint8))
                await rover.send("rover/rear/image", rear)
                await asyncio.sleep(0.1)
        assert rover.bench.node.params.camera == "/rover/rear/image"
        await expect(choice).to_have_value("rover/rear/image")


async def test_a_topic_s_messages_are_shown_and_a_number_in_them_is_plotted(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        row = page.locator('tr[data-topic="rover/camera/image"]')
        await row.click()
        message = page.locator("tr.ends:visible .message")
        await expect(message).to_contain_text("olympus/Image · captured")
        await expect(message.locator('[data-field="data"]')).to_contain_text("uint8[120, 160, 3]")
        number = message.locator('[data-plot="header.seq"]')
        before = await number.inner_text()
        await expect(number).not_to_have_text(before)
        await number.click()
        await expect(number).to_have_attribute("aria-pressed", "true")
        legend = page.locator('[data-series="rover/camera/image:header.seq"]')
        await expect(legend).to_be_visible()
        await number.click()
        await expect(legend).to_have_count(0)
        await row.click()
        async with asyncio.timeout(15):
            while rover.bench.node.peek.topics:
                await asyncio.sleep(0.1)


async def test_a_part_that_is_not_well_is_named_below_its_node(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        part = page.locator('.part[data-level="stale"]')
        await expect(page.locator('[data-node="rover/camera"]')).to_be_visible()
        options = PublisherOptions(node="rover/camera")
        health = rover.bench.bus.publisher("rover/diagnostics", Diagnostic, options)
        for level in ("stale", "ok"):
            health.publish(Diagnostic(level=level, name="camera/device", text="it is dark"))
            await expect(part).to_have_count(1 if level == "stale" else 0)
        await page.locator('[data-node="rover/camera"]').click()
        await expect(page.locator('.part[data-level="ok"]')).to_contain_text("it is dark")


async def test_the_graph_shows_who_tells_whom(session: Session, guardian: SafetyClient) -> None:
    async with browsing(session) as (page, _):
        await expect(page.locator('tr[data-topic="rover/camera/image"]')).to_be_visible()
        await page.get_by_role("button", name="Graph").click()
        graph = page.locator("#graph")
        await expect(graph.locator('[data-box="n:rover/camera"]')).to_be_visible()
        line = graph.locator('path[data-from="n:rover/camera"][data-to="t:rover/camera/image"]')
        await expect(line).to_have_count(1)
        await graph.locator('[data-box="t:rover/camera/image"]').click()
        await expect(page.locator("tr.ends:visible .message")).to_contain_text("olympus/Image")


async def test_a_panel_that_fails_stops_no_other_and_says_so(
    session: Session, guardian: SafetyClient
) -> None:
    errors: list[str] = []
    async with browsing(session, errors=errors) as (page, _):
        await page.evaluate("document.getElementById('map').getContext = null")
        await expect(page.locator("#logs")).to_contain_text("this page")
        assert errors
        await expect(page.locator("#level")).to_contain_text("no microphone yet")
        picture = page.locator("#picture")
        before = await picture.get_attribute("data-seq")
        await expect(picture).not_to_have_attribute("data-seq", before or "")
        await page.evaluate("delete document.getElementById('map').getContext")
        await page.wait_for_timeout(300)
        errors.clear()


async def test_a_place_that_is_no_number_is_said_on_the_map(
    session: Session, guardian: SafetyClient
) -> None:
    async with browsing(session) as (page, rover):
        nowhere = Odometry(x_m=math.nan, y_m=0, yaw_rad=0, linear_mps=0.1, angular_radps=0)
        await rover.send("rover/odometry", nowhere)
        await expect(page.locator("#pose")).to_be_empty()
        await page.wait_for_timeout(300)  # some turns of the page, none of which may fail
        await rover.send("rover/odometry", replace(nowhere, x_m=1.5))
        await expect(page.locator("#pose")).to_contain_text("1.5, 0.0 m")
