"""Recording, reading and opening, beside MCAP's Python writer and SQLite, with the same bytes.

    ./run bench store
    ./run bench store --rounds 5 --json
    ./run bench store --gb 10         # only: open a recording of that size

Small messages (a reading of about 100 bytes, ten topics, 500 a commit) and pictures (640x480x3, 15
a commit), as a recorder has them that commits twice a second; as fast as they go. Each commit
waits for the disk. Every writer runs in a process of its own, in turn with the others. What is
written and how often the disk is waited for is counted in a run of its own, under strace where that
is installed (the kernel's own count takes a page for the whole folio that it lies in). LMDB writes
its head besides with O_DSYNC, once a commit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from _machine import described
from _store_writers import CAMERA, STEP_NS, TOPICS, WRITERS, batches, pictures, small
from rich.console import Console
from rich.table import Table

SMALL_COUNT, SMALL_BATCH = 100_000, 500
PICTURES, PICTURE_BATCH = 300, 15
READS = 5
SYNCS, WRITES = ("fsync", "fdatasync", "msync"), ("write", "pwrite64", "writev", "pwritev")
_CALL = re.compile(r"\d+ +(?P<call>\w+)\(\d+<[^>]*/oly[^>]*>.* = (?P<result>\d+)$")
"""A line of strace about one of our files."""
_KINDS = {
    "small": (small, SMALL_COUNT, SMALL_BATCH),
    "pictures": (pictures, PICTURES, PICTURE_BATCH),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One writer and one kind of message; medians of the rounds."""

    per_s: float
    """Messages per second."""
    mb_per_s: float
    cpu_us: float
    """Processor time of the process per message."""
    size: float
    """Length of the file per byte of message."""
    read_per_s: float
    """Messages per second that one topic's middle fifth is read with."""
    written: float | None
    """Bytes given to the file system per byte of message; None where strace is not installed."""
    syncs: float | None
    """fsync, fdatasync and msync per commit."""


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gb", type=float, default=0.0, help="open a recording of so many GB")
    parser.add_argument("--writers", nargs="+", choices=WRITERS, default=list(WRITERS))
    parser.add_argument("--share", type=float, default=1.0, help="of the messages, for a trial")
    parser.add_argument("--folder", type=Path, help="where to write, for a disk of its own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--one", nargs=2, metavar=("WRITER", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oly", dir=options.folder) as place:
        folder = Path(place)
        if options.one:
            told: Any = record(folder, options.one[0], options.one[1], options.share)
            sys.stdout.write(json.dumps(told) + "\n")
            return
        told = {"machine": described(["lmdb", "mcap", "zstandard"]), "load": os.getloadavg()[0]}
        if options.gb:
            told["opened"] = {name: opened(folder, name, options.gb) for name in options.writers}
        else:
            told["recorded"] = compared(options)
    if options.json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        show(told)


def compared(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what each writer did, by kind of message."""
    told: dict[str, dict[str, Any]] = {}
    for kind in _KINDS:
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in options.writers}
        for _ in range(options.rounds):
            for name, done in rounds.items():
                done.append(apart(options, name, kind))
        told[kind] = {}
        for name, done in rounds.items():
            middle = {key: median(one[key] for one in done) for key in done[0]}
            middle.pop("payload")
            asked = traced(options, name, kind)
            told[kind][name] = asdict(
                Recorded(**middle, written=asked["written"], syncs=asked["syncs"])
            )
    return told


def command(options: argparse.Namespace, name: str, kind: str, share: float) -> list[str]:
    """Return how one writer is run in a process of its own."""
    made = [sys.executable, __file__, "--one", name, kind, "--share", str(share)]
    return made + (["--folder", str(options.folder)] if options.folder else [])


def apart(options: argparse.Namespace, name: str, kind: str) -> dict[str, float]:
    """Run one writer in a process of its own."""
    line = command(options, name, kind, options.share)
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def traced(options: argparse.Namespace, name: str, kind: str) -> dict[str, float | None]:
    """Count what one writer asks of the disk, in a run of its own."""
    if shutil.which("strace") is None:
        return {"syncs": None, "written": None}
    count, batch = _KINDS[kind][1:]
    with tempfile.NamedTemporaryFile("r") as seen:
        calls = ",".join((*SYNCS, *WRITES))
        line = ["strace", "-f", "-y", "-e", f"trace={calls}", "-o", seen.name]
        own = command(options, name, kind, options.share)
        told = subprocess.run([*line, *own], capture_output=True, text=True, check=True)
        found = [row for line in seen if (row := _CALL.search(line))]
    payload = json.loads(told.stdout)["payload"]
    written = sum(int(row["result"]) for row in found if row["call"] in WRITES)
    syncs = sum(row["call"] in SYNCS for row in found)
    commits = count * options.share / batch
    return {"syncs": round(syncs / commits, 2), "written": round(written / payload, 2)}


def record(folder: Path, name: str, kind: str, share: float) -> dict[str, float]:
    """Write one kind of message with one writer, and read the middle of it."""
    make, count, batch = _KINDS[kind]
    count = round(count * share)
    work = list(batches(make(count), batch))
    payload = sum(len(one.frame) for part in work for one in part)
    store = WRITERS[name](folder)
    store.open()
    began, cpu = time.perf_counter(), time.process_time()
    for part in work:
        store.add(part)
    store.close()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {
        "per_s": count / seconds,
        "mb_per_s": payload / seconds / 1e6,
        "cpu_us": cpu / count * 1e6,
        "size": size / payload,
        "payload": payload,
        "read_per_s": read_rate(store, TOPICS[3] if kind == "small" else CAMERA, count),
    }


def read_rate(store: Any, topic: str, count: int) -> float:
    """Return the messages per second that a topic's middle fifth is read with."""
    since, until = round(count * 0.4) * STEP_NS, round(count * 0.6) * STEP_NS
    rates = []
    for _ in range(READS):
        began = time.perf_counter()
        number = sum(1 for frame in store.read(topic, since, until) if frame)
        rates.append(number / (time.perf_counter() - began))
    return median(rates)


def opened(folder: Path, name: str, gb: float) -> dict[str, float]:
    """Write a long recording, forget what memory holds of it, and time opening and a first look."""
    store, count = WRITERS[name](folder, is_durable=False), round(gb * 1e9 / 921_700)
    store.open()
    began = time.perf_counter()
    for part in batches(pictures(count), PICTURE_BATCH):
        store.add(part)
    store.close()
    wrote_s = time.perf_counter() - began
    files = [file for file in folder.rglob("*") if file.is_file()]
    forget(files)
    began = time.perf_counter()
    again = WRITERS[name](folder)
    again.open()
    open_s = time.perf_counter() - began
    again.close()
    forget(files)
    began = time.perf_counter()
    middle = count // 2 * STEP_NS
    first = next(iter(store.read(CAMERA, middle, middle + 100 * STEP_NS)))
    look_s = time.perf_counter() - began
    size = sum(file.stat().st_size for file in files if file.exists())
    for file in files:
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / "olympus", ignore_errors=True)
    return {
        "gb": round(size / 1e9, 2),
        "write_mb_per_s": round(count * len(first) / wrote_s / 1e6, 1),
        "open_ms": round(open_s * 1e3, 2),
        "first_look_ms": round(look_s * 1e3, 2),
    }


def forget(files: list[Path]) -> None:
    """Let the kernel drop what it holds of some files."""
    for file in files:
        if file.exists():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show(told: dict[str, Any]) -> None:
    """Print tables."""
    console = Console(highlight=False)
    console.print(told["machine"], f"load {told['load']:.1f}")
    for title, rows in {**told.get("recorded", {}), **{"": told.get("opened", {})}}.items():
        if rows:
            table = Table(title=title, box=None)
            table.add_column("writer")
            for head in next(iter(rows.values())):
                table.add_column(head, justify="right")
            for name, row in rows.items():
                table.add_row(name, *(f"{v:,.2f}" if v is not None else "?" for v in row.values()))
            console.print(table)


if __name__ == "__main__":
    main()
