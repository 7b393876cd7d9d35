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
        self._is_probing = False
        self._lock = threading.RLock()

    @property
    def state(self) -> State:
        """What it is now."""
        opened_ns = self._opened_ns
        if opened_ns is None:
            return "closed"
        is_rested = self._now_ns() - opened_ns >= self._tolerance.rest_s * 1e9
        return "half-open" if is_rested else "open"

    def admit(self) -> bool:
        """Tell whether a call may go through; half-open, only one until its result is known."""
        with self._lock:
            state = self.state
            if state == "half-open" and not self._is_probing:
                self._is_probing = True
                return True
            return state == "closed"

    def succeeded(self, took_ms: float) -> None:
        """Note an answer."""
        if took_ms > self._tolerance.slow_ms:
            self.failed()
            return
        with self._lock:
            self._failures, self._opened_ns, self._is_probing = 0, None, False

    def failed(self) -> None:
        """Note a failure."""
        with self._lock:
            self._failures += 1
            if self._is_probing or self._failures >= self._tolerance.failures:
                self._opened_ns = self._now_ns()
            self._is_probing = False

    def given_up(self) -> None:
        """Note that a call that was let through ended without saying anything about the model."""
        self._is_probing = False
