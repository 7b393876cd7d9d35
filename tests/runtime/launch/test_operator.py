"""What the launch terminal tells about the guardian."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.launch.operator import BY, Operator
from olympus.runtime.launch.report import Report
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.events import FILE
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.settings import Settings


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A safety directory whose guardian waits for the heartbeat of a launcher."""
    with tempfile.TemporaryDirectory(prefix="o-") as directory:  # short: a socket goes in
        where = Path(directory) / "safety"
        started = spawn.start(Settings(dir=where, watch={"launcher": 1.0}))
        yield where
        started.process.terminate()
        started.process.wait(10)


def append(file: Path, **event: str) -> None:
    with file.open("a") as stream:
        stream.write(json.dumps(event) + "\n")


async def test_a_stop_from_elsewhere_is_told_with_its_cause_and_the_way_out(
    tmp_path: Path,
) -> None:
    stream, file = io.StringIO(), tmp_path / FILE
    append(file, event="trip", cause="of an earlier launch", by="somebody")
    watch = asyncio.create_task(Operator(tmp_path, Report(stream)).watch())
    await asyncio.sleep(0)  # it notes what is old
    append(file, event="permit", by=BY)
    append(file, event="trip", cause="heard a shout", by="rover/navigator")
    append(file, event="socket remade")
    append(file, event="permit", by="anna")
    async with asyncio.timeout(10):
        while "anna" not in stream.getvalue():
            await asyncio.sleep(0.02)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert stream.getvalue().splitlines() == [
        "warning: motion stopped: heard a shout (by rover/navigator); "
        "permit it again with: olympus reset",
        "warning: the guardian's socket was deleted; it is bound again",
        "motion permitted (by anna)",
    ]


async def test_a_damaged_line_does_not_end_the_watch(tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / FILE
    watch = asyncio.create_task(Operator(tmp_path, Report(stream)).watch())
    await asyncio.sleep(0)
    file.write_text("{half a li\n")
    async with asyncio.timeout(10):
        while "anna" not in stream.getvalue():
            append(file, event="permit", by="anna")
            await asyncio.sleep(0.05)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_motion_is_permitted_once_the_last_heartbeat_is_there(guarded: Path) -> None:
    stream = io.StringIO()
    permit = asyncio.create_task(Operator(guarded, Report(stream)).permit_once_clear(30.0))
    await asyncio.sleep(0.2)
    assert not permit.done(), stream.getvalue()
    beats = HeartbeatWriter(guarded, "launcher")
    async with asyncio.timeout(30):
        while not permit.done():
            beats.beat()
            await asyncio.sleep(0.01)
    beats.close()
    assert SafetyClient(guarded).status().epoch == 1, stream.getvalue()


async def test_a_kill_is_told_with_its_own_way_out(guarded: Path) -> None:
    stream = io.StringIO()
    watch = asyncio.create_task(Operator(guarded, Report(stream)).watch())
    await asyncio.sleep(0)  # it notes what is old
    await asyncio.to_thread(SafetyClient(guarded).kill, "smoke", "anna")
    async with asyncio.timeout(10):
        while "smoke" not in stream.getvalue():
            await asyncio.sleep(0.02)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert stream.getvalue() == (
        "warning: motion killed: smoke (by anna); only `olympus reset` at a terminal of this "
        "computer, or the board, lifts that\n"
    )


async def test_what_still_stands_against_motion_is_said_in_the_end(guarded: Path) -> None:
    stream = io.StringIO()
    assert not await Operator(guarded, Report(stream)).permit_once_clear(0.2)
    assert "heartbeat launcher: never seen" in stream.getvalue()
