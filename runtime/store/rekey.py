"""Another key for audit logs: the old one signs the new one's name, in each log that it signed.

All logs are opened and checked before anything is written, and the new key is on the disk before a
log names it. Whoever is interrupted calls again: logs that name the new key already are left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.errors import DamageError, StoreError
from olympus.runtime.security.chain import verify
from olympus.runtime.security.keys import make_key, read_key
from olympus.runtime.store.audit import AuditLog

NEW = ".new"


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What a change of key did."""

    public: str
    """The new public key."""
    changed: list[Path]
    """Logs that go on with it."""
    others: list[Path]
    """Logs that were signed with another key than the old one; they are as they were."""


def rekey(logs: Sequence[Path], key_file: Path, at_ns: int) -> Rekeyed:
    """Put a new key in the place of one, in all logs that it signs; the old one is destroyed.

    Args:
        logs: Audit logs; nobody may write to them meanwhile.
        key_file: The private key.
        at_ns: Robot time.

    Returns:
        What was done.

    Raises:
        ConfigError: A key can't be read or made.
        DamageError: A log is not whole; nothing was changed.
        StoreError: Somebody writes to a log, or the disk refuses; call again.
    """
    old, draft = read_key(key_file), key_file.with_name(key_file.name + NEW)
    signers = {log: _signer(log) for log in logs}
    with ExitStack() as open_logs:
        opened = [
            open_logs.enter_context(AuditLog(log, old, at_ns=at_ns, about={}))
            for log, signer in signers.items()
            if signer == old.public
        ]
        new = read_key(draft) if draft.exists() else make_key(draft)
        for one in opened:
            one.change_key(new, at_ns=at_ns)
    _put_in_place(draft, key_file)
    known = (old.public, new.public)
    return Rekeyed(
        public=new.public,
        changed=[log for log, signer in signers.items() if signer in known],
        others=[log for log, signer in signers.items() if signer not in known],
    )


def _signer(log: Path) -> str:
    """Return who signs a log now.

    Raises:
        DamageError: It is not whole.
    """
    with log.open("rb") as lines:
        verdict = verify(lines)
    if not verdict.is_whole:
        raise DamageError(
            f"{log}: {verdict.problem}; start the robot once, so that it is set right or aside"
        )
    return verdict.public


def _put_in_place(draft: Path, key_file: Path) -> None:
    """Have the new key take the old one's place, and overwrite the old one's bytes.

    Raises:
        StoreError: The disk refuses.
    """
    spent = key_file.with_name(key_file.name + ".spent")
    try:
        spent.unlink(missing_ok=True)
        os.link(key_file, spent)
        draft.replace(key_file)
        with spent.open("r+b") as stream:
            stream.write(bytes(spent.stat().st_size))
            stream.flush()
            os.fsync(stream.fileno())
        spent.unlink()
    except OSError as error:
        raise StoreError(f"the new key can't take the place of {key_file}: {error}") from error
