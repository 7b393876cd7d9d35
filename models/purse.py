"""Keeps what was paid for far models on the disk, so that a restart does not renew the day."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

from olympus.models.blame import BlamelessError
from olympus.models.budgets import DAY_S
from olympus.models.since_boot import BootClock, boot_clock
from olympus.runtime.store.durable import sync_folder
from olympus.runtime.store.places import store_of

LINES: Final = 10_000
"""600 kB or so."""
_TAIL: Final = 4096
"""No line is longer, bytes."""

_LEAP_NS: Final = 60 * 1_000_000_000
"""A clock that was set by more is told."""
_log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A line of the file, in this order."""

    when_ns: int
    """Unix time, as the clock had it then."""
    money: float
    call: int = 0
    """Which call it was; 0 where nobody said."""
    boot: str = ""
    """Which start of the machine that was; empty where nobody said."""
    boot_ns: int = 0
    """How long after it."""

    def seen_from(self, now_ns: int, boot: str, boot_ns: int) -> int:
        """Return when it was by the clock as it goes now, which may have been set since."""
        return (
            now_ns - (boot_ns - self.boot_ns) if self.boot and self.boot == boot else self.when_ns
        )


class PurseError(BlamelessError):
    """Payments can't be read or written down."""


def purse_of(session: str, node: str) -> Purse:
    """Return the purse of a node, beside its session's store."""
    return Purse(store_of(session) / f"{node.replace('/', '.')}.money", boot=boot_clock())


