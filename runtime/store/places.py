"""Where a robot's recordings and keys lie when nobody says otherwise.

Source: the XDG Base Directory Specification, `XDG_DATA_HOME` and `XDG_CONFIG_HOME`.
"""

from __future__ import annotations

import os
from pathlib import Path


def stores() -> Path:
    """Return the folder of all stores of this user."""
    return _base("XDG_DATA_HOME", ".local/share") / "olympus"


def store_of(session: str) -> Path:
    """Return the folder of a session's store and of its audit log."""
    return stores() / session


def keys() -> Path:
    """Return the folder of this user's keys."""
    return _base("XDG_CONFIG_HOME", ".config") / "olympus"


def _base(variable: str, usual: str) -> Path:
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / usual
