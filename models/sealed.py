"""Hands a file to a native parser so that the bytes it parses are the bytes that were hashed."""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import Self

from olympus.models.manifest import ModelFile
from olympus.models.registry import StoredModel

_CHUNK = 1 << 22
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SealedFile:
    """A copy of a model's file in memory that nobody can change any more.

    Whoever swaps the file on disk between check and use changes nothing. It costs the file's size
    in memory that can't be given back while the model is loaded.
    """

    def __init__(self, stored: StoredModel, file: ModelFile | None = None) -> None:
        """Copy, hash, compare, seal.

        Args:
            stored: From `Registry.find`.
            file: One of the manifest's files; the model itself when left out.

        Raises:
            ModelError: It can't be read, or its size or sha256 is not the manifest's.
        """
        wanted = file or stored.manifest.model_file
        path = stored.folder / wanted.path
        self._fd = os.memfd_create(f"model {stored.name}", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        try:
            digest, size = self._copy(stored, wanted)
            stored.verify(wanted, size, digest, path)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """Where this process can open it, for reading only."""
        return f"/proc/self/fd/{self._fd}"

    def close(self) -> None:
        """Let go of it; a parser that has mapped it keeps its pages. Again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _copy(self, stored: StoredModel, file: ModelFile) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        try:
            with stored.opened(file) as source:
                while size <= file.bytes and (block := source.read(_CHUNK)):
                    digest.update(block)
                    size += os.write(self._fd, block)
        except OSError as error:
            raise stored.unreadable(file, error) from error
        return digest.hexdigest(), size
