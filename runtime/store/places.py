"""Where a robot's recordings lie when nobody says otherwise."""

from __future__ import annotations

from pathlib import Path


def stores() -> Path:
    """Return the folder of all stores of this user."""
    return Path.home() / ".local" / "share" / "olympus"


def store_of(session: str) -> Path:
    """Return the folder of a session's store and of its audit log."""
    return stores() / session
