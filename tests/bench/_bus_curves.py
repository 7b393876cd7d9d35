"""What many topics and many subscribers cost, for bus.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from _bus_nodes import CROWDS, TOPICS, Times, Trial
from rich.table import Table

from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Empty
from olympus.runtime.telemetry.meters import quantile

LAUNCH = Path(__file__).with_name("_bus_curves.yaml")
AMONG_TOPICS = (1, 4, 16, TOPICS)
COUNT = 400
PATIENCE_S = 60.0
Curve = dict[int, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curves:
    """From `publish` to the call of the last handler: p50 and p99, us."""

    topics: Curve
    """By how many topics take turns."""
    subscribers: Curve
    """By how many hosts listen to one topic."""


async def measure_curves(root: Path) -> Curves:
    """Measure both, with sixteen hosts that listen."""
    with Launched(LAUNCH, root=root, name="curves") as robot:
        robot.until_active()
        async with robot.joined() as seat:
            for number in range(max(CROWDS)):
                await seat.bus.call(f"spoke{number}/ready", Empty(), Empty, timeout_s=PATIENCE_S)

            async def curve(name: str, steps: tuple[int, ...]) -> Curve:
                found = {}
                for among in steps:
                    for count in (COUNT // 10, COUNT):
                        trial = Trial(count=count, among=among)
                        times = await seat.bus.call(
                            f"hub/{name}", trial, Times, timeout_s=PATIENCE_S
                        )
                        await asyncio.sleep(0.1)
                    ordered = sorted(int(t) / 1e3 for t in times.ns)
                    found[among] = quantile(ordered, 0.5), quantile(ordered, 0.99)
                return found

            return Curves(await curve("topics", AMONG_TOPICS), await curve("crowd", CROWDS))


def curve_tables(curves: Curves) -> list[Table]:
    """Return the curves for a person."""
    made = []
    for title, curve in (("topics", curves.topics), ("subscribing hosts", curves.subscribers)):
        table = Table(title, "p50 us", "p99 us", title="from publish to the last handler, one way")
        for among, (p50, p99) in curve.items():
            table.add_row(str(among), f"{p50:.0f}", f"{p99:.0f}")
        made.append(table)
    return made
