"""The thread that owns the motors: at each tick the gate decides, and the base obeys.

It ticks at a steady rate, at once when a new order comes, and within `LOOK_S` of a stop.
"""

from __future__ import annotations

# varies throughout: these are motors
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from olympus.drivers.base import RoverBase
from olympus.runtime.errors import DeviceError, SafetyError
from olympus.runtime.messages import Twist
from olympus.runtime.safety import realtime
from olympus.runtime.safety.gate import Applied, Command, Gate
from olympus.runtime.safety.limits import Rules
from olympus.runtime.safety.neutral_line import announce

LOOK_S: Final = 0.005
"""How often the lease is looked at between two ticks."""

STILL_RADPS: Final = 0.1
"""A wheel that turns more slowly stands."""

FRESH_NS: Final = 200_000_000
"""A measurement older than this says nothing about now."""

PROVE_S: Final = 0.3
"""A gate that is closed waits so long at most until its wheels are measured to stand."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """The wheel speeds asked for, and the twist that means them."""

    twist: Twist | None
    command: Command


Tell = Callable[[Applied, Order | None, int], None]
"""Told after a tick that changed something: what was applied, for which order, and when (ns)."""


class MotorLoop:
    """Ticks a gate at a steady rate in a thread of its own."""

    def __init__(
        self,
        base: RoverBase,
        directory: Path,
        rules: Rules,
        *,
        rate_hz: float,
        tell: Tell,
        clock_offset_ns: int = 0,
        priority: int | None = None,
    ) -> None:
        """Put a gate before the motors; nothing runs before `start`.

        Args:
            base: The motors; this loop alone commands them.
            directory: The session's safety directory.
            rules: What the gate lets through: channels are the wheels' rad/s, left first.
            rate_hz: Ticks per second.
            tell: Called from this thread when a new order was applied or the reason changed.
            clock_offset_ns: Robot time minus CLOCK_MONOTONIC.
            priority: Real-time priority to ask for; a refusal is logged.
        """
        self.faults = 0
        """Ticks in which the motors did not take what the gate gave."""
        self._base, self._period_s, self._tell = base, 1 / rate_hz, tell
        self._directory, self._offset_ns = directory, clock_offset_ns
        self._priority = priority
        self._gate = Gate(directory, "drive", rules, apply=self._apply, sense=self._is_still)
        self._told: tuple[str, Order | None] = ("", None)
        self._newest: Order | None = None
        self._wake = threading.Event()
        self._is_ending = self._is_refused = False
        self._thread = threading.Thread(target=self._run, name="motors", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        if (line := self._base.neutral_line()) is not None:
            device, frame = line
            try:
                announce(self._directory, "drive", device, frame)
            except SafetyError as error:
                _log.warning("the guardian can't halt a frozen gate itself: %s", error)
        self._thread.start()

    def obey(self, order: Order) -> None:
        """Carry out `order` from now on; from any thread, at once and not at the next tick."""
        self._newest = order
        self._wake.set()

    def forget(self) -> None:
        """Drop the newest order: neutral, at once, until there is another."""
        self._newest = None
        self._wake.set()

    def stop(self, why: str = "its motors are let go") -> None:
        """End with neutral motors.

        Args:
            why: In words, for the log and for the trip that a closed gate is.
        """
        self._is_ending = True
        self._wake.set()
        self._thread.join()
        _log.info("gate drive is closed: %s", why)
        self._gate.close(why, prove_s=PROVE_S)
        self._base.neutral()

    @property
    def counts(self) -> dict[str, int]:
        """Ticks by reason since the start."""
        return {reason.name.lower(): count for reason, count in self._gate.counts.items()}

    def _run(self) -> None:
        said = realtime.real_time(self._priority)
        if said.startswith("refused"):
            _log.warning("motors: real-time priority %s", said)
        try:
            self._tick_on()
        finally:
            # However this thread ends, the motors don't go on: the gate falls silent, which trips.
            self._base.neutral()

    def _tick_on(self) -> None:
        due = time.monotonic()
        while not self._is_ending:
            self._tick()
            now = time.monotonic()
            # An order makes an early tick; that must not put off the next one, which sees age.
            due = min(max(due + self._period_s, now), now + self._period_s)
            self._pause(due)

    def _pause(self, due: float) -> None:
        while (left_s := due - time.monotonic()) > 0:
            if self._wake.wait(min(left_s, LOOK_S)) or self._gate.is_due():
                break
        self._wake.clear()

    def _tick(self) -> None:
        order = self._newest
        try:
            applied = self._gate.tick(order.command if order is not None else None)
        except DeviceError as error:
            # Acknowledged as not neutral, which trips; the node sees the count and reconnects.
            self.faults += 1
            if not self._is_refused:
                _log.warning("motors to neutral: %s", error)
            self._is_refused = True
            self._base.neutral()  # what did not take this command may still hold the last one
            return
        self._is_refused = False
        at_ns = time.monotonic_ns()
        told = (applied.reason.name, order)
        if told != self._told:
            self._told = told
            self._tell(applied, order, at_ns)

    def _apply(self, channels: tuple[float, ...]) -> None:
        if any(channels):
            self._base.command(channels[0], channels[1])
        else:
            self._base.neutral()

    def _is_still(self, since_ns: int) -> bool | None:
        state = self._base.state()
        measured_ns = state.stamp_ns - self._offset_ns
        if measured_ns < since_ns or time.monotonic_ns() - measured_ns > FRESH_NS:
            return None
        speeds = (abs(state.left_radps), abs(state.right_radps))
        if any(map(math.isnan, speeds)):
            return None  # an encoder that is not known to count proves nothing
        return max(speeds) < STILL_RADPS
