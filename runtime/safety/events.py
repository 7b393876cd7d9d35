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
                with self._path.open("a") as file:
                    file.write(line)
            except OSError:
                self.lost += 1
