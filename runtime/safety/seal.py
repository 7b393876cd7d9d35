"""Sealed stops: a stop from another machine, proven by a key, good for one use.

Whoever carries it (a Zenoh bridge, a page, a radio) needs no trust: only the guardian opens it. A
stop on this computer needs no seal; this is for those whom the kernel can't vouch for.

Source: HMAC, RFC 2104, with SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeGuard

from olympus.runtime.errors import ConfigError, SafetyError
from olympus.runtime.safety.protocol import printable
from olympus.runtime.safety.shared import Record, SharedFile, packed_name, plain_name

FILE: Final = "seals"
"""Name of the file in the safety directory that remembers each key's newest counter."""

RECORD: Final = Record(b"OLYSEAL", 1, "48sQ")
"""name, counter; then the CRC. One after another."""

LEAST_KEY_BYTES: Final = 16
"""A shorter key is refused."""

LARGEST_FILE: Final = 65536
"""Most bytes of keys, and of counters, that are read."""

_CONTEXT: Final = b"olympus sealed stop 1\n"
_OPERATIONS: Final = ("stop", "kill")
_LARGEST_COUNTER: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was in a sealed order that is genuine and new."""

    is_kill: bool
    cause: str
    by: str
    key: str
    """Whose key it was."""


def seal(key: bytes, name: str, counter: int, *, op: str, cause: str, by: str) -> str:
    """Make a sealed order.

    Args:
        key: The secret, as in the guardian's file of keys.
        name: The key's name there.
        counter: Larger than any used with this key before; the time in ns will do.
        op: `stop` or `kill`.
        cause: Why, in words.
        by: Who asks.

    Returns:
        The order as text.
    """
    nonce = secrets.token_hex(8)
    told = {"key": name, "counter": counter, "nonce": nonce, "op": op, "cause": cause, "by": by}
    body = json.dumps(told)
    return json.dumps({"body": body, "mac": _mac(key, body)})


def read_keys(path: Path) -> Mapping[str, bytes]:
    """Read a file of keys: on each line a name and the key in hexadecimal, `#` for a remark.

    Args:
        path: A file that only its owner can read.

    Returns:
        The keys by name.

    Raises:
        ConfigError: It can't be read, others can read it, or a line is wrong.
    """
    try:
        lines = _private_text(path).splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"keys for sealed stops: {path}: {error}") from error
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if words := line.partition("#")[0].split():
            name, secret = _key(words, f"{path}:{number}")
            if name in keys:
                raise ConfigError(f"{path}:{number}: there are two keys {name!r}; name one anew")
            keys[name] = secret
    return keys


def _private_text(path: Path) -> str:
    """Read a text that nobody else can read or change.

    Raises:
        ConfigError: It is no file, others can read it, it belongs to somebody else, or is huge.
        OSError: It can't be read.
        UnicodeError: It is no text.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{path} is no file; name a file of keys")
        if stat.S_IMODE(about.st_mode) & 0o077:
            raise ConfigError(f"{path} can be read by others; chmod 600 {path}")
        if about.st_uid not in (0, os.getuid()):
            raise ConfigError(f"{path} belongs to user {about.st_uid}; chown {os.getuid()} {path}")
        if about.st_size > LARGEST_FILE:
            raise ConfigError(f"{path} has more than {LARGEST_FILE} bytes; is it a file of keys?")
        return os.pread(descriptor, LARGEST_FILE, 0).decode()
    finally:
        os.close(descriptor)


def _key(words: list[str], where: str) -> tuple[str, bytes]:
    try:
        name, digits = words
        secret = bytes.fromhex(digits)
    except ValueError as error:
        raise ConfigError(f"{where}: write a name and a key in hexadecimal, 64 digits") from error
    if len(secret) < LEAST_KEY_BYTES:
        raise ConfigError(f"{where}: take at least {2 * LEAST_KEY_BYTES} digits, such as 64")
    try:
        packed_name(name)
    except SafetyError as error:
        raise ConfigError(f"{where}: {error}") from error
    return name, secret


class SealReader:
    """Opens sealed orders, each one once; counts what is no good."""

    def __init__(self, directory: Path, keys: Mapping[str, bytes], counters: Counter[str]) -> None:
        """Remember the newest counters from before.

        Args:
            directory: The safety directory.
            keys: Secrets by name.
            counters: Where forged, replayed and malformed ones are counted.
        """
        self._keys = dict(keys)
        self._counters = counters
        self._file = SharedFile(directory / FILE, writes=True)
        self._newest = dict.fromkeys(self._keys, 0)
        for index in range(LARGEST_FILE // RECORD.size):
            raw = self._file.read(RECORD.size, index * RECORD.size)
            if not raw:
                break
            self._recall(raw)

    def open(self, text: str) -> Sealed | str:
        """Open a sealed order.

        Args:
            text: What came, from anybody.

        Returns:
            The order; or in words why it is none.
        """
        found = _taken_apart(text)
        if isinstance(found, str):
            return self._refused("malformed", found)
        body, mac, told = found
        name, counter = told.get("key"), told.get("counter")
        key = self._keys.get(name) if isinstance(name, str) else None
        if (
            not isinstance(name, str)
            or key is None
            or not hmac.compare_digest(_mac(key, body), mac)
        ):
            return self._refused("forged", "the seal does not fit; is the key the guardian's?")
        if not _is_counter(counter) or told.get("op") not in _OPERATIONS:
            return self._refused("malformed", "`counter` or `op` is wrong; make it with `seal`")
        if counter <= self._newest[name]:
            return self._refused(
                "replayed",
                f"counter {counter} was used before; the newest is {self._newest[name]}. "
                "If it is made of the time, is the sender's clock right?",
            )
        self._newest[name] = counter
        cause, by = (printable(str(told.get(one, "unnamed"))) for one in ("cause", "by"))
        return Sealed(told["op"] == "kill", cause, by, name)

    def remember(self) -> None:
        """Write the newest counters down; after the act, never before."""
        rows = (RECORD.pack(packed_name(name), count) for name, count in self._newest.items())
        if not self._file.write(b"".join(rows)):
            self._counters["seals_unkept"] += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _recall(self, raw: bytes) -> None:
        """Take in one row, of whatever key: one that is left out today may come back."""
        fields = RECORD.unpack(raw)
        if isinstance(fields, str):
            # Its key's stops may be replayed now, and are good: to refuse a genuine one is worse.
            self._counters["seals_forgotten"] += 1
            return
        name = plain_name(fields[0])
        self._newest[name] = max(self._newest.get(name, 0), fields[1])

    def _refused(self, kind: str, why: str) -> str:
        self._counters[f"seals_{kind}"] += 1
        return f"sealed order {kind}: {why}"


def _mac(key: bytes, body: str) -> str:
    # Halves of characters, which JSON can hold, must not end the guardian: such a seal never fits.
    return hmac.new(key, _CONTEXT + body.encode(errors="replace"), hashlib.sha256).hexdigest()


def _is_counter(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= _LARGEST_COUNTER


def _taken_apart(text: str) -> tuple[str, str, dict[str, object]] | str:
    try:
        outer = json.loads(text)
        body, mac = outer["body"], outer["mac"]
        told = json.loads(body)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return f"no sealed order ({type(error).__name__})"
    if not (isinstance(mac, str) and mac.isascii() and isinstance(told, dict)):
        return "no sealed order (wrong types)"
    return body, mac, told
