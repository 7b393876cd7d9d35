"""What the launcher may know of a model before anything is loaded: times by board, memory."""

from __future__ import annotations

from pathlib import Path

from olympus.models.registry import Registry
from olympus.runtime.launch.timing import Measured
from olympus.runtime.scheduler.profile import profile_of_ms


def measured(model: str, folder: Path) -> Measured | None:
    """Return the measured times and the memory that a model's manifest holds.

    Args:
        model: Name, or path of a manifest or its folder, relative to `folder`.
        folder: Where the launch file lies.

    Raises:
        ModelError: It is not known.
    """
    beside = folder / model
    found = Registry().find(beside if beside.exists() else model).manifest
    times = tuple(
        profile_of_ms(one.board, piece.n, piece.p50_ms, piece.p99_ms, piece.worst_ms)
        for one in found.latency
        for piece in (one.piece,)
    )
    return Measured(times, found.memory_mb, found.name)
