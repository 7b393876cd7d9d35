"""Round trips and rates between two hosts through a node's own API, next to bare zenoh-python.

    ./run bench bus
    ./run bench bus --rounds 8 --json > bus.json

A round trip is a message of N bytes to a node in another process and a small answer back. Bare
Zenoh runs in turn with it, through the very same hub, with the same payloads: the ratio of the two
is what nodes pay for typed messages, traces, queues, counters and an event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
import zenoh
from _bus_nodes import Times, Trial
from _machine import described
from rich.console import Console
from rich.table import Table

from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Empty
from olympus.runtime.telemetry.meters import quantile

SIZES = {"64 B": 64, "57.6 kB": 57_600, "6.2 MB": 6_220_800}
TRIPS = {"64 B": 500, "57.6 kB": 300, "6.2 MB": 30}
FLOOD_S = 1.0
SETTLE_S = 0.5
PATIENCE_S = 30.0
LAUNCH = Path(__file__).with_name("_bus.yaml")


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of sending one size; each number is the median of the rounds."""

    p50_us: float
    """Round trip."""
    p99_us: float
    best_p50_us: float
    """Of the best round: least disturbed by neighbours."""
    per_s: float
    """Messages that arrived per second of sending as fast as it goes."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one way and size."""

    trips_ns: list[int]
    per_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4, help="interleaved repetitions; 4")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--echo", metavar="ENDPOINT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        echo_for_ever(options.echo)
    before = psutil.getloadavg()
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        results = asyncio.run(measure(Path(folder), options.rounds))
    report = {
        "machine": described(("eclipse-zenoh", "numpy")),
        "load": [before, psutil.getloadavg()],
        "results": results,
    }
    if options.json:
        sys.stdout.write(json.dumps(report, default=asdict, indent=1) + "\n")
    else:
        Console().print(report["machine"], f"load {before} -> {psutil.getloadavg()}")
        Console().print(table(results, options.rounds))


async def measure(root: Path, rounds: int) -> dict[str, dict[str, Measured]]:
    """Measure both ways, in turn, size by size."""
    found: dict[str, dict[str, list[Round]]] = {size: {"node": [], "bare": []} for size in SIZES}
    with Launched(LAUNCH, root=root, name="bus") as robot:
        robot.until_active()
        async with robot.joined() as seat:
            with Bare(robot.session.endpoint).open() as bare:
                for _ in range(rounds):
                    for size, nbytes in SIZES.items():
                        found[size]["node"].append(await node_round(seat, nbytes, TRIPS[size]))
                        found[size]["bare"].append(bare.round(nbytes, TRIPS[size]))
    return {
        size: {way: summed_up(rounds) for way, rounds in ways.items()}
        for size, ways in found.items()
    }


