"""Keeps work away from a model that fails or dawdles, and lets it back when it has recovered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a model may do before it is left alone for a while."""

    failures: int = 3
    """So many in a row, slow answers included, open the circuit."""
    slow_ms: float = float("inf")
    """An answer that took longer counts as a failure (it is given all the same)."""
    rest_s: float = 30.0
    """How long it is left alone; then one call at a time probes it."""


class Breaker:
    """A circuit breaker; any thread may use it.

    Source: M. Nygard (2007), "Release It!", chapter "Stability Patterns".
    """

    def __init__(self, tolerance: Tolerance, now_ns: Callable[[], int]) -> None:
        """Begin closed: all calls go through."""
        self._tolerance, self._now_ns = tolerance, now_ns
        self._failures = 0
        self._opened_ns: int | None = None
        self._probe: Admission | None = None
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """What it is now."""
        opened_ns = self._opened_ns
        if opened_ns is None:
            return "closed"
        is_rested = self._now_ns() - opened_ns >= self._tolerance.rest_s * 1e9
        return "half-open" if is_rested else "open"

    def admit(self) -> Admission | None:
        """Let a call through, or not; half-open, only one until it has ended.

        Returns:
            What the call tells its end to; None where it may not go through.
        """
        with self._lock:
            state = self.state
            if state == "closed":
                return Admission(self, self._opened_ns)
            if state == "open" or self._probe is not None:
                return None
            self._probe = Admission(self, self._opened_ns)
            return self._probe

    def note(self, call: Admission, *, is_good: bool | None) -> None:
        """Note how a call ended; None says nothing about the model."""
        with self._lock:
            if self._probe is call:
                self._probe = None
            # A call from before the circuit opened, or was probed, says nothing of the time since.
            if is_good is None or call.opened_ns != self._opened_ns:
                return
            if is_good:
                self._failures, self._opened_ns = 0, None
                return
            self._failures += 1
            if call.opened_ns is not None or self._failures >= self._tolerance.failures:
                self._opened_ns = self._now_ns()

    @property
    def slow_ms(self) -> float:
        """An answer that took longer counts as a failure."""
        return self._tolerance.slow_ms


class Admission:
    """A call that was let through; one that was given up may yet say how it ended."""

    def __init__(self, breaker: Breaker, opened_ns: int | None) -> None:
        """Begin.

        Args:
            breaker: Who let it through.
            opened_ns: When the circuit had opened that it probes; None where it was closed.
        """
        self._breaker = breaker
        self.opened_ns = opened_ns

    def succeeded(self, took_ms: float) -> None:
        """Note an answer."""
        self._breaker.note(self, is_good=took_ms <= self._breaker.slow_ms)

    def failed(self) -> None:
        """Note a failure."""
        self._breaker.note(self, is_good=False)

    def given_up(self) -> None:
        """Note that it ended without saying anything about the model."""
        self._breaker.note(self, is_good=None)
