"""Whether to stay awake for the next message: only where messages follow each other closely.

A core that sleeps takes tens of microseconds to wake, more than both ends of a round trip need; one
that looks again and again answers at once, and does nothing else meanwhile. As a kernel does for
its guests (Linux, Documentation/virt/guest-halt-polling.rst), the past tells which is worth it: a
camera's frames, milliseconds apart, never keep a core awake; question and answer do.
"""

from __future__ import annotations

FEWEST = 4
"""So many messages must have followed each other closely, before one is waited for awake."""
MOST = 64
"""At most so many, where it was in vain before."""
_WORTH = 16
"""So many messages that are met awake are worth the while that it looks in vain after the last."""
NAP_S = 0.05
"""After so long awake it sleeps once: a real-time loop that never waits loses its priority for it
(node/urgency.py), and one round trip in fifty milliseconds pays."""


class Alertness:
    """Learns from when messages come; times are those of one steady clock, s."""

    def __init__(self, most_s: float) -> None:
        """Know nothing yet.

        Args:
            most_s: How long to stay awake at most after a message; 0 = never.
        """
        self._most_s = most_s
        self._since_s = -most_s
        """When the message before had been dealt with."""
        self._close = 0
        """How many messages came within `most_s` of the one before, in a row."""
        self._needed = FEWEST
        self._nap_s = 0.0
        """When it is to sleep next, however closely messages come."""

    @property
    def is_possible(self) -> bool:
        """Whether it can ever be worth it."""
        return self._most_s > 0

    def come(self, now_s: float) -> None:
        """Know that something came; to be called before it is dealt with."""
        if now_s - self._since_s <= self._most_s:
            self._close += 1
            return
        if self._close >= FEWEST + _WORTH:  # also if most of it was spent asleep
            self._needed = FEWEST
        elif self._close >= self._needed:
            self._needed = min(MOST, self._needed * 2)
        self._close = 0

    def until(self, now_s: float) -> float:
        """Return until when to stay awake, 0 if not at all; what came is dealt with now."""
        self._since_s = now_s
        if self._close < self._needed:
            return 0.0
        if now_s >= self._nap_s:
            is_begun = self._close > self._needed
            self._nap_s = now_s + NAP_S
            if is_begun:
                return 0.0
        return now_s + self._most_s
