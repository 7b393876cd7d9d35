"""A process dies: the robot stops, and the world outside hears of it, cause and time."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from tests.nodes.test_alerts import Page

from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
PATROL = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"


async def test_a_killed_process_stops_the_robot_and_is_posted() -> None:
    words = ["viewer_port:=0", "planner:=false", "record:=false", "alerts:=true"]
    with tempfile.TemporaryDirectory(prefix="al") as folder, Page("200") as page:
        words.append(f"alerts.webhook:={{url: '{page.url}'}}")
        with Launched(PATROL, *words, root=Path(folder), go=True) as robot:
            await asyncio.to_thread(robot.until_active)
            async with asyncio.timeout(30):
                while not robot.safety.status().is_permitted:
                    await asyncio.sleep(0.05)
            killed_ns = time.time_ns()
            os.kill(robot.pids()["perception"], signal.SIGKILL)
            came = await page.next(30)
            while not came["body"]["cause"].startswith("heartbeat perception"):
                came = await page.next(30)  # a false trip of a busy machine came first
            assert not robot.safety.status().is_permitted
    body = came["body"]
    assert "has ended" in body["cause"] or "is stopped" in body["cause"], body
    assert (body["event"], body["state"]) == ("trip", "TRIPPED")
    assert killed_ns <= body["stamp_ns"] <= came["at_ns"]
