"""Heartbeats: one mapped file with a slot for each process that the guardian watches."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from olympus.runtime.errors import SafetyError, did_you_mean
from olympus.runtime.safety.shared import Record, SharedFile, packed_name, plain_name

FILE: Final = "heartbeats"
"""Name of the file in the safety directory."""

RECORD: Final = Record(b"OLYBEAT", 1, "48sQqI")
"""name, sequence, last_ns, pid; then the CRC."""

SLOT: Final = 128
"""Bytes from one slot to the next."""

AHEAD_NS: Final = 5_000_000
"""A beat further in the future than this is no beat."""

LOOK_NS: Final = 1_000_000_000
"""How often a writer looks whether the file was replaced."""

_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest good beat of a slot."""

    sequence: int
    last_ns: int
    """When, CLOCK_MONOTONIC."""
    pid: int


class HeartbeatWriter:
    """Tells the guardian that a loop is alive; a few microseconds, one system call a second."""

    def __init__(self, directory: Path, name: str) -> None:
        """Find the slot of `name` in a running guardian's file.

        Args:
            directory: The safety directory.
            name: A name that the guardian's configuration watches.

        Raises:
            SafetyError: There is no such file, or it has no such slot.
        """
        self._directory, self._plain = directory, name
        self._name = packed_name(name)
        self._map, self._at, self._file = self._found()
        self._looked_ns = time.monotonic_ns()
        self._sequence = 0
        self._pid = os.getpid()

    def beat(self) -> None:
        """Say "alive", now. Call it from the loop that is to be watched, not beside it."""
        self._sequence += 1
        now_ns = time.monotonic_ns()
        raw = RECORD.pack(self._name, self._sequence, now_ns, self._pid)
        self._map[self._at : self._at + RECORD.size] = raw
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            self._look()

    def close(self) -> None:
        """Let go of the file; the guardian will soon see a stale heartbeat."""
        self._map.close()

    def _look(self) -> None:
        """Go over to the file of a guardian that came after the old file was deleted."""
        try:
            about = (self._directory / FILE).stat()
            if (about.st_dev, about.st_ino) == self._file:
                return
            anew = self._found()
        except (OSError, SafetyError):
            return  # nobody watches this loop there; it is looked for again in a second
        self._map.close()
        self._map, self._at, self._file = anew

    def _found(self) -> tuple[mmap.mmap, int, tuple[int, int]]:
        """Return the file, where the slot begins in it, and which file it is.

        Raises:
            SafetyError: There is no such file, or it has no such slot.
        """
        found, about = _mapped(self._directory / FILE)
        names = [_slot_name(raw) for raw in _cut(found[:])]
        if self._plain not in names:
            found.close()
            raise SafetyError(
                f"the guardian in {self._directory} does not watch {self._plain!r}; "
                f"{did_you_mean(self._plain, names)}"
            )
        return found, names.index(self._plain) * SLOT, about


class HeartbeatBoard:
    """The guardian's side: lays the slots out and reads them."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        """Lay out the slots; a file of the same layout is kept, so that its writers go on.

        Args:
            directory: The safety directory.
            names: The slots, in order.
        """
        self._names = tuple(names)
        self._empty = {name: _blank(name) for name in self._names}
        self._good: dict[str, Beat] = {}
        path = directory / FILE
        self._file = SharedFile(path, writes=True)
        self.repairs = 0
        """How often the file was found cut short, deleted or moved, and was laid out again."""
        if not self._is_laid_out():
            path.unlink(missing_ok=True)
            self._file.close()
            self._lay_out()

    def read(self) -> Mapping[str, Beat]:
        """Read every slot.

        Returns:
            Per name its newest good beat. A damaged slot keeps its last good one, which then ages;
            a slot that never had one is left out.
        """
        if self._file.remake():  # deleted or moved: a loop that starts now must find it
            self._lay_out()
            self.repairs += 1
        for _ in range(_TRIES):
            if self._read_once():
                break
        return self._good

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _is_laid_out(self) -> bool:
        try:
            found = self._file.read_surely(SLOT * len(self._names) + 1)
        except OSError:
            return True  # what only can't be read now is not taken from those who write it
        return [_slot_name(raw) for raw in _cut(found)] == list(self._names)

    def _read_once(self) -> bool:
        found = self._file.read(SLOT * len(self._names))
        if len(found) < SLOT * len(self._names):
            self._lay_out()
            self.repairs += 1
            return True
        slots = zip(self._names, _cut(found), strict=True)
        return sum(self._take(name, raw) for name, raw in slots) == len(self._names)

    def _take(self, name: str, raw: bytes) -> bool:
        fields = RECORD.unpack(raw)
        if isinstance(fields, str) or plain_name(fields[0]) != name:
            return False
        if fields[1]:
            self._good[name] = Beat(*fields[1:])
        return True

    def _lay_out(self) -> None:
        self._file.write(b"".join(self._empty[name] for name in self._names))


def _blank(name: str) -> bytes:
    return RECORD.pack(packed_name(name), 0, 0, 0).ljust(SLOT, b"\0")


def _cut(raw: bytes) -> list[bytes]:
    return [raw[at : at + SLOT] for at in range(0, len(raw), SLOT)]


def _slot_name(raw: bytes) -> str:
    fields = RECORD.unpack(raw)
    return "" if isinstance(fields, str) else plain_name(fields[0])


def _mapped(path: Path) -> tuple[mmap.mmap, tuple[int, int]]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SafetyError(
            f"no heartbeats at {path}: {error.strerror}; "
            "start the guardian first: `olympus launch …`"
        ) from error
    try:
        about = os.fstat(fd)
        return mmap.mmap(fd, 0), (about.st_dev, about.st_ino)
    except (OSError, ValueError) as error:
        raise SafetyError(f"can't map {path}: {error}; start the guardian again") from error
    finally:
        os.close(fd)
