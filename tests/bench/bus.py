"""Ours next to bare zenoh-python, iceoryx2 and dora: round trips, rates, processor time per frame.

    ./run bench bus
    ./run bench bus --rounds 8 --json > bus.json

All take turns in each round of one run. Ours is measured as a node sees it: from `publish` to the
call of the handler in another host and back, with typed messages, headers, traces, queues,
counters and the event loop. The others are measured bare, bytes in and bytes out, as fast as their
Python packages go. They are installed for this benchmark alone, below .venv/bench; what can't be
installed or fails is left out, and the reason is printed.

What a picture that is copied in takes is told in memcpys too: those of the host that copies it, of
the same bytes, between portions of its round trips. Measured elsewhere or at another time they say
little: the two processors of a virtual machine differ, and each is now and then half as fast.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from _bus_curves import Curves, curve_tables, measure_curves
from _bus_nodes import Times, Trial
from _bus_peers import PEERS, Peer, SkippedError
from _bus_trials import FRAME, SMALL, cpu_ns
from _machine import described
from rich.console import Console
from rich.table import Table

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.telemetry.meters import quantile

LAUNCH = Path(__file__).with_name("_bus.yaml")
OURS = "Olympus, node to node"
ASLEEP = "the same, spin_s: 0"
"""Hosts that never stay awake for the next message."""
SETTLE_S = 0.5
PATIENCE_S = 60.0
HZ, PACED_S, FLOOD_S = 60.0, 1.5, 1.0
COPIED, MEMCPY, IN_MEMCPYS = "1080p copied in", "one memcpy of it", "the same in memcpys"
PORTIONS = 6
TRIPS: dict[str, dict[str, Any]] = {
    "64 B": {"nbytes": SMALL, "count": 1500, "is_copied": True},
    "64 KiB": {"nbytes": 65_536, "count": 400, "is_copied": True},
    COPIED: {"nbytes": FRAME, "count": 60, "is_copied": True},
    "1080p in place": {"nbytes": FRAME, "count": 1000, "is_copied": False},
}
"""Before each, a tenth as many that are not counted. A hundred in place were over in some
milliseconds, and their median that of where the kernel had happened to put the two processes."""
CPU = {"CPU copied in": True, "CPU in place": False}
RATE = "64 B one way"
ROWS = ("64 B", "64 KiB", COPIED, MEMCPY, IN_MEMCPYS, "1080p in place", *CPU, RATE)


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one bus: median of the rounds, and the best."""

    median: float
    best: float
    p99: float | None = None
    """Of round trips: the median of the rounds' 99th percentiles."""


@dataclass(slots=True)
class Report:
    """All that was found."""

    machine: str
    rounds: int
    load: list[Any] = field(default_factory=list)
    results: dict[str, dict[str, Measured]] = field(default_factory=dict)
    """By bus and by figure: us for round trips, ms of processor time per frame, messages/s."""
    skipped: dict[str, str] = field(default_factory=dict)
    curves: Curves | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4, help="interleaved repetitions; 4")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", action="store_true", help="without the other buses")
    parser.add_argument("--no-curves", action="store_true", help="without topics and subscribers")
    options = parser.parse_args()
    machine = described(("eclipse-zenoh", "numpy", "msgpack"))
    report = Report(machine, options.rounds, [psutil.getloadavg()])
    peers = [] if options.alone else list(prepared(report))
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        asyncio.run(measure(Path(folder), peers, report))
        if not options.no_curves:
            report.curves = asyncio.run(measure_curves(Path(folder)))
    report.load.append(psutil.getloadavg())
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), indent=1) + "\n")
        return
    console = Console(width=170)
    console.print(report.machine, *(peer.versions for peer in peers), f"load {report.load}")
    for against in (OURS, ASLEEP):
        console.print(table(report, against))
    for peer, reason in report.skipped.items():
        console.print(f"skipped {peer}: {reason}")
    for made in curve_tables(report.curves) if report.curves else ():
        console.print(made)


def prepared(report: Report) -> Iterator[Peer]:
    """Yield the buses that can be measured here."""
    for peer in PEERS:
        try:
            peer.prepare()
            yield peer
        except SkippedError as error:
            report.skipped[peer.name] = str(error)


async def measure(root: Path, peers: list[Peer], report: Report) -> None:
    """Measure all in turn."""
    found: dict[str, list[dict[str, Any]]] = {}
    ours = Launched(LAUNCH, root=root, name="bus")
    asleep = Launched(LAUNCH, "spin_s:=0", root=root, name="asleep")
    with ours, asleep:
        for robot in (ours, asleep):
            robot.until_active()
        async with ours.joined() as seat, asleep.joined() as other:
            for number in range(report.rounds):
                found.setdefault(OURS, []).append(await our_round(seat, ours))
                found.setdefault(ASLEEP, []).append(await our_round(other, asleep))
                for peer in [p for p in peers if p.name not in report.skipped]:
                    try:
                        outcome = peer_round(peer, root / f"{peer.script[:-8]}{number}{peer.way}")
                        found.setdefault(peer.name, []).append(outcome)
                    except SkippedError as error:
                        report.skipped[peer.name] = f"round {number + 1}: {error}"
                    await asyncio.sleep(SETTLE_S)
    report.results = {name: summed_up(rounds) for name, rounds in found.items()}