async def node_round(seat: Seat, nbytes: int, trips: int) -> Round:
    """Measure the nodes once."""
    await ask(seat, "near/round_trips", Trial(nbytes=nbytes, count=max(3, trips // 10)))
    times = await ask(seat, "near/round_trips", Trial(nbytes=nbytes, count=trips))
    before = await arrived(seat)
    begun = time.monotonic()
    await ask(seat, "near/flood", Trial(nbytes=nbytes, seconds=FLOOD_S))
    elapsed_s = time.monotonic() - begun
    per_s = (await arrived(seat) - before) / elapsed_s
    await asyncio.sleep(SETTLE_S)
    return Round([int(t) for t in times.ns], per_s)


async def ask(seat: Seat, name: str, trial: Trial) -> Times:
    """Have a node measure."""
    answer = await seat.bus.call(name, trial, timeout_s=PATIENCE_S)
    if not isinstance(answer, Times):
        raise SystemExit(f"{name} answered {answer}")
    return answer


async def arrived(seat: Seat) -> int:
    """Return how many messages the far node has taken in."""
    answer = await seat.bus.call("far/count", Empty(), timeout_s=PATIENCE_S)
    return int(answer.ns[0]) if isinstance(answer, Times) else 0


class Bare:
    """Zenoh without us: a session here, and an echo in a process of its own."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._arrived = 0

    @contextmanager
    def open(self) -> Iterator[Bare]:
        """Connect both ends to the hub."""
        command = [sys.executable, __file__, "--echo", self._endpoint]
        echo = subprocess.Popen(command, stdout=subprocess.PIPE)
        session = open_session("client", connect=[self._endpoint])
        try:
            if echo.stdout is not None:
                echo.stdout.readline()
            self._publisher = session.declare_publisher(
                "bare/blob", express=True, congestion_control=zenoh.CongestionControl.BLOCK
            )
            session.declare_subscriber("bare/echo", self._on_echo)
            time.sleep(SETTLE_S)
            yield self
        finally:
            echo.kill()
            echo.communicate()
            session.close()  # type: ignore[no-untyped-call]

    def round(self, nbytes: int, trips: int) -> Round:
        """Measure once."""
        payload = bytes(nbytes)
        for _ in range(max(3, trips // 10)):
            self._trip(payload)
        times = [self._trip(payload) for _ in range(trips)]
        before, begun = self._arrived, time.monotonic()
        while time.monotonic() - begun < FLOOD_S:
            self._publisher.put(payload)
        per_s = (self._arrived - before) / (time.monotonic() - begun)
        time.sleep(SETTLE_S)
        while not self._answers.empty():
            self._answers.get()
        return Round(times, per_s)

    def _trip(self, payload: bytes) -> int:
        begun = time.perf_counter_ns()
        self._publisher.put(payload)
        self._answers.get(timeout=PATIENCE_S)
        return time.perf_counter_ns() - begun

    def _on_echo(self, sample: zenoh.Sample) -> None:
        self._arrived = int.from_bytes(sample.payload.to_bytes(), "little")
        self._answers.put(self._arrived)


def echo_for_ever(endpoint: str) -> None:
    """Answer each blob with how many there were, as the far node does."""
    session, count = open_session("client", connect=[endpoint]), 0
    answer = session.declare_publisher("bare/echo", express=True)

    def on_blob(sample: zenoh.Sample) -> None:
        nonlocal count
        count += 1
        data = sample.payload.to_bytes()
        answer.put((count + data[-1]).to_bytes(8, "little"))

    session.declare_subscriber("bare/blob", on_blob)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while os.getppid() != 1:
        time.sleep(1.0)


def summed_up(rounds: list[Round]) -> Measured:
    """Return the medians of some rounds."""
    ordered = [sorted(t / 1e3 for t in one.trips_ns) for one in rounds]
    p50s = [quantile(one, 0.5) for one in ordered]
    p99 = median(quantile(one, 0.99) for one in ordered)
    return Measured(median(p50s), p99, min(p50s), median(one.per_s for one in rounds))


def table(results: Mapping[str, Mapping[str, Measured]], rounds: int) -> Table:
    """Return the results for a person."""
    heads = ["p50 us", "best p50", "p99 us", "messages/s", "MB/s"]
    title = f"Node to node in another process and back; medians of {rounds} rounds in turn"
    made = Table("payload", "way", *heads, title=title)
    for size, ways in results.items():
        for way, one in ways.items():
            mb_per_s = one.per_s * SIZES[size] / 1e6
            times = [f"{t:.0f}" for t in (one.p50_us, one.best_p50_us, one.p99_us)]
            made.add_row(size, way, *times, f"{one.per_s:.0f}", f"{mb_per_s:.0f}")
        node, bare = ways["node"], ways["bare"]
        ratios = [node.p50_us / bare.p50_us, node.best_p50_us / bare.best_p50_us]
        ratios += [node.p99_us / bare.p99_us, node.per_s / max(bare.per_s, 1e-9)]
        made.add_row("", "node : bare", *(f"{r:.2f}" for r in ratios), "", style="bold")
    return made


if __name__ == "__main__":
    main()
