"""Another key for audit logs: verification follows it, and nothing is changed by halves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from olympus.runtime.cli.app import run
from olympus.runtime.errors import ConfigError, DamageError, StoreError
from olympus.runtime.security.chain import verify
from olympus.runtime.security.keys import SigningKey, make_key, read_key
from olympus.runtime.store.audit import FILE, AuditLog
from olympus.runtime.store.rekey import NEW, rekey


def written(file: Path, key: SigningKey) -> Path:
    with AuditLog(file, key, at_ns=1, about={}) as log:
        log.append([(2, "trip", {"cause": "a"})])
    return file


def signer(file: Path, first: str) -> str:
    """Return who signs a log now, which must be whole and have begun with a key."""
    with file.open("rb") as lines:
        verdict = verify(lines, public=first)
    assert verdict.is_whole, verdict.problem
    return verdict.public


def test_logs_go_on_with_the_new_key_and_verification_follows(tmp_path: Path) -> None:
    key_file = tmp_path / "audit.key"
    old, stranger = make_key(key_file), SigningKey(b"s" * 32)
    seed = key_file.read_text()
    logs = [written(tmp_path / name / FILE, old) for name in ("a", "b")]
    other = written(tmp_path / "c" / FILE, stranger)
    done = rekey([*logs, other], key_file, 7)
    new = read_key(key_file)
    assert (done.public, done.changed, done.others) == (new.public, logs, [other])
    assert new.public != old.public
    assert [signer(log, old.public) for log in logs] == [new.public] * 2
    assert signer(other, stranger.public) == stranger.public
    assert not any(seed.strip() in file.read_text() for file in tmp_path.glob("audit.key*"))
    for log in logs:  # the node goes on, and nothing is set aside
        with AuditLog(log, new, at_ns=8, about={}) as again:
            again.append([(9, "permit", {})])
            assert not again.problem
        assert signer(log, old.public) == new.public


def test_who_was_interrupted_calls_again(tmp_path: Path) -> None:
    key_file = tmp_path / "audit.key"
    old = make_key(key_file)
    done, left = (written(tmp_path / name / FILE, old) for name in ("a", "b"))
    new = make_key(tmp_path / f"audit.key{NEW}")
    with AuditLog(done, old, at_ns=3, about={}) as log:
        log.change_key(new, at_ns=4)
    rekey([done, left], key_file, 7)
    assert read_key(key_file).public == new.public
    kinds = [json.loads(line)["kind"] for line in done.read_bytes().splitlines()]
    assert kinds == ["begin", "trip", "key"]
    assert signer(left, old.public) == new.public


def test_nothing_is_changed_while_a_log_is_written_or_when_one_is_damaged(tmp_path: Path) -> None:
    key_file = tmp_path / "audit.key"
    old = make_key(key_file)
    good, bad = (written(tmp_path / name / FILE, old) for name in ("a", "b"))
    before = good.read_bytes()
    with AuditLog(bad, old, at_ns=3, about={}), pytest.raises(StoreError, match="another process"):
        rekey([good, bad], key_file, 7)
    bad.write_bytes(bad.read_bytes().replace(b'"cause":"a"', b'"cause":"b"'))
    with pytest.raises(DamageError, match="record 2: its content does not fit"):
        rekey([good, bad], key_file, 7)
    assert good.read_bytes() == before
    assert read_key(key_file).public == old.public
    with pytest.raises(ConfigError, match="can't be read"):
        rekey([good], tmp_path / "nowhere", 7)


def test_the_command_finds_the_logs_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    old = make_key(tmp_path / "config" / "olympus" / "audit.key")
    own = written(tmp_path / "data" / "olympus" / "patrol" / FILE, old)
    copy = written(tmp_path / "copy" / FILE, old)
    with pytest.raises(SystemExit) as end:
        raise SystemExit(run(["audit", "rekey", str(copy)]))
    assert not end.value.code
    new = read_key(tmp_path / "config" / "olympus" / "audit.key")
    assert f"the new public key is {new.public}" in capsys.readouterr().out
    assert signer(own, old.public) == signer(copy, old.public) == new.public
