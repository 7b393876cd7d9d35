"""How long the answers of a service take: whether the next one is worth to be waited for awake.

A core that sleeps while another host computes wakes late and finds its caches cold. Where answers
come soon, whoever asked looks again and again for them from the beginning. Where they take longer,
but about the same time each, it sleeps until shortly before the next is due and then looks for a
while, which half of the last answers would have been met in; see `PromptSelector.expect`.
"""

from __future__ import annotations

from collections import deque

EARLY_S = 0.00015
"""So long before an answer is due it is worth to be awake: a timer may be 50 us late, and who is
awake has it sooner than who had to be woken."""
_LOOKS_BACK = 8
"""Answers that tell; one of them may have been slower, and one quicker, than the rest."""


class Habit:
    """Learns from how long answers of one service took, s."""

    def __init__(self, most_s: float, soon_s: float = 0.0) -> None:
        """Know nothing yet.

        Args:
            most_s: For how long to be awake at most for one answer that takes longer.
            soon_s: What comes within this from its question comes soon.
        """
        self._most_s, self._soon_s = most_s, soon_s
        self._took_s: deque[float] = deque(maxlen=_LOOKS_BACK)
        self.note = self._took_s.append
        """Know how long an answer has taken, from when its question was sent."""

    @property
    def is_soon(self) -> bool:
        """Whether all but one of the last answers came soon."""
        is_known = len(self._took_s) == _LOOKS_BACK
        return is_known and sorted(self._took_s)[-2] <= self._soon_s

    def window(self) -> tuple[float, float] | None:
        """Return from when until when to be awake, counted from the sending, s; None for never."""
        if len(self._took_s) < _LOOKS_BACK:
            return None
        took_s = sorted(self._took_s)
        begin_s = took_s[1] - EARLY_S
        end_s = min(took_s[-2] + EARLY_S, begin_s + self._most_s)
        # What comes at once leaves no time to sleep: `Alertness` is for that.
        is_worth_it = begin_s > EARLY_S and took_s[_LOOKS_BACK // 2] <= end_s
        return (begin_s, end_s) if is_worth_it else None
