"""Feeds backstops, each in a thread of its own: a slow one never holds up the loop."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Final

from olympus.runtime.safety import realtime
from olympus.runtime.safety.backstop import Backstop, Outlook, Report, load
from olympus.runtime.safety.settings import Settings

SLOW_NS: Final = 50_000_000
"""A feed that takes longer stands against motion."""

CLOSE_S: Final = 0.5
"""How long the guardian waits for backstops at its end."""

_NEVER_FED: Final = Report("was not fed yet")


class Feeder:
    """One backstop and its thread. The loop writes one outlook, the thread takes it: no lock."""

    def __init__(self, name: str, backstop: Backstop, priority: int | None = None) -> None:
        """Start the thread; nothing is fed yet.

        Args:
            name: The backstop's name.
            backstop: What to feed.
            priority: Real-time priority of the thread, as that of the guardian; None for none.
        """
        self.name = name
        self.report = _NEVER_FED
        """The newest report."""
        self.fed = 0
        """Feeds that have returned."""
        self.missed = 0
        """Ticks that passed while a feed still ran."""
        self.failures = 0
        """Feeds that raised."""
        self.longest_ns = 0
        """The longest feed so far."""
        self._backstop = backstop
        self._priority = priority
        self._begun_ns = 0
        self._outlooks: SimpleQueue[Outlook | bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"backstop {name}", daemon=True)
        self._thread.start()

    def feed(self, outlook: Outlook) -> None:
        """Hand over a tick; never waits."""
        if self._begun_ns:
            self.missed += 1
            return
        self._begun_ns = time.monotonic_ns()
        self._outlooks.put(outlook)

    def problem(self) -> str:
        """Say in words what stands against motion; empty when all is well."""
        begun_ns = self._begun_ns
        took_ns = time.monotonic_ns() - begun_ns if begun_ns else 0
        if took_ns > SLOW_NS:
            return f"feeding it takes {took_ns / 1e6:.0f} ms, allowed are {SLOW_NS / 1e6:.0f}"
        return self.report.problem

    def told(self) -> dict[str, object]:
        """Tell how it is, ready for JSON."""
        report = self.report
        return {
            "name": self.name,
            "problem": self.problem(),
            "text": report.text,
            "facts": {
                **_plain(report.facts),
                "fed": self.fed,
                "missed": self.missed,
                "failures": self.failures,
                "longest_ms": round(self.longest_ns / 1e6, 3),
            },
        }

    def end(self, *, is_neutral: bool) -> None:
        """Ask the thread to close the backstop; `join` waits for it."""
        self._outlooks.put(is_neutral)

    def join(self, deadline_s: float) -> bool:
        """Wait until the backstop is closed or `time.monotonic()` passes `deadline_s`."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        realtime.join(self._priority)
        while not isinstance(outlook := self._outlooks.get(), bool):
            self._feed(outlook)
        try:
            self._backstop.close(is_neutral=outlook)
        except Exception as error:  # noqa: BLE001  whatever a backstop does, the guardian ends well
            self.report = _failed(error)
            line = f"guardian: backstop {self.name} did not close well: {self.report.problem}\n"
            os.write(2, line.encode())

    def _feed(self, outlook: Outlook) -> None:
        try:
            self.report = _checked(self._backstop.feed(outlook))
        except Exception as error:  # noqa: BLE001  any exception of a backstop is a trip
            self.report = _failed(error)
            self.failures += 1
        self.longest_ns = max(self.longest_ns, time.monotonic_ns() - self._begun_ns)
        self.fed += 1
        self._begun_ns = 0


class Feeders:
    """All backstops of a guardian."""

    def __init__(self, found: Mapping[str, Backstop], priority: int | None = None) -> None:
        """Start a thread each.

        Args:
            found: Backstops by name.
            priority: Real-time priority of the threads; None for none.
        """
        self._feeders: Sequence[Feeder] = tuple(
            Feeder(name, backstop, priority) for name, backstop in found.items()
        )

    def feed(self, outlook: Outlook) -> None:
        """Hand a tick to all; never waits."""
        for feeder in self._feeders:
            feeder.feed(outlook)

    def problems(self) -> Iterator[str]:
        """Say in words what stands against motion."""
        for feeder in self._feeders:
            if problem := feeder.problem():
                yield f"backstop {feeder.name}: {problem}"

    def told(self) -> list[dict[str, object]]:
        """Tell how they are, ready for JSON."""
        return [feeder.told() for feeder in self._feeders]

    def close(self, *, is_neutral: bool) -> None:
        """Close all, and wait for that no longer than `CLOSE_S`."""
        for feeder in self._feeders:
            feeder.end(is_neutral=is_neutral)
        deadline_s = time.monotonic() + CLOSE_S
        for feeder in self._feeders:
            if not feeder.join(deadline_s):
                os.write(2, f"guardian: backstop {feeder.name} did not close in time\n".encode())


def make_feeders(settings: Settings) -> Feeders:
    """Load the backstops of a guardian's settings and start their threads.

    Raises:
        ConfigError: One can't be loaded or refuses its options.
    """
    found = {spec.name: load(spec) for spec in settings.backstops}
    return Feeders(found, settings.sched_fifo)


def _checked(report: object) -> Report:
    """Let nothing into the guardian's loop that is no report.

    Raises:
        TypeError: It is none, or its fields are of other types.
    """
    if not isinstance(report, Report):
        raise TypeError(f"`feed` returned {type(report).__name__}, not a Report")
    words = isinstance(report.problem, str) and isinstance(report.text, str)
    if not words or not isinstance(report.facts, Mapping):
        raise TypeError("a Report has `problem` and `text` as str, and `facts` as a mapping")
    return report


def _plain(facts: Mapping[str, object]) -> Mapping[str, object]:
    """Return facts as they can be told; what JSON can't hold must not end the guardian."""
    try:
        told: dict[str, object] = json.loads(json.dumps(dict(facts)))
    except Exception as error:  # noqa: BLE001  whatever a backstop tells, status is answered
        return {"untold": f"{type(error).__name__}: {error}"}
    return told


def _failed(error: Exception) -> Report:
    return Report(f"{type(error).__name__}: {error}")
