"""Files as shared memory: fixed records with a checksum, in a directory of one's own.

Where a process must survive anything, files are read and written with pread and pwrite rather than
mapped: both work on the same pages of memory, yet a file that was cut short gives a short read
instead of SIGBUS.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import SafetyError

NAME_BYTES: Final = 48
"""Room for a name in a record, in bytes of UTF-8."""


class Record:
    """A fixed little-endian layout: magic, version, fields, CRC-32 of all before it."""

    def __init__(self, magic: bytes, version: int, fields: str) -> None:
        """Describe a record.

        Args:
            magic: Up to 8 bytes that say what it is.
            version: Changes with the layout.
            fields: The fields in the notation of `struct`, without byte order.
        """
        self._body = struct.Struct("<8sI" + fields)
        self._magic = magic.ljust(8, b"\0")
        self._version = version
        self.size = self._body.size + 4
        """Size of a packed record, in bytes."""

    def pack(self, *values: object) -> bytes:
        """Make the bytes of a record from its fields."""
        body = self._body.pack(self._magic, self._version, *values)
        return body + zlib.crc32(body).to_bytes(4, "little")

    def unpack(self, raw: bytes) -> tuple[Any, ...] | str:
        """Take a record apart.

        Args:
            raw: Bytes from somewhere that may be torn, cut short, or nonsense.

        Returns:
            The fields, or in words why these bytes are no such record.
        """
        if len(raw) < self.size:
            return f"cut short ({len(raw)} of {self.size} bytes)"
        body = raw[: self.size - 4]
        if zlib.crc32(body).to_bytes(4, "little") != raw[self.size - 4 : self.size]:
            return "checksum does not fit"
        magic, version, *values = self._body.unpack(body)
        if magic != self._magic or version != self._version:
            return f"not a record of this kind and version ({magic!r}, {version})"
        return tuple(values)


class SharedFile:
    """One small file that processes share; opened when first needed, and again when replaced."""

    def __init__(self, path: Path, *, writes: bool = False) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: Where it is.
            writes: Create it when missing, and allow `write`.
        """
        self._path = path
        self._flags = os.O_CLOEXEC | ((os.O_RDWR | os.O_CREAT) if writes else os.O_RDONLY)
        self._fd = -1

    def read(self, size: int, offset: int = 0) -> bytes:
        """Read up to `size` bytes; fewer, or none, when the file is short or missing."""
        try:
            return os.pread(self._descriptor(), size, offset)
        except OSError:
            return b""

    def write(self, data: bytes, offset: int = 0) -> bool:
        """Write `data` in one call; False when the system refuses."""
        try:
            return os.pwrite(self._descriptor(), data, offset) == len(data)
        except OSError:
            return False

    def claim(self) -> bool:
        """Take the file for oneself, until it is closed or this process ends.

        Returns:
            False when somebody else has it. What can't be opened is nobody's.
        """
        try:
            fcntl.flock(self._descriptor(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def refresh(self) -> None:
        """Forget the open file if it was deleted, so that the next read looks for a new one."""
        if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
            self.close()

    def close(self) -> None:
        """Close the file; using it again opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _descriptor(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, self._flags, 0o600)
        return self._fd


def private_directory(path: Path) -> Path:
    """Make sure that a directory exists and that nobody else may enter it.

    Args:
        path: The directory; parents are made too.

    Returns:
        The same path.

    Raises:
        SafetyError: It can't be made, is no directory, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.getuid():
            raise SafetyError(
                f"{path} belongs to user {found.st_uid}, not {os.getuid()}; name another directory"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise SafetyError(
            f"can't use {path} as safety directory: {error.strerror}; name another directory"
        ) from error
    return path


def suffixes(directory: Path, prefix: str) -> list[str]:
    """Return what follows `prefix` in the names of a directory's files.

    Raises:
        OSError: It can't be read, as when no descriptor is to spare.
    """
    names = [path.name for path in directory.iterdir()]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def packed_name(name: str) -> bytes:
    """Make a name fit for a record.

    Args:
        name: 1..48 bytes of UTF-8, no NUL.

    Returns:
        The name as bytes, not padded.

    Raises:
        SafetyError: It is empty, too long, or has a NUL in it.
    """
    raw = name.encode()
    if not raw or len(raw) > NAME_BYTES or b"\0" in raw:
        raise SafetyError(f"{name!r} is no usable name; take 1 to {NAME_BYTES} letters")
    return raw


def plain_name(raw: bytes) -> str:
    """Read a name back from a record."""
    return raw.rstrip(b"\0").decode(errors="replace")
