"""What every bus is asked to do, the same for all: round trips, rates, processor time per frame.

Needs numpy and nothing else: it runs in the environments of the buses that ours is compared with.

A trial is `{"what": "trips", "nbytes": …, "count": …, "is_copied": …}`, `{"what": "flood",
"seconds": …}` or `{"what": "frames", "seconds": …, "hz": …, "is_copied": …}`. The far end answers
each message with how many there were, unless its first byte is QUIET, and ends after END.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

LOUD, QUIET, END = 0, 1, 2
SMALL = 64
FRAME = 1920 * 1080 * 3
Frame = NDArray[np.uint8]


class Near(Protocol):
    """The end that asks."""

    def send(self, frame: Frame, is_copied: bool) -> None:
        """Send bytes: all of them copied in, or only the first and the last written in place."""

    def answer(self) -> int:
        """Wait for the answer."""


def marked(there: Any, frame: Frame) -> None:
    """Write what must be written of a frame that is made in place."""
    there[0], there[-1] = frame[0], frame[-1]


def carry_out(near: Near, folder: Path) -> None:
    """Carry out the trials of `trials.json`, one after the other, into `results.json`."""
    trials = json.loads((folder / "trials.json").read_text())
    results = [_TRIALS[trial.pop("what")](near, folder, **trial) for trial in trials]
    (folder / "results.json").write_text(json.dumps(results))
    near.send(np.full(SMALL, END, np.uint8), True)
    near.answer()


def _trips(near: Near, _folder: Path, *, nbytes: int, count: int, is_copied: bool) -> list[int]:
    """Return how long each of some round trips took, ns."""
    frame, times = np.full(nbytes, LOUD, np.uint8), []  # zeros alone would all be one page
    for number in range(count + count // 10):
        begun = time.perf_counter_ns()
        near.send(frame, is_copied)
        near.answer()
        if number >= count // 10:
            times.append(time.perf_counter_ns() - begun)
    return times


def _flood(near: Near, _folder: Path, *, seconds: float) -> float:
    """Return how many small messages per second arrive when sent as fast as they go."""
    quiet, loud = np.full(SMALL, QUIET, np.uint8), np.full(SMALL, LOUD, np.uint8)
    near.send(loud, True)
    before, begun = near.answer(), time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for _ in range(50):
            near.send(quiet, True)
    near.send(loud, True)
    after = near.answer()
    return (after - before) / (time.perf_counter() - begun)


def _frames(
    near: Near, folder: Path, *, seconds: float, hz: float, is_copied: bool
) -> dict[str, float]:
    """Return the processor time of all processes per frame and per period without one, ms."""
    frame = np.full(FRAME, LOUD, np.uint8)
    frame[0], spent = QUIET, {}
    for what in ("idle", "busy"):
        before, due = _cpu_ns(folder), time.perf_counter()
        for _ in range(int(seconds * hz)):
            due += 1 / hz
            time.sleep(max(0.0, due - time.perf_counter()))
            if what == "busy":
                near.send(frame, is_copied)
        spent[what] = (_cpu_ns(folder) - before) / 1e6 / int(seconds * hz)
    return spent


_TRIALS: dict[str, Callable[..., Any]] = {"trips": _trips, "flood": _flood, "frames": _frames}


def _cpu_ns(folder: Path) -> int:
    """Return the processor time of all processes that were started for a folder, ns."""
    mark, total = str(folder).encode(), 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                total += cpu_ns(int(entry.name))
    return total


def cpu_ns(pid: int) -> int:
    """Return the processor time that the threads of a process have had so far, ns."""
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                total += int((task / "schedstat").read_text().split()[0])
    return total
