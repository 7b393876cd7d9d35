"""A detector beside a writer on one core: alone, two threads, one queue, and this scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from _generating import Generation, Text

from olympus.models.onnx import OnnxModel, open_model
from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import (
    Dispatcher,
)
from olympus.runtime.telemetry.meters import quantile

CORE = 0
FEW = 1000
"""Calls where each waits for a whole text, or for nothing."""
Writer = Callable[[], Generation | Text]
"""Begins a text."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the urgent detector's calls took from the wish to the answer."""

    way: str
    n: int
    p50_us: float
    p99_us: float
    worst_us: float
    tokens_per_s: float
    start_p99_us: float
    """From the wish until it began to compute."""
    start_worst_us: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A detector beside a generation, in several ways."""

    text: str
    """What writes."""
    looks: int
    """Pictures it looks at in each call: its share of the core."""
    period_s: float
    """Between two calls."""
    waits: list[Waits]
    step_p50_us: float
    step_p99_us: float
    step_worst_us: float


@dataclass(slots=True)
class Times:
    """What was measured of one way."""

    whole_us: list[float] = field(default_factory=list)
    start_us: list[float] = field(default_factory=list)


class Detector:
    """The shipped detector on a picture, or on several in a row; notes when it began."""

    def __init__(
        self, looks: int = 1, period_s: float = 0.01, name: str = "person-obstacle"
    ) -> None:
        self.looks, self.period_s = looks, period_s
        self.model: OnnxModel = open_model(name)
        tensor = self.model.manifest.inputs[0]
        shape = [dim if isinstance(dim, int) else 1 for dim in tensor.shape]
        picture = np.random.default_rng(1).integers(0, 255, shape).astype(tensor.dtype)
        self.feed = {tensor.name: picture}
        self.began_ns = 0

    def run(self) -> None:
        """Look at the picture."""
        self.began_ns = time.perf_counter_ns()
        for _ in range(self.looks):
            self.model.run(self.feed)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this process on one core, as all of a model host's models are on a small board."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def paced(ask: Callable[[], None], detector: Detector, calls: int) -> Times:
    """Ask at a steady rate and time it; a call that took too long delays the next."""
    times, due = Times(), time.perf_counter()
    for _ in range(calls):
        due = max(due + detector.period_s, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter_ns()
        ask()
        times.whole_us.append((time.perf_counter_ns() - began) / 1e3)
        times.start_us.append((detector.began_ns - began) / 1e3)
    return times


def summed_up(way: str, times: Times, tokens: int, seconds: float) -> Waits:
    """Return what the table shows of one way."""
    whole, start = sorted(times.whole_us), sorted(times.start_us)
    return Waits(
        way=way,
        n=len(whole),
        p50_us=quantile(whole, 0.5),
        p99_us=quantile(whole, 0.99),
        worst_us=whole[-1],
        tokens_per_s=tokens / seconds,
        start_p99_us=quantile(start, 0.99),
        start_worst_us=start[-1],
    )


def waiting(text: str, write: Writer, detector: Detector, calls: int) -> Beside:
    """Compare the ways to run a detector and a writer on one core."""
    steps_ns: list[int] = []
    with on_one_core():
        waits = [
            way(write, detector, calls, steps_ns)
            for way in (_alone, _threads, _one_queue, _scheduled)
        ]
    steps = sorted(t / 1e3 for t in steps_ns)
    figures = (quantile(steps, 0.5), quantile(steps, 0.99), steps[-1])
    return Beside(text, detector.looks, detector.period_s, waits, *figures)


def _alone(_: Writer, detector: Detector, calls: int, __: list[int]) -> Waits:
    began = time.perf_counter()
    times = paced(detector.run, detector, min(calls, FEW))
    return summed_up("detector alone", times, 0, time.perf_counter() - began)


def _endless(
    is_over: threading.Event, once: Callable[[], int]
) -> tuple[threading.Thread, list[int]]:
    tokens: list[int] = []

    def generate() -> None:
        while not is_over.is_set():
            tokens.append(once())

    thread = threading.Thread(target=generate, daemon=True)
    thread.start()
    return thread, tokens


def _beside(
    way: str, detector: Detector, calls: int, once: Callable[[], int], ask: Callable[[], None]
) -> Waits:
    is_over, began = threading.Event(), time.perf_counter()
    thread, tokens = _endless(is_over, once)
    times = paced(ask, detector, calls)
    is_over.set()
    thread.join()
    return summed_up(way, times, sum(tokens), time.perf_counter() - began)


def _threads(write: Writer, detector: Detector, calls: int, _: list[int]) -> Waits:
    return _beside("two plain threads", detector, calls, lambda: write().whole(), detector.run)


def _one_queue(write: Writer, detector: Detector, calls: int, _: list[int]) -> Waits:
    with ThreadPoolExecutor(1) as pool:
        return _beside(
            "one queue, no tiers",
            detector,
            min(calls, FEW),
            lambda: pool.submit(write().whole).result(),
            lambda: pool.submit(detector.run).result(),
        )


def _scheduled(write: Writer, detector: Detector, calls: int, steps_ns: list[int]) -> Waits:
    dispatcher = Dispatcher(SystemClock())

    def once() -> int:
        generation = write()
        done = dispatcher.call(generation, tier=Tier.LOW, source="planner")
        steps_ns.extend(generation.steps_ns)
        return done

    waits = _beside(
        "this scheduler",
        detector,
        calls,
        once,
        lambda: dispatcher.call(detector.run, tier=Tier.CRITICAL, source="detector"),
    )
    dispatcher.close()
    return waits
