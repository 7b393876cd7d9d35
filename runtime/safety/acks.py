"""Acknowledgements: what each gate last did, in shared memory, so that a stop can be read back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.protocol import printable
from olympus.runtime.safety.shared import (
    Record,
    SharedFile,
    packed_name,
    plain_name,
    suffixes,
)

PREFIX: Final = "gate."
"""A gate called `drive` writes the file `gate.drive` in the safety directory."""

WHY_BYTES: Final = 160
"""Room for what a gate says in words, in bytes of UTF-8; more is cut."""

RECORD: Final = Record(b"OLYGATE", 2, f"48sQqQQIII{WHY_BYTES}s")
"""name, sequence, tick_ns, epoch, burned, reason, flags, pid, why; then the CRC."""

_TRIES: Final = 3


class Reason(IntEnum):
    """Why a gate gave the output it gave."""

    OK = 0
    """The command passed."""
    NO_LEASE = 1
    """There is no valid lease."""
    LAPSED = 2
    """This permission lapsed here once; only a new one counts."""
    NEW_PERMISSION = 3
    """First tick of a permission: neutral, integrators cleared."""
    NO_COMMAND = 4
    """Nothing was commanded."""
    STALE = 5
    """The command is older than its age budget."""
    FUTURE = 6
    """The command claims to be from the future."""
    BEFORE_PERMISSION = 7
    """The command was made before this permission was given."""
    WRONG_SHAPE = 8
    """The command has another number of channels."""
    NOT_FINITE = 9
    """A channel is NaN or infinite."""
    OUT_OF_RANGE = 10
    """A channel is below its low or above its high limit."""
    TOO_STEEP = 11
    """A channel moves faster than its slew limit, and the rules refuse rather than limit."""
    CLOSED = 12
    """The gate was closed."""


_REASONS: Final = frozenset(int(reason) for reason in Reason)


class Flag(IntFlag):
    """What else an acknowledgement says."""

    NEUTRAL = 1
    """The output was neutral and the actuator took it without an error."""
    CLOSED = 2
    """The gate was closed in good order and ticks no more."""
    WATCHED = 4
    """The gate has a measurement of what the actuator does."""
    SENSED = 8
    """That measurement is newer than the neutral output."""
    STILL = 16
    """It says that the actuator stands."""
    REFUSED = 32
    """The actuator did not take the output: its line is cut, or it reports a fault."""


_ALL_FLAGS: Final = sum(Flag)


@dataclass(frozen=True, slots=True)
class Ack:
    """What a gate did at its newest tick."""

    sequence: int
    tick_ns: int
    """When the tick began, CLOCK_MONOTONIC."""
    epoch: int
    """The permission the gate acts on; 0 for none."""
    burned: int
    """The newest permission that the gate has seen end; it accepts no older one."""
    reason: Reason
    flags: Flag
    pid: int
    why: str = ""
    """The reason in words, or what the actuator's driver said; cut to fit."""

    @property
    def is_neutral(self) -> bool:
        """Whether the actuator took a neutral output."""
        return Flag.NEUTRAL in self.flags

    @property
    def is_still(self) -> bool | None:
        """Whether the actuator was measured to stand; None without a fresh measurement."""
        return Flag.STILL in self.flags if Flag.SENSED in self.flags else None

    def is_proven_since(self, at_ns: int) -> bool:
        """Whether it stopped, and its measurement, where it has one, says that it stands.

        A gate that was closed before it could measure that proves nothing: the line to its actuator
        may have been cut.
        """
        is_seen = Flag.WATCHED not in self.flags or self.is_still is True
        return self.has_stopped_since(at_ns) and is_seen

    def has_stopped_since(self, at_ns: int) -> bool:
        """Whether it ticked at neutral after `at_ns`, or was closed at neutral."""
        return self.is_neutral and (self.tick_ns > at_ns or Flag.CLOSED in self.flags)


class AckWriter:
    """The gate's side."""

    def __init__(self, directory: Path, name: str) -> None:
        """Open the file of one gate.

        Args:
            directory: The safety directory.
            name: Letters, digits, `_`, `.` and `-`; 1..48 of them.

        Raises:
            SafetyError: The name does not fit, or there is a gate of this name already.
        """
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,48}", name):
            raise SafetyError(f"gate name {name!r}: take 1 to 48 of letters, digits, '_', '.', '-'")
        self._name = packed_name(name)
        self._file = SharedFile(directory / f"{PREFIX}{name}", writes=True)
        if not self._file.claim():
            # Two would speak for each other: one at neutral, and a stop reads back CONFIRMED.
            self._file.close()
            raise SafetyError(
                f"there is a gate {name!r} in {directory} already, in this process or another; "
                "end that one first, or give this one another name"
            )
        self._pid = os.getpid()
        self._sequence = 0

    def write(
        self,
        tick_ns: int,
        *,
        epoch: int,
        burned: int,
        reason: Reason,
        flags: Flag,
        why: str = "",
    ) -> bool:
        """Acknowledge one tick; False when nobody can see it.

        A file that was deleted or moved is made anew: a guardian that starts later must see this
        gate. Where that can't be, or a gate of this name was made meanwhile, nobody sees this one.
        """
        if self._file.is_displaced() and not self._file.remake():
            return False
        if not self._file.claim():
            return False
        self._sequence += 1
        words = why.encode(errors="replace")[:WHY_BYTES]
        raw = RECORD.pack(
            self._name, self._sequence, tick_ns, epoch, burned, reason, flags, self._pid, words
        )
        return self._file.write(raw)

    def close(self) -> None:
        """Close the file; it stays where it is, for the record."""
        self._file.close()


class AckBoard:
    """Reads the acknowledgements of all gates in a safety directory."""

    def __init__(self, directory: Path, declared: Iterable[str] = ()) -> None:
        """Name the directory and the gates that must be there."""
        self._directory = directory
        self._files: dict[str, SharedFile] = {}
        self._good: dict[str, Ack] = {}
        self.unlisted = 0
        """Looks in which the directory could not be read."""
        for name in declared:
            self._open(name)

    def look(self) -> None:
        """Find gates that have come since; cheap enough for once a second."""
        try:
            for name in suffixes(self._directory, PREFIX):
                self._open(name)
        except OSError:  # no descriptor to spare: those that are known are seen all the same
            self.unlisted += 1

    def names(self) -> tuple[str, ...]:
        """All gates known: the declared ones, and those that were found."""
        return tuple(self._files)

    def read(self) -> Mapping[str, Ack]:
        """Read every gate's newest good acknowledgement; one that never wrote is left out."""
        for name, file in self._files.items():
            file.refresh()  # where it was deleted or moved, the gate makes another at its next tick
            for _ in range(_TRIES):
                fields = RECORD.unpack(file.read(RECORD.size))
                if not isinstance(fields, str):
                    self._good[name] = _ack(fields[1:])
                    break
            else:
                file.refresh()
        return self._good

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()

    def _open(self, name: str) -> None:
        if name not in self._files:
            self._files[name] = SharedFile(self._directory / f"{PREFIX}{name}")


def _ack(fields: tuple[Any, ...]) -> Ack:
    sequence, tick_ns, epoch, burned, reason, flags, pid, why = fields
    known = Reason(reason) if reason in _REASONS else Reason.NO_LEASE
    told = printable(plain_name(why))
    return Ack(sequence, tick_ns, epoch, burned, known, Flag(flags & _ALL_FLAGS), pid, told)
