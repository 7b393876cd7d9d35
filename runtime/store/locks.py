"""Files whose locks say who is there: a store in use, a run being recorded.

The kernel takes a lock away with the process that held it, so a sign never outlives its meaning.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from olympus.runtime.errors import StoreError


def hold(file: Path) -> int | None:
    """Show others that something goes on, until the descriptor that this returns is closed.

    Returns:
        A descriptor; None where nothing can be written.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        return None
    return descriptor


def is_held(file: Path) -> bool:
    """Tell whether a living process holds a file by `hold`."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_folder(folder: Path, *, alone: bool = False) -> int | None:
    """Say that a store is in use, until the descriptor that this returns is closed.

    Args:
        folder: Of the store.
        alone: Nobody else may use it.

    Returns:
        A descriptor; None where nothing can be written.

    Raises:
        StoreError: Somebody uses it, or somebody wants it alone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "in-use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        why = "another process uses it" if alone else "it is being rewritten"
        raise StoreError(f"the store {folder} is taken, {why}; end that first") from None
    return descriptor
