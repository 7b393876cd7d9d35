"""Follows what the guardian writes down after each act, line by line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olympus.runtime.errors import StoreError

MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file has been read."""

    file_id: str = ""
    """Tells the file from others that had its name: from the hash of its first line."""
    read_bytes: int = 0
    lines: int = 0


class NewLines:
    """Reads a session's event file from where it last was; one made anew from its top."""

    def __init__(self, file: Path) -> None:
        """Name the file, which may not be there yet."""
        self._file = file
        self.place = Place()
        """How far it is read; may be set back to what it was."""

    def news(self) -> list[tuple[Place, bytes]]:
        """Return what is new: each line, at most so many at once, and the place behind it.

        Raises:
            StoreError: The file is there and can't be read.
        """
        try:
            with self._file.open("rb") as stream:
                place = self._from(stream.readline())
                stream.seek(place.read_bytes)
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
            place = Place(place.file_id, place.read_bytes + len(line), place.lines + 1)
            found.append((place, line))
        self.place = place
        return found

    def has_grown(self) -> bool:
        """Tell whether there is something to read; costs a look at the file's size."""
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            return False
        except OSError:
            return True  # reading it says what is wrong
        return size != self.place.read_bytes

    def _from(self, first_line: bytes) -> Place:
        """Return where to go on: from the top when it is another file.

        A session's folder can be made anew.
        """
        file_id = hashlib.sha256(first_line).hexdigest()[:16]
        if file_id != self.place.file_id and first_line.endswith(b"\n"):
            return Place(file_id)
        return self.place


class GuardianEvents:
    """Reads the events of a session's file as they come."""

    def __init__(self, file: Path) -> None:
        """Name the file, which may not be there yet."""
        self._new = NewLines(file)
        self.unreadable = 0
        """Lines that were no event."""

    @property
    def lines(self) -> int:
        """How many lines of the present file have been read."""
        return self._new.place.lines

    def news(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Return what is new: the number of each line, and the event.

        Raises:
            StoreError: The file is there and can't be read.
        """
        found = [(place.lines, _read(line)) for place, line in self._new.news()]
        self.unreadable += sum(event is None for _, event in found)
        return [(number, event) for number, event in found if event is not None]


def _read(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if is_event and isinstance(event.get("stamp_ns"), int) else None
