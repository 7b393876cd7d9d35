"""What was on a topic: a store's answer, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from olympus.runtime.bus.topics import matches
from olympus.runtime.messages.history import History, HistoryQuery, Recorded
from olympus.runtime.store import StreamStore
from olympus.runtime.store.reading import END_OF_TIME

MAX_BYTES = 64 * 2**20
"""Most bytes of frames in an answer."""
MAX_ITEMS = 8000
"""Most messages in an answer; a message has at most 8192 items."""


def history_of(
    store: StreamStore,
    query: HistoryQuery,
    *,
    max_bytes: int = MAX_BYTES,
    max_items: int = MAX_ITEMS,
) -> History:
    """Return the newest messages of each topic that is meant; none if none was recorded.

    Args:
        store: Where they are recorded; may be written meanwhile, what was committed is seen.
        query: What is wanted.
        max_bytes: Most bytes of frames in the answer.
        max_items: Most messages in the answer.

    Raises:
        StoreError: The store is damaged, or a key is missing.
    """
    gathered = _Answer(max_bytes, max_items)
    for topic in store.topics():
        if matches(query.topic, topic):
            frames = store.backwards(topic, since=query.since, until=query.until or END_OF_TIME)
            gathered.add(topic, frames, query.count)
    return History(items=tuple(gathered.items), is_cut=gathered.is_cut)


class _Answer:
    """Takes in frames while there is room."""

    def __init__(self, max_bytes: int, max_items: int) -> None:
        self._left_bytes, self._max_items = max_bytes, max_items
        self.items: list[Recorded] = []
        self.is_cut = False

    def add(self, topic: str, frames: Iterator[bytes], count: int) -> None:
        """Take in the first `count` frames of a topic, which are its newest."""
        kept: list[Recorded] = []
        for frame in islice(frames, max(0, count)):
            self._left_bytes -= len(frame)
            if self._left_bytes < 0 or len(self.items) + len(kept) >= self._max_items:
                self.is_cut = True
                break
            kept.append(Recorded(topic=topic, frame=np.frombuffer(frame, np.uint8)))
        self.items += kept[::-1]
