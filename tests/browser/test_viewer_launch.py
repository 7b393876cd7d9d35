"""The page of a launched robot: a killed process and the gap it leaves, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.async_api import async_playwright, expect

from watched import CHROMIUM, FLAGS, needs_chromium

DRIVER = "from olympus.runtime.cli import main; main()"
READY_S = 30.0
EYES = """
name: eyes
namespace: rover
hosts:
  sensors: {{nodes: [camera], respawn: {{policy: always, delay_s: 0.2}}}}
  viewer: {{}}
nodes:
  camera: {{uses: olympus.nodes.camera, params: {{source: "{pictures}?loop=true"}}}}
  viewer: {{uses: olympus.nodes.viewer, params: {{port: 0}}}}
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    needs_chromium,
]


@pytest.fixture
def run_dir(short_path: Path) -> Iterator[Path]:
    """Launch a camera and a viewer; return the session's run folder."""
    pictures = short_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((120, 160, 3), 40 * number, np.uint8))
    (short_path / "eyes.yaml").write_text(EYES.format(pictures=pictures))
    launcher = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "launch", str(short_path / "eyes.yaml")],
        env={**os.environ, "XDG_RUNTIME_DIR": str(short_path)},
        stdin=subprocess.DEVNULL,
    )
    yield short_path / "olympus" / "eyes"
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(20) == 0


async def page_address(run_dir: Path) -> str:
    file = run_dir / "viewer.url"
    async with asyncio.timeout(READY_S):
        while not file.exists():
            await asyncio.sleep(0.05)
    return file.read_text().strip()


async def test_a_killed_host_is_back_and_its_gap_is_seen(run_dir: Path) -> None:
    url = await page_address(run_dir)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        await page.goto(url)
        node = page.locator('[data-node="rover/camera"]')
        picture = page.locator("#picture")
        await expect(node).to_have_attribute("data-state", "active", timeout=15_000)
        await expect(picture).to_have_attribute("data-seq", re.compile(r"\d+"), timeout=15_000)

        processes = json.loads((run_dir / "launch.json").read_text())["processes"]
        os.kill(processes["sensors"]["pid"], signal.SIGKILL)

        host = page.locator('[data-host="sensors"]')
        await expect(host).to_contain_text("↻ 1", timeout=15_000)
        await expect(node).to_have_attribute("data-state", "active")
        await expect(node).to_contain_text("gap")
        await expect(host.locator(".presence i")).to_have_count(1)
        await expect(page.locator("#picture-note")).to_be_empty()
        await expect(page.locator('[data-host="viewer"]')).to_have_attribute("data-away", "false")
        await browser.close()
