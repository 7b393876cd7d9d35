"""From what a sound model thinks, several times a second, to events that happen once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ConfigError

BACKGROUND: Final = "background"
"""The label that is never an event."""
SPEECH: Final = "speech_other"
"""The label of words that are no command: nobody waits for it, so it takes twice the looks, and it
keeps quiet beside other events, which look like it while they come into view and leave."""
MAX_LOOKS: Final = 10


@dataclass(frozen=True, slots=True)
class Heard:
    """One event."""

    label: str
    confidence: float
    """Mean probability over the looks it was smoothed over, 0..1."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When probabilities are an event."""

    min_confidence: float = 0.75
    """Smoothed probability from which a label is an event, 0..1."""
    looks: int = 3
    """Over how many looks the probabilities are averaged, 1..10."""
    refractory_s: float = 1.5
    """How long the same label keeps quiet after an event, in seconds."""

    def __post_init__(self) -> None:
        if not 1 <= self.looks <= MAX_LOOKS:
            raise ConfigError(f"looks={self.looks} is not in 1..{MAX_LOOKS}; try 3")


class Decider:
    """Smooth probabilities over a few looks, and report each event once.

    A window is one second long, so the same word is in view at many looks in a row: after an event
    its label keeps quiet for `refractory_s`. A sound that goes on, such as a siren, is reported
    again each time that has passed.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        """Take the labels of the model, in the order of its outputs."""
        self._labels = tuple(labels)
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=2 * MAX_LOOKS)
        self._last_ns: dict[str, int] = {}

    def decide(
        self, probabilities: NDArray[np.float32], stamp_ns: int, rules: Rules
    ) -> Heard | None:
        """Take the model's view of the newest second.

        Args:
            probabilities: (labels,) float32, 0..1.
            stamp_ns: When that second ended, in ns of any clock that never steps back.
            rules: What counts now.

        Returns:
            An event, or None when there is none or it is known already.
        """
        self._recent.append(probabilities)
        heard = self._best(rules.looks)
        if heard is not None and heard.label == SPEECH:
            heard = self._best(2 * rules.looks)
        if heard is None or heard.confidence < rules.min_confidence:
            return None
        if stamp_ns - self._quiet_since(heard.label) < rules.refractory_s * 1e9:
            return None
        self._last_ns[heard.label] = stamp_ns
        return heard

    def _best(self, looks: int) -> Heard | None:
        """Give the likeliest label of the last looks, if it is an event."""
        if len(self._recent) < looks:
            return None
        mean = np.mean(list(self._recent)[-looks:], axis=0)
        best = int(mean.argmax())
        label = self._labels[best]
        return None if label == BACKGROUND else Heard(label, float(mean[best]))

    def _quiet_since(self, label: str) -> float:
        """Tell when this label, or for other speech any, was an event last."""
        if label == SPEECH:
            return max(self._last_ns.values(), default=-math.inf)
        return self._last_ns.get(label, -math.inf)

    def reset(self) -> None:
        """Forget the looks, for example after a gap in the sound; known events stay known."""
        self._recent.clear()
