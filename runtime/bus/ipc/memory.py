"""Sealed shared memory without a name: one process writes it, others map it to read.

Source: memfd_create(2), fcntl(2) F_ADD_SEALS. Sealed against shrinking, nobody who maps it can be
hit by SIGBUS; sealed against future writing, nobody else can ever map it to write.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass

from olympus.runtime.errors import BusError

_SEAL_FUTURE_WRITE = 0x10  # not in Python's fcntl; Linux 5.1
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
_NEEDED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
NAME = "olympus"
"""What `/proc/PID/fd` and `/proc/PID/maps` show: `/memfd:olympus`."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory that this process writes and others may read."""

    descriptor: int
    """To hand to others; closed by `close`."""
    map: mmap.mmap

    @property
    def nbytes(self) -> int:
        """Size, bytes."""
        return len(self.map)

    def close(self) -> None:
        """Let go of the descriptor; the mapping ends with the last array in it."""
        os.close(self.descriptor)


def make_memory(nbytes: int) -> Memory:
    """Make memory of zeros; pages that are never touched cost nothing.

    Raises:
        BusError: The system grants none.
    """
    try:
        descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, nbytes)
            made = mmap.mmap(descriptor, nbytes)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise BusError(f"no {nbytes} bytes of shared memory: {error}") from error
    return Memory(descriptor, made)


def map_memory(descriptor: int, nbytes: int) -> mmap.mmap:
    """Map another's memory to read; the descriptor is closed.

    Raises:
        BusError: It is not sealed, not of that size, or can't be mapped.
    """
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _NEEDED != _NEEDED:
            raise BusError("shared memory that its owner could still shrink; it must be sealed")
        have = os.fstat(descriptor).st_size
        if have != nbytes:
            raise BusError(f"shared memory of {have} bytes where {nbytes} were announced")
        return mmap.mmap(descriptor, nbytes, prot=mmap.PROT_READ)
    except OSError as error:
        raise BusError(f"shared memory that can't be mapped: {error}") from error
    finally:
        os.close(descriptor)
