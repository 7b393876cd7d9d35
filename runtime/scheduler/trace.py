"""The dispatch trace: everything that arrived, was decided and ended, in the order it happened.

A trace is a row of msgpack arrays, appended and never changed. The first one names the format and
the resource; texts are written once and then called by number; times are counted from the record
before. A file that was cut off by a crash is readable up to its last whole record.

    ["olympus-dispatch-1", resource, workers, start_ns]
    [TEXT, text]                                    the next number stands for this text
    [ARRIVED, dt, job, tier, deadline-time or nil, source, what]
    [CHARGED, dt, tier, ran]                        only where lanes have budgets
    [event, dt, job] or [event, dt, job, worker]    the other events
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.job import NEVER_NS, End, Job
from olympus.runtime.scheduler.rules import ResourceRules

FORMAT = "olympus-dispatch-1"
MAX_BYTES = 8_000_000
"""A trace file that has grown so long is put aside as `.old`, and a new one begun."""
_BUFFER_BYTES = 4096
_TOGETHER = 32
"""Records that are packed at once."""
_NUMBERS = 60_000
"""Texts a trace calls by number; later ones all go by the number of ''."""
_log = logging.getLogger(__name__)


class Event(IntEnum):
    """What a record tells."""

    TEXT = 0
    ARRIVED = 1
    STARTED = 2
    RESUMED = 3
    PREEMPTED = 4
    DONE = 5
    LATE = 6
    FAILED = 7
    EXPIRED = 8
    SUPERSEDED = 9
    EVICTED = 10
    REJECTED = 11
    ABORTED = 12
    CANCELLED = 13
    CHARGED = 14
    """Its tier has just used the resource for a while: budgets go by that."""


EVENT_OF = {end: Event[end.name] for end in End}
WITH_WORKER = (Event.STARTED, Event.RESUMED)


class Trace:
    """Writes the trace of one resource. Not thread-safe: its queue's lock guards it."""

    def __init__(
        self,
        rules: ResourceRules,
        start_ns: int,
        file: Path | None = None,
        *,
        on_bytes: Callable[[bytes], None] | None = None,
    ) -> None:
        """Begin a trace.

        Args:
            rules: Whose trace it is.
            start_ns: Robot time.
            file: Where it goes; None = only its hash is kept.
            on_bytes: Is given all of it, in pieces of whole records, on whatever thread writes.

        Raises:
            ConfigError: The file can't be written.
        """
        self._rules, self._file, self._on_bytes = rules, file, on_bytes
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._pack = msgpack.Packer(autoreset=True).pack
        self._stream: BinaryIO | None = None
        self._records: list[tuple[object, ...]] = []
        """To be packed together: one after the other they would find the caches cold each time."""
        self.began: list[tuple[Job, int]] = []
        """Jobs that came and started at once, and at which worker: to be put here as they do. They
        are written with what is told next: whoever asked for them has not to wait for that."""
        self._last_ns = start_ns
        self._begin(start_ns)

    def arrived(self, job: Job) -> None:
        """Tell that a job came."""
        self._catch_up()
        self._add(self._arrival(job))

    def _catch_up(self) -> None:
        """Write down what `began`."""
        for job, worker in self.began:
            self._records += (self._arrival(job), (Event.STARTED, 0, job.number, worker))
        self.began.clear()

    def _arrival(self, job: Job) -> tuple[object, ...]:
        numbers, now_ns = self._numbers, job.arrived_ns
        if (source := numbers.get(job.source)) is None:
            source = self._number(job.source)
        if (what := numbers.get(job.what)) is None:
            what = self._number(job.what)
        deadline = None if job.deadline_ns == NEVER_NS else job.deadline_ns - now_ns
        step, self._last_ns = now_ns - self._last_ns, now_ns
        return 1, step, job.number, job.tier, deadline, source, what

    def tell(self, event: Event, job: Job, now_ns: int, worker: int | None = None) -> None:
        """Tell what became of a job: now, or a moment ago, if others were told of meanwhile."""
        self._catch_up()
        now_ns = max(now_ns, self._last_ns)
        step, self._last_ns = now_ns - self._last_ns, now_ns
        self._add(
            (event, step, job.number) if worker is None else (event, step, job.number, worker)
        )

    def charged(self, tier: Tier, ran_ns: int, now_ns: int) -> None:
        """Tell for how long a job of a tier has just run."""
        self._catch_up()
        step, self._last_ns = now_ns - self._last_ns, now_ns
        self._add((Event.CHARGED, step, tier, ran_ns))

    def digest(self) -> str:
        """Return the sha256 of all records so far, 64 hexadecimal digits."""
        self.flush()
        return self._hash.hexdigest()

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._catch_up()
        self._pack_up()
        if self._buffer:
            self._hash.update(self._buffer)
            self._write()
            if self._on_bytes is not None:
                self._on_bytes(bytes(self._buffer))
            self._buffer.clear()

    def _write(self) -> None:
        """Add what is buffered to the file; where there is no room, the file ends there.

        Records tell time by steps, so one that is left out would make all later ones wrong. The
        hash goes on, and so does the host: what it computes matters more than its diary.
        """
        if self._stream is None:
            return
        try:
            written = self._stream.write(self._buffer)
            problem = "" if written == len(self._buffer) else "no space left"
        except OSError as error:
            problem = str(error.strerror)
        if problem:
            _log.warning("the trace %s ends here: %s", self._file, problem)
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        """Write the rest and close the file; again is harmless."""
        self.flush()
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _begin(self, start_ns: int) -> None:
        self._last_ns = start_ns
        self._numbers: dict[str, int] = {}
        if self._file is not None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._file.open("wb", buffering=0)
            except OSError as error:
                raise ConfigError(f"the trace {self._file} can't be written: {error}") from error
        self._add((FORMAT, self._rules.name, self._rules.workers, start_ns))

    def _add(self, record: tuple[object, ...]) -> None:
        records = self._records
        records.append(record)
        if len(records) < _TOGETHER:
            return
        self._pack_up()
        if len(self._buffer) >= _BUFFER_BYTES:
            self.flush()
            if self._stream is not None and self._stream.tell() > MAX_BYTES:
                self._turn_over()

    def _pack_up(self) -> None:
        self._buffer += b"".join(map(self._pack, self._records))
        self._records.clear()

    def _turn_over(self) -> None:
        if self._file is not None and self._stream is not None:
            self._stream.close()
            self._file.replace(self._file.with_suffix(self._file.suffix + ".old"))
            self._begin(self._last_ns)

    def _number(self, text: str) -> int:
        """Give a text that is new a number, and tell it; one too many goes by that of ''."""
        if text not in self._numbers and len(self._numbers) >= _NUMBERS:
            text = ""
        if text in self._numbers:
            return self._numbers[text]
        number = self._numbers[text] = len(self._numbers)
        # Not by `_add`: no new file may begin before the record that goes by this number.
        self._records.append((0, text))
        return number


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a trace that was read."""

    event: Event
    time_ns: int
    job: int
    worker: int | None = None
    arrival: Job | None = None
    """The job, where it arrived."""
    charge: tuple[Tier, int] | None = None
    """Which tier ran for how long, ns, where that is counted; `job` is 0 then."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A trace that was read from a file."""

    resource: str
    workers: int
    start_ns: int
    records: tuple[Record, ...]


