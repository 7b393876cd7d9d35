"""The lease: the guardian's permission to move, in shared memory, good for some milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from olympus.runtime.safety.shared import Record, SharedFile
from olympus.runtime.safety.state import QUIET_NS, Mode

FILE: Final = "lease"
"""Name of the file in the safety directory."""

RECORD: Final = Record(b"OLYLEASE", 1, "QQqqI")
"""epoch, sequence, granted_ns, valid_until_ns, mode; then the CRC."""

LONGEST_NS: Final = 1_250_000_000
"""No lease may reach further into the future than this; one that does is damaged.

More than the longest that may be set, 1 s: a reader takes the time before it reads, so a lease that
was renewed in between reaches a little further.
"""

LARGEST_EPOCH: Final = 1 << 62
"""A larger one is damage: nobody lives to see so many resets."""

_MODES: Final = (Mode.STOPPED, Mode.PERMITTED, Mode.TRIPPED, Mode.KILLED)
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class LeaseView:
    """What a reader makes of the lease at one instant."""

    valid: bool
    why: str
    """Empty when valid, else the reason in words."""
    epoch: int = 0
    """Number of the permission; 0 when unreadable."""
    granted_ns: int = 0
    """When this permission was given, CLOCK_MONOTONIC."""
    valid_until_ns: int = 0
    """When it lapses unless renewed, CLOCK_MONOTONIC."""
    sequence: int = 0
    """Counts every writing of the lease."""
    mode: Mode | None = None
    """The guardian's mode as written; None when unreadable."""


def judge(raw: bytes, now_ns: int) -> LeaseView:
    """Judge the bytes of a lease.

    Args:
        raw: What was read, possibly torn, short or nonsense.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        The view; never an exception.
    """
    fields = RECORD.unpack(raw)
    if isinstance(fields, str):
        return LeaseView(False, f"lease unreadable: {fields}" if raw else "no lease; no guardian")
    epoch, sequence, granted_ns, until_ns, code = fields
    if code >= len(_MODES):
        return LeaseView(False, f"lease unreadable: mode {code} does not exist")
    mode = _MODES[code]
    why = _why_not(mode, granted_ns, until_ns, now_ns)
    return LeaseView(not why, why, epoch, granted_ns, until_ns, sequence, mode)


def _why_not(mode: Mode, granted_ns: int, until_ns: int, now_ns: int) -> str:
    if mode is not Mode.PERMITTED:
        return f"not permitted: {mode}"
    if now_ns < granted_ns:
        return "lease was granted in the future"
    if until_ns - now_ns > LONGEST_NS:
        return "lease reaches too far into the future"
    if now_ns >= until_ns:
        return f"lease lapsed {(now_ns - until_ns) / 1e6:.1f} ms ago"
    return ""


class LeaseReader:
    """Reads the lease; made for the control loop: no exception, a few microseconds."""

    def __init__(self, directory: Path) -> None:
        """Name the safety directory; the lease need not exist yet."""
        self._file = SharedFile(directory / FILE)

    def check(self, now_ns: int) -> LeaseView:
        """Look at the lease.

        Args:
            now_ns: CLOCK_MONOTONIC, `time.monotonic_ns()`.

        Returns:
            Valid, or why not. A torn read is tried again twice, and a lease that is no good is
            looked for anew: after somebody deleted it, a new guardian writes another file.
        """
        raw = b""
        for _ in range(_TRIES):
            raw = self._file.read(RECORD.size)
            view = judge(raw, now_ns)
            if view.valid:
                return view
            is_torn = isinstance(RECORD.unpack(raw), str)
            if not self._file.refresh() and not is_torn:
                return view
        return judge(raw, now_ns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LeaseWriter:
    """Writes the lease; the guardian alone has one."""

    def __init__(self, directory: Path) -> None:
        """Open or create the lease in the safety directory."""
        self._path = directory / FILE
        self._file = SharedFile(self._path, writes=True)
        self._sequence = 0
        self._granted_ns = 0
        self.valid_until_ns = 0
        """When the newest lease lapses, CLOCK_MONOTONIC; 0 when there is none."""

    def earlier_epoch(self, now_ns: int) -> int:
        """Find an epoch that no earlier guardian can have exceeded.

        Args:
            now_ns: CLOCK_MONOTONIC.

        Returns:
            The epoch in the file; 0 for a new one. Where the file is damaged or can't be read, as
            many permissions as can have been given since the machine started, resets being
            `QUIET_NS` apart.
        """
        most = now_ns // QUIET_NS + 1
        try:
            raw = self._file.read_surely(RECORD.size)
        except OSError:
            return most
        if not raw:
            return 0
        fields = RECORD.unpack(raw)
        is_damaged = isinstance(fields, str) or fields[0] > LARGEST_EPOCH
        return most if is_damaged else int(fields[0])

    def earlier_kill(self) -> str:
        """Say why a kill is to be assumed that was not lifted; empty where there was none."""
        try:
            raw = self._file.read_surely(RECORD.size)
        except OSError as error:
            return f"the lease can't be read and may hide one: {error.strerror}"
        fields = RECORD.unpack(raw)
        if isinstance(fields, str):
            return "the lease is damaged and may hide one" if raw else ""
        return "found at the start" if fields[4] == _MODES.index(Mode.KILLED) else ""

    def grant(self, epoch: int, now_ns: int, until_ns: int) -> bool:
        """Give a new permission; False when the system refuses to write."""
        self._granted_ns = now_ns
        return self._write(epoch, until_ns, Mode.PERMITTED)

    def renew(self, epoch: int, until_ns: int) -> bool:
        """Extend the permission; False when the system refuses to write."""
        return self._write(epoch, until_ns, Mode.PERMITTED)

    def revoke(self, epoch: int, mode: Mode) -> bool:
        """Take the permission back; False when the system refuses (the lease then lapses)."""
        return self._write(epoch, 0, mode)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, epoch: int, until_ns: int, mode: Mode) -> bool:
        self._sequence += 1
        code = _MODES.index(mode)
        raw = RECORD.pack(epoch, self._sequence, self._granted_ns, until_ns, code)
        if self._file.is_displaced() and self._is_written_anew(raw):
            # Only now, so that a reader finds the new lease where this one is no good any more.
            self._file.write(RECORD.pack(epoch, self._sequence, 0, 0, _MODES.index(Mode.STOPPED)))
            self._file.close()
        elif not self._file.write(raw):
            return False
        self.valid_until_ns = until_ns
        return True

    def _is_written_anew(self, raw: bytes) -> bool:
        """Write to a new file, since only those who have the deleted one open see that."""
        anew = SharedFile(self._path, writes=True)
        is_written = anew.write(raw)
        anew.close()
        return is_written
