"""What each child process writes: kept in a file, and its last lines at hand."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_ROTATE_BYTES = 16 * 1024 * 1024
_TAIL = 12


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
        """Append to `file`; `now_ns` stamps lines that have no stamp of their own."""
        self._file = file
        self._host = file.stem
        self._now_ns = now_ns
        self._on_line = on_line
        self._stream = file.open("ab", buffering=0)
        self.tail: deque[LogLine] = deque(maxlen=_TAIL)
        """The last lines."""
        self.lost = 0
        """Lines that could not be written: the disk is full."""

    def write(self, text: str) -> None:
        """Take one line that the process wrote, JSON or not."""
        line, entry = self._understood(text)
        try:
            row = json.dumps(entry, ensure_ascii=False)
            self._keep(row.encode(errors="backslashreplace") + b"\n")
        except OSError:
            self.lost += 1
        self.tail.append(line)
        self._on_line(line)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

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

    def _keep(self, line: bytes) -> None:
        self._stream.write(line)
        if self._stream.tell() <= _ROTATE_BYTES:
            return
        self._stream.close()
        self._file.replace(self._file.with_name(self._file.name + ".1"))
        self._stream = self._file.open("ab", buffering=0)


def _unicode(value: object) -> str:
    """Return a text that every terminal takes: JSON can hold halves of characters."""
    return str(value).encode(errors="backslashreplace").decode()
