"""A recording as a replay needs it: one session of a store, its journals and messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Journal, Message, decode
from olympus.runtime.messages.codec import read_header
from olympus.runtime.store import Run, StreamStore
from olympus.runtime.store.reading import END_OF_TIME

JOURNALS = "@olympus/journal/"
AHEAD_NS = 5_000_000_000
"""A topic is read so far beyond what is looked for: messages are kept by capture time."""
KEPT_NS = 60_000_000_000
"""And so much of it behind that is remembered."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message of the recording."""

    stamp: int
    seq: int
    source: str
    sent: int
    frame: bytes

    def message(self) -> Message:
        """Decode it."""
        return decode(self.frame)


class TopicReel:
    """The messages of one topic, read once from the beginning to the end."""

    def __init__(self, store: StreamStore, topic: str, began: int, until: int) -> None:
        """Stand before the first message.

        Args:
            store: Of the recording.
            topic: Which one.
            began: When the recording did, ns.
            until: Last capture time, ns.
        """
        self._store, self.topic, self._began = store, topic, began
        # What was captured before the recording began may have been published within it.
        since = max(0, began - KEPT_NS)
        self._records = store.records(topic, since=since, until=until)
        self._held: dict[tuple[str, int], list[Recorded]] = {}
        self._oldest: list[Recorded] = []
        self._at = 0
        self.counts: dict[str, int] = {}
        """Messages read so far, by source."""
        self._ends: list[tuple[str, int]] = []
        """Source and sending time of each message read so far."""

    def find(self, source: str, seq: int, stamp: int, sent: int = 0) -> Recorded | None:
        """Return a message; one of the same number that was sent at `sent`, or else the last.

        Args:
            source: Who published it.
            seq: Its number.
            stamp: About when it was captured, ns: where it is looked for.
            sent: When it was published, ns; 0 = not known.
        """
        while self._at <= stamp + AHEAD_NS and (record := self._read()) is not None:
            self._at = record.stamp
        found = self._held.get((source, seq), [])
        exact = [one for one in found if one.sent == sent]
        if exact or found:
            return (exact or found)[-1]
        return self._find_in_store(source, seq, stamp)

    def rest(self) -> Iterator[Recorded]:
        """Read to the end, and yield what had not been looked at."""
        while (record := self._read()) is not None:
            yield record

    def sent_times(self, source: str) -> list[int]:
        """Return when each message of a source was sent, as far as the topic was read."""
        return [sent for name, sent in self._ends if name == source and sent >= self._began]

    def _read(self) -> Recorded | None:
        record = next(self._records, None)
        if record is None:
            return None
        made = _recorded(record.frame)
        self._held.setdefault((made.source, made.seq), []).append(made)
        self._oldest.append(made)
        self._ends.append((made.source, made.sent))
        self.counts[made.source] = self.counts.get(made.source, 0) + 1
        if len(self._oldest) > 512 and self._oldest[256].stamp < made.stamp - KEPT_NS:
            self._forget(256)
        return made

    def _forget(self, number: int) -> None:
        for one in self._oldest[:number]:
            held = self._held[one.source, one.seq]
            held.remove(one)
            if not held:
                del self._held[one.source, one.seq]
        del self._oldest[:number]

    def _find_in_store(self, source: str, seq: int, stamp: int) -> Recorded | None:
        """Look for one that was forgotten, such as the last value of a latched topic."""
        for record in self._store.records(self.topic, since=stamp, until=stamp):
            made = _recorded(record.frame)
            if (made.source, made.seq) == (source, seq):
                return made
        return None


def _recorded(frame: bytes) -> Recorded:
    _, header = read_header(frame)
    sent = header.trace[-1].sent if header.trace else 0
    return Recorded(header.stamp, header.seq, header.source, sent, frame)


class Recording:
    """One session of a store."""

    def __init__(
        self,
        folder: Path,
        *,
        key: str = "",
        run: int | None = None,
        needs_journal: bool = True,
    ) -> None:
        """Open it.

        Args:
            folder: Of the store.
            key: Of an encrypted store.
            run: Number of a run of the session; None = the last one.
            needs_journal: Whether its nodes are to run again.

        Raises:
            StoreError: There is no such run, or it has no journal although it needs one.
        """
        self.folder = folder
        self.store = StreamStore(folder, read_only=True, key=key)
        try:
            runs = self.store.runs()
            chosen = [one for one in runs if run is None or one.number == run]
            if not chosen:
                numbers = ", ".join(str(one.number) for one in runs) or "none"
                which = "" if run is None else f" {run}"
                raise StoreError(f"{folder} has no run{which}; runs it has: {numbers}")
            session = chosen[-1].session
            self.runs: list[Run] = [one for one in runs if one.session == session]
            later = [one.started for one in runs if one.started > self.runs[-1].started]
            self.since, self.until = self.runs[0].started, min(later, default=END_OF_TIME) - 1
            self.topics = self.store.topics()
            self._reels: dict[str, TopicReel] = {}
            if needs_journal and not any(topic.startswith(JOURNALS) for topic in self.topics):
                raise StoreError(
                    f"{folder} holds no journal, so its nodes can't be run again; record with "
                    "'olympus launch FILE replay:=true', or `telemetry: {journal: true}` and a "
                    "recorder with `journal: true`"
                )
        except BaseException:
            self.store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.store.close()

    def journals(self) -> Iterator[tuple[str, int, list[Journal]]]:
        """Yield the journals: host, how often it was started before, and the pieces.

        Where a piece is missing, the journal ends before the gap.
        """
        for topic in self.topics:
            if not topic.startswith(JOURNALS):
                continue
            since, until = self.since, self.until
            pieces = [
                one
                for one in self.store.read(topic, since=since, until=until)
                if isinstance(one, Journal)
            ]
            for restarts, group in groupby(pieces, key=lambda one: one.restarts):
                yield topic.removeprefix(JOURNALS), restarts, _unbroken(list(group))

    def reel(self, topic: str) -> TopicReel | None:
        """Return the messages of a topic; None if it was not recorded."""
        if topic not in self._reels:
            if topic not in self.topics:
                return None
            self._reels[topic] = self.new_reel(topic)
        return self._reels[topic]

    def new_reel(self, topic: str) -> TopicReel:
        """Return the messages of a topic, from the beginning.

        Raises:
            StoreError: It was not recorded.
        """
        return TopicReel(self.store, topic, self.since, self.until)


def _unbroken(pieces: list[Journal]) -> list[Journal]:
    for index, piece in enumerate(pieces):
        if piece.header.seq != index + 1:
            return pieces[:index]
    return pieces
