"""What a store knows about its own completeness: runs of the recorder, and gaps."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

import lmdb

from olympus.runtime.store.environment import StoreFile, View
from olympus.runtime.store.layout import ENDS, GAPS, PRUNED, RUNS
from olympus.runtime.store.records import KEY
from olympus.runtime.store.rows import pack_row, unpack_row

LOST, THINNED, FULL, REFUSED = "lost", "thinned", "full", "refused"
Ends = dict[tuple[str, str], tuple[int, int]]
"""(topic, source) -> sequence number and capture time of the newest message."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages that a recording lacks."""

    topic: str
    source: str
    after_seq: int
    missing: int
    stamp: int
    """Capture time of the first message after the gap, or of the last in it, ns."""
    reason: str = LOST
    """`lost` on the way or with a killed recorder; `thinned` by policy; `full`: there was no room;
    `refused`: a damaged or unknown message."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed of a topic to make room."""

    until: int
    """Capture time of the last one, ns."""
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recorder's work, from its start to its end."""

    number: int
    session: str
    """Which session it recorded; the same after a restart of the recorder within it."""
    started: int
    """Robot time, ns."""
    seen: int
    """Robot time of the newest commit, ns."""
    ended: int = 0
    """Robot time of the end; 0 = it runs, or was cut off."""
    bound_s: float = 0.0
    """What a killed recorder, and with `is_durable` a power cut, may lose at most, seconds."""
    is_durable: bool = True
    recorded: int = 0
    missing: int = 0
    """Sum of its gaps."""
    topics: list[str] = field(default_factory=list)
    """Patterns of what was to be recorded."""
    about: dict[str, str] = field(default_factory=dict)
    """What a replay must know: launch file, model hashes, versions, CPU."""

    @property
    def is_complete(self) -> bool:
        """Whether it came to its end and lacks nothing."""
        return self.ended > 0 and self.missing == 0


def read_runs(view: View) -> list[Run]:
    """Return all runs, oldest first.

    Raises:
        DamageError: A row is damaged.
    """
    return [Run(**unpack_row(key, value)) for key, value in view.items(RUNS)]


def read_gaps(view: View) -> list[Gap]:
    """Return all gaps in the order of time.

    Raises:
        DamageError: A row is damaged.
    """
    return [Gap(**unpack_row(key, value)) for key, value in view.items(GAPS)]


def read_ends(view: View) -> Ends:
    """Return the newest message of each topic and source.

    Raises:
        DamageError: A row is damaged.
    """
    found: Ends = {}
    for key, value in view.items(ENDS):
        seq, stamp = unpack_row(key, value)
        topic, _, source = key.decode().partition("\0")
        found[topic, source] = seq, stamp
    return found


def read_pruned(view: View) -> dict[str, Pruned]:
    """Return by topic what was removed to make room.

    Raises:
        DamageError: A row is damaged.
    """
    rows = view.items(PRUNED)
    return {key.decode(): Pruned(**unpack_row(key, value)) for key, value in rows}


def write_run(file: StoreFile, transaction: lmdb.Transaction, run: Run) -> None:
    """Write a run's row, within a write."""
    key = run.number.to_bytes(8, "big")
    transaction.put(key, pack_row(key, asdict(run)), db=file.database(RUNS, transaction))


def write_gaps(
    file: StoreFile, transaction: lmdb.Transaction, gaps: Iterable[Gap], arrived: int
) -> None:
    """Write gaps, within a write.

    Args:
        file: The store.
        transaction: The write.
        gaps: What was found.
        arrived: Newest arrival when it was found, ns.
    """
    for gap in gaps:
        whose = zlib.crc32(f"{gap.source}\0{gap.reason}".encode())
        key = KEY.pack(gap.stamp, gap.after_seq, whose) + arrived.to_bytes(8, "big")
        key += gap.topic.encode()[:255]
        transaction.put(key, pack_row(key, asdict(gap)), db=file.database(GAPS, transaction))


def write_ends(file: StoreFile, transaction: lmdb.Transaction, changed: Ends) -> None:
    """Write the newest numbers, within a write."""
    for (topic, source), end in changed.items():
        key = f"{topic}\0{source}".encode()[:500]
        transaction.put(key, pack_row(key, end), db=file.database(ENDS, transaction))


def write_pruned(
    file: StoreFile, transaction: lmdb.Transaction, topic: str, removed: Pruned
) -> None:
    """Add to what was removed of a topic, within a write."""
    key, database = topic.encode(), file.database(PRUNED, transaction)
    held = transaction.get(key, db=database)
    before = Pruned(**unpack_row(key, bytes(held))) if held is not None else Pruned(0, 0)
    total = Pruned(max(before.until, removed.until), before.messages + removed.messages)
    transaction.put(key, pack_row(key, asdict(total)), db=database)


class GapFinder:
    """Compares each message with the one before it of the same publisher."""

    def __init__(self, ends: Ends | None = None) -> None:
        self.ends: Ends = dict(ends or {})
        self.changed: Ends = {}
        self.gaps: list[Gap] = []
        self._newest: dict[tuple[str, str], int] = {}

    def take(
        self, topic: str, source: str, seq: int, stamp: int, *, missed: int = 0, reason: str = ""
    ) -> None:
        """Take notice of the next message.

        Args:
            topic: Full name.
            source: Its publisher.
            seq: Its number; 0 = the publisher does not count.
            stamp: Its capture time, ns.
            missed: How many up to this one are not stored.
            reason: Why.
        """
        key = topic, source
        first = max(seq - missed, 0)
        previous = self.ends[key][0] if key in self.ends else first if missed else seq - 1
        if seq < previous:  # the publisher was started again, and counts from 1
            previous = 0
        lost = (first if missed else seq - 1) - previous
        if lost > 0:
            self._add(Gap(topic, source, previous, lost, stamp))
        if missed:
            self._add(Gap(topic, source, first, missed, stamp, reason))
        self.ends[key] = self.changed[key] = seq, stamp

    def _add(self, gap: Gap) -> None:
        """Add a gap, or make the last one longer that it continues."""
        key = gap.topic, gap.source
        index = self._newest.get(key)
        if index is not None:
            last = self.gaps[index]
            if last.reason == gap.reason and last.after_seq + last.missing == gap.after_seq:
                missing = last.missing + gap.missing
                self.gaps[index] = replace(last, missing=missing, stamp=gap.stamp)
                return
        self._newest[key] = len(self.gaps)
        self.gaps.append(gap)