def read_trace(file: Path) -> Recording:
    """Read a trace file, up to its last whole record.

    Raises:
        ConfigError: It can't be read, or is no trace.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error}") from error
    return parse_trace(data, str(file))


def parse_trace(data: bytes, file: str) -> Recording:
    """Read a trace from its bytes, up to its last whole record.

    Raises:
        ConfigError: They are no trace.
    """
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    rows = list(_whole(unpacker))
    if not rows or rows[0][:1] != (FORMAT,) or len(rows[0]) != 4:
        raise ConfigError(f"{file} is no dispatch trace; they end in .trace")
    _, resource, workers, start_ns = rows[0]
    try:
        return Recording(resource, workers, start_ns, tuple(_records(rows[1:], start_ns)))
    except (ValueError, IndexError, TypeError) as error:
        raise ConfigError(f"{file}: a record of it is damaged: {error}") from error


def _whole(unpacker: msgpack.Unpacker) -> Iterator[tuple[Any, ...]]:
    try:
        for row in unpacker:
            if not isinstance(row, tuple):
                return
            yield row
    except (msgpack.exceptions.UnpackException, ValueError):
        return


def _records(rows: list[tuple[Any, ...]], start_ns: int) -> Iterator[Record]:
    texts: list[str] = []
    now_ns = start_ns
    for row in rows:
        if row[0] == FORMAT:  # the file before this one had grown too long
            texts, now_ns = [], row[3]
            continue
        event = Event(row[0])
        if event is Event.TEXT:
            texts.append(str(row[1]))
            continue
        now_ns += row[1]
        if event is Event.CHARGED:
            yield Record(event, now_ns, 0, charge=(Tier(row[2]), row[3]))
            continue
        if event is not Event.ARRIVED:
            yield Record(event, now_ns, row[2], row[3] if len(row) > 3 else None)
            continue
        _, _, number, tier, left_ns, source, what = row
        deadline_ns = NEVER_NS if left_ns is None else now_ns + left_ns
        job = Job(number, Tier(tier), deadline_ns, texts[source], texts[what], now_ns)
        yield Record(event, now_ns, number, arrival=job)
