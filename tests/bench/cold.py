"""What it costs that a core has slept: the same two pieces of work after pauses of some lengths.

    ./run bench cold
    ./run bench cold --count 500

*Count* is a loop of a thousand turns, which needs next to no memory: what it takes longer is the
core itself, its clock and what it shares with others. *Message* packs and unpacks a question with
a short array, a few dozen calls of Python functions: what it takes longer besides is memory.
In each pause the process sleeps, or turns in place.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import psutil
from _machine import described
from rich.console import Console
from rich.table import Table

from olympus.runtime.messages import decode, encode
from olympus.runtime.messages.inference import Infer, tensors_of
from olympus.runtime.qos import Tier

PAUSES_MS = (0.0, 0.4, 1.6, 4.0, 16.0)
TURNS = range(1000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="of each; 200")
    count = parser.parse_args().count
    before = psutil.getloadavg()
    works = {"count": _count, "message": _message}
    table = Table("pause, ms", *(f"{work}, {how}" for work in works for how in ("slept", "turned")))
    for pause_ms in PAUSES_MS:
        row = [
            f"{_after(pause, pause_ms / 1e3, work, count):.0f}"
            for work in works.values()
            for pause in (time.sleep, _turn)
        ]
        table.add_row(f"{pause_ms:g}", *row)
    sys.stdout.write(f"{described(['numpy', 'msgpack'])}, load {before} to {psutil.getloadavg()}\n")
    table.title = f"us, medians of {count}, of calls: message {_calls_of(_message)}"
    Console().print(table)


def _after(
    pause: Callable[[float], object], seconds: float, work: Callable[[], object], count: int
) -> float:
    took = []
    for _ in range(count):
        pause(seconds)
        began = time.perf_counter_ns()
        work()
        took.append((time.perf_counter_ns() - began) / 1e3)
    return median(took)


def _turn(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def _count() -> None:
    for _ in TURNS:
        pass


def _message() -> None:
    question = Infer(
        model="eyes", tier=Tier.HIGH, deadline=0, source="me", tensors=tensors_of({"x": _ARRAY})
    )
    decode(encode(question))


def _calls_of(work: Callable[[], object]) -> int:
    calls = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    work()
    sys.setprofile(None)
    return calls


_ARRAY = np.zeros(16, np.uint8)


if __name__ == "__main__":
    main()
