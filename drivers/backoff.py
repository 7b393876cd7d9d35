"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.errors import ConfigError


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first_s` to `most_s`, and start over after a success."""

    first_s: float = 0.25
    """First wait, seconds, above 0."""
    most_s: float = 5.0
    """Longest wait, seconds."""
    tries: int = 0
    """Failures since the last success."""

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.most_s:
            raise ConfigError(
                f"first_s={self.first_s}, most_s={self.most_s}: need 0 < first_s <= most_s"
            )

    def next_s(self) -> float:
        """Count a failure and return how long to wait now, seconds."""
        wait_s = min(self.first_s * 2.0 ** min(self.tries, 60), self.most_s)
        self.tries += 1
        return wait_s

    def reset(self) -> None:
        """Note a success."""
        self.tries = 0
