"""`olympus replay --viewer` in a real browser: play, pause, go anywhere, by hand and by key."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from recorded_drive import record
from watched import CHROMIUM, FLAGS, needs_chromium

expect.set_options(timeout=30_000)  # a busy machine draws late

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    needs_chromium,
]


@asynccontextmanager
async def replayed(store: Path, *words: str) -> AsyncIterator[Page]:
    """Show a recording, and open its page; the page may have no error."""
    olympus = str(Path(sys.executable).parent / "olympus")
    command = [olympus, "replay", str(store), "--viewer", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            url = next(word for word in line.split() if word.startswith("http")).rstrip(";")
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                page = await browser.new_page(viewport={"width": 1440, "height": 900})
                errors: list[str] = []
                page.on("pageerror", lambda error: errors.append(str(error)))
                await page.goto(url)
                yield page
                assert errors == []
                await browser.close()
        finally:
            process.terminate()


async def seek(page: Page, place: float) -> None:
    """Pull the bar's handle to a place."""
    await page.evaluate(
        """(place) => { const bar = document.getElementById("seek"); bar.value = place;
        bar.dispatchEvent(new Event("input", {bubbles: true})); }""",
        place,
    )


async def test_a_recording_is_played_paused_and_sought_forward_and_back(tmp_path: Path) -> None:
    store = record(tmp_path / "drive")
    async with replayed(store, "--from", "5") as page:
        await expect(page.locator("#link")).to_have_text("recording")
        await expect(page.locator("#stop")).to_be_hidden()
        await expect(page.locator("#say")).to_be_hidden()
        await expect(page.locator("#length")).to_have_text("1:00")
        await expect(page.locator("#marks i")).to_have_count(2)
        await expect(page.locator("#picture")).to_have_attribute("data-seq", re.compile(r"\d+"))
        await page.keyboard.press("Space")
        await expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")

        await seek(page, 40)
        await expect(page.locator("#place")).to_have_text("0:40.0")
        await expect(page.locator("#latch-state")).to_contain_text("Stopped")
        await expect(page.locator("#picture")).to_have_attribute("data-seq", "401")
        await expect(page.locator("#facts")).to_contain_text("home")
        await expect(page.locator("#picture")).to_have_attribute("data-boxes", "1")

        await seek(page, 10)
        await expect(page.locator("#latch-state")).to_contain_text("Motion permitted")
        await expect(page.locator("#picture")).to_have_attribute("data-seq", "101")
        await expect(page.locator("#facts")).to_contain_text("patrol")

        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#place")).to_have_text("0:15.0")
        await expect(page.locator("#picture")).to_have_attribute("data-seq", "151")
        await page.keyboard.press("End")
        await expect(page.locator("#place")).to_have_text("1:00.0")
        await page.keyboard.press("Home")
        await expect(page.locator("#place")).to_have_text("0:00.0")
        await expect(page.locator("#picture")).to_have_attribute("data-seq", "1")


async def test_where_nothing_is_recorded_yet_no_alarm_is_raised(tmp_path: Path) -> None:
    async with replayed(record(tmp_path / "drive", early_s=5)) as page:
        await page.locator("#play").click()
        await page.keyboard.press("Home")
        await expect(page.locator("#latch-state")).to_have_text("Not known yet")
        await expect(page.locator("#latch-why")).to_contain_text("nothing of the stop is recorded")


async def test_the_speed_is_chosen_and_the_end_is_kept(tmp_path: Path) -> None:
    async with replayed(record(tmp_path / "drive"), "--from", "50", "--speed", "2") as page:
        pressed = page.locator('#speed button[aria-pressed="true"]')
        await expect(pressed).to_have_text("2\u00d7")
        await page.get_by_role("button", name="8\u00d7").click()
        await expect(pressed).to_have_text("8\u00d7")
        await expect(page.locator("#place")).to_have_text("1:00.0")
        await expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")
        await page.locator("#play").click()
        await expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")


async def test_the_bar_is_pulled_by_hand_and_tells_when_and_what(tmp_path: Path) -> None:
    async with replayed(record(tmp_path / "drive")) as page:
        await page.locator("#play").click()
        for width in (1440, 390):
            await page.set_viewport_size({"width": width, "height": 844})
            box = await page.locator("#seek").bounding_box()
            assert box is not None
            assert box["width"] > width / 3
            for button in await page.locator("#speed button").all():
                at = await button.bounding_box()
                assert at is not None
                assert at["x"] + at["width"] <= width
            y = box["y"] + box["height"] / 2
            left, room = box["x"] + 8, box["width"] - 16
            await page.mouse.move(left, y)
            await page.mouse.down()
            await page.mouse.move(left + room / 4, y)
            await page.mouse.move(left + room / 2 + 1, y)  # where somebody pressed the stop
            await expect(page.locator("#spot b")).to_have_text("stopped: a test")
            await expect(page.locator("#spot small")).to_contain_text("0:30.0 \u00b7 ")
            await page.mouse.up()
            await expect(page.locator("#place")).to_have_text(re.compile(r"0:30\.[0-4]"))
            await page.mouse.move(left, y + 300)
            await expect(page.locator("#spot")).to_be_hidden()
            assert re.fullmatch(r"\d\d:\d\d:\d\d", await page.locator("#clock").inner_text())


async def test_one_goes_from_mark_to_mark_and_round_and_round(tmp_path: Path) -> None:
    async with replayed(record(tmp_path / "drive")) as page:
        await page.locator("#play").click()
        await page.keyboard.press("Home")
        for key, place in ((".", "0:20.0"), (".", "0:30.0"), (".", "0:30.0"), (",", "0:20.0")):
            await page.keyboard.press(key)
            await expect(page.locator("#place")).to_have_text(place)
        await page.locator("#after").click()
        await expect(page.locator("#place")).to_have_text("0:30.0")
        await page.locator("#before").click()
        await expect(page.locator("#place")).to_have_text("0:20.0")
        await page.locator("#loop").click()
        await expect(page.locator("#loop")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("button", name="8\u00d7").click()
        await page.keyboard.press("End")
        await page.keyboard.press("ArrowLeft")
        await page.locator("#play").click()
        await expect(page.locator("#place")).to_have_text(re.compile(r"0:[0-4]\d\.\d"))
        await expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")


async def test_the_page_is_light_or_dark_as_the_browser_prefers(tmp_path: Path) -> None:
    painted = 'async () => (await import("/page/js/dom.js")).colour("text")'
    async with replayed(record(tmp_path / "drive")) as page:
        for scheme, ground, ink in (
            ("light", "rgb(241, 243, 246)", "#18202a"),
            ("dark", "rgb(12, 15, 19)", "#dde4ec"),
            ("light", "rgb(241, 243, 246)", "#18202a"),
        ):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await expect(page.locator("body")).to_have_css("background-color", ground)
            async with asyncio.timeout(30):
                while await page.evaluate(painted) != ink:
                    await asyncio.sleep(0.05)
