"""Follows what the guardian writes down after each act, line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olympus.runtime.errors import StoreError

MOST_AT_ONCE = 500


class GuardianEvents:
    """Reads a session's event file from where it last was; one made anew from its top."""

    def __init__(self, file: Path) -> None:
        """Name the file, which may not be there yet."""
        self._file = file
        self._first = b""
        self._read_bytes = self.lines = 0
        self.unreadable = 0
        """Lines that were no event."""

    def news(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Return what is new: the number of each line, and the event.

        Raises:
            StoreError: The file is there and can't be read.
        """
        try:
            with self._file.open("rb") as stream:
                self._know(stream.readline())
                stream.seek(self._read_bytes)
                lines = stream.readlines()
        except FileNotFoundError:
            return []  # no guardian has had anything to say yet
        except OSError as error:
            raise StoreError(
                f"the guardian's events {self._file} can't be read: {error}"
            ) from error
        found = []
        for line in lines[:MOST_AT_ONCE]:
            if not line.endswith(b"\n"):
                break  # the rest of it comes at the next look
            self._read_bytes += len(line)
            self.lines += 1
            event = _read(line)
            if event is None:
                self.unreadable += 1
            else:
                found.append((self.lines, event))
        return found

    def _know(self, first: bytes) -> None:
        if first != self._first and first.endswith(b"\n"):
            self._first, self._read_bytes, self.lines = first, 0, 0


def _read(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if is_event and isinstance(event.get("stamp_ns"), int) else None
