"""What it costs to ask a model host in another process instead of running the model oneself.

    ./run bench model_host
    ./run bench model_host --calls 2000 --json
    ./run bench model_host --gap-ms 33      # at a camera's pace
    ./run bench model_host --wake-us 0      # with processors that do not sleep
    ./run bench model_host --beside loop    # idle-loops: at SCHED_IDLE, one on each core

In turns of 25 runs, in an order that is drawn anew each time, on the same tensors: the model alone,
and the same model in a model host over the bus, with the input copied into shared memory once, and
with the input written there to begin with; the latter also by a host that runs every job on a
worker thread (`quick_ms: 0`), and by a bare process with a socket and shared memory and nothing of
the bus: what two changes of process cost on this machine. What a way adds is told turn by turn, and
of that the median: a machine is quick for some seconds and slow for others, and what counts is the
difference between turns that are neighbours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _bare_model import BareModel, sizes
from _loops import endless_loops
from _machine import described
from numpy.typing import NDArray

from olympus.models.onnx import OnnxModel, open_model
from olympus.runtime.bus import Bus
from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.launch.schema import Host
from olympus.runtime.launch.testing import Launched
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS
from olympus.runtime.telemetry.meters import quantile

LAUNCH = """
name: bench
hosts: {models: {nodes: [models]}, threaded: {nodes: [threaded]}}
nodes:
  models: {uses: olympus.nodes.model_host, params: {models: [person-obstacle]}}
  threaded: {uses: olympus.nodes.model_host, params: {models: [person-obstacle], quick_ms: 0}}
"""
NAME = "person-obstacle"
IN_A_ROW = 25
"""Runs of one way before the next has its turn; the first turn of each does not count."""
ADDS = {
    "a model host adds": "host, in place",
    "a model host adds on a thread": "host, in place, on a thread",
    "a bare process adds": "bare process",
}
BESIDE: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "nothing": nullcontext,
    "loop": partial(endless_loops, 1),
    "idle-loops": partial(endless_loops, idle=True),
}
PARTS = ("onnxruntime", "numpy")
SPIN_S: float = Host.model_fields["spin_s"].default
"""Who asks has the event loop that a node has."""


Way = Callable[[NDArray[Any]], Awaitable[object]]
"""Has the model run on an input that lies in shared memory."""


def ways(bus: Bus, model: OnnxModel, picture: NDArray[Any], bare: BareModel) -> dict[str, Way]:
    """Return the ways to have the model run, by name."""
    name = model.manifest.inputs[0].name

    async def alone(_: NDArray[Any]) -> None:
        model.run({name: picture})

    async def ask(host: str, array: NDArray[Any]) -> None:
        await RemoteModel(host, NAME).infer(
            bus,
            {name: array},
            tier=Tier.HIGH,
            deadline_ns=NEVER_NS,
            source="bench",
            clock=bus.clock,
        )

    async def barely(_: NDArray[Any]) -> None:
        bare.ask()

    return {
        "alone": alone,
        "host, copied in": lambda _: ask("models", picture),
        "host, in place": partial(ask, "models"),
        "host, in place, on a thread": partial(ask, "threaded"),
        "bare process": barely,
    }


async def measure(robot: Launched, calls: int, gap_s: float) -> dict[str, float]:
    """Return medians and 99th percentiles, and what a way adds, us; between two runs is a gap."""
    model = open_model(NAME)
    tensor = model.manifest.inputs[0]
    picture = np.random.default_rng(1).integers(0, 255, sizes(tensor)).astype(tensor.dtype)
    took: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        bus = (await stack.enter_async_context(robot.joined())).bus
        bare = stack.enter_context(BareModel(model, picture))
        draw, turns = random.Random(1), list(ways(bus, model, picture, bare).items())
        for number in range(1 + calls // IN_A_ROW):
            draw.shuffle(turns)
            for name, way in turns:
                for _ in range(IN_A_ROW):
                    room = bus.loan(picture.shape, picture.dtype)
                    room[...] = picture
                    await asyncio.sleep(gap_s)
                    began = time.perf_counter_ns()
                    await way(room)
                    if number:
                        took.setdefault(name, []).append((time.perf_counter_ns() - began) / 1e3)
    return {
        f"{way} {name}": round(quantile(sorted(times), part), 1)
        for way, times in took.items()
        for name, part in (("p50_us", 0.5), ("p99_us", 0.99))
    } | {
        f"{name}, p50_us": round(median(added(took[way], took["alone"])), 1)
        for name, way in ADDS.items()
    }


def added(times: list[float], alone: list[float]) -> list[float]:
    """Return how much longer the median of each turn is than that of the model alone, us."""
    turns = range(0, len(times), IN_A_ROW)
    return [median(times[at : at + IN_A_ROW]) - median(alone[at : at + IN_A_ROW]) for at in turns]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--gap-ms", type=float, default=0.0)
    parser.add_argument("--wake-us", type=int)
    parser.add_argument("--beside", choices=list(BESIDE), default="nothing")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mh") as folder:
        file = Path(folder) / "bench.yaml"
        wakes = {"wake_us": chosen.wake_us} if chosen.wake_us is not None else {}
        file.write_text(LAUNCH + "".join(f"{key}: {value}\n" for key, value in wakes.items()))
        root = Path(folder) / "run"
        root.mkdir(mode=0o700)
        with BESIDE[chosen.beside](), Launched(file, root=root) as robot:
            robot.until_active()
            with asyncio.Runner(loop_factory=lambda: BusLoop(spin_s=SPIN_S)) as runner:
                figures = runner.run(measure(robot, chosen.calls, chosen.gap_ms / 1e3))
    results = {
        "machine": described(PARTS),
        "load": os.getloadavg()[0],
        "n": chosen.calls,
        "gap_ms": chosen.gap_ms,
        "beside": chosen.beside,
        **wakes,
        **figures,
    }
    if chosen.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        return
    for name, value in results.items():
        sys.stdout.write(f"{name:36} {value}\n")


if __name__ == "__main__":
    main()
