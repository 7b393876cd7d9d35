"""What `.ci/run` says at its end, where its reader looks: each step, and a failed one's words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOOR = """#!/usr/bin/env bash
seq -f "$1 says %.0f" 100
echo "$1 sees $(cat | wc -c) bytes" >&2
exit "$(cat "$(dirname "$0")/$1.code" 2>/dev/null || echo 0)"
"""
NOTHING = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Return a house whose doors only speak, and end as `NAME.code` says."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    write(tmp_path / "run", DOOR)
    for tool in ("chromium", "c++", "apt-get", "chrt"):
        write(tmp_path / "bin" / tool, NOTHING)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def ci(house: Path, **codes: int) -> tuple[int, list[str]]:
    """Return how it ended, and all of its lines."""
    for name, code in codes.items():
        (house / f"{name}.code").write_text(str(code))
    env = os.environ | {"PATH": f"{house / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [house / ".ci" / "run"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def rows(lines: list[str]) -> list[tuple[str, str, str]]:
    """Return name, word and exit code of each row below the last heading."""
    heading = "==== the steps:"
    table = "\n".join(lines).rpartition(heading)[2]
    return re.findall(r"^(\w+) +(\w+) +exit (\d+) +\d+ s  \w+ sees 0 bytes$", table, re.MULTILINE)


def test_all_that_goes_well_is_a_line_a_step(house: Path) -> None:
    code, lines = ci(house)
    assert code == 0
    names = ("check", "rig", "ros2", "faults", "tests")
    doors = [name.replace("tests", "test") for name in names]
    assert rows(lines) == [(name, "ok", "0") for name in names]
    assert [line for line in lines if line.endswith(" says 1")] == [
        f"{door} says 1" for door in ("setup", "rig", "ros2", "check", *doors[3:])
    ]


@pytest.mark.parametrize(
    ("door", "name", "count"),
    [("check", "check", 25), ("ros2", "ros2", 25), ("faults", "faults", 40), ("test", "tests", 25)],
)
def test_a_step_that_failed_is_named_last_after_its_last_words(
    house: Path, door: str, name: str, count: int
) -> None:
    code, lines = ci(house, **{door: 7})
    assert code == 1
    assert lines[-1] == f"failed: {name}"
    assert [row for row in rows(lines) if row[1] != "ok"] == [(name, "FAILED", "7")]
    said = lines[lines.index(f"==== the last words of {name}, exit 7:") + 1 :]
    words = [f"{door} says {n}" for n in range(102 - count, 101)]
    assert said[:count] == [*words, f"{door} sees 0 bytes"]
    assert said[count] == "==== the steps:"


def test_all_that_failed_is_named(house: Path) -> None:
    code, lines = ci(house, check=1, ros2=1, faults=2, test=5)
    assert code == 1
    assert lines[-1] == "failed: check ros2 faults tests"


def test_what_cant_be_had_fails_nothing(house: Path) -> None:
    code, lines = ci(house, rig=1, ros2=3)
    assert code == 0
    assert [row for row in rows(lines) if row[1] != "ok"] == [
        ("rig", "skipped", "1"),
        ("ros2", "skipped", "3"),
    ]


def test_where_nothing_is_granted_no_faults_are_run(house: Path) -> None:
    write(house / "bin" / "chrt", NOTHING.replace("0", "1"))
    code, lines = ci(house)
    assert code == 0
    assert "faults" not in [name for name, _, _ in rows(lines)]


def test_a_house_that_cant_be_set_up_is_not_tested(house: Path) -> None:
    code, lines = ci(house, setup=3)
    assert code == 1
    assert lines[-1] == "setup sees 0 bytes"
