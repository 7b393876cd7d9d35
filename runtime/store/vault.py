"""Encryption at rest: AES-256-GCM, a key for the store, and one for each subject that can be lost.

The key that a person gives (a file, or what a command prints, such as `tpm2_unseal`) opens the
store's own random key, which opens the subjects' keys. Destroy a subject's key, and what was
recorded of it can't be read by anybody, on no copy that was made afterwards.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import lmdb

from olympus.runtime.errors import ConfigError, StoreError
from olympus.runtime.store.environment import StoreFile
from olympus.runtime.store.layout import META, SUBJECTS
from olympus.runtime.store.rows import pack_row, unpack_row

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ROW = b"key"
_COMMAND = "command:"
COMMAND_S = 30.0


def read_key(source: str) -> bytes:
    """Return the key that a person keeps.

    Args:
        source: Path of a file, or `command:` and a command line that prints the key.

    Returns:
        32 bytes, derived from what was read.

    Raises:
        ConfigError: There is no such file, the command fails, or it is too short for a key.
        StoreError: The `security` extra is not installed.
    """
    raw = _output_of(source.removeprefix(_COMMAND)) if source.startswith(_COMMAND) else None
    if raw is None:
        try:
            raw = Path(source).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(
                f"the key {source} can't be read: {error}; `olympus store key` makes one"
            ) from error
    # Text ends with a line end that is no part of it; 32 bytes out of a TPM are a key as they are.
    raw = raw if len(raw) == KEY_BYTES else raw.strip()
    if len(raw) < KEY_BYTES:
        raise ConfigError(f"the key {source} holds {len(raw)} bytes; 32 or more are needed")
    _aead(bytes(KEY_BYTES))
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"olympus store").derive(raw)


class StoreVault:
    """The keys of one store, open."""

    def __init__(self, file: StoreFile, key: bytes) -> None:
        """Open the store's keys with the person's; a new store gets its own now.

        Raises:
            StoreError: The key is another than the one the store was made with, or the store holds
                records that were never encrypted.
        """
        self._file = file
        with file.view() as view:
            held = view.get(META, _KEY_ROW)
        if held is None:
            if file.read_only:
                raise StoreError(f"{file.folder} is not encrypted; leave --key away")
            held = file.write(f"making a key for {file.folder}", lambda txn: self._make(txn, key))
        wrapped = bytes.fromhex(unpack_row(_KEY_ROW, held))
        own = _unwrap(key, wrapped, b"store")
        if own is None:
            raise StoreError(f"{file.folder} was encrypted with another key; give that one")
        self._keys: dict[int, bytes] = {0: own}

    def seal(self, subject: int, place: bytes, frame: bytes) -> bytes:
        """Encrypt a frame with the key of a subject; 0 is the store's own.

        Raises:
            StoreError: There is no such subject, or its key was destroyed.
        """
        return _wrap(self._key(subject), frame, place)

    def open(self, subject: int, place: bytes, secret: bytes) -> bytes:
        """Decrypt what `seal` made of a frame.

        Raises:
            StoreError: The subject's key was destroyed, or it is another.
        """
        frame = _unwrap(self._key(subject), secret, place)
        if frame is None:
            raise StoreError("a record can't be decrypted: it was made with another key")
        return frame

    def new_key(self) -> str:
        """Return a fresh key for a subject, wrapped, as hex."""
        return _wrap(self._keys[0], os.urandom(KEY_BYTES), b"subject").hex()

    def _key(self, subject: int) -> bytes:
        if subject not in self._keys:
            rows = subjects(self._file).items()
            found = [(name, row) for name, row in rows if row["number"] == subject]
            if not found or not found[0][1]["key"]:
                name = found[0][0] if found else f"no. {subject}"
                raise StoreError(f"the key of subject {name!r} was destroyed; nobody can read it")
            key = _unwrap(self._keys[0], bytes.fromhex(found[0][1]["key"]), b"subject")
            if key is None:
                raise StoreError(f"the key of subject {found[0][0]!r} is damaged")
            self._keys[subject] = key
        return self._keys[subject]

    def _make(self, transaction: lmdb.Transaction, key: bytes) -> bytes:
        meta = self._file.database(META, transaction)
        row = pack_row(_KEY_ROW, _wrap(key, os.urandom(KEY_BYTES), b"store").hex())
        transaction.put(_KEY_ROW, row, db=meta)
        return row


def is_encrypted(file: StoreFile) -> bool:
    """Tell whether a store's new records are encrypted.

    Raises:
        StoreError: It can't be read.
    """
    with file.view() as view:
        return view.get(META, _KEY_ROW) is not None


def subjects(file: StoreFile) -> dict[str, dict[str, Any]]:
    """Return whom records are about: by name their number and wrapped key.

    Raises:
        StoreError: It can't be read.
    """
    with file.view() as view:
        return {key.decode(): unpack_row(key, value) for key, value in view.items(SUBJECTS)}


def subject_number(file: StoreFile, name: str, vault: StoreVault | None) -> int:
    """Return the number of a subject; a new one gets the next, and a key of its own.

    Raises:
        StoreError: The store can't be written, or has 65535 subjects already.
    """
    known = subjects(file)
    if name in known and (known[name]["key"] or vault is None):
        return int(known[name]["number"])
    number = max((int(row["number"]) for row in known.values()), default=0) + 1
    if number >= 2**16:
        raise StoreError(f"{file.folder} has {number - 1} subjects; no more fit")
    row = {"number": number, "key": vault.new_key() if vault is not None else ""}
    key = name.encode()[:500]

    def put(transaction: lmdb.Transaction) -> None:
        transaction.put(key, pack_row(key, row), db=file.database(SUBJECTS, transaction))

    file.write(f"adding subject {name}", put)
    return number


def _output_of(command: str) -> bytes:
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, check=False, timeout=COMMAND_S
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigError(f"the key command {command!r} failed: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigError(f"the key command {command!r} failed ({done.returncode}): {said:.200}")
    return done.stdout


def _aead(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise StoreError(
            "encryption needs the 'security' extra: pip install 'olympus-edge[security]'"
        ) from error
    return AESGCM(key)


def _wrap(key: bytes, plain: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + bytes(_aead(key).encrypt(nonce, plain, place))


def _unwrap(key: bytes, secret: bytes, place: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(_aead(key).decrypt(secret[:_NONCE_BYTES], secret[_NONCE_BYTES:], place))
    except InvalidTag:
        return None
