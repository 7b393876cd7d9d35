"""The data file of an open LMDB environment, from which nobody may take anything away.

LMDB reads it through a map, and to read what lies beyond the end of a file ends the process
(SIGBUS). LMDB itself never makes its file shorter, so one that has become shorter was cut off by
somebody else. Before each transaction, and after it, its length is asked for, which takes a
microsecond or two. What is cut off in the midst of a transaction still ends the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from olympus.runtime.errors import DamageError


class HeldFile:
    """The file, and how long it has been."""

    def __init__(self, file: Path) -> None:
        """Take hold of it.

        Raises:
            OSError: It can't be opened.
        """
        self._file, self._bytes = file, 0
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    def check(self) -> None:
        """Look whether it is as long as it was.

        Raises:
            DamageError: It is shorter.
        """
        if self._descriptor < 0:  # of an environment that is closed, which says so itself
            return
        least = self._bytes  # before the look: another thread may let it grow meanwhile
        held = os.fstat(self._descriptor).st_size
        if held < least:
            raise DamageError(
                f"{self._file} was cut off while it is in use, {held} bytes of {least} "
                "remain; end what uses it, then bring back a copy, or move it away to begin anew"
            )
        self._bytes = max(self._bytes, held)

    @contextmanager
    def transaction(
        self, environment: lmdb.Environment, *, write: bool = False
    ) -> Iterator[lmdb.Transaction]:
        """Open a transaction on a file that is whole.

        Raises:
            DamageError: It was cut off.
        """
        self.check()
        with environment.begin(write=write) as transaction:
            yield transaction
        self.check()

    def close(self) -> None:
        """Let go of it; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
