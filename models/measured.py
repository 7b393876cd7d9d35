"""What the launcher may know of a model before anything is loaded: times by board, memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from olympus.models.manifest import Latency
from olympus.models.registry import Registry
from olympus.runtime.errors import ModelError
from olympus.runtime.launch.timing import Measured
from olympus.runtime.scheduler.profile import Profile, profile_of_ms


def profiles_on(board: str, models: Iterable[str], *, scale: float = 1.0) -> dict[str, Profile]:
    """Return how long a piece of each model takes on a board, for a scheduler in virtual time.

    Args:
        board: Name under which the models' manifests have times.
        models: Names, or paths of manifests or their folders.
        scale: So many times slower than that board: an assumption, not a measurement.

    Raises:
        ModelError: One is not known, or was not measured on that board.
    """
    found: dict[str, Profile] = {}
    for model in models:
        manifest = Registry().find(model).manifest
        latency = manifest.latency_on(board)
        if latency is None:
            boards = ", ".join(one.board for one in manifest.latency) or "none"
            raise ModelError(
                f"model {manifest.name}: was not measured on {board!r}, only on: {boards}; run "
                "`olympus models bench` there, or take another board with `scale`"
            )
        profile = _profile(latency)
        found[manifest.name] = profile if scale == 1.0 else profile.scaled(scale)
    return found


def _profile(latency: Latency) -> Profile:
    piece = latency.piece
    found = profile_of_ms(latency.board, piece.n, piece.p50_ms, piece.p99_ms, piece.worst_ms)
    return replace(found, is_step=latency.step is not None)


def measured(model: str, folder: Path) -> Measured | None:
    """Return the measured times and the memory that a model's manifest holds.

    Args:
        model: Name, or path of a manifest or its folder, relative to `folder`.
        folder: Where the launch file lies.

    Raises:
        ModelError: It is not known.
    """
    registry, beside = Registry(), folder / model
    is_beside = model not in registry.names() and beside.exists()
    stored = registry.find(beside if is_beside else model)
    found = stored.manifest
    times = tuple(_profile(latency) for latency in found.latency)
    place = str(stored.folder.resolve())
    return Measured(times, found.memory_mb, found.name, place=place, version=found.version)
