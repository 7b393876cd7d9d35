"""What it is worth to fork the hosts of a launch instead of starting an interpreter for each.

    ./run bench hosts
    ./run bench hosts --rounds 8 --json

The patrol is launched in both ways in turn: time until all is active, memory (each page divided by
how many share it), time from SIGKILL until a host is ready again. Then two hosts send each other
64 B, in both ways in turn, held on one core and free to run on any.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from _bus_nodes import Times, Trial
from _machine import described

from olympus.runtime.launch.testing import Launched

PATROL = Path(__file__).parents[2] / "launch" / "patrol.yaml"
BUS = Path(__file__).with_name("_bus.yaml")
WAYS = {"forked": True, "a new interpreter each": False}
OTHERS = ("launcher", "guardian", "broker", "nursery")
SETTLE_S = 4.0
PATIENCE_S = 60.0
TURNS, TRIPS = 8, 1500
Found = dict[str, dict[str, list[float]]]


def written(file: Path, folder: Path, name: str, **settings: object) -> Path:
    """Write a launch file again, with settings for all of its hosts."""
    plan = yaml.safe_load(file.read_text())
    for host in plan["hosts"].values():
        host.update(settings)
    made = folder / f"{name}.yaml"
    made.write_text(yaml.safe_dump(plan, sort_keys=False))
    return made


def patrols(rounds: int, found: Found) -> None:
    """Launch the patrol again and again."""
    for _ in range(rounds):
        for way, is_forked in WAYS.items():
            with tempfile.TemporaryDirectory(prefix="oly") as folder:
                file = written(PATROL, Path(folder), "patrol", forked=is_forked)
                begun = time.monotonic()
                with Launched(file, "viewer_port:=0", root=Path(folder)) as robot:
                    robot.until_active()
                    found["all active, s"][way].append(time.monotonic() - begun)
                    time.sleep(SETTLE_S)
                    hurt(robot, way, found)


def hurt(robot: Launched, way: str, found: Found) -> None:
    """Weigh the hosts, then kill each of them once."""
    sizes = {name: shared_mb(pid) for name, pid in robot.pids().items()}
    hosts = [name for name in sizes if name not in OTHERS]
    found["PSS of all hosts, MB"][way].append(sum(sizes[name] for name in hosts))
    found["PSS of the nursery, MB"][way].append(sizes.get("nursery", 0.0))
    for name in hosts:
        begun = time.monotonic()
        os.kill(robot.ledger(name)["pid"], signal.SIGKILL)
        while (robot.ledger(name)["restarts"], robot.ledger(name)["state"]) != (1, "ready"):
            robot.check(f"{name} is back", begun + PATIENCE_S)
            time.sleep(0.01)
        found[f"{name} ready after SIGKILL, s"][way].append(time.monotonic() - begun)


def shared_mb(pid: int) -> float:
    """Return the memory of a process, a page that n processes share counted as 1/n; MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


async def trips(found: Found) -> None:
    """Send 64 B to and fro."""
    core = min(os.sched_getaffinity(0))
    places: dict[str, dict[str, Any]] = {"one core": {"cpu_affinity": [core]}, "any core": {}}
    path = {"PYTHONPATH": str(BUS.parent)}
    with ExitStack() as robots, tempfile.TemporaryDirectory(prefix="oly") as name:
        launched = {}
        for number, (where, place) in enumerate(places.items()):
            for way, is_forked in WAYS.items():
                title = f"bus{number}{'f' if is_forked else 'n'}"
                file = written(BUS, Path(name), title, forked=is_forked, **place)
                robot = Launched(file, root=Path(name), name=title, environment=path)
                launched[where, way] = robots.enter_context(robot)
        async with AsyncExitStack() as seats:
            seated = {}
            for key, robot in launched.items():
                robot.until_active()
                seated[key] = await seats.enter_async_context(robot.joined())
            for _ in range(TURNS):
                for (where, way), seat in seated.items():
                    for count in (TRIPS // 10, TRIPS):
                        trial = Trial(nbytes=64, count=count, is_copied=True)
                        told = await seat.bus.call("near/trips", trial, Times, timeout_s=PATIENCE_S)
                    found[f"64 B round trip, {where}, us"][way].append(median(told.ns) / 1e3)


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, prog="./run bench hosts")
    parser.add_argument("--rounds", type=int, default=4, help="launches of each way")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: Found = defaultdict(lambda: defaultdict(list))
    loads = [os.getloadavg()[0]]
    patrols(options.rounds, found)
    asyncio.run(trips(found))
    loads.append(os.getloadavg()[0])
    machine = described(("numpy", "eclipse-zenoh"))
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "load": loads, "found": found}) + "\n")
        return 0
    sys.stdout.write(f"{machine}; load average {loads[0]:.1f} to {loads[1]:.1f}\n")
    for what, ways in found.items():
        told = (f"{way} {median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for way, v in ways.items())
        sys.stdout.write(f"{what}: {'; '.join(told)}; n = {len(ways['forked'])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
