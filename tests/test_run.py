"""The one door: what it lists, what it refuses, and how it explains a failed set-up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import environment

ROOT = Path(__file__).resolve().parent.parent


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_a_command_it_lists_them_with_one_line_each() -> None:
    result = run()
    assert result.returncode == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    first, last = ["sim", "test", "check", "bench"], ["setup", "rig", "ros2", "lock"]
    assert listed == [*first, "fuzz", "golden", "faults", "olympus", *last]


def test_an_unknown_command_gets_the_list_and_an_error_code() -> None:
    result = run("patroll")
    assert result.returncode == 2
    assert "sim" in result.stdout


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("error: No space left on device (os error 28)", "the disk is full"),
        ("x Failed to download\n hash mismatch for `numpy`", "not the one the lock pins"),
        ("error sending request for url: dns error: Temporary failure", "needs the network once"),
        ("ERROR: No matching distribution found for uv==1.0", "needs the network once"),
        ("x Failed to build `lmdb==1.0`", "no ready-made build for this machine"),
        ("Permission denied (os error 13)", "can't be written"),
        ("something\nnew", "the installer's last words:\nsomething\nnew"),
    ],
)
def test_a_failure_names_the_way_out(words: str, remedy: str) -> None:
    assert remedy in environment.explain(words)


def test_pips_settings_are_read_and_the_environment_wins() -> None:
    listing = "global.index-url='a'\nglobal.cert='/c.pem'\n:env:.index-url='b c'\nuser.x='y'\n"
    assert environment.pip_settings(listing) == {"index-url": "b c", "cert": "/c.pem"}


def test_uv_gets_pips_index() -> None:
    settings = {"index-url": "I", "extra-index-url": "\nA\nB", "find-links": "/w /v"}
    env = environment.uv_environment(settings, {})
    assert env["UV_DEFAULT_INDEX"] == "I"
    assert env["UV_INDEX"] == "A B"
    assert env["UV_FIND_LINKS"] == "/w,/v"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uvs_own_index_is_left_alone(variable: str) -> None:
    env = environment.uv_environment({"index-url": "pip's"}, {variable: "mine"})
    assert "pip's" not in env.values()
    assert env[variable] == "mine"


def test_the_fingerprint_follows_the_lock(tmp_path: Path) -> None:
    names = ("requirements.txt", "uv.txt", "pyproject.toml")
    for name in names:
        (tmp_path / name).write_text(name)
    paths = tuple(tmp_path / name for name in names)
    before = environment.fingerprint(paths)
    assert environment.fingerprint(paths) == before
    (tmp_path / "uv.txt").write_text("another")
    assert environment.fingerprint(paths) != before
