"""What a gate lets through: limits per channel, stop category, age budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from olympus.runtime.errors import SafetyError

LONGEST_BRAKE_S: Final = 0.5
"""A brake ramp from full output may take no longer."""

LONGEST_AGE_NS: Final = 1_000_000_000
"""No command may stay good for longer."""


class Category(IntEnum):
    """Stop category, after IEC 60204-1."""

    CUT = 0
    """Neutral at once."""
    BRAKE = 1
    """A brake ramp, then neutral."""


class Steep(StrEnum):
    """What to do with a command that asks for more than the slew limit."""

    LIMIT = "limit"
    """Follow it as fast as the limit allows."""
    REFUSE = "refuse"
    """Treat it as a fault: stop. The commander must ramp by itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one channel may do.

    Raises:
        SafetyError: The numbers do not make sense together.
    """

    low: float
    """Smallest output allowed, in the channel's unit."""
    high: float
    """Largest output allowed."""
    slew_per_s: float
    """How fast the output may move away from neutral, unit per second."""
    brake_per_s: float | None = None
    """How fast it may move towards neutral; None for the faster of `slew_per_s` and what
    `LONGEST_BRAKE_S` asks for."""
    neutral: float = 0.0
    """The output that means "do not move"."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            SafetyError: The numbers do not make sense together.
        """
        numbers = (self.low, self.high, self.slew_per_s, self.neutral, self.braking_per_s)
        if not all(math.isfinite(number) for number in numbers):
            raise SafetyError(f"{self}: every limit must be a finite number")
        if not self.low <= self.neutral <= self.high:
            raise SafetyError(f"{self}: neutral must lie within low..high")
        if self.slew_per_s <= 0 or self.braking_per_s <= 0:
            raise SafetyError(f"{self}: slew_per_s and brake_per_s must be above 0")
        if self.reach / self.braking_per_s > LONGEST_BRAKE_S * (1 + 1e-9):
            raise SafetyError(
                f"{self}: braking from full output takes {self.reach / self.braking_per_s:.2f} s, "
                f"at most {LONGEST_BRAKE_S} s is allowed; raise brake_per_s to "
                f"{self.reach / LONGEST_BRAKE_S:g}"
            )

    @property
    def reach(self) -> float:
        """The largest distance from neutral."""
        return max(self.high - self.neutral, self.neutral - self.low)

    @property
    def braking_per_s(self) -> float:
        """How fast the output moves towards neutral, unit per second."""
        if self.brake_per_s is not None:
            return self.brake_per_s
        return max(self.slew_per_s, self.reach / LONGEST_BRAKE_S)

    def approach(self, current: float, target: float, elapsed_s: float) -> float:
        """Move an output towards a target as far as the limits allow.

        It never passes through neutral in one step.

        Args:
            current: The newest output.
            target: Where to go.
            elapsed_s: Time since the newest output.

        Returns:
            The next output.
        """
        is_braking = (target - current) * (current - self.neutral) < 0
        rate = self.braking_per_s if is_braking else self.slew_per_s
        step = rate * elapsed_s
        if abs(target - current) <= step:
            moved = target
        else:
            moved = current + math.copysign(step, target - current)
        if is_braking and (moved - self.neutral) * (current - self.neutral) < 0:
            return self.neutral
        return moved


@dataclass(frozen=True, slots=True)
class Rules:
    """What a gate lets through.

    Raises:
        SafetyError: There is no channel, or the age budget is out of range.
    """

    limits: tuple[Limits, ...]
    """One per channel."""
    max_age_ns: int = 200_000_000
    """How old a command may be when it is applied, in ns."""
    category: Category = Category.CUT
    """What a stop does."""
    steep: Steep = Steep.LIMIT
    """What a command beyond the slew limit does."""

    def __post_init__(self) -> None:
        """Refuse rules that guard nothing.

        Raises:
            SafetyError: There is no channel, or the age budget is out of range.
        """
        if not self.limits:
            raise SafetyError("a gate needs at least one channel; give `limits` one entry each")
        if not 0 < self.max_age_ns <= LONGEST_AGE_NS:
            raise SafetyError(f"max_age_ns={self.max_age_ns} is not in 1..{LONGEST_AGE_NS}")

    @property
    def neutral(self) -> tuple[float, ...]:
        """The output that means "do not move", per channel."""
        return tuple(limits.neutral for limits in self.limits)

    def approach(
        self, current: tuple[float, ...], target: tuple[float, ...], elapsed_s: float
    ) -> tuple[float, ...]:
        """Move every channel towards its target as far as its limits allow."""
        pairs = zip(self.limits, current, target, strict=True)
        return tuple(limits.approach(now, then, elapsed_s) for limits, now, then in pairs)
