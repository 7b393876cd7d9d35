"""What arrived at a running scheduler is told to the simulated one: the same trace, every time."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import Dispatcher, JobDroppedError, ResourceRules
from olympus.runtime.scheduler.rules import LaneRules, Overload
from olympus.runtime.scheduler.simulation import Arrival, simulate
from olympus.runtime.scheduler.trace import Event, read_trace

LANES = {
    Tier.NORMAL: LaneRules(length=2, overload=Overload.LATEST),
    Tier.LOW: LaneRules(length=2, overload=Overload.DROP_OLDEST),
}
RULES = ResourceRules(lanes=LANES)
MS = 1_000_000
AGAIN = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_recorded_arrivals import RULES, arrivals, simulate
row = arrivals(json.load(sys.stdin))
print(*{{simulate(RULES, row).digest for _ in range(20)}})
"""


async def record(folder: Path) -> None:
    """Offer a real dispatcher more than it can do, from three sources."""
    clock = SystemClock()
    dispatcher = Dispatcher(clock, resources=[RULES], trace_dir=folder)

    async def offer(tier: Tier, source: str, period_s: float, takes_s: float) -> None:
        async def one() -> None:
            try:
                await dispatcher.run(
                    lambda: time.sleep(takes_s),
                    tier=tier,
                    deadline_ns=clock.now_ns() + 60 * MS,
                    source=source,
                )
            except JobDroppedError:
                return

        async with asyncio.TaskGroup() as jobs:
            for _ in range(40):
                jobs.create_task(one())
                await asyncio.sleep(period_s)

    async with asyncio.TaskGroup() as sources:
        sources.create_task(offer(Tier.CRITICAL, "detector", 0.010, 0.002))
        sources.create_task(offer(Tier.NORMAL, "listener", 0.008, 0.003))
        sources.create_task(offer(Tier.LOW, "planner", 0.009, 0.009))
    dispatcher.close()


def recorded(file: Path) -> list[Arrival]:
    """Read when jobs came and how long those took that ran; 1 ms for those that did not."""
    recording = read_trace(file)
    began = {r.job: r.time_ns for r in recording.records if r.event is Event.STARTED}
    ended = {r.job: r.time_ns for r in recording.records if r.event in (Event.DONE, Event.LATE)}
    took = {job: max(1, ended[job] - at) for job, at in began.items() if job in ended}
    return [
        Arrival(
            time_ns=record.time_ns - recording.start_ns,
            tier=record.arrival.tier,
            pieces_ns=(took.get(record.job, MS),),
            deadline_ns=record.arrival.deadline_ns - recording.start_ns,
            source=record.arrival.source,
        )
        for record in recording.records
        if record.arrival is not None
    ]


def arrivals(rows: list[dict[str, object]]) -> list[Arrival]:
    """Read what another process wrote as JSON."""
    return [
        Arrival(**{**row, "tier": Tier(row["tier"]), "pieces_ns": tuple(row["pieces_ns"])})  # type: ignore[arg-type]
        for row in rows
    ]


@contextmanager
def loaded() -> Iterator[None]:
    hogs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


async def test_recorded_arrivals_give_the_same_trace_in_100_runs_2_processes_and_under_load(
    tmp_path: Path,
) -> None:
    await record(tmp_path)
    row = recorded(next(tmp_path.glob("*.trace")))
    assert len(row) == 120
    text = json.dumps([asdict(one) for one in row])
    first = simulate(RULES, row)
    assert {fate.end.value for fate in first.fates} > {"done"}  # some were shed
    with loaded():
        others = [
            subprocess.run(
                [sys.executable, "-c", AGAIN],
                input=text,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout.split()
            for _ in range(2)
        ]
        here = {simulate(RULES, row).digest for _ in range(60)}
    assert others == [[first.digest]] * 2
    assert here == {first.digest}
