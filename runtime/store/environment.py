"""Opening an LMDB environment, and its errors in our words."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from olympus.runtime.errors import StoreError

DEFAULT_MAP_BYTES = 4 * 2**30
"""Largest size a store may reach; the file is sparse and grows as it is filled."""
MAX_DATABASES = 1024


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
        map_bytes: Largest size, bytes.
        read_only: Don't write; the folder must exist.
        is_durable: Wait for the disk at each commit. Without, a power cut may lose the newest
            commits; a killed process loses nothing either way.

    Returns:
        The environment.

    Raises:
        StoreError: It can't be opened, or its file is cut off; names the folder and why.
    """
    try:
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
        environment = lmdb.open(
            str(folder),
            map_size=map_bytes,
            max_dbs=MAX_DATABASES,
            readonly=read_only,
            create=not read_only,
            sync=is_durable,
            metasync=is_durable,
        )
        _check_length(environment, folder / "data.mdb")
    except (lmdb.Error, OSError) as error:
        raise StoreError(f"the store {folder} can't be opened: {error}") from error
    return environment


def _check_length(environment: lmdb.Environment, file: Path) -> None:
    """Refuse a file that was cut off: to read beyond its end would kill the process (SIGBUS).

    Raises:
        StoreError: It was cut off.
    """
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    held = file.stat().st_size
    if held < needed:
        environment.close()
        raise StoreError(
            f"{file} is cut off, {held} bytes of {needed} remain; "
            "bring back a copy, or move it away to begin anew"
        )


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn LMDB's errors, and what damaged keys lead to, into StoreError.

    Args:
        what: What was tried, for the message.

    Raises:
        StoreError: LMDB refused; says what to do when the store is full.
    """
    try:
        yield
    except lmdb.MapFullError as error:
        raise StoreError(
            f"{what}: the store is full; free or move old streams, or raise its size"
        ) from error
    except (lmdb.Error, struct.error) as error:
        raise StoreError(f"{what}: {error}") from error
