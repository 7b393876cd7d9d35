"""The stop line: a second way to stop, through shared memory, for when the socket is full.

Any change of the file is a stop, even a change that can't be read: whoever can write here can stop,
nobody can undo a stop here. That it was deleted or moved, or lost the mode by which it can be
opened, is a change too, since nobody could pull it now.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from olympus.runtime.safety.protocol import printable
from olympus.runtime.safety.shared import Record, SharedFile, plain_name
from olympus.runtime.safety.state import Trip

FILE: Final = "stop"
"""Name of the file in the safety directory."""

RECORD: Final = Record(b"OLYSTOP", 1, "qI48s200s")
"""at_ns, pid, by, cause; then the CRC."""

_MARK: Final = b"laid anew"
"""Stands behind the record: where a puller wrote first, nothing of that is overwritten."""


def pull(directory: Path, cause: str, by: str) -> bool:
    """Ask for a stop through shared memory.

    Args:
        directory: The safety directory.
        cause: Why, in words; cut at 200 bytes.
        by: Who; cut at 48 bytes.

    Returns:
        Whether it was written. It is not known whether a guardian has seen it.
    """
    file = SharedFile(directory / FILE, writes=True)
    try:
        raw = RECORD.pack(time.monotonic_ns(), os.getpid(), _bytes(by), _bytes(cause))
        return file.write(raw)
    finally:
        file.close()


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def _words(raw: bytes) -> str:
    return printable(plain_name(raw))


class StopLine:
    """The guardian's side of the stop line."""

    def __init__(self, directory: Path) -> None:
        """Lay the line; an older pull does not count, since the guardian starts stopped."""
        self._path = directory / FILE
        self._file = SharedFile(self._path, writes=True)
        self._is_cut = not self._file.write(
            RECORD.pack(time.monotonic_ns(), os.getpid(), b"guardian", b"laid")
        )
        self._seen = self._read()
        self._is_shut = self._file.is_shut() and not self._file.unshut()

    def look(self, now_ns: int) -> Trip | None:
        """Say whether the line was pulled since the last look.

        Args:
            now_ns: CLOCK_MONOTONIC.

        Returns:
            The stop asked for, or None.
        """
        if self._is_cut or self._file.is_displaced():
            return self._laid_anew(now_ns)
        if self._file.is_shut():
            was_shut, self._is_shut = self._is_shut, not self._file.unshut()
            if not was_shut:
                evidence = f"the mode of {self._path} let nobody open it"
                return Trip("stop line closed", "unknown", now_ns, evidence)
        else:
            self._is_shut = False
        raw = self._read()
        if raw == self._seen:
            return None
        self._seen = raw
        fields = RECORD.unpack(raw)
        if isinstance(fields, str):
            return Trip("stop line changed", "unknown", now_ns, f"record unreadable: {fields}")
        at_ns, pid, by, cause = fields
        late_ms = (now_ns - at_ns) / 1e6
        evidence = f"stop line, process {pid}, {late_ms:.1f} ms before it was seen"
        return Trip(_words(cause), _words(by), now_ns, evidence)

    def problem(self) -> str:
        """Say what stands against motion; empty while the line can be pulled."""
        if self._is_shut:
            return f"stop line: {self._path} can't be opened for its mode: nobody could pull it"
        if not self._is_cut:
            return ""
        return f"stop line: {self._path} can't be made or written: nobody could pull it"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> bytes:
        return self._file.read(RECORD.size + len(_MARK))

    def _laid_anew(self, now_ns: int) -> Trip | None:
        was_cut, self._is_cut = self._is_cut, not self._is_marked_anew()
        # Whoever made it before us has pulled it: the next look sees that.
        self._seen = bytes(RECORD.size) + _MARK
        if was_cut:
            return None
        evidence = f"{self._path} is not the file that is looked at any more"
        return Trip("stop line deleted", "unknown", now_ns, evidence)

    def _is_marked_anew(self) -> bool:
        """Write the mark, which also takes the memory that a pull needs, while there is some."""
        self._file.remake()
        return not self._file.is_displaced() and self._file.write(_MARK, RECORD.size)
