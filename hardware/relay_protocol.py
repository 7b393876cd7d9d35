"""The frames between the guardian and the dead-man relay; the firmware's file describes them."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

VERSION: Final = 1
SEQ_RANGE: Final = 65536
LONGEST_LINE: Final = 200
_FRAME = re.compile(rb"\$([\x20-\x7e]*)\*([0-9A-F]{4})")
_REPORT = re.compile(rb"S(?:,[0-9]{1,12}){9}")
OPEN_NOW: Final = b"O"
QUERY: Final = b"Q"


class Cause(IntEnum):
    """Why the relay is open, or was before it closed."""

    BOOT = 0
    """It has just started."""
    SILENCE = 1
    """It had no valid pulse in time."""
    ASKED = 2
    """It was asked to open."""
    NO_CONTACT = 3
    """It was driven, and its contact did not close or fell off."""
    WELDED = 4
    """It was not driven, and its contact stayed closed."""


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What the relay says of itself."""

    is_closed: bool
    """Whether it is driven."""
    sense: bool
    """Whether the read-back says that the contact is closed."""
    cause: Cause
    challenge: int
    """What frames must repeat."""
    seq: int
    """Newest pulse it took."""
    longest_gap_ms: int
    """Longest time between pulses since it closed."""
    closings: int
    """How often it has closed since its power-up."""
    uptime_ms: int

    @property
    def text(self) -> str:
        """Say in words how it is; both halves where drive and contact differ."""
        if self.is_closed:
            return "closed" if self.sense else "driven, contact open"
        return "contact closed though not driven" if self.sense else "open"


def frame(body: bytes) -> bytes:
    """Put a body between its marks, with its CRC."""
    return b"$%b*%04X\n" % (body, binascii.crc_hqx(body, 0xFFFF))


def arm(seq: int, challenge: int) -> bytes:
    """Return the frame that closes."""
    return frame(b"A,%d,%d" % (seq % SEQ_RANGE, challenge))


def pulse(seq: int, challenge: int) -> bytes:
    """Return the frame that keeps closed."""
    return frame(b"P,%d,%d" % (seq % SEQ_RANGE, challenge))


class ReportReader:
    """Finds reports in what a port gives, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self.bad = 0
        """Lines that were no report."""
        self.version = VERSION
        """Of the newest report."""

    def feed(self, data: bytes) -> Iterator[RelayReport]:
        """Take in bytes; yield the reports that are whole now."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LONGEST_LINE:]
        for line in lines:
            report = self._report(line)
            if report is not None:
                yield report

    def _report(self, line: bytes) -> RelayReport | None:
        found = _FRAME.fullmatch(line[max(0, line.rfind(b"$")) :].rstrip(b"\r"))
        if not found or binascii.crc_hqx(found[1], 0xFFFF) != int(found[2], 16):
            self.bad += 1
            return None
        if not _REPORT.fullmatch(found[1]):
            self.bad += 1
            return None
        self.version, closed, sense, cause, *rest = map(int, found[1].split(b",")[1:])
        if self.version != VERSION or cause not in Cause.__members__.values():
            self.bad += 1
            return None
        return RelayReport(bool(closed), bool(sense), Cause(cause), *rest)