class Purse:
    """A file with two lines for each call that may cost money: `[when; how much; which call; …]`.

    The first, before the call, says the most that it may cost, the second what it did cost: of one
    that was cut off the most counts. What can't be written down may not be spent, and a file that
    can't be read allows nothing: a budget that is forgotten is none. Any thread may use it; each
    line is on the disk when its method returns.

    The wall clock may be set, ahead too, which would renew the day. So a line also says in which
    start of the machine it was and how long after it: of the same start, that tells how old it is.
    Over a restart of the machine there is nothing but the wall clock to believe.
    """

    def __init__(self, path: Path, *, lines: int = LINES, boot: BootClock | None = None) -> None:
        """Name the file; its folder is made when money is spent first.

        Args:
            path: The file.
            lines: So many at least it has before what is older than a day is taken out.
            boot: Tells the time since the machine's start; None believes the wall clock.
        """
        self._boot = boot or BootClock("", lambda: 0)
        self._path, self._most_lines = path, lines
        self._lock = threading.Lock()
        self._last = 0
        self._lines, self._full = 0, lines
        self._owed: list[Entry] = []

    def spent_since(self, since_ns: int, *, now_ns: int | None = None) -> list[tuple[int, float]]:
        """Return what was spent from a time on, and forget what was before.

        Args:
            since_ns: Unix time.
            now_ns: What the clock says now; None believes all it said before.

        Raises:
            PurseError: The file can't be read or written, or holds something else.
        """
        with self._lock:
            kept = self._kept(since_ns, now_ns)
            self._tell_leap(kept)
            return [(when_ns, entry.money) for when_ns, entry in kept]

    def begin(self, when_ns: int, most: float) -> int:
        """Write down, before a call, the most that it may cost.

        Returns:
            Which call it is, for `end`.

        Raises:
            PurseError: That, or an earlier payment, can't be written: there may be no call.
        """
        with self._lock:
            if self._lines >= self._full:
                self._kept(when_ns - round(DAY_S * 1e9), when_ns)
            call = max(when_ns, self._last + 1)
            self._append([*self._owed, self._entry(when_ns, most, call)])
            self._owed.clear()
            self._last = call
            return call

    def end(self, call: int, when_ns: int, money: float) -> None:
        """Write down what a call did cost.

        Raises:
            PurseError: It can't be written now; it is when the next call begins, or none does.
        """
        with self._lock:
            self._owed.append(self._entry(when_ns, money, call))
            self._append(self._owed)
            self._owed.clear()

    def _entry(self, when_ns: int, money: float, call: int) -> Entry:
        if not self._boot.boot:
            return Entry(when_ns, money, call)
        return Entry(when_ns, money, call, self._boot.boot, self._boot.now_ns())

    def _tell_leap(self, kept: Iterable[tuple[int, Entry]]) -> None:
        leaps = [when_ns - entry.when_ns for when_ns, entry in kept]
        leap_ns = max(leaps, key=abs, default=0)
        if abs(leap_ns) > _LEAP_NS:
            _log.warning(
                "%s: the clock was set by %+.0f s since far models were paid; that renews no day: "
                "how old a payment is, the time since the machine's start tells",
                self._path,
                leap_ns / 1e9,
            )

    def _append(self, entries: list[Entry]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._path.exists()
            with self._path.open("ab+", buffering=0) as file:
                _add(file, "".join(f"{_line(entry)}\n" for entry in entries).encode())
            if is_new:
                sync_folder(self._path.parent)
        except OSError as error:
            raise PurseError(self._told(f"can't be written ({error.strerror})")) from error
        self._lines += len(entries)

    def _kept(self, since_ns: int, now_ns: int | None) -> list[tuple[int, Entry]]:
        """Return the entries from a time on, the last of each call, and leave those in the file.

        Beside each stands when it was by the clock as it goes now.

        Raises:
            PurseError: The file can't be read or written, or holds something else.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise PurseError(self._told(f"can't be read ({error})")) from error
        lines = text.splitlines()
        is_cut = not text.endswith("\n")
        found: dict[int, Entry] = {}
        for number, entry in enumerate(self._entries(lines, is_cut=is_cut), 1):
            found[entry.call or -number] = entry
        self._last = max(self._last, 0, *found)
        boot_ns = self._boot.now_ns()
        told = (
            (
                one.when_ns if now_ns is None else one.seen_from(now_ns, self._boot.boot, boot_ns),
                one,
            )
            for one in found.values()
        )
        kept = [(when_ns, one) for when_ns, one in told if when_ns >= since_ns]
        if len(kept) < len(lines) or is_cut:  # else the next one is glued on
            self._rewrite(one for _, one in kept)
        self._lines, self._full = len(kept), max(self._most_lines, 2 * len(kept))
        return kept

    def _entries(self, lines: list[str], *, is_cut: bool) -> Iterator[Entry]:
        for number, line in enumerate(lines, 1):
            try:
                entry = _read(line)
            except (ValueError, OverflowError, RecursionError) as error:
                if is_cut and number == len(lines):  # the last line of a process that was killed
                    continue
                raise PurseError(self._told(f"line {number} is no payment")) from error
            yield entry

    def _rewrite(self, entries: Iterable[Entry]) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write("".join(f"{_line(entry)}\n" for entry in entries))
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave an empty file in its place
            fresh.replace(self._path)
        except OSError as error:
            raise PurseError(self._told(f"can't be written ({error.strerror})")) from error

    def _told(self, what: str) -> str:
        return f"{self._path}: {what}; it counts the money of far models: mend it or take it away"


def _line(entry: Entry) -> str:
    return json.dumps(entry if entry.boot else entry[:3])


def _read(line: str) -> Entry:
    """Read a line: two numbers, or three, or three, a start of the machine and one more.

    Raises:
        ValueError: It is none.
        OverflowError: Its money is beyond all numbers.
    """
    found = json.loads(line)
    if not isinstance(found, list) or len(found) not in (2, 3, 5):
        raise ValueError("no list of two, three or five")
    entry = Entry(*found)
    whole = (entry.when_ns, entry.call, entry.boot_ns)
    is_typed = type(entry.money) in (int, float) and isinstance(entry.boot, str)
    if not is_typed or any(type(one) is not int for one in whole):
        raise ValueError("no numbers")
    if not 0 <= entry.money < math.inf or entry.call < 0:
        raise ValueError("out of range")
    return entry._replace(money=float(entry.money))


def _add(file: FileIO, raw: bytes) -> None:
    """Add lines to a file, all of them or none; what an earlier try left half is cut off.

    Raises:
        OSError: It can't be written, or holds no lines.
    """
    nbytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, nbytes - _TAIL))
    tail = file.read(_TAIL)
    if len(tail) == _TAIL and b"\n" not in tail:
        raise OSError(errno.EINVAL, "it holds something else")
    whole_nbytes = nbytes - len(tail) + tail.rfind(b"\n") + 1
    if whole_nbytes < nbytes:
        file.truncate(whole_nbytes)
    try:
        while raw:
            raw = raw[file.write(raw) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(whole_nbytes)
        raise
