"""How long ago something was by a clock that nobody sets: the machine's time since it started."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")  # varies: only how old payments are
_LETTERS: Final = 8


class BootClock:
    """CLOCK_BOOTTIME, sleep included, and which start of the machine it counts from.

    Source: clock_gettime(2), random(4).
    """

    def __init__(self, boot: str, now_ns: Callable[[], int]) -> None:
        """Name a start of the machine, and a clock that counts from it."""
        self.boot = boot
        """Tells this start from others; empty where the system does not say."""
        self.now_ns = now_ns
        """The time since then, ns."""


def boot_clock() -> BootClock:
    """Return the clock of this machine."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii")[:_LETTERS]
    except (OSError, UnicodeDecodeError):
        boot = ""  # then the wall clock is believed
    return BootClock(boot, lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))
