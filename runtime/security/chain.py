"""Records of which none can be changed, left out, added or moved without its being seen.

Each is a line of JSON. It holds its number, the hash of the one before, what happened, its own
SHA-256 over all of that, and an Ed25519 signature of the hash:

    {"n":7,"prev":"…","at":…,"kind":"trip","body":{…},"hash":"…","sig":"…"}

The first names the public key; a record of kind `key`, signed with the old one, names the next.
What a chain can't show by itself is that its end was cut off: for that an `Anchor`, number and hash
of a record, is kept somewhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from olympus.runtime.errors import ConfigError, DamageError
from olympus.runtime.security.keys import KEY_BYTES, SIGNATURE_BYTES, SigningKey, is_signed

BEGIN, KEY = "begin", "key"
"""Kinds of records whose body names a public key as `public`."""
NOTHING: Final = "0" * 64
"""What the first record calls the hash of the one before."""
LONGEST_LINE: Final = 1_000_000
_PURPOSE: Final = b"olympus audit record\n"
_FIELDS: Final = {"n": int, "prev": str, "at": int, "kind": str, "body": dict, "hash": str}


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened."""

    number: int
    """From 1, without gaps."""
    at_ns: int
    """When, robot time."""
    kind: str
    """What: `begin`, `key`, `trip`, `permit`, `note`, …"""
    body: Mapping[str, Any]
    """The evidence; JSON."""
    hash: str
    """SHA-256 over all of the record and, through `prev`, all records before; 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """That a chain had got so far."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a chain found."""

    records: int
    """So many are as they were written."""
    head: Anchor
    """The last of them."""
    public: str
    """The key that signed it; empty when there is no first record."""
    problem: str = ""
    """What is wrong with what follows, and where; empty when nothing is."""

    @property
    def is_whole(self) -> bool:
        """Whether all is as it was written."""
        return not self.problem


def sealed(
    key: SigningKey, before: Anchor, at_ns: int, kind: str, body: Mapping[str, Any]
) -> tuple[bytes, Anchor]:
    """Make the next record.

    Args:
        key: Signs it.
        before: The record before; `Anchor(0, NOTHING)` for the first.
        at_ns: When it happened, robot time.
        kind: What happened.
        body: The evidence.

    Returns:
        Its line, with the line's end, and what the next one needs.

    Raises:
        ConfigError: The body is not JSON, or longer than `LONGEST_LINE`.
    """
    fields: dict[str, Any] = {"n": before.number + 1, "prev": before.hash, "at": at_ns}
    fields |= {"kind": kind, "body": dict(body)}
    try:
        digest = _digest(fields)
        signature = key.sign(_PURPOSE + digest)
        line = _canonical(fields | {"hash": digest.hex(), "sig": signature.hex()}) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"an audit record of kind {kind!r} is no JSON: {error}") from error
    if len(line) > LONGEST_LINE:
        raise ConfigError(f"an audit record of kind {kind!r} has {len(line)} bytes; at most 1 MB")
    return line, Anchor(before.number + 1, digest.hex())


