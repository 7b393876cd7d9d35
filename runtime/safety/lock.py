"""The lock on a safety directory: one guardian keeps it, whatever is deleted there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from olympus.runtime.errors import SafetyError

LOCK: Final = "guardian.lock"
"""Name of the file that keeps a second guardian out of the safety directory."""


class DirectoryLock:
    """Keeps other guardians out until it is closed or this process ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Args:
            directory: The safety directory.

        Raises:
            SafetyError: Another guardian has it.
        """
        self._directory = directory
        self._descriptor = _locked(directory)
        self.remade = 0
        """How often it was made anew, since somebody had deleted it."""

    def keeps(self) -> bool:
        """Tell whether nobody else can have the directory; a lock that was deleted is made anew.

        Returns:
            False while the system refuses to make one; nobody else can make one there either.

        Raises:
            SafetyError: Another guardian took the name, and so the directory.
        """
        try:
            if os.path.samestat(os.fstat(self._descriptor), (self._directory / LOCK).stat()):
                return True
        except OSError:
            pass  # it has no name any more
        try:
            anew = _locked(self._directory)
        except OSError:
            return False
        os.close(self._descriptor)
        self._descriptor = anew
        self.remade += 1
        return True

    def close(self) -> None:
        """Let another guardian in."""
        os.close(self._descriptor)


def _locked(directory: Path) -> int:
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SafetyError(
            f"another guardian keeps {directory}; end it first, or use another directory"
        ) from error
    return descriptor
