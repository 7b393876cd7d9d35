"""How long models lately took: whether one is quick enough to be run where others wait for it."""

from __future__ import annotations

from collections import deque

from olympus.runtime.scheduler.job import NEVER_NS

LOOKS_BACK = 8
"""Runs that tell whether a model is quick; all but one: something else may have had the core."""


class Lasting:
    """Learns from how long plain jobs of one resource ran; the lock of its workers guards it."""

    def __init__(self, *, may_hold_up: bool) -> None:
        """Know nothing yet.

        Args:
            may_hold_up: Whether a quick job may hold up whoever asks: no other worker may need
                what it holds up.
        """
        self._may_hold_up = may_hold_up
        self._lasted: dict[str, deque[int]] = {}
        """By what they run: how long the last plain jobs took, ns."""
        self.usual_ns: dict[str, int] = {}
        """How long all of those took but the slowest one, where it may hold up who asks. Looked at
        before each job."""

    def note(self, what: str, ran_ns: int) -> None:
        """Know how long a plain job ran."""
        if (lasted := self._lasted.get(what)) is None:
            lasted = self._lasted[what] = deque(maxlen=LOOKS_BACK)
        lasted.append(ran_ns)
        if self._may_hold_up and len(lasted) == LOOKS_BACK:
            self.usual_ns[what] = sorted(lasted)[-2]

    def is_quick(self, what: str, quick_ns: int) -> bool:
        """Tell whether it may hold up who asks, as it is known and lately took no longer."""
        return self.usual_ns.get(what, NEVER_NS) <= quick_ns
