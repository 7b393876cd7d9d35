"""Reading streams in pieces: one transaction each, each page and record checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from olympus.runtime.errors import StoreError, did_you_mean
from olympus.runtime.messages import Message, decode
from olympus.runtime.store.environment import StoreFile, View
from olympus.runtime.store.layout import TOPIC, topic_database
from olympus.runtime.store.ledger import Gap, Pruned, Run, read_gaps, read_pruned, read_runs
from olympus.runtime.store.locks import is_held
from olympus.runtime.store.records import KEY, Record, Vault, unseal

END_OF_TIME = 2**64 - 1
LAST_KEY = b"\xff" * (KEY.size + 2)
RECORDING = "recording.lock"
"""Held as long as a run is written."""
_AT_ONCE = 256
"""Records that are read in one transaction: a slow reader must not keep old pages alive."""
_AT_ONCE_BYTES = 8 * 2**20


class StreamReader:
    """Reads what a store holds."""

    file: StoreFile
    vault: Vault | None

    def topics(self) -> list[str]:
        """Return the recorded topics.

        Raises:
            StoreError: The store is damaged.
        """
        with self.file.view() as view:
            return _topics(view)

    def read(self, topic: str, *, since: int = 0, until: int = END_OF_TIME) -> Iterator[Message]:
        """Yield the messages of a topic in the order of their capture.

        Args:
            topic: Full name.
            since: First capture time, robot time in ns.
            until: Last capture time, inclusive.

        Raises:
            StoreError: There is no such topic, or its key is missing.
            DamageError: A page or a record is damaged.
            MessageError: A frame is of a type that is not known here.
        """
        for record in self.records(topic, since=since, until=until):
            yield decode(record.frame)

    def records(
        self, topic: str, *, since: int = 0, until: int = END_OF_TIME, after: bytes = b""
    ) -> Iterator[Record]:
        """Yield the records of a topic in the order of their capture.

        Args:
            topic: Full name.
            since: First capture time, robot time in ns.
            until: Last capture time, inclusive.
            after: Key of a record that was dealt with: begin behind it.

        Raises:
            StoreError: There is no such topic, or its key is missing.
            DamageError: A page or a record is damaged.
        """
        for key, value in self.rows(topic, since=since, until=until, after=after):
            yield unseal(topic, key, value, self.vault)

    def rows(
        self, topic: str, *, since: int = 0, until: int = END_OF_TIME, after: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and envelopes of a topic, as `records` does; nothing is checked yet."""
        start = after + b"\0" if after else KEY.pack(max(since, 0), 0, 0)
        while True:
            with self.file.view() as view:
                self._check_topic(topic, view)
                rows = _some(view.items(topic_database(topic), start))
            for key, value in rows:
                if int.from_bytes(key[:8], "big") > until:
                    return
                yield key, value
            if not rows:
                return
            start = rows[-1][0] + b"\0"

    def newest(
        self, topic: str, count: int, *, since: int = 0, until: int = END_OF_TIME
    ) -> list[bytes]:
        """Return the newest frames of a topic, the oldest of them first.

        Args:
            topic: Full name.
            count: At most so many.
            since: First capture time of interest, ns.
            until: Last one, inclusive.

        Raises:
            StoreError: There is no such topic, or its key is missing.
            DamageError: A page or a record is damaged.
        """
        frames = islice(self.backwards(topic, since=since, until=until), count)
        return list(frames)[::-1]

    def backwards(self, topic: str, *, since: int = 0, until: int = END_OF_TIME) -> Iterator[bytes]:
        """Yield the frames of a topic, the newest first, in one transaction: don't be slow.

        Args:
            topic: Full name.
            since: First capture time of interest, ns.
            until: Last one, inclusive.

        Raises:
            StoreError: There is no such topic, or its key is missing.
            DamageError: A page or a record is damaged.
        """
        last = KEY.pack(min(until, END_OF_TIME), END_OF_TIME, 2**32 - 1) + b"\xff\xff"
        with self.file.view() as view:
            self._check_topic(topic, view)
            for key, value in view.items(topic_database(topic), last, backwards=True):
                if int.from_bytes(key[:8], "big") < since:
                    return
                yield unseal(topic, key, value, self.vault).frame

    def count(self, topic: str) -> int:
        """Return how many messages of a topic there are.

        Raises:
            StoreError: There is no such topic, or the store is damaged.
        """
        with self.file.view() as view:
            self._check_topic(topic, view)
            return view.trees[topic_database(topic)].entries

    def gaps(self) -> list[Gap]:
        """Return every gap that was found while recording.

        Raises:
            DamageError: The store is damaged.
        """
        with self.file.view() as view:
            return read_gaps(view)

    def runs(self) -> list[Run]:
        """Return the recordings in this store, oldest first.

        Raises:
            DamageError: The store is damaged.
        """
        with self.file.view() as view:
            return read_runs(view)

    def is_recording(self) -> bool:
        """Tell whether a living recorder is writing the newest run."""
        return is_held(self.file.folder / RECORDING)

    def pruned(self) -> Mapping[str, Pruned]:
        """Return by topic what was removed to make room.

        Raises:
            DamageError: The store is damaged.
        """
        with self.file.view() as view:
            return read_pruned(view)

    def _check_topic(self, topic: str, view: View) -> None:
        if topic_database(topic) not in view.trees:
            raise StoreError(
                f"no topic {topic!r} in {self.file.folder}; {did_you_mean(topic, _topics(view))}"
            )


def _topics(view: View) -> list[str]:
    names = sorted(name for name in view.trees if name.startswith(TOPIC))
    return [name[len(TOPIC) :].decode(errors="replace") for name in names]


def _some(rows: Iterator[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Take as many as may be read at once."""
    taken, size = [], 0
    for row in islice(rows, _AT_ONCE):
        taken.append(row)
        size += len(row[1])
        if size > _AT_ONCE_BYTES:
            break
    return taken
