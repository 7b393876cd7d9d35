"""Files as shared memory: fixed records with a checksum, in a directory of one's own.

Where a process must survive anything, files are read and written with pread and pwrite rather than
mapped: both work on the same pages of memory, yet a file that was cut short gives a short read
instead of SIGBUS.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import weakref
import zlib
from pathlib import Path
from typing import Any, Final

from olympus.runtime.errors import SafetyError

_OWNERS: Final = 0o600
"""Mode of a shared file: for its user, and nobody else."""

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
        # Without waiting: a pipe of that name must not hold anybody up.
        self._flags = os.O_CLOEXEC | os.O_NONBLOCK
        self._flags |= (os.O_RDWR | os.O_CREAT) if writes else os.O_RDONLY
        self._fd = -1
        self._is_claimed = self._is_parents = False

    def read(self, size: int, offset: int = 0) -> bytes:
        """Read up to `size` bytes; fewer, or none, when it is short, missing or unreadable."""
        try:
            return os.pread(self._descriptor(), size, offset)
        except OSError:
            return b""

    def read_surely(self, size: int, offset: int = 0) -> bytes:
        """Read like `read`, where nothing must be taken for empty that only can't be read.

        Raises:
            OSError: It is there, and can't be read.
        """
        try:
            return os.pread(self._descriptor(), size, offset)
        except FileNotFoundError:
            return b""

    def write(self, data: bytes, offset: int = 0) -> bool:
        """Write `data` in one call; False when the system refuses."""
        try:
            return os.pwrite(self._descriptor(), data, offset) == len(data)
        except OSError:
            return False

    def claim(self) -> bool:
        """Take the file for oneself, until it is closed or this process ends.

        A child that is forked has no part in it: it could outlive this process, and keep the file
        from whoever comes after.

        Returns:
            False when somebody else has it. What can't be opened is nobody's; ask again before it
            is written.
        """
        if self._is_claimed:
            return True
        _claimed.add(self)
        try:
            fcntl.flock(self._descriptor(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._is_claimed = True
        return True

    def refresh(self) -> bool:
        """Forget the open file if another has its name now; tell whether that is so.

        One that was deleted and not made anew stays open: its other readers and writers have it
        open too.
        """
        if self._fd < 0:
            return False
        try:
            is_same = os.path.samestat(os.fstat(self._fd), self._path.stat())
        except OSError:
            return False
        if not is_same:
            self.close()
        return not is_same

    def is_displaced(self) -> bool:
        """Tell whether the open file is not what its name stands for, so that nobody opens it.

        It was deleted, moved away, or replaced by another.
        """
        if self._fd < 0:
            return False
        try:
            return not os.path.samestat(os.fstat(self._fd), self._path.stat())
        except OSError:
            return True

    def remake(self) -> bool:
        """Go over to the file that has the name now, made anew where there is none.

        Returns:
            False when the open one still has it, or the system refuses.
        """
        if not self.is_displaced():
            return False
        try:
            anew = os.open(self._path, self._flags, _OWNERS)
        except OSError:
            return False
        self.close()
        self._fd = anew
        return True

    def is_shut(self) -> bool:
        """Tell whether its mode keeps its own user from reading or writing it.

        Whoever has it open goes on; nobody can open it.
        """
        return self._fd >= 0 and os.fstat(self._fd).st_mode & _OWNERS != _OWNERS

    def unshut(self) -> bool:
        """Give it the mode that it was made with; False when the system refuses."""
        try:
            os.fchmod(self._fd, _OWNERS)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the file; using it again opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._is_claimed = False

    def leave_to_parent(self) -> None:
        """Close it for good, in a child of the process that claimed it."""
        self.close()
        self._is_parents = True

    def _descriptor(self) -> int:
        if self._is_parents:
            raise PermissionError(errno.EPERM, "it belongs to the process that this was forked of")
        if self._fd < 0:
            self._fd = os.open(self._path, self._flags, _OWNERS)
        return self._fd


_claimed: weakref.WeakSet[SharedFile] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for file in tuple(_claimed):
        file.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)


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
