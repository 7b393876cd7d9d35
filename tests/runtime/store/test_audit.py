"""The audit log on a disk: written before it says so, never mended, never added to when damaged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from olympus.runtime.errors import StoreError
from olympus.runtime.security.chain import Record, Verdict, verify
from olympus.runtime.security.keys import SigningKey
from olympus.runtime.store.audit import FILE, AuditLog

KEY = SigningKey(b"k" * 32)
WRITER = """
import sys
from pathlib import Path
from olympus.runtime.security.keys import SigningKey
from olympus.runtime.store.audit import AuditLog

log = AuditLog(Path(sys.argv[1]), SigningKey(b"k" * 32), at_ns=1, about={})
while True:
    print(log.append([(2, "trip", {"cause": "x" * 300}), (3, "permit", {})]).number, flush=True)
"""


def checked(file: Path) -> Verdict:
    with file.open("rb") as lines:
        return verify(lines)


def kinds(file: Path) -> list[str]:
    assert checked(file).is_whole
    return [json.loads(line)["kind"] for line in file.read_bytes().splitlines()]


def opened(file: Path, key: SigningKey = KEY) -> AuditLog:
    return AuditLog(file, key, at_ns=5, about={"robot": "r"})


def test_it_goes_on_where_it_ended_and_shows_what_is_there(tmp_path: Path) -> None:
    file, seen = tmp_path / FILE, list[Record]()
    with opened(file) as log:
        log.append([(6, "trip", {"cause": "a"}), (7, "permit", {})])
    with AuditLog(file, KEY, at_ns=8, about={}, seen=seen.append) as log:
        assert log.append([(9, "trip", {})]).number == 4
    assert kinds(file) == ["begin", "trip", "permit", "trip"]
    assert [one.kind for one in seen] == ["begin", "trip", "permit"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_there_is_one_writer(tmp_path: Path) -> None:
    with opened(tmp_path / FILE), pytest.raises(StoreError, match="another process writes"):
        opened(tmp_path / FILE)


@pytest.mark.e2e
def test_a_killed_writer_loses_nothing_that_it_said_was_written(tmp_path: Path) -> None:
    file, luck = tmp_path / FILE, random.Random(4)
    for _ in range(12):
        command = [sys.executable, "-c", WRITER, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(luck.randint(1, 30))]
            os.kill(writer.pid, signal.SIGKILL)
            said += [int(line) for line in writer.stdout.read().splitlines() if line]
        with opened(file) as log:
            assert log.head.number >= said[-1]
    assert set(kinds(file)) <= {"begin", "trip", "permit", "interrupted"}


def test_an_incomplete_last_record_is_cut_off_and_told_about(tmp_path: Path) -> None:
    file = tmp_path / FILE
    with opened(file) as log:
        log.append([(6, "trip", {})])
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert "incomplete" in checked(file).problem
    with opened(file) as log:
        assert "interrupted" in log.problem
    assert kinds(file) == ["begin", "interrupted"]


def test_a_log_that_was_changed_is_set_aside_and_named_by_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / FILE
    with opened(file) as log:
        log.append([(6, "trip", {"cause": "a person"})])
    changed = file.read_bytes().replace(b"a person", b"no thing")
    file.write_bytes(changed)
    for _ in range(2):
        with opened(file) as log:
            pass
    assert kinds(file) == ["begin"]
    body = json.loads(file.read_bytes())["body"]
    assert body["before"]["file"] == "audit.bad-1"
    assert body["before"]["problem"].startswith("record 2: its content does not fit")
    assert (tmp_path / "audit.bad-1").read_bytes() == changed


def test_a_new_key_needs_the_old_one(tmp_path: Path) -> None:
    file, new = tmp_path / FILE, SigningKey(b"n" * 32)
    with opened(file) as log:
        log.change_key(new, at_ns=9)
        log.append([(10, "trip", {})])
    assert kinds(file) == ["begin", "key", "trip"]
    with opened(file, KEY) as log:
        assert "goes on with the key" in log.problem
    assert kinds(file) == ["begin"]


@pytest.mark.e2e
def test_a_full_disk_takes_the_reserve_and_then_says_so(tmp_path: Path) -> None:
    file = tmp_path / FILE
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from olympus.runtime.errors import StoreFullError\n"
        "from olympus.runtime.security.keys import SigningKey\n"
        "from olympus.runtime.store.audit import AuditLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = AuditLog(Path(sys.argv[1]), SigningKey(b'k' * 32), at_ns=1, about={})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    while True:\n"
        "        log.append([(2, 'trip', {'cause': 'x' * 900})])\n"
        "except StoreFullError as error:\n"
        "    print(log.head.number, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    number, said = done.stdout.split(" ", 1)
    assert "free some of the disk" in said
    assert not (tmp_path / "audit.reserve").exists()
    assert len(kinds(file)) == int(number)
