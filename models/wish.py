"""How a text shall be generated, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from olympus.runtime.errors import ModelError

Ending = Literal["end", "stop", "tokens", "time", "context"]
"""Why it ended: the model said so, a stop text came, or a budget was used up."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a text shall be generated."""

    max_tokens: int = 256
    """Budget: tokens generated at most."""
    max_ms: float = math.inf
    """Budget: time spent computing; waiting for one's turn doesn't count."""
    temperature: float = 0.0
    """0 takes the likeliest token always."""
    top_k: int = 40
    top_p: float = 0.95
    seed: int = 0
    """With a temperature: the same seed gives the same text."""
    grammar: str = ""
    """GBNF that the text must obey."""
    schema: dict[str, object] | None = None
    """JSON schema that the text must obey."""
    stop: tuple[str, ...] = ()
    """The text ends before any of these."""
    special: bool = False
    """Read `<|...|>` in the prompt as special tokens. Never for text that others wrote."""
    watch_odds: bool = False
    """Note how likely the model itself found each token."""

    def check(self, model: str) -> None:
        """Refuse what can't be.

        Raises:
            ModelError: A value is out of range; names it.
        """
        for name, is_right, range_ in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("max_ms", self.max_ms > 0, "above 0"),
            ("temperature", 0 <= self.temperature <= 5, "0..5"),
            ("top_p", 0 < self.top_p <= 1, "above 0, at most 1"),
            ("top_k", self.top_k >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**32, "0..4294967295"),
        ):
            if not is_right:
                value = getattr(self, name)
                raise ModelError(f"model {model}: {name}={value} is refused; write {range_}")
        if self.grammar and self.schema is not None:
            raise ModelError(f"model {model}: give a grammar or a schema, not both")


@dataclass(frozen=True, slots=True)
class Completion:
    """A generated text."""

    text: str
    ending: Ending
    prompt_tokens: int
    reused_tokens: int
    """Of those, how many an earlier call had computed already."""
    tokens: tuple[int, ...]
    odds: tuple[float, ...] = ()
    """Probability that the model gave each token before grammar and temperature, if asked for."""
    compute_ms: float = 0.0
    """Time spent computing, without waiting."""

    def to_json(self) -> dict[str, object]:
        """Give it as plain JSON values."""
        odds = {"odds": list(self.odds)} if self.odds else {}
        return {
            "text": self.text,
            "ending": self.ending,
            "prompt_tokens": self.prompt_tokens,
            "reused_tokens": self.reused_tokens,
            "tokens": len(self.tokens),
            "compute_ms": round(self.compute_ms, 3),
            **odds,
        }
