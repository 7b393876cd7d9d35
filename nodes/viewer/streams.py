"""What the page shows, kept so that each client gets only what changed since it last looked."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def finite(value: float, digits: int = 4) -> float | None:
    """Return a number JSON can carry: rounded, None where it is not finite."""
    return round(value, digits) if math.isfinite(value) else None


def ms(stamp_ns: int) -> float:
    """Return robot time in milliseconds, which a browser's numbers hold to the microsecond."""
    return round(stamp_ns / 1e6, 3)


class Value:
    """A thing of which only the newest state counts."""

    def __init__(self) -> None:
        self.state: Json = None
        self.version = 0

    def set(self, state: Json) -> None:
        """Replace the state, if it is another one."""
        if state != self.state:
            self.state = state
            self.version += 1


class Stream:
    """Things that happened, in order; the oldest go when there are too many."""

    def __init__(self, keep: int) -> None:
        self._items: deque[Json] = deque(maxlen=keep)
        self.end = 0

    def append(self, item: Json) -> None:
        """Add what happened last."""
        self._items.append(item)
        self.end += 1

    def since(self, position: int) -> list[Json]:
        """Return what came after `position`, as far as it is still known."""
        fresh = min(self.end - position, len(self._items))
        return list(islice(self._items, len(self._items) - fresh, None))


@dataclass(slots=True)
class Cursor:
    """How far one client has read."""

    versions: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)


class Board:
    """All values and streams by name."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._streams: dict[str, Stream] = {}

    def value(self, name: str) -> Value:
        """Return the value of that name, made on first use."""
        return self._values.setdefault(name, Value())

    def stream(self, name: str, keep: int) -> Stream:
        """Return the stream of that name, made on first use to hold `keep` items."""
        return self._streams.setdefault(name, Stream(keep))

    def become(self, other: Board, *, but: Collection[str] = ()) -> None:
        """Show what another board shows, now and from now on; who has read this one begins anew.

        Args:
            other: It may go on being filled.
            but: Names of values of this one that stay.
        """
        for name in self._values.keys() - other._values.keys():
            other.value(name).version += 1  # it is told that there is nothing any more
        other._values.update((name, self._values[name]) for name in but if name in self._values)
        self._values, self._streams = other._values, other._streams

    def news(self, cursor: Cursor) -> dict[str, Json]:
        """Return what changed since `cursor`, and move it; everything for a new cursor.

        Returns:
            `values` by name, `streams` (items by name) and `lost` (items a slow client missed).
        """
        values: dict[str, Json] = {}
        for name, value in self._values.items():
            if cursor.versions.get(name, 0) != value.version:
                cursor.versions[name] = value.version
                values[name] = value.state
        streams: dict[str, Json] = {}
        lost: dict[str, Json] = {}
        for name, stream in self._streams.items():
            before = cursor.positions.get(name)
            if before == stream.end:
                continue
            items = stream.since(before or 0)
            if before is not None and (missed := stream.end - before - len(items)):
                lost[name] = missed
            cursor.positions[name] = stream.end
            streams[name] = items
        return {"values": values, "streams": streams, "lost": lost}
