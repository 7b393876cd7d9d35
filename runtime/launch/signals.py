"""Ctrl-C and its relatives, as the launcher takes them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What the launcher takes."""


def ignore_none() -> None:
    """Have these do what they do by themselves: what a launcher executes finds them so.

    One may be ignored, as SIGHUP is with nohup(1).
    """
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def stop_signals(first: Callable[[], None], again: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first signal that asks us to end, and `again` at each one after it.

    Args:
        first: Begins a graceful stop.
        again: Hurries it up.
    """
    loop = asyncio.get_running_loop()
    count = 0

    def asked() -> None:
        nonlocal count
        count += 1
        (first if count == 1 else again)()

    for number in NUMBERS:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in NUMBERS:
            loop.remove_signal_handler(number)
