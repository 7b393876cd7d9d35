"""One LMDB environment: writes that grow its map, reads that trust no page, errors in our words."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import lmdb

from olympus.runtime.errors import StoreError, StoreFullError
from olympus.runtime.store.held import HeldFile
from olympus.runtime.store.locks import lock_folder
from olympus.runtime.store.pages import PageFile, Snapshot, Tree

T = TypeVar("T")
DEFAULT_MAP_BYTES = 4 * 2**30
"""Largest size a store may reach; the file is as long as what is in it."""
FIRST_MAP_BYTES = 64 * 2**20
"""How much address space a new store takes; doubled whenever it is full, up to the largest size."""
MAX_DATABASES = 1024
DATA = "data.mdb"
LOCK, LOCK_BYTES = "lock.mdb", 8192
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TRIES = 50


def open_environment(
    folder: Path,
    *,
    map_bytes: int = DEFAULT_MAP_BYTES,
    read_only: bool = False,
    is_durable: bool = True,
) -> lmdb.Environment:
    """Open or make an LMDB environment.

    Args:
        folder: Its folder; made with its parents unless `read_only`.
        map_bytes: Size of its map, bytes.
        read_only: Don't write; the folder must exist.
        is_durable: Wait for the disk at each commit. Without, a power cut may damage the file; a
            killed process loses nothing either way.

    Returns:
        The environment.

    Raises:
        StoreError: It can't be opened; names the folder and why.
        DamageError: Its file is damaged or cut off.
    """
    try:
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
        file = folder / DATA
        if file.exists() and file.stat().st_size:
            _check_beginning(file)
        if not read_only:
            _claim_lock(folder / LOCK)
        return lmdb.open(
            str(folder),
            map_size=map_bytes,
            max_dbs=MAX_DATABASES,
            readonly=read_only,
            lock=not read_only or os.access(folder, os.W_OK),
            create=not read_only,
            sync=is_durable,
            metasync=is_durable,
        )
    except (lmdb.Error, OSError) as error:
        raise StoreError(f"the store {folder} can't be opened: {error}") from error


def _check_beginning(file: Path) -> None:
    """Refuse a file that is cut off: to read beyond its end would kill the process (SIGBUS)."""
    pages = PageFile(file)
    try:
        pages.snapshots()
    finally:
        pages.close()


def _claim_lock(file: Path) -> None:
    """Give the lock file its room on the disk; LMDB maps it, and without room that is a SIGBUS.

    Raises:
        OSError: There is no room.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_blocks * 512 < LOCK_BYTES:
            os.posix_fallocate(descriptor, 0, LOCK_BYTES)
    finally:
        os.close(descriptor)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn LMDB's errors, and what damaged keys lead to, into StoreError.

    Args:
        what: What was tried, for the message.

    Raises:
        StoreFullError: The store or the disk is full.
        StoreError: LMDB refused otherwise.
    """
    try:
        yield
    except lmdb.MapFullError as error:
        raise StoreFullError(
            f"{what}: the store is full; free or move old streams, or raise its size"
        ) from error
    except (lmdb.Error, struct.error) as error:
        if any(os.strerror(code) in str(error) for code in _FULL):
            raise StoreFullError(f"{what}: the disk is full; free some of it") from error
        raise StoreError(f"{what}: {error}") from error


@dataclass(frozen=True, slots=True)
class View:
    """One state of a store, to be read while the block that gave it lasts."""

    pages: PageFile
    state: Snapshot
    trees: dict[bytes, Tree]

    def items(
        self, name: bytes, start: bytes = b"", *, backwards: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values of a database from `start` on; nothing if there is none.

        Raises:
            DamageError: A page is damaged.
        """
        tree = self.trees.get(name)
        if tree is not None:
            found = self.pages.items(self.state, tree, start, backwards=backwards)
            yield from ((key, value) for key, value, _ in found)

    def get(self, name: bytes, key: bytes) -> bytes | None:
        """Return one value, or None.

        Raises:
            DamageError: A page is damaged.
        """
        found = next(self.items(name, key), None)
        return found[1] if found is not None and found[0] == key else None


