"""A first-in-first-out queue on disk: what a lossless subscription spills to."""

from __future__ import annotations

import struct
from pathlib import Path

from olympus.runtime.errors import StoreError
from olympus.runtime.store.environment import DATA, open_environment, store_errors
from olympus.runtime.store.held import HeldFile

_KEY = struct.Struct(">Q")


class DiskQueue:
    """Byte strings in order of arrival; survives its process."""

    def __init__(self, folder: Path) -> None:
        """Open the queue, with what an earlier process left in it.

        Raises:
            StoreError: The folder can't be used, or what is in it is damaged.
        """
        self._folder = folder
        self._environment = open_environment(folder, is_durable=False)
        self._held = HeldFile(folder / DATA)
        with (
            store_errors(f"reading {folder}"),
            self._held.transaction(self._environment) as transaction,
            transaction.cursor() as cursor,
        ):
            self._first = _KEY.unpack(cursor.key())[0] if cursor.first() else 0
            self._next = _KEY.unpack(cursor.key())[0] + 1 if cursor.last() else self._first

    def __len__(self) -> int:
        return self._next - self._first

    def append(self, item: bytes) -> None:
        """Keep `item` behind all others.

        Raises:
            StoreError: The disk or the queue is full, or another process writes to it.
            DamageError: Its file was cut off.
        """
        with (
            store_errors(f"spilling to {self._folder}"),
            self._held.transaction(self._environment, write=True) as transaction,
        ):
            is_last = transaction.put(_KEY.pack(self._next), item, append=True)
        if not is_last:
            raise StoreError(
                f"{self._folder}: another process adds to this queue; give each its own folder"
            )
        self._next += 1

    def popleft(self) -> bytes:
        """Return the oldest item and forget it.

        Raises:
            StoreError: The queue is empty, can't be read, or another process takes from it.
            DamageError: Its file was cut off.
        """
        with (
            store_errors(f"reading {self._folder}"),
            self._held.transaction(self._environment, write=True) as transaction,
        ):
            item = transaction.pop(_KEY.pack(self._first))
        if item is None:
            raise StoreError(f"the queue {self._folder} is empty; ask len() first")
        self._first += 1
        return bytes(item)

    def close(self) -> None:
        """Close the file; what is queued stays for the next process."""
        self._environment.close()
        self._held.close()
