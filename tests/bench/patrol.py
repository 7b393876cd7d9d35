"""How old a picture is when the motors obey it, stage by stage, and what every process costs.

    ./run bench patrol --seconds 60
    ./run bench patrol --json > patrol.json

Launches the patrol of launch/patrol.yaml in a run folder of its own, measures it standing and
patrolling, then a host with a node that does nothing. Nothing is estimated: ages come from the
trace of each motor command, CPU time and memory from the kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from _health import Health, Watcher
from _machine import described
from rich.console import Console
from rich.table import Table

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Actuation, Command
from olympus.runtime.telemetry.meters import quantile

PATROL = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"
WARM_UP_S = 5.0
PICTURES = "rover/camera/image"
STAGES = {
    "rover/camera/image": "camera: capture, driver, node",
    "rover/detections": "detector: transport, queue, model",
    "rover/percepts": "percepts",
    "rover/cmd_vel": "navigator: transport, decision",
    "rover/actuation": "drive: transport, gate, motor write",
}
"""Topic at the end of each stage, and what happens in it."""
PARTS = ("eclipse-zenoh", "onnxruntime", "mujoco-core", "numpy", "pydantic")
IDLE = """
name: idle
safety: {watch: {watched: 0.3}}
nodes:
  plain_node: {uses: "idle_node:Idle", host: plain}
  watched_node: {uses: "idle_node:Idle", host: watched}
"""
IDLE_NODE = """
from olympus.runtime.node import Node

