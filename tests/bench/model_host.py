"""What it costs to ask a model host in another process instead of running the model oneself.

    ./run bench model_host
    ./run bench model_host --calls 2000 --json

In turns on the same tensors: the model alone, and the same model in a model host over the bus, with
the input copied into shared memory once, and with the input written there to begin with; the latter
also by a host that runs every job on a worker thread (`quick_ms: 0`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _machine import described
from numpy.typing import NDArray

from olympus.models.onnx import open_model
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
PARTS = ("onnxruntime", "numpy")
SPIN_S: float = Host.model_fields["spin_s"].default
"""Who asks has the event loop that a node has."""


async def measure(robot: Launched, calls: int) -> dict[str, float]:
    """Return medians and 99th percentiles, us."""
    model, quick = open_model(NAME), RemoteModel("models", NAME)
    threaded = RemoteModel("threaded", NAME)
    tensor = model.manifest.inputs[0]
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)
    picture = np.random.default_rng(1).integers(0, 255, shape).astype(tensor.dtype)
    ways = ("alone", "host, copied in", "host, in place", "host, in place, on a thread")
    took: dict[str, list[float]] = {way: [] for way in ways}
    async with robot.joined() as seat:
        bus, clock = seat.bus, seat.bus.clock

        async def asked(array: NDArray[Any], remote: RemoteModel = quick) -> None:
            await remote.infer(
                bus,
                {tensor.name: array},
                tier=Tier.HIGH,
                deadline_ns=NEVER_NS,
                source="bench",
                clock=clock,
            )

        async def timed(way: str, work: Callable[[], Awaitable[None]]) -> None:
            began = time.perf_counter_ns()
            await work()
            took[way].append((time.perf_counter_ns() - began) / 1e3)

        async def alone() -> None:
            model.run({tensor.name: picture})

        for number in range(calls + 50):
            room = bus.loan(shape, tensor.dtype)
            room[...] = picture
            await timed("alone", alone)
            await timed("host, copied in", partial(asked, picture))
            await timed("host, in place", partial(asked, room))
            await timed("host, in place, on a thread", partial(asked, room, threaded))
            if number == 50:
                for times in took.values():
                    times.clear()
    return {
        f"{way} {name}": round(quantile(sorted(times), part), 1)
        for way, times in took.items()
        for name, part in (("p50_us", 0.5), ("p99_us", 0.99))
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mh") as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(LAUNCH)
        root = Path(folder) / "run"
        root.mkdir(mode=0o700)
        with Launched(file, root=root) as robot:
            robot.until_active()
            with asyncio.Runner(loop_factory=lambda: BusLoop(spin_s=SPIN_S)) as runner:
                figures = runner.run(measure(robot, chosen.calls))
    results = {"machine": described(PARTS), "load": os.getloadavg()[0], "n": chosen.calls} | figures
    for way, name in (("", ""), (", on a thread", " on a thread")):
        adds = figures[f"host, in place{way} p50_us"] - figures["alone p50_us"]
        results[f"a model host adds{name}, p50_us"] = round(adds, 1)
    if chosen.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        return
    for name, value in results.items():
        sys.stdout.write(f"{name:36} {value}\n")


if __name__ == "__main__":
    main()
