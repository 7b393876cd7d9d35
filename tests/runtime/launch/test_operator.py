"""What the launch terminal tells about the guardian."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

from olympus.runtime.launch.operator import BY, Operator
from olympus.runtime.launch.report import Report
from olympus.runtime.safety.events import FILE


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
    append(file, event="permit", by="anna")
    async with asyncio.timeout(10):
        while "anna" not in stream.getvalue():
            await asyncio.sleep(0.02)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert stream.getvalue().splitlines() == [
        "warning: motion stopped: heard a shout (by rover/navigator); "
        "permit it again with: olympus reset",
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
