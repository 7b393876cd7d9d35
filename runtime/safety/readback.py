"""The read-back of a stop: what the gates acknowledged since, and how sure that makes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from olympus.runtime.safety.acks import Ack, AckBoard

READBACK_S: Final = 1.0
"""How long to wait, after a stop, for every gate to read back neutral."""

LOOK_S: Final = 0.002
"""From one look to the next."""


class Result(StrEnum):
    """How sure it is that what was asked for has happened."""

    CONFIRMED = "CONFIRMED"
    """It was read back: every gate is at neutral and what it measures stands, or motion is
    permitted."""
    UNCERTAIN = "UNCERTAIN"
    """It was asked for, but something did not answer."""
    FAILED = "FAILED"
    """It was refused, or an actuator is still driven."""


def read_back(
    directory: Path, gates: Iterable[str], at_ns: int, *, seconds: float = READBACK_S
) -> tuple[Result, str]:
    """Wait until every gate has proven that it stopped.

    Args:
        directory: The safety directory.
        gates: Those that the guardian knows; others that are found there count too.
        at_ns: When the stop was latched, CLOCK_MONOTONIC.
        seconds: At most this long.

    Returns:
        How sure it is, and that in words.
    """
    board = AckBoard(directory, gates)
    board.look()
    deadline = time.monotonic() + seconds
    try:
        if not board.names():
            what = "the stop is latched, but there is no gate to read it back from"
            return Result.UNCERTAIN, what
        while waiting := unproven(board, at_ns):
            if time.monotonic() > deadline:
                return verdict(waiting, at_ns)
            time.sleep(LOOK_S)
        return Result.CONFIRMED, f"latched; at neutral: {', '.join(board.names())}"
    finally:
        board.close()


def unproven(board: AckBoard, at_ns: int) -> dict[str, Ack | None]:
    """Return the gates that have not proven that they stopped, with their last word.

    Args:
        board: All gates.
        at_ns: When the stop was latched, CLOCK_MONOTONIC.
    """
    acks = board.read()
    found = {name: acks.get(name) for name in board.names()}
    return {name: ack for name, ack in found.items() if not (ack and ack.is_proven_since(at_ns))}


def verdict(waiting: Mapping[str, Ack | None], at_ns: int) -> tuple[Result, str]:
    """Judge a stop that not every gate has proven; the worst that is known counts.

    Args:
        waiting: The gates that have not, with their last word; at least one.
        at_ns: When the stop was latched, CLOCK_MONOTONIC.
    """
    answering = {name: ack for name, ack in waiting.items() if ack and ack.tick_ns > at_ns}
    driven = [name for name, ack in answering.items() if not ack.is_neutral]
    if driven:
        return Result.FAILED, f"latched, but still driven: {', '.join(driven)}; cut the power"
    turning = [name for name, ack in answering.items() if ack.is_still is False]
    if turning:
        return Result.FAILED, f"at neutral, but still moving: {', '.join(turning)}; cut the power"
    if silent := ", ".join(name for name in waiting if name not in answering):
        what = f"latched, but no answer from gate {silent}; look at the actuators"
        return Result.UNCERTAIN, what
    blind = ", ".join(answering)
    return Result.UNCERTAIN, f"at neutral, but nothing measures {blind}; look at the actuators"
