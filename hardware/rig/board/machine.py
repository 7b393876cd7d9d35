"""MicroPython's `machine` for a computer: a Pico's pins, and a relay with its mirror contact.

`relay_board.py` and `main.py` run on it unchanged under MicroPython's unix port. The contact is
closed in each turn of the loop in which the pump saw an edge. Its changes go to the file named by
RELAY_LOG, one byte each: `C` closed, `O` open. While the file named by RELAY_WELD exists, the
contact is stuck closed.
"""

import os
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined,unused-ignore]

PUMP, MIRROR = 2, 3
LOOK_MS = 5


class Contact:
    """The relay: what the pump does to it, and what the mirror contact shows."""

    log = open(os.getenv("RELAY_LOG") or "/dev/null", "wb", buffering=0)
    weld = os.getenv("RELAY_WELD") or ""
    level = 0
    edges = 0
    is_closed = False
    is_welded = False
    looked_ms = 0

    @classmethod
    def turn(cls) -> None:
        """Let one turn of the loop pass."""
        now = ticks_ms()
        if cls.weld and ticks_diff(now, cls.looked_ms) >= LOOK_MS:
            cls.looked_ms = now
            cls.is_welded = exists(cls.weld)
        is_closed = cls.edges > 0 or (cls.is_welded and cls.is_closed)
        cls.edges = 0
        if is_closed != cls.is_closed:
            cls.is_closed = is_closed
            cls.log.write(b"C" if is_closed else b"O")


def exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


class Pin:
    """A pin of the board."""

    IN, OUT, PULL_UP = 0, 1, 2

    def __init__(self, number: int, mode: int = IN, pull: int = 0, value: int = 0) -> None:
        self.number = number

    def value(self, level: "int | None" = None) -> int:
        if level is None:
            return int(Contact.is_closed) if self.number == MIRROR else 1
        if self.number == PUMP and level != Contact.level:
            Contact.level = level
            Contact.edges += 1
        return level


class WDT:
    """The board's watchdog; feeding it lets a turn pass."""

    def __init__(self, timeout: int) -> None:
        assert 0 < timeout <= 8388  # what an RP2040 can count

    def feed(self) -> None:
        Contact.turn()
