"""What each child process writes: kept in a file, and its last lines at hand.

The file is written by a thread: a disk that takes its time, as an SD card may, must not hold up the
loop of the launcher, whose heartbeat the guardian watches.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

_ROTATE_BYTES = 16 * 1024 * 1024
_TAIL = 12
_MOST_WAITING = 10_000
_CLOSE_S = 1.0
_STACK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log."""

    host: str
    """Process that wrote it."""
    level: str
    """`debug`, `info`, `warning`, `error` or `critical`."""
    logger: str
    """Node or part that speaks."""
    text: str
    """What it says."""
    fields: dict[str, str]
    """Facts by name."""


class HostLog:
    """The log of one process: `<host>.jsonl`, and `<host>.jsonl.1` for what was before it."""

    def __init__(
        self, file: Path, now_ns: Callable[[], int], on_line: Callable[[LogLine], None]
    ) -> None:
        """Append to `file`; `now_ns` stamps lines that have no stamp of their own.

        Raises:
            OSError: It can't be opened.
        """
        self._file = file
        self._host = file.stem
        self._now_ns = now_ns
        self._on_line = on_line
        self._stream = file.open("ab", buffering=0)
        self._size = os.fstat(self._stream.fileno()).st_size
        self.tail: deque[LogLine] = deque(maxlen=_TAIL)
        """The last lines."""
        self.is_closed = False
        """Whether nothing is written any more."""
        self._is_told = False
        self._left_out = 0
        self._failed = 0  # counted by the thread
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        usual = threading.stack_size(_STACK_BYTES)
        self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
        self._thread.start()
        threading.stack_size(usual)

    @property
    def lost(self) -> int:
        """Lines that could not be written: the disk is full, or too slow for what comes."""
        return self._left_out + self._failed

    def write(self, text: str) -> None:
        """Take one line that the process wrote, JSON or not."""
        line, entry = self._understood(text)
        if self._waiting.qsize() < _MOST_WAITING and not self.is_closed:
            row = json.dumps(entry, ensure_ascii=False)
            self._waiting.put(row.encode(errors="backslashreplace") + b"\n")
        else:
            self._left_out += 1
        self.tail.append(line)
        self._on_line(line)
        if self.lost and not self._is_told:
            self._is_told = True
            text = f"{self._file} does not take every line: the disk is full, or too slow"
            self._on_line(LogLine(self._host, "warning", self._host, text, {}))

    def close(self) -> None:
        """Write what waits, for a moment at most, count what still does, and close the file."""
        if self.is_closed:
            return
        self.is_closed = True
        self._waiting.put(None)
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            # One line is in its hands: nobody waits to see whether the disk takes it after all.
            self._left_out += 1 + self._dropped()
            self._waiting.put(None)

    def _dropped(self) -> int:
        """Take away what waits; return how many lines that were."""
        count = 0
        with contextlib.suppress(Empty):
            while True:
                count += self._waiting.get_nowait() is not None
        return count

    def _understood(self, text: str) -> tuple[LogLine, dict[str, object]]:
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or "text" not in entry:
            # Not from our log: a traceback, a library's own words.
            entry = {"level": "warning", "logger": self._host, "text": text}
        entry.setdefault("stamp", self._now_ns())
        fields = entry.get("fields")
        line = LogLine(
            self._host,
            _unicode(entry.get("level", "info")),
            _unicode(entry.get("logger", self._host)),
            _unicode(entry["text"]),
            {str(k): _unicode(v) for k, v in fields.items()} if isinstance(fields, dict) else {},
        )
        return line, entry

    def _write_on(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                self._keep(line)
            except OSError:
                self._failed += 1
        self._stream.close()

    def _keep(self, line: bytes) -> None:
        self._size += self._stream.write(line)
        if self._size <= _ROTATE_BYTES:
            return
        self._file.replace(self._file.with_name(self._file.name + ".1"))
        fresh = self._file.open("ab", buffering=0)  # where that fails, the old one is written on
        self._stream.close()
        self._stream, self._size = fresh, 0


def _unicode(value: object) -> str:
    """Return a text that every terminal takes: JSON can hold halves of characters."""
    return str(value).encode(errors="backslashreplace").decode()
