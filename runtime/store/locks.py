"""Files whose locks say who is there: a store in use, a run being recorded.

The kernel takes a lock away with the process that held it, so a sign never outlives its meaning.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from olympus.runtime.errors import StoreError

_TURN_S = 0.01


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


class Claim:
    """Something that only one process may have, and has until this is closed or it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def claim(file: Path, what: str, *, wait_s: float = 0.0) -> Claim:
    """Take what only one process may have.

    Args:
        file: Whose lock says so; made if it is missing.
        what: For the message.
        wait_s: How long to wait for another to give it back, s.

    Raises:
        StoreError: Another process has it, or the file can't be made.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{what} can't be taken: {error}") from error
    until = time.monotonic() + wait_s
    while not _is_locked_now(descriptor):
        if time.monotonic() >= until:
            os.close(descriptor)
            raise StoreError(f"{what} is taken by another process; end that first")
        time.sleep(_TURN_S)
    return Claim(descriptor)


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
