"""Finds models by name or path, and hands out their bytes only when the hash is right."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from olympus.models.manifest import MANIFEST_NAME, Manifest, ModelFile, read_manifest
from olympus.runtime.errors import ModelError, did_you_mean

ZOO = Path(__file__).resolve().parent / "zoo"
"""Where the shipped models lie."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model on disk: its manifest and the folder its files are relative to."""

    manifest: Manifest
    folder: Path

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def place(self) -> str:
        """What `Registry.find` finds it by: a shipped model's name, or else its folder."""
        return self.name if self.folder.parent == ZOO else str(self.folder)

    def read(self, file: ModelFile | None = None) -> bytes:
        """Read a file once and check it; the bytes returned are the bytes that were hashed.

        Args:
            file: One of the manifest's files; the model itself when left out.

        Raises:
            ModelError: It can't be read, or its size or sha256 is not the manifest's.
        """
        wanted = file or self.manifest.model_file
        path = self.folder / wanted.path
        try:
            with self.opened(wanted) as source:
                data = source.read(wanted.bytes + 1)
        except OSError as error:
            raise self.unreadable(wanted, error) from error
        self.verify(wanted, len(data), hashlib.sha256(data).hexdigest(), path)
        return data

    def opened(self, file: ModelFile) -> BinaryIO:
        """Open a file whose kind and size are right; nobody has looked at what is in it.

        Neither a pipe that nobody writes to, nor a device or another file too large for the
        memory is read.

        Args:
            file: The manifest's entry.

        Raises:
            OSError: It can't be opened.
            ModelError: It is no ordinary file, or its size is not the manifest's.
        """
        path = self.folder / file.path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(
                    f"model {self.name}: file {path} is a pipe or a device, not an ordinary file; "
                    "correct files.path"
                )
            self._verify_size(file, found.st_size, path)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def unreadable(self, file: ModelFile, error: OSError) -> ModelError:
        """Say that a file can't be read, and what to do."""
        return ModelError(
            f"model {self.name}: file {file.path} can't be read at {self.folder / file.path} "
            f"({error.strerror}); put it there or correct files.path"
        )

    def verify(self, file: ModelFile, size: int, sha256: str, path: Path) -> None:
        """Compare what was read with what the manifest says.

        Args:
            file: The manifest's entry.
            size: Bytes read.
            sha256: Their hash.
            path: Where they were read.

        Raises:
            ModelError: Size or hash differ.
        """
        self._verify_size(file, size, path)
        if sha256 != file.sha256:
            raise ModelError(
                f"model {self.name}: file {path} has sha256 {sha256}, but the manifest's "
                f"files.sha256 says {file.sha256}; it was changed: fetch it again, or, if the "
                "change is yours, correct the manifest"
            )

    def _verify_size(self, file: ModelFile, size: int, path: Path) -> None:
        if size != file.bytes:
            raise ModelError(
                f"model {self.name}: file {path} has {size} bytes, but the manifest's files.bytes "
                f"says {file.bytes}; it is cut off or another file: fetch it again"
            )


class Registry:
    """The models one may use by name.

    Folders are looked through when a name is asked for, so a broken manifest only hurts who
    wants it. A folder given earlier wins over a later one; the shipped models come last.
    """

    def __init__(self, folders: Iterable[Path] = (), *, shipped: bool = True) -> None:
        """Take folders whose subfolders hold a `manifest.yaml` each.

        Args:
            folders: Searched in this order.
            shipped: Whether the shipped models may be used too.
        """
        self._folders = (*(Path(f) for f in folders), *((ZOO,) if shipped else ()))

    def names(self) -> list[str]:
        """List the names of all models, sorted."""
        return sorted(self._places())

    def find(self, name_or_path: str | Path) -> StoredModel:
        """Find a model by its name, its folder or its manifest's path.

        Args:
            name_or_path: `person-obstacle`, `my/models/cats`, `my/models/cats/manifest.yaml`.

        Raises:
            ModelError: There is none, or its manifest is wrong.
        """
        places = self._places()
        if str(name_or_path) in places:
            return _named(str(name_or_path), places[str(name_or_path)])
        try:
            path = Path(name_or_path).expanduser()
            is_folder, is_file = path.is_dir(), path.is_file()
        except (OSError, RuntimeError) as error:  # no such home, too long, no right to look there
            raise ModelError(
                f"model {str(name_or_path)[:200]!r} can't be found: {error}"
            ) from error
        if is_folder:
            return _stored(path / MANIFEST_NAME)
        if is_file:
            if path.suffix not in (".yaml", ".yml"):
                raise ModelError(
                    f"{path}: is no manifest; write a {MANIFEST_NAME} beside it and name its "
                    "folder (models/README.md shows one)"
                )
            return _stored(path)
        raise ModelError(
            f"model {str(name_or_path)!r} is not known and is no path to a manifest; "
            f"{did_you_mean(str(name_or_path), places)}"
        )

    def missing(self, names: Iterable[str | Path]) -> list[str]:
        """Return a sentence for each model that can't be found."""
        told = []
        for name in names:
            try:
                self.find(name)
            except ModelError as error:
                told.append(str(error))
        return told

    def _places(self) -> dict[str, Path]:
        places: dict[str, Path] = {}
        for path in self._manifests():
            places.setdefault(path.parent.name, path)
        return places

    def _manifests(self) -> Iterator[Path]:
        for folder in self._folders:
            yield from sorted(folder.glob(f"*/{MANIFEST_NAME}"))


def _named(name: str, path: Path) -> StoredModel:
    found = _stored(path)
    if found.name != name:
        raise ModelError(
            f"model {name}: is called {found.name!r} in its manifest {path}; give folder and "
            "model the same name"
        )
    return found


def _stored(path: Path) -> StoredModel:
    return StoredModel(read_manifest(path), path.parent)
