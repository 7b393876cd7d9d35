"""What the scheduler costs, and what it is worth where a language model has the same core.

    ./run bench scheduler
    ./run bench scheduler --calls 5000 --json > scheduler.json
    ./run bench scheduler --part planner       # or: overhead, larger, busy, overload, digests

Overhead over ONNX Runtime's own `run`; how long an urgent detector waits while text is generated
without pause (by the shipped planner in llama.cpp, and by the load of a larger model), beside two
plain threads and an unprioritised queue; a threefold overload; and
whether the same arrivals always give the same dispatch trace.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from _generating import Generation, writer
from _loops import endless_loops
from _machine import described
from _scheduler_waits import Beside, Detector, waiting
from rich.console import Console
from rich.table import Table

from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    Dispatcher,
    End,
    JobDroppedError,
    LaneRules,
    Overload,
    ResourceRules,
)
from olympus.runtime.scheduler.counts import LaneCounts
from olympus.runtime.scheduler.simulation import Arrival, simulate
from olympus.runtime.telemetry.meters import quantile

PARTS = ("onnxruntime", "numpy")
TOKENS = 32
"""A generation's length: an answer of a sentence."""
BUSY_LOOKS = 6
"""Pictures in each call of the detector that needs more than half of the core."""


def overhead(detector: Detector, n: int) -> dict[str, float]:
    """Return p5 and p50, us: ONNX Runtime alone, and what each way through us adds."""
    took = asyncio.run(in_turns(detector, n))
    found: dict[str, float] = {}
    for name, part in (("p5", 0.05), ("p50", 0.5)):  # a busy machine only adds: p5 has least of it
        bare = quantile(sorted(took["bare"]), part)
        found[f"bare_{name}_us"] = bare
        for way in ("model", "call", "await"):
            found[f"{way}_adds_{name}_us"] = quantile(sorted(took[way]), part) - bare
    return found


