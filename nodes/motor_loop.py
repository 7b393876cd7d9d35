"""The thread that owns the motors: at each tick the gate decides, and the base obeys.

It ticks at a steady rate, and besides at once when a new order comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olympus.drivers.base import RoverBase
from olympus.runtime.errors import DeviceError
from olympus.runtime.messages import Twist
from olympus.runtime.safety.gate import Applied, Command, Gate
from olympus.runtime.safety.limits import Rules

Tell = Callable[[Applied, Twist | None, int], None]
"""Told after a tick that changed something: what was applied, for which twist, and when (ns)."""


@dataclass(frozen=True, slots=True)
class Order:
    """A twist, and the wheel speeds it means."""

    twist: Twist
    command: Command


class MotorLoop:
    """Ticks a gate at a steady rate in a thread of its own."""

    def __init__(
        self, base: RoverBase, directory: Path, rules: Rules, *, rate_hz: float, tell: Tell
    ) -> None:
        """Put a gate before the motors; nothing runs before `start`.

        Args:
            base: The motors; this loop alone commands them.
            directory: The session's safety directory.
            rules: What the gate lets through: channels are the wheels' rad/s, left first.
            rate_hz: Ticks per second.
            tell: Called from this thread when a new order was applied or the reason changed.
        """
        self.faults = 0
        """Ticks in which the motors did not take what the gate gave."""
        self._base, self._period_s, self._tell = base, 1 / rate_hz, tell
        self._gate = Gate(directory, "drive", rules, apply=self._apply)
        self._told: tuple[str, Order | None] = ("", None)
        self._newest: Order | None = None
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="motors", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def obey(self, order: Order) -> None:
        """Carry out `order` from now on; from any thread, at once and not at the next tick."""
        self._newest = order
        self._wake.set()

    def stop(self) -> None:
        """End with neutral motors."""
        self._is_ending = True
        self._wake.set()
        self._thread.join()
        self._gate.close()
        self._base.neutral()

    @property
    def counts(self) -> dict[str, int]:
        """Ticks by reason since the start."""
        return {reason.name.lower(): count for reason, count in self._gate.counts.items()}

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_ending:
            self._tick()
            due = max(due + self._period_s, time.monotonic())
            self._wake.wait(due - time.monotonic())
            self._wake.clear()

    def _tick(self) -> None:
        order = self._newest
        try:
            applied = self._gate.tick(order.command if order is not None else None)
        except DeviceError:  # acknowledged as not neutral; the node sees the count and reconnects
            self.faults += 1
            return
        at_ns = time.monotonic_ns()
        told = (applied.reason.name, order)
        if told != self._told:
            self._told = told
            self._tell(applied, order.twist if order is not None else None, at_ns)

    def _apply(self, channels: tuple[float, ...]) -> None:
        if any(channels):
            self._base.command(channels[0], channels[1])
        else:
            self._base.neutral()
