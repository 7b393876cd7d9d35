"""How deeply processors may sleep while a launch runs.

One that sleeps deeply takes its time to wake: tens to hundreds of microseconds on a PC, on a board
with deep idle states, or as a guest whose host has to be asked. Whoever waits for a message pays it
each time, twice for a question and its answer. Linux lets a process say how long that may take
(CPU latency QoS, Documentation/power/pm_qos_interface.rst): for as long as it holds the device
open, so the request ends with the launcher however that ends.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
_INT32 = struct.Struct("=i")


@contextmanager
def waking_within(
    limit_us: int | None, tell: Callable[[str, str], object], device: Path = DEVICE
) -> Iterator[None]:
    """Let no processor sleep so deeply, within the block, that it takes longer to wake.

    Args:
        limit_us: The longest it may take, us; 0: none sleeps at all. None: as the system likes.
        tell: Is told a sentence and its kind where the system refuses it; the block goes on.
        device: What to ask it of.
    """
    if limit_us is None:
        yield
        return
    try:
        asked = _asked(device, limit_us)
    except OSError as error:
        tell(
            f"wake_us: {device}: {error.strerror}; processors sleep as deeply as the system lets "
            "them; hardware/udev/99-olympus.rules grants it to the group realtime",
            "warning",
        )
        yield
        return
    try:
        yield
    finally:
        os.close(asked)


def _asked(device: Path, limit_us: int) -> int:
    """Return the descriptor that keeps what was asked for while it is open.

    Raises:
        OSError: The system refuses it.
    """
    asked = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(asked, _INT32.pack(limit_us))
    except OSError:
        os.close(asked)
        raise
    return asked


def wakes_within_us(device: Path = DEVICE) -> int:
    """Return what all processes together ask for, us; 2 000 000 000 where none does.

    Raises:
        OSError: It can't be read.
    """
    with device.open("rb", buffering=0) as asked:
        (limit_us,) = _INT32.unpack(asked.read(_INT32.size))
    return int(limit_us)
