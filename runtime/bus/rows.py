"""The messages of one publisher on one topic: in order, each once, and what is missing counted."""

from __future__ import annotations

from typing import Any, TypeAlias

from olympus.runtime.bus.inbox import Inbox

Row: TypeAlias = tuple[str, str]
"""Topic and source."""
MOST_ROWS = 4096
"""Rows whose last number a subscription knows."""


def is_news(
    seen: dict[Row, tuple[int, int]], inbox: Inbox[Any], row: Row, incarnation: int, seq: int
) -> bool:
    """Tell whether a message is to be taken in, and note it; what is not, and gaps, are counted.

    Args:
        seen: Incarnation and number of the last message of each row.
        inbox: Counts.
        row: Of the message.
        incarnation: Of its publisher.
        seq: Its number; 0 where an outside client does not count.
    """
    if not seq:
        return True
    known = seen.get(row)
    if known is not None and known[0] == incarnation:
        last = known[1]
        if seq <= last:  # the newest once more is a latched value that came both ways
            inbox.count("duplicate", int(seq < last))
            return False
        if seq > last + 1:
            inbox.count("lost", seq - last - 1)
    if len(seen) >= MOST_ROWS:  # the row that was silent for longest is forgotten
        seen.pop(row, None)
        if len(seen) >= MOST_ROWS:
            del seen[next(iter(seen))]
    seen[row] = (incarnation, seq)
    return True
