"""The event log: one JSON line per transition, written by a thread of its own after the act."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE: Final = "events.jsonl"
"""Name of the file in the safety directory."""

_STACK_BYTES: Final = 256 * 1024
_MOST_WAITING: Final = 1024


class EventLog:
    """Appends events to a file without ever making the guardian wait for a disk."""

    def __init__(self, directory: Path, *, room: int = _MOST_WAITING) -> None:
        """Start the writer.

        Args:
            directory: The safety directory.
            room: How many events may wait for the disk.
        """
        self._path = directory / FILE
        self._is_torn = _ends_torn(self._path)
        self._waiting: queue.Queue[str | None] = queue.Queue(room)
        self.lost = 0
        """Events that could not be kept: too many waiting, or the disk refused."""
        usual = threading.stack_size(_STACK_BYTES)
        self._thread = threading.Thread(target=self._write, name="events", daemon=True)
        self._thread.start()
        threading.stack_size(usual)

    def add(self, event: Mapping[str, object]) -> None:
        """Hand an event over; returns at once."""
        try:
            self._waiting.put_nowait(json.dumps(event) + "\n")
        except queue.Full:
            self.lost += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, for at most `timeout_s` seconds, and end."""
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            self.lost += 1
        else:
            self._thread.join(timeout_s)

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                self._append(line.encode())
            except OSError:
                self.lost += 1

    def _append(self, line: bytes) -> None:
        """Write a line, on one of its own though a full disk left half of another one."""
        with self._path.open("ab", buffering=0) as file:
            if self._is_torn:
                file.write(b"\n")
                self._is_torn = False
            written = file.write(line)
            while written < len(line):  # the next one says why the disk took only a part
                self._is_torn = True
                written += file.write(line[written:])
            self._is_torn = False


def _ends_torn(path: Path) -> bool:
    """Tell whether a file ends with half a line, as a guardian that was killed may leave it."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            size = file.seek(0, 2)
            return size > 0 and file.seek(size - 1) >= 0 and file.read(1) != b"\n"
    except OSError:
        return False  # what can't be read can't be added to either, which is counted