class Reader:
    """Checks a chain line by line, and keeps what it needs to go on."""

    def __init__(self, public: str = "") -> None:
        """Begin before the first record.

        Args:
            public: The key that must have signed the first record; empty to believe the record.

        Raises:
            ConfigError: It is no key.
        """
        if public and not _is_hex(public, KEY_BYTES):
            raise ConfigError(f"{public!r:.80} is no public key: {2 * KEY_BYTES} hex digits")
        self.head = Anchor(0, NOTHING)
        self.public = public

    def read(self, line: bytes) -> Record:
        """Check the next line.

        Raises:
            DamageError: It is not the next record of this chain; says why.
        """
        fields = _parsed(line)
        signature = bytes.fromhex(fields.pop("sig"))
        told = fields.pop("hash")
        if _digest(fields).hex() != told:
            raise DamageError("its content does not fit its hash: it was changed")
        number, before = fields["n"], fields["prev"]
        if number != self.head.number + 1:
            raise DamageError(f"it is number {number} where {self.head.number + 1} is due")
        if before != self.head.hash:
            raise DamageError("it does not follow the record before it: one was put in its place")
        if fields["kind"] == BEGIN and number != 1:
            raise DamageError("a chain begins in the middle of another")
        names = _named_key(fields["kind"], fields["body"])
        public = self.public or names
        if number == 1 and fields["kind"] != BEGIN:
            raise DamageError("the first record is not the beginning of a chain")
        if number == 1 and names != public:
            raise DamageError(f"it was signed by {names}, not by {public}")
        if not is_signed(_PURPOSE + bytes.fromhex(told), signature, public):
            raise DamageError(f"its signature is not one of {public}")
        self.public = names or public
        self.head = Anchor(number, told)
        return Record(number, fields["at"], fields["kind"], fields["body"], told)


def verify(lines: Iterable[bytes], *, public: str = "", anchors: Iterable[Anchor] = ()) -> Verdict:
    """Check a chain from its beginning.

    Args:
        lines: With their ends, as a file opened for bytes gives them.
        public: The key that must have signed the first record; empty to believe the record.
        anchors: Records that must be in it.

    Raises:
        ConfigError: Signatures can't be checked: the `security` extra is missing, or `public` is no
            key.
    """
    reader, wanted = Reader(public), _by_number(anchors)
    problem, good = "", reader.head
    try:
        for line in lines:
            if not line.endswith(b"\n"):
                problem = "it is incomplete: its writing was interrupted, or it was cut"
                break
            record = reader.read(line)
            if wanted.pop(record.number, {record.hash}) != {record.hash}:
                problem = "it is not the record that an anchor names: the chain was forged"
                break
            good = reader.head
    except DamageError as error:
        problem = str(error)
    if problem:
        problem = f"record {good.number + 1}: {problem}"
    elif wanted:
        problem = (
            f"it ends at record {good.number}, and an anchor names record {max(wanted)}: "
            "its end was cut off"
        )
    elif not good.number:
        problem = "there is no record in it"
    return Verdict(good.number, good, reader.public * bool(good.number), problem)


def _by_number(anchors: Iterable[Anchor]) -> dict[int, set[str]]:
    """Return the hashes that anchors give each record; two for one can't both be right."""
    found: dict[int, set[str]] = {}
    for one in anchors:
        found.setdefault(one.number, set()).add(one.hash)
    return found


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(fields: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(_canonical(fields)).digest()


def _parsed(line: bytes) -> dict[str, Any]:
    """Return a line's fields.

    Raises:
        DamageError: It is no record.
    """
    if len(line) > LONGEST_LINE:
        raise DamageError(f"a line of {len(line)} bytes is no record")
    try:
        fields: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamageError("it is no JSON: it was damaged") from error
    right = isinstance(fields, dict) and fields.keys() == {*_FIELDS, "sig"}
    if not right or any(type(fields[name]) is not kind for name, kind in _FIELDS.items()):
        raise DamageError("it has not the fields of a record")
    if not _is_hex(fields["sig"], SIGNATURE_BYTES) or not _is_hex(fields["hash"], KEY_BYTES):
        raise DamageError("its hash or its signature is damaged")
    if _canonical(fields) + b"\n" != line:
        raise DamageError("it is not written as records are: it was changed")
    return fields


def _named_key(kind: str, body: Mapping[str, Any]) -> str:
    if kind not in (BEGIN, KEY):
        return ""
    public = body.get("public")
    if not _is_hex(public, KEY_BYTES):
        raise DamageError("it names no public key")
    return str(public)


def _is_hex(value: object, size: int) -> bool:
    if not isinstance(value, str) or len(value) != 2 * size:
        return False
    return all(digit in "0123456789abcdef" for digit in value)
