"""Single key presses on the terminal that launched, without Return."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def key_presses(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Call an action for each key, while the block runs, and leave the terminal as it was.

    Ctrl-C keeps its meaning.

    Args:
        actions: What to do, by key.

    Yields:
        Whether there is a terminal to press keys on.
    """
    fd = _terminal()
    if fd is None:
        yield False
        return
    before = termios.tcgetattr(fd)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        data = os.read(fd, 32)
        if not data:  # the terminal is gone
            loop.remove_reader(fd)
        for key in data.decode(errors="ignore"):
            if key in actions:
                actions[key]()

    tty.setcbreak(fd)
    loop.add_reader(fd, pressed)
    try:
        yield True
    finally:
        loop.remove_reader(fd)
        # Not TCSADRAIN: on a terminal that was stopped by Ctrl-S that would wait for ever.
        termios.tcsetattr(fd, termios.TCSANOW, before)


def _terminal() -> int | None:
    """Return standard input if it is a terminal in whose foreground we are."""
    try:
        fd = sys.stdin.fileno()
        is_ours = os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return None
    return fd if is_ours else None