class StoreFile:
    """The environment of a store."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAP_BYTES,
        read_only: bool = False,
        is_durable: bool = True,
    ) -> None:
        """Open it.

        Args:
            folder: Its folder; made unless `read_only`.
            max_bytes: Largest size it may grow to.
            read_only: Only read; others may write meanwhile.
            is_durable: Wait for the disk at each commit.

        Raises:
            StoreError: It can't be opened, or is being made smaller right now.
            DamageError: What a writer would touch is damaged.
        """
        self.folder, self.max_bytes, self.read_only = folder, max_bytes, read_only
        file = folder / DATA
        held = file.stat().st_size if file.exists() else 0
        self._map_bytes = max(min(max_bytes, max(FIRST_MAP_BYTES, 2 * held)), held)
        self._lock = lock_folder(folder) if held or not read_only else None
        self._environment = open_environment(
            folder, map_bytes=self._map_bytes, read_only=read_only, is_durable=is_durable
        )
        self._pages, self._held = PageFile(file), HeldFile(file)
        self._databases: dict[bytes, lmdb._Database] = {}
        self._writing = threading.Lock()
        if not read_only:
            self._check_edges()

    def write(self, what: str, work: Callable[[lmdb.Transaction], T]) -> T:
        """Do `work` in one transaction: all or nothing; the map grows if it must.

        Args:
            what: What is done, for messages.
            work: May be called again after the map has grown.

        Raises:
            StoreFullError: The store has its largest size, or the disk is full.
            StoreError: LMDB refused.
            DamageError: The file was cut off.
        """
        with self._writing:
            while True:
                try:
                    with store_errors(what), self._begin(write=True) as transaction:
                        done = work(transaction)
                    self._held.check()  # how long it is now
                    return done
                except StoreFullError as error:
                    self._databases.clear()  # those made in this transaction are gone with it
                    if not isinstance(error.__cause__, lmdb.MapFullError) or not self._grow():
                        raise

    def database(self, name: bytes, transaction: lmdb.Transaction) -> lmdb._Database:
        """Return the handle of a database, made if it is missing, within a write."""
        if name not in self._databases:
            self._databases[name] = self._environment.open_db(name, txn=transaction)
        return self._databases[name]

    @contextmanager
    def view(self) -> Iterator[View]:
        """Look at the newest state; what is written meanwhile is not in it.

        Raises:
            StoreError: LMDB refused.
            DamageError: A page is damaged.
        """
        with store_errors(f"reading {self.folder}"):
            for _ in range(_TRIES):
                with self._begin(write=False) as transaction:
                    state = self._pages.snapshot(transaction.id())
                    if state is not None:
                        yield View(self._pages, state, self._pages.subtrees(state))
                        return
        raise StoreError(f"{self.folder} changes faster than it can be read; try again")

    def used_bytes(self) -> int:
        """Return how much of the file is in use; the rest waits to be used anew.

        Raises:
            DamageError: A page is damaged.
        """
        with self.view() as view:
            free = sum(
                int.from_bytes(value[:8], "little")
                for _, value, _ in self._pages.items(view.state, view.state.free)
            )
            return (view.state.last_page + 1 - free) * view.state.page_bytes

    def copy_to(self, folder: Path, *, compact: bool) -> None:
        """Copy the newest state to an empty folder, while others go on writing.

        Raises:
            StoreError: It can't be written there.
        """
        self._held.check()
        with store_errors(f"copying {self.folder} to {folder}"):
            self._environment.copy(str(folder), compact=compact)

    def sync(self) -> None:
        """Wait until everything written is on the disk.

        Raises:
            StoreError: The disk refuses.
        """
        with store_errors(f"syncing {self.folder}"):
            self._environment.sync(True)

    def close(self) -> None:
        """Close the file; again is harmless."""
        self._environment.close()
        self._pages.close()
        self._held.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, *, write: bool) -> lmdb.Transaction:
        self._held.check()
        try:
            return self._environment.begin(write=write)
        except lmdb.MapResizedError:  # another process made it grow
            self._environment.set_mapsize(0)
            return self._environment.begin(write=write)

    def _grow(self) -> bool:
        if self._map_bytes >= self.max_bytes:
            return False
        self._map_bytes = min(2 * self._map_bytes, self.max_bytes)
        self._environment.set_mapsize(self._map_bytes)
        return True

    def _check_edges(self) -> None:
        """Look at what a writer is going to follow: both ends of each tree, and the free pages.

        Raises:
            StoreError: LMDB refused.
            DamageError: A page is damaged.
        """
        try:
            with self.view() as view:
                for tree in [*view.trees.values(), view.state.main]:
                    for backwards in (False, True):
                        next(self._pages.items(view.state, tree, backwards=backwards), None)
                for _ in self._pages.items(view.state, view.state.free):
                    pass
        except StoreError:
            self.close()
            raise
