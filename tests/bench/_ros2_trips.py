"""Round trips and streams of the ROS 2 benchmark, whatever carries them; nothing of ours."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

STRING_TRIPS, IMAGE_TRIPS = "64 B String", "1080p Image"
COUNTS = {STRING_TRIPS: 2000, IMAGE_TRIPS: 40}
HEIGHT, WIDTH = 1080, 1920
TEXT = "x" * 55
"""As CDR, with its length, its zero and its header: 64 bytes."""
STREAM_S, STREAM_HZ = 6.0, 1000
PATIENCE_S = 30.0
LOST_S = 2.0
Answers = queue.SimpleQueue[Any]


@dataclass(frozen=True, slots=True)
class Trips:
    """A row of round trips of one size."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of the asking process per round trip."""
    lost: int
    """Round trips without an answer within 2 s."""


@dataclass(slots=True)
class Taken:
    """What one way of sending was found to take in one round."""

    trips: dict[str, Trips] = field(default_factory=dict)
    """By size."""
    receiving_us: float | None = None
    """Processor time of the receiving process per 64-byte message, at 1 kHz."""

    def tell(self) -> None:
        """Print it for the process that asked for it."""
        sys.stdout.write(json.dumps(asdict(self)) + "\n")
        sys.stdout.flush()

    @classmethod
    def of(cls, told: str) -> Taken:
        """Read what `tell` printed."""
        found = json.loads(told)
        trips = {size: Trips(**one) for size, one in found["trips"].items()}
        return cls(trips, found["receiving_us"])


def timed(say: Callable[[], None], answers: Answers, count: int) -> Trips:
    """Send and wait for the answer, `count` times, after some for nothing."""
    _warm_up(say, answers)
    times, lost, cpu = [], 0, time.process_time()
    for _ in range(count):
        begun = time.perf_counter_ns()
        say()
        try:
            answers.get(timeout=LOST_S)
            times.append((time.perf_counter_ns() - begun) / 1e6)
        except queue.Empty:
            lost += 1
    cpu_ms = (time.process_time() - cpu) * 1e3 / count
    times.sort()
    return Trips(times[len(times) // 2], times[len(times) * 99 // 100], cpu_ms, lost)


def _warm_up(say: Callable[[], None], answers: Answers) -> None:
    """Send until ten answers came: both ways are found by then."""
    for _ in range(10):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            say()
            try:
                answers.get(timeout=0.5)
                break
            except queue.Empty:
                continue
        else:
            raise SystemExit("the other process does not answer")
    time.sleep(0.5)
    while not answers.empty():
        answers.get()


def receiving_us(start: Callable[[], None], count: Callable[[], int]) -> float:
    """Return this process's processor time per message of a stream from the other process.

    Args:
        start: Has the other process send its stream.
        count: Tells how many messages came so far.
    """
    time.sleep(0.5)
    idle = time.process_time()
    time.sleep(1.0)
    idle_per_s = time.process_time() - idle
    start()
    while not count():
        time.sleep(0.01)
    before, began, cpu = count(), time.monotonic(), time.process_time()
    time.sleep(STREAM_S - 2.0)
    spent = time.process_time() - cpu - idle_per_s * (time.monotonic() - began)
    return spent * 1e6 / max(1, count() - before)


def stream_for_ever(asked: threading.Event, send: Callable[[], None]) -> None:
    """Send a stream each time it is asked for, until the process is ended."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while os.getppid() != 1:
        if not asked.wait(1.0):
            continue
        asked.clear()
        due = time.monotonic()
        for _ in range(round(STREAM_S * STREAM_HZ)):
            send()
            due += 1 / STREAM_HZ
            time.sleep(max(0.0, due - time.monotonic()))
