"""Ed25519 keys: made, kept in files, used to sign and to verify (RFC 8032).

A private key is a file of 64 hexadecimal digits that only its owner can read. A public key is 64
hexadecimal digits too, and may be shown to anybody.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Any

from olympus.runtime.errors import ConfigError

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SigningKey:
    """A private key."""

    def __init__(self, seed: bytes) -> None:
        """Take a private key.

        Args:
            seed: 32 bytes that nobody else knows.

        Raises:
            ConfigError: The `security` extra is not installed, or the length is wrong.
        """
        if len(seed) != KEY_BYTES:
            raise ConfigError(f"a private key has {KEY_BYTES} bytes, this one {len(seed)}")
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
        self.public: str = self._key.public_key().public_bytes_raw().hex()
        """The public key, 64 hexadecimal digits."""

    def sign(self, data: bytes) -> bytes:
        """Return a signature of 64 bytes; the same for the same data."""
        signature: bytes = self._key.sign(data)
        return signature


def is_signed(data: bytes, signature: bytes, public: str) -> bool:
    """Tell whether the owner of a public key signed this.

    Args:
        data: What was signed.
        signature: 64 bytes; anything else is no signature.
        public: 64 hexadecimal digits.

    Raises:
        ConfigError: The `security` extra is not installed, or that is no public key.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        key = _ed25519().Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    except ValueError as error:
        raise ConfigError(f"{public!r:.80} is no public key: 64 hexadecimal digits") from error
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def make_key(file: Path) -> SigningKey:
    """Make a private key in a new file that only its owner can read.

    Raises:
        ConfigError: The file is there already, or can't be written.
    """
    seed = secrets.token_bytes(KEY_BYTES)
    key = SigningKey(seed)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(seed.hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise ConfigError(f"{file} is there already, and a key is never overwritten") from None
    except OSError as error:
        raise ConfigError(f"the key {file} can't be made ({error.strerror})") from error
    return key


def read_key(file: Path) -> SigningKey:
    """Read a private key.

    Raises:
        ConfigError: There is none, others can read it, or it is no key.
    """
    try:
        mode, text = file.stat().st_mode, file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the key {file} can't be read: {error}; `olympus audit key {file}` makes one"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"others can read the key {file}; `chmod 600 {file}`, or make a new one")
    try:
        return SigningKey(bytes.fromhex(text))
    except ValueError as error:
        raise ConfigError(f"{file} holds no key: 64 hexadecimal digits") from error


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError(
            "signatures need the extra 'security': pip install 'olympus[security]'"
        ) from error
    return ed25519