async def in_turns(detector: Detector, n: int) -> dict[str, list[float]]:
    """Call a model in each way, 50 times in turns; return how long each call took, us."""
    session = detector.model._session
    names = [tensor.name for tensor in detector.model.manifest.outputs]
    dispatcher = Dispatcher(SystemClock())
    took: dict[str, list[float]] = {"bare": [], "model": [], "call": [], "await": []}
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: session.run(names, detector.feed),
        "model": detector.run,
        "call": lambda: dispatcher.call(detector.run, tier=Tier.HIGH),
    }
    for number in range(n):
        way = (*ways, "await")[number // 50 % 4]
        began = time.perf_counter_ns()
        if way == "await":
            await dispatcher.run(detector.run, tier=Tier.HIGH)
        else:
            ways[way]()
        took[way].append((time.perf_counter_ns() - began) / 1e3)
    dispatcher.close()
    return took


def overload(detector: Detector, seconds: float) -> dict[str, dict[str, int]]:
    """Offer three times what the resource can do; return how the jobs of each tier ended.

    CRITICAL and HIGH together are half of what it can do, NORMAL and LOW the rest of the threefold;
    by how long a job takes at the time, so that it is threefold on a busy machine too.
    """
    run_s = min(_timed(detector.run) for _ in range(50))
    shares = {Tier.CRITICAL: 0.2, Tier.HIGH: 0.3, Tier.NORMAL: 1.0, Tier.LOW: 1.5}
    limits_s = {Tier.CRITICAL: 0.25, Tier.HIGH: 0.5, Tier.NORMAL: 0.03, Tier.LOW: 0.1}
    lanes = {
        Tier.CRITICAL: LaneRules(overload=Overload.LOSSLESS),
        Tier.HIGH: LaneRules(overload=Overload.LOSSLESS),
        Tier.LOW: LaneRules(length=8, overload=Overload.DROP_OLDEST),
    }
    clock = SystemClock()
    dispatcher = Dispatcher(clock, resources=[ResourceRules(lanes=lanes)])
    runs = max(1, round(0.002 / run_s))  # about 2 ms a job, so that Python's part is small

    def looks() -> None:
        for _ in range(runs):
            detector.run()

    job_s = quantile(sorted(_timed(looks) for _ in range(50)), 0.5)

    def work() -> None:
        nonlocal job_s
        job_s += (_timed(looks) - job_s) / 16

    async def offer(tier: Tier, chance: random.Random, ends: Counter[str]) -> None:
        under_way, until = set[asyncio.Task[None]](), time.monotonic() + seconds
        while time.monotonic() < until:
            deadline_ns = clock.now_ns() + round(limits_s[tier] * 1e9)
            task = asyncio.create_task(one(tier, deadline_ns, ends))
            under_way.add(task)  # and no longer than that: what is kept, Python looks through
            task.add_done_callback(under_way.discard)
            await asyncio.sleep(chance.uniform(0.5, 1.5) * job_s / shares[tier])
        await asyncio.gather(*under_way)

    async def one(tier: Tier, deadline_ns: int, ends: Counter[str]) -> None:
        run = dispatcher.run(work, tier=tier, deadline_ns=deadline_ns, source=tier.name)
        end = await _end_of(run)
        is_late = end is End.DONE and clock.now_ns() > deadline_ns
        ends[(End.LATE if is_late else end).value] += 1

    async def all_tiers() -> dict[str, dict[str, int]]:
        ends = {tier: Counter[str]() for tier in shares}
        await asyncio.gather(*(offer(t, random.Random(int(t)), ends[t]) for t in shares))
        return {tier.name: dict(found) for tier, found in ends.items()}

    found = asyncio.run(all_tiers())
    counted = dispatcher.lanes()["cpu"]
    dispatcher.close()
    return _accounted(counted, found)


async def _end_of(run: Awaitable[None]) -> End:
    try:
        await run
    except JobDroppedError as error:
        return error.end
    return End.DONE


def _accounted(
    lanes: Iterable[LaneCounts], found: dict[str, dict[str, int]]
) -> dict[str, dict[str, int]]:
    """Add how many arrived in each lane, and their longest wait; all ended as the callers saw it.

    Raises:
        SystemExit: A lane's counts don't add up.
    """
    for lane in lanes:
        ends = found[lane.tier.name]
        if not lane.arrived == sum(lane.ends.values()) == sum(ends.values()):
            raise SystemExit(f"{lane.tier}: {lane.arrived} arrived, ends: {lane.ends} and {ends}")
        ends["arrived"] = lane.arrived
        ends["began_after_worst_us"] = lane.delay_worst_ns // 1000
    return found


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def arrivals(seed: int = 1) -> list[Arrival]:
    """Draw ten seconds of a busy robot."""
    chance, row = random.Random(seed), []
    for source, tier, period_ms, pieces in (
        ("detector", Tier.CRITICAL, 33, 1),
        ("listener", Tier.HIGH, 100, 1),
        ("planner", Tier.LOW, 900, 40),
    ):
        for i in range(10_000 // period_ms):
            time_ns = round((i * period_ms + chance.uniform(-3, 3)) * 1e6) + 10**7
            pieces_ns = tuple(chance.randrange(1_000_000, 9_000_000) for _ in range(pieces))
            row.append(
                Arrival(
                    time_ns=time_ns,
                    tier=tier,
                    pieces_ns=pieces_ns,
                    deadline_ns=time_ns + period_ms * 1_000_000,
                    source=source,
                )
            )
    return row


def digest() -> str:
    """Return the hash of the dispatch trace of `arrivals`."""
    return simulate(ResourceRules(), arrivals()).digest


def digests(runs: int) -> set[str]:
    """Return the hashes of many runs: here with both cores busy, and in two other processes."""
    command = [sys.executable, __file__, "--digest"]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with endless_loops():
        found = {digest() for _ in range(runs)}
    return found | {other.communicate()[0].strip() for other in others}


def table(beside: Beside) -> Table:
    """Return one comparison for a person."""
    made = Table(
        *("way", "calls", "p50 us", "p99 us", "worst us"),
        *("start p99", "start worst", "tokens/s"),
        title=f"A detector every {beside.period_s * 1e3:.0f} ms, {beside.looks} looks each, beside "
        f"endless text of {beside.text} on one core; "
        f"a step: p50 {beside.step_p50_us:.0f}, p99 {beside.step_p99_us:.0f}, "
        f"worst {beside.step_worst_us:.0f} us",
    )
    for one in beside.waits:
        figures = [one.p50_us, one.p99_us, one.worst_us, one.start_p99_us, one.start_worst_us]
        cells = [f"{figure:.0f}" for figure in figures]
        made.add_row(one.way, str(one.n), *cells, f"{one.tokens_per_s:.0f}")
    return made


def show(results: dict[str, Any]) -> None:
    """Print everything for a person."""
    console = Console(highlight=False)
    for name, result in results.items():
        if isinstance(result, Beside):
            console.print(table(result))
        else:
            console.print(f"{name}: {result}")


def parts(calls: int, seconds: float) -> dict[str, Callable[[], Any]]:
    """Return what can be measured, by name."""
    smallest = Detector(name="sound-events")
    return {
        "overhead": lambda: {w: round(us, 1) for w, us in overhead(smallest, 12_000).items()},
        "planner": lambda: waiting("the planner", writer(), Detector(1, 0.005), calls),
        "larger": lambda: waiting("a larger model", larger, Detector(1, 0.01), calls),
        "busy": lambda: waiting(
            "a larger model", larger, Detector(BUSY_LOOKS, 0.01), max(100, calls // 4)
        ),
        "overload": lambda: overload(Detector(), seconds),
        "digests": lambda: sorted(digests(100)),
    }


def larger() -> Generation:
    """Begin a text of a model with some tens of millions of parameters."""
    return Generation(TOKENS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000, help="urgent calls of each way")
    parser.add_argument("--seconds", type=float, default=10.0, help="of overload")
    parser.add_argument("--part", action="append", choices=list(parts(1, 1)), help="only this")
    parser.add_argument("--digest", action="store_true", help="print one trace hash and end")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.digest:
        sys.stdout.write(digest() + "\n")
        return
    results: dict[str, Any] = {"machine": described(PARTS), "load": os.getloadavg()[0]}
    for name, measure in parts(chosen.calls, chosen.seconds).items():
        if not chosen.part or name in chosen.part:
            results[name] = measure()
    if chosen.json:
        plain = {n: asdict(r) if isinstance(r, Beside) else r for n, r in results.items()}
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    else:
        show(results)


if __name__ == "__main__":
    main()