class Idle(Node):
    pass
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of some times, milliseconds."""

    n: int
    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, times_ns: Iterable[int]) -> Spread:
        ordered = sorted(t / 1e6 for t in times_ns)
        worst = ordered[-1] if ordered else math.nan
        return cls(len(ordered), quantile(ordered, 0.5), quantile(ordered, 0.99), worst)


@dataclass(frozen=True, slots=True)
class Use:
    """What one process used over a while."""

    cpu: float
    """Percent of one core."""
    rss_mb: float
    """Resident memory, libraries that other processes share included."""
    private_mb: float
    """Memory that would be free without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """From capture to motor command."""

    seconds: float
    pictures: int
    """Published by the camera from the first of those obeyed to the last."""
    first: Spread
    """Of the first motor command that each picture led to."""
    every: Spread
    """Of all motor commands, those that repeat an older picture's between pictures too."""
    stages: Mapping[str, Spread]
    """Of `first`, by stage."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of patrolling; 60")
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="of standing; 20")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report: dict[str, object] = {"machine": described(PARTS), "load before": psutil.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        root = Path(folder)
        report |= asyncio.run(measure_patrol(root, options.seconds, options.idle_seconds))
        report["idle host"] = measure_idle_host(root, options.idle_seconds)
    report["load after"] = psutil.getloadavg()
    if options.json:
        sys.stdout.write(json.dumps(report, default=asdict, indent=1) + "\n")
    else:
        show(report)


async def measure_patrol(root: Path, seconds: float, idle_s: float) -> dict[str, object]:
    """Measure the patrol, standing and then going."""
    words = ["viewer_port:=0", f"recorder.path:={root / 'record'}"]
    with Launched(PATROL, *words, root=root, name="bench") as robot:
        robot.until_active()
        async with robot.joined() as seat:
            watcher = Watcher(robot, seat)
            await asyncio.sleep(WARM_UP_S)
            standing = await measured_use(robot, idle_s)
            robot.safety.reset("benchmark")
            await asyncio.sleep(0.5)
            order = Command(text="patrol the corridor", verb="")
            answer = await seat.call("rover/navigator/say", order)
            if not answer.ok:
                raise SystemExit(f"the rover does not go: {answer.text}")
            await asyncio.sleep(WARM_UP_S)
            use, ages = await asyncio.gather(
                measured_use(robot, seconds), measured_ages(seat, seconds)
            )
            health = watcher.health()
    return {"ages": ages, "standing": standing, "patrolling": use, "health": health}


async def measured_ages(seat: Seat, seconds: float) -> Ages:
    """Collect motor commands for a while."""
    motor = seat.watch("rover/actuation")
    await asyncio.sleep(seconds)
    obeyed = [a for a in motor.messages if a.passed and a.header.trace[0].topic == PICTURES]
    first: dict[int, Actuation] = {}
    for actuation in obeyed:
        first.setdefault(actuation.header.trace[0].seq, actuation)
    return Ages(
        seconds=seconds,
        pictures=max(first) - min(first) + 1 if first else 0,
        first=Spread.of(age_ns(a) for a in first.values()),
        every=Spread.of(age_ns(a) for a in obeyed),
        stages={
            text: Spread.of(stage_ns(a, topic) for a in first.values())
            for topic, text in STAGES.items()
        },
    )


def age_ns(actuation: Actuation) -> int:
    """Return the time from capture to motor command."""
    return actuation.header.stamp - actuation.header.trace[0].stamp


def stage_ns(actuation: Actuation, topic: str) -> int:
    """Return how long the stage took that ends with publishing on `topic`; 0 if it was left out."""
    trace = actuation.header.trace
    index = next((i for i, hop in enumerate(trace) if hop.topic == topic), None)
    if index is None:
        return 0
    # A motor command is published after it was written; what counts is when it was written.
    end = actuation.header.stamp if topic == "rover/actuation" else trace[index].sent
    return end - (trace[index - 1].sent if index else trace[0].stamp)


async def measured_use(robot: Launched, seconds: float) -> dict[str, Use]:
    """Measure every process of a session for a while."""
    processes = {name: psutil.Process(pid) for name, pid in robot.pids().items()}
    begun, before = time.monotonic(), {name: cpu_s(p) for name, p in processes.items()}
    await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - begun
    found = {}
    for name, process in processes.items():
        memory = process.memory_full_info()
        cpu = 100 * (cpu_s(process) - before[name]) / elapsed_s
        found[name] = Use(cpu, memory.rss / 1e6, memory.uss / 1e6)
    return found


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process and all its threads, to the nanosecond, s."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def measure_idle_host(root: Path, seconds: float) -> dict[str, Use]:
    """Measure hosts whose only node does nothing: a plain one, and one the guardian watches."""
    (root / "idle.yaml").write_text(IDLE)
    (root / "idle_node.py").write_text(IDLE_NODE)
    with Launched(root / "idle.yaml", root=root, name="idle") as robot:
        robot.until_active()
        time.sleep(WARM_UP_S)
        return asyncio.run(measured_use(robot, seconds))


def show(report: Mapping[str, object]) -> None:
    """Print tables for a person."""
    console = Console(width=110)
    console.print(report["machine"], f"load {report['load before']} -> {report['load after']}")
    ages = report["ages"]
    if isinstance(ages, Ages):
        console.print(ages_table(ages))
    health = report["health"]
    if isinstance(health, Health):
        for name, value in asdict(health).items():
            console.print(f"{name}: {value}", markup=False)
    uses = [report[name] for name in ("standing", "patrolling")]
    console.print(use_table("CPU and memory, % of a core and MB", ("standing", "patrolling"), uses))
    console.print(
        use_table("A host with a node that does nothing", ("idle",), [report["idle host"]])
    )


def ages_table(ages: Ages) -> Table:
    """Return the ages and the share of each stage."""
    title = f"From capture to motor command, ms; {ages.seconds:g} s, {ages.pictures} pictures"
    table = Table("", "n", "p50", "p99", "worst", "share of the median", title=title)
    for text, spread in ages.stages.items():
        share = f"{100 * spread.p50 / ages.first.p50:.0f} %" if ages.first.p50 else ""
        table.add_row(text, *numbers(spread), share)
    table.add_row("all: first command from each picture", *numbers(ages.first), "")
    table.add_row("every command, repeated ones too", *numbers(ages.every), "")
    return table


def numbers(spread: Spread) -> tuple[str, ...]:
    """Return the cells of a spread."""
    return (str(spread.n), *(f"{t:.1f}" for t in (spread.p50, spread.p99, spread.worst)))


def use_table(title: str, phases: Sequence[str], uses: Sequence[object]) -> Table:
    """Return what each process used in each phase."""
    heads = [f"{phase}: {what}" for phase in phases for what in ("CPU", "RSS", "own")]
    table = Table("process", *heads, title=title)
    known = [use for use in uses if isinstance(use, dict)]
    for name in known[0]:
        cells = [f"{v:.1f}" for use in known for v in _cells(use[name])]
        table.add_row(name, *cells)
    totals = [
        f"{sum(t):.1f}" for use in known for t in zip(*map(_cells, use.values()), strict=True)
    ]
    table.add_row("sum", *totals)
    return table


def _cells(use: Use) -> tuple[float, float, float]:
    return use.cpu, use.rss_mb, use.private_mb


if __name__ == "__main__":
    main()
