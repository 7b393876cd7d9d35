"""The audit log: a chain of signed records in a file that is only ever added to.

A file of lines and not a table of the store: it is read with no tool at all, it survives a damaged
store, and nobody has to trust a database to verify it. What is written is on the disk before
`append` returns. A writer that was killed leaves at most one incomplete line, which the next one
cuts off and tells about; a log that does not verify is set aside, never mended and never added to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from olympus.runtime.errors import DamageError, StoreError, StoreFullError
from olympus.runtime.security.chain import BEGIN, KEY, NOTHING, Anchor, Reader, Record, sealed
from olympus.runtime.security.keys import SigningKey
from olympus.runtime.store.durable import sync_folder
from olympus.runtime.store.room import Ballast

FILE = "audit.jsonl"
"""Name of the file beside the store."""
_RESERVE_BYTES = 1_000_000


class AuditLog:
    """Adds records to a chain; one writer at a time."""

    def __init__(
        self,
        file: Path,
        key: SigningKey,
        *,
        at_ns: int,
        about: Mapping[str, Any],
        seen: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """Open a log and check all of it; a new one begins with a record of its own.

        Args:
            file: The log; its folder is made.
            key: Signs what is added; a new key is named by a record that the old one signed, which
                only its owner can make: without it the log is set aside and a new one begun.
            at_ns: Robot time.
            about: What the first record says besides the key: robot, session.
            seen: Is told every record that is there already.

        Raises:
            StoreError: It can't be opened, or another writer has it.
        """
        self.file, self._key = file, key
        self.head = Anchor(0, NOTHING)
        """The newest record."""
        self.problem = ""
        """What was wrong with what was found: told in a record, and to be told to people."""
        self._reserve = Ballast(file.parent, _RESERVE_BYTES, name="audit.reserve")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _opened(file)
        except OSError as error:
            raise StoreError(f"the audit log {file} can't be opened: {error}") from error
        try:
            self._go_on(at_ns, about, seen)
        except OSError as error:
            self.close()
            raise StoreError(f"the audit log {file} can't be gone on with: {error}") from error
        except BaseException:
            self.close()
            raise
        self._set_aside_reserve()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Iterable[tuple[int, str, Mapping[str, Any]]]) -> Anchor:
        """Add records, all on the disk when this returns.

        Args:
            records: Robot time in ns, kind, body.

        Returns:
            The newest record's anchor.

        Raises:
            ConfigError: A body is not JSON; nothing was added.
            StoreFullError: The disk is full, the reserve too; nothing was added.
            StoreError: The disk refuses; nothing was added.
        """
        head, lines = self.head, []
        for at_ns, kind, body in records:
            line, head = sealed(self._key, head, at_ns, kind, body)
            lines.append(line)
        if lines:
            self._write(b"".join(lines))
            self.head = head
        return self.head

    def change_key(self, key: SigningKey, *, at_ns: int) -> None:
        """Go on with another key, named in a record that the present one signs.

        Raises:
            StoreError: The disk refuses.
        """
        self.append([(at_ns, KEY, {"public": key.public})])
        self._key = key

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _go_on(self, at_ns: int, about: Mapping[str, Any], seen: Callable[[Record], None]) -> None:
        reader, told, torn = Reader(), dict(about), b""
        try:
            with self.file.open("rb") as stream:
                for line in stream:
                    if not line.endswith(b"\n"):
                        torn = line
                        break
                    seen(reader.read(line))
            if reader.head.number and reader.public != self._key.public:
                raise DamageError(f"it goes on with the key {reader.public}, not with ours")
        except DamageError as error:
            self.problem = f"record {reader.head.number + 1}: {error}"
            told["before"] = self._set_aside() | {"problem": self.problem}
            reader, torn = Reader(), b""
        self.head = reader.head
        if torn:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - len(torn))
            self.problem = f"its writing was interrupted: {len(torn)} bytes of a record are lost"
        if not self.head.number:
            told["public"] = self._key.public
            self.append([(at_ns, BEGIN, told)])
            sync_folder(self.file.parent)
        elif torn:
            lost = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            self.append([(at_ns, "interrupted", lost)])

    def _set_aside(self) -> dict[str, Any]:
        """Move a log that can't be gone on with out of the way; returns where and its hash."""
        number = 1
        while (place := self.file.with_suffix(f".bad-{number}")).exists():
            number += 1
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        self.file.rename(place)
        os.close(self._descriptor)
        self._descriptor = _opened(self.file)
        return {"file": place.name, "sha256": digest}

    def _write(self, data: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            self._put(data)
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            if not self._reserve.give_back():
                raise StoreFullError(
                    f"the audit log {self.file} can't be written: {error}; free some of the disk"
                ) from error
            self._write(data)

    def _put(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def _set_aside_reserve(self) -> None:
        try:
            self._reserve.set_aside()
        except StoreFullError as error:
            self.problem = self.problem or str(error)


def _opened(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreError(
            f"another process writes the audit log {file}; end the robot that keeps it first"
        ) from None
    return descriptor