async def our_round(seat: Seat, robot: Launched) -> dict[str, Any]:
    """Measure ours once."""
    found: dict[str, Any] = {}
    for name, how in TRIPS.items():
        await ask(seat, "near/trips", Trial(**{**how, "count": how["count"] // 10}))
        if name == COPIED:
            found |= await copied_in(seat, how)
        else:
            found[name] = [int(t) for t in (await ask(seat, "near/trips", Trial(**how))).ns]
    arrived, elapsed_ns = (await ask(seat, "near/flood", Trial(seconds=FLOOD_S))).ns
    found[RATE] = arrived / elapsed_ns * 1e9
    for name, is_copied in CPU.items():
        spent = []
        for is_idle in (True, False):
            trial = Trial(seconds=PACED_S, hz=HZ, is_copied=is_copied, is_idle=is_idle)
            before = sum(cpu_ns(pid) for pid in robot.alive())
            count = (await ask(seat, "near/frames", trial)).ns[0]
            spent.append((sum(cpu_ns(pid) for pid in robot.alive()) - before) / 1e6 / count)
        found[name] = spent[1] - spent[0]
    return found


async def copied_in(seat: Seat, how: dict[str, Any]) -> dict[str, Any]:
    """Measure pictures that are copied in, and memcpys of them in the same host in between."""
    trips: list[int] = []
    copies: list[int] = []
    for _ in range(PORTIONS):
        trial = Trial(**{**how, "count": how["count"] // PORTIONS})
        for service, times in (("near/memcpys", copies), ("near/trips", trips)):
            times += [int(t) for t in (await ask(seat, service, trial)).ns]
    in_memcpys = median(trips) / median(copies)
    return {COPIED: trips, MEMCPY: median(copies) / 1e3, IN_MEMCPYS: in_memcpys}


async def ask(seat: Seat, name: str, trial: Trial) -> Times:
    """Have a node measure."""
    answer = await seat.bus.call(name, trial, Times, timeout_s=PATIENCE_S)
    await asyncio.sleep(0.05)
    return answer


def peer_round(peer: Peer, folder: Path) -> dict[str, Any]:
    """Measure another bus once.

    Raises:
        SkippedError: It failed.
    """
    trials: list[dict[str, Any]] = [{"what": "trips", **how} for how in TRIPS.values()]
    trials.append({"what": "flood", "seconds": FLOOD_S})
    for is_copied in CPU.values():
        trials.append({"what": "frames", "seconds": PACED_S, "hz": HZ, "is_copied": is_copied})
    results = peer.round(folder, trials)
    found = dict(zip([*TRIPS, RATE], results, strict=False))
    for name, spent in zip(CPU, results[len(found) :], strict=True):
        found[name] = spent["busy"] - spent["idle"]
    if not peer.writes_in_place:
        del found["1080p in place"], found["CPU in place"]
    return found


def summed_up(rounds: list[dict[str, Any]]) -> dict[str, Measured]:
    """Return the medians of some rounds."""
    found = {}
    for name in [name for name in ROWS if name in rounds[0]]:
        values = [one[name] for one in rounds]
        if name in TRIPS:
            ordered = [sorted(t / 1e3 for t in one) for one in values]
            p50s = [quantile(one, 0.5) for one in ordered]
            p99 = median(quantile(one, 0.99) for one in ordered)
            found[name] = Measured(median(p50s), min(p50s), p99)
        else:
            found[name] = Measured(median(values), max(values) if name == RATE else min(values))
    return found


def table(report: Report, against: str) -> Table:
    """Return the results for a person, each with its ratio to those of one of them."""
    title = f"medians of {report.rounds} rounds (best), in brackets: how many times {against!r}"
    made = Table("", *report.results, title=title)
    for name in ROWS:
        row = [
            cell(name, measured.get(name), report.results[against][name])
            for measured in report.results.values()
        ]
        made.add_row(f"{name}{unit(name)}", *row)
    return made


def unit(name: str) -> str:
    """Return what a figure is given in."""
    if name in TRIPS:
        return ", RTT us"
    if name in CPU:
        return f", ms per frame at {HZ:g} frames/s"
    return {RATE: ", messages/s", MEMCPY: ", us"}.get(name, "")


def cell(name: str, measured: Measured | None, base: Measured) -> str:
    """Return one figure for a person."""
    if measured is None:
        return "-"
    digits = 2 if name in CPU or name == IN_MEMCPYS else 0
    ratio = f" [{measured.median / base.median:.2f}x]" if measured is not base else ""
    p99 = f", p99 {measured.p99:.0f}" if measured.p99 is not None else ""
    text = f"{measured.median:.{digits}f} ({measured.best:.{digits}f}{p99}){ratio}"
    return text.replace("[", "\\[")


if __name__ == "__main__":
    main()
