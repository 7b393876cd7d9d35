"""From a velocity to the speeds of two wheels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WheelBase:
    """Size of a two-wheeled base, and what its motors can."""

    radius_m: float
    """Of a wheel."""
    track_m: float
    """Between the wheels' middle lines."""
    max_radps: float
    """Fastest a wheel may turn."""

    def speeds(self, linear_mps: float, angular_radps: float) -> tuple[float, float]:
        """Return the wheel speeds that make a velocity.

        Args:
            linear_mps: Ahead positive.
            angular_radps: Counter-clockwise, seen from above, positive.

        Returns:
            Left and right, rad/s, ahead positive. A velocity that asks too much of a wheel is
            slowed down as a whole, so that the curve stays the same.
        """
        turn = angular_radps * self.track_m / 2
        left = (linear_mps - turn) / self.radius_m
        right = (linear_mps + turn) / self.radius_m
        scale = min(1.0, self.max_radps / max(abs(left), abs(right), 1e-9))
        return left * scale, right * scale
