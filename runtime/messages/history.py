"""A question to a store, what was on a topic, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages.base import Message, message
from olympus.runtime.messages.schema import Array


@message("olympus/HistoryQuery")
class HistoryQuery(Message):
    """Which of the recorded messages are wanted."""

    topic: str
    """Full name; `*` stands for one part, `**` for any number of them."""
    count: int = 1
    """At most so many of each topic, the newest."""
    since: int = 0
    """First capture time, robot time in ns."""
    until: int = 0
    """Last capture time, inclusive; 0 for no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One message as it was recorded."""

    topic: str
    frame: Annotated[NDArray[np.uint8], Array("u1", (None,))]
    """(n,) uint8: a frame, as docs/wire.md has it."""


@message("olympus/History")
class History(Message):
    """What a store knows."""

    items: tuple[Recorded, ...]
    """By topic, and of each the oldest first."""
    is_cut: bool = False
    """Whether there was more than goes into one answer; the oldest are missing then."""
