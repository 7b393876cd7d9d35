"""Remembers deterministic answers for a while, so that the same question is computed once."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import lmdb
import msgpack
import numpy as np

from olympus.runtime.errors import DamageError, StoreError
from olympus.runtime.store.environment import DATA, open_environment, store_errors
from olympus.runtime.store.held import HeldFile

_log = logging.getLogger(__name__)
MAP_BYTES: Final = 64 * 2**20
_EXPIRY = struct.Struct(">Q")


class AnswerCache:
    """Answers in an LMDB folder, keyed by the model's hash and the inputs.

    What is damaged or outdated counts as not there. When the folder is full, it is emptied: it is a
    cache. Where it can't be read or written, that is told and counted, and each answer is computed.
    """

    def __init__(
        self, folder: Path, ttl_s: float, now_ns: Callable[[], int], *, map_bytes: int = MAP_BYTES
    ) -> None:
        """Open or make it.

        Args:
            folder: Its folder.
            ttl_s: How long an answer counts.
            now_ns: Robot time.
            map_bytes: Largest size.

        Raises:
            StoreError: It can't be opened.
        """
        try:
            self._environment = open_environment(folder, map_bytes=map_bytes, is_durable=False)
        except DamageError as error:  # a power cut may do that, since it does not wait for the disk
            _log.warning("the remembered answers begin anew: %s", error)
            _remove(folder / DATA)
            self._environment = open_environment(folder, map_bytes=map_bytes, is_durable=False)
        self._held = HeldFile(folder / DATA)
        self._ttl_ns, self._now_ns = round(ttl_s * 1e9), now_ns
        self.failures = 0
        """How often it could not be read or written."""

    def get(self, key: bytes) -> Any:
        """Find an answer.

        Returns:
            It, or None.
        """
        try:
            with (
                store_errors("reading the answer cache"),
                self._held.transaction(self._environment) as reading,
            ):
                raw = reading.get(key)
        except StoreError as error:
            self._tell(error)
            return None
        if raw is None or len(raw) < _EXPIRY.size:
            return None
        (expires_ns,) = _EXPIRY.unpack_from(raw)
        # Further ahead than any is written: the clock was set back, so its age is not known.
        if not 0 < expires_ns - self._now_ns() <= self._ttl_ns:
            return None
        try:
            return msgpack.unpackb(raw[_EXPIRY.size :], object_hook=_as_array)
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            _log.warning("a remembered answer is damaged; it is computed anew")
            return None

    def put(self, key: bytes, answer: Any) -> None:
        """Keep an answer of plain values and arrays, if it can be kept."""
        packed = msgpack.packb(answer, default=_as_plain)
        raw = _EXPIRY.pack(self._now_ns() + self._ttl_ns) + packed
        try:
            with store_errors("writing the answer cache"):
                self._write_or_empty(key, raw)
        except StoreError as error:
            self._tell(error)

    def close(self) -> None:
        """Close the folder."""
        self._environment.close()
        self._held.close()

    def _tell(self, error: StoreError) -> None:
        self.failures += 1
        _log.error("an answer is not remembered (%d so far): %s", self.failures, error)

    def _write_or_empty(self, key: bytes, raw: bytes) -> None:
        try:
            self._write(key, raw)
        except lmdb.MapFullError:
            self._empty()
            self._write(key, raw)

    def _empty(self) -> None:
        """Forget everything; freed pages can be used from the commit after the next one."""
        with self._held.transaction(self._environment, write=True) as writing:
            writing.drop(self._environment.open_db(txn=writing), delete=False)
        for i in range(2):
            self._write(b"emptied", bytes([i]))

    def _write(self, key: bytes, raw: bytes) -> None:
        with self._held.transaction(self._environment, write=True) as writing:
            writing.put(key, raw)


def _remove(file: Path) -> None:
    try:
        file.unlink()
    except OSError as error:
        raise StoreError(f"{file} can't be removed: {error.strerror}") from error


def key_of(sha256: str, request: Mapping[str, Any]) -> bytes:
    """Hash a model and its inputs; the order of the inputs doesn't matter."""
    digest = hashlib.sha256(sha256.encode())
    for name in sorted(request):
        value = request[name]
        if isinstance(value, np.ndarray):
            head = f"{value.dtype.str}{value.shape}".encode()
            raw = head + np.ascontiguousarray(value).tobytes()
        else:
            raw = repr(value).encode()
        digest.update(struct.pack(">II", len(name.encode()), len(raw)) + name.encode() + raw)
    return digest.digest()


def _as_plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return {"__array__": value.dtype.str, "shape": value.shape, "raw": value.tobytes()}
    raise TypeError(f"{type(value).__name__} can't be kept")


def _as_array(value: dict[str, Any]) -> object:
    if "__array__" not in value:
        return value
    return np.frombuffer(value["raw"], value["__array__"]).reshape(value["shape"])
