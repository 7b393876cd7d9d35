"""The `mcap` package, loaded when it is needed, and what its readers raise over bad files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from olympus.runtime.errors import StoreError

MISSING = "MCAP files need the 'mcap' extra: pip install 'olympus-edge[mcap]'"


def library(part: str) -> Any:
    """Return a module of the `mcap` package.

    Raises:
        StoreError: It is not installed.
    """
    try:
        return import_module(f"mcap.{part}")
    except ImportError as error:
        raise StoreError(MISSING) from error


@contextmanager
def file_errors(what: str) -> Iterator[None]:
    """Turn what a file, its compression or its reader object to into StoreError.

    Args:
        what: What was tried, for the message.

    Raises:
        StoreError: Something was objected to.
    """
    mcap_error, zstd_error = library("exceptions").McapError, _zstd_error()
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}") from error
    except (mcap_error, zstd_error, *_OF_READERS) as error:
        raise StoreError(
            f"{what}: {str(error) or type(error).__name__}; is it an MCAP file, and whole? "
            "`mcap recover` (mcap.dev) makes a whole one of what a cut one holds"
        ) from error


_OF_READERS = (
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,  # lz4
    TypeError,
    ValueError,
    struct.error,
)
"""What hostile or cut files make the readers of MCAP and of its compression raise."""


def _zstd_error() -> type[Exception]:
    found: type[Exception] = import_module("zstandard").ZstdError
    return found
