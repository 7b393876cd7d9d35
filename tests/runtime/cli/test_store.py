from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from olympus.runtime.cli.app import make, run
from olympus.runtime.messages import Header, Reading
from olympus.runtime.store import Run, StreamStore


def recorded(folder: Path) -> str:
    with StreamStore(folder) as store:
        store.begin_run(Run(number=0, session="s", started=1, seen=1))
        readings = [
            Reading(
                header=Header(stamp=n * 10**9, seq=n, source="s"), name="a", value=1.0, unit="1"
            )
            for n in (1, 2, 5)
        ]
        store.append([("rover/a", one) for one in readings])
        store.end_run(9 * 10**9)
    return str(folder)


def code_of(arguments: list[str]) -> int:
    """Return a command line's exit code."""
    try:
        return run(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def test_stats_say_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    place = recorded(tmp_path)
    shown = CliRunner().invoke(make(["store"]), ["store", "stats", place])
    assert "rover/a" in shown.output
    assert "3 recorded, 2 missing: NOT complete" in shown.output
    assert "rover/a no. 3 to 4: lost" in shown.output
    told = json.loads(
        CliRunner().invoke(make(["store"]), ["store", "stats", place, "--json"]).output
    )
    assert told["topics"][0]["messages"] == 3
    assert told["runs"][0]["is_complete"] is False


def test_a_store_is_copied_checked_and_made_small(tmp_path: Path) -> None:
    place, copy = recorded(tmp_path / "robot"), str(tmp_path / "copy")
    assert code_of(["store", "backup", copy, place]) == 0
    shown = CliRunner().invoke(make(["store"]), ["store", "check", copy])
    assert "3 records, all as they were written" in shown.output
    assert code_of(["store", "compact", place]) == 0


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert code_of(["store", "stats", str(tmp_path / "nowhere")]) == 8


def test_a_key_is_made_once_and_for_one_pair_of_eyes(tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert code_of(["store", "key", str(file)]) == 0
    assert file.stat().st_mode & 0o077 == 0
    assert code_of(["store", "key", str(file)]) == 2
