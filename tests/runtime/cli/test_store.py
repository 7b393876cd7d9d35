from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from olympus.runtime.bus.letters import TOPIC as LETTERS
from olympus.runtime.cli.app import make, run
from olympus.runtime.cli.exchange import moment
from olympus.runtime.cli.helping import EXAMPLES
from olympus.runtime.messages import Header, Reading
from olympus.runtime.messages.letters import DeadLetter
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


def test_a_run_that_a_living_recorder_writes_is_not_called_cut_off(tmp_path: Path) -> None:
    def shown() -> str:
        return CliRunner().invoke(make(["store"]), ["store", "stats", str(tmp_path)]).output

    with StreamStore(tmp_path) as store:
        store.begin_run(Run(number=0, session="s", started=1, seen=1))
        # LMDB opens a file once in a process: the other is a process, as in life
        command = [str(Path(sys.executable).parent / "olympus"), "store", "stats", str(tmp_path)]
        other = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "run 1: since 1970-01-01 00:00:00, 0 recorded, 0 missing: still being rec" in other
    assert "cut off after" in shown()
    assert "NOT complete" in shown()


def test_a_store_is_copied_checked_and_made_small(tmp_path: Path) -> None:
    place, copy = recorded(tmp_path / "robot"), str(tmp_path / "copy")
    assert code_of(["store", "backup", copy, place]) == 0
    shown = CliRunner().invoke(make(["store"]), ["store", "check", copy])
    assert "3 records, all as they were written" in shown.output
    assert code_of(["store", "compact", place]) == 0


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert code_of(["store", "stats", str(tmp_path / "nowhere")]) == 8


def test_where_nothing_is_named_it_is_said_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    shown = CliRunner().invoke(make(["store"]), ["store", "stats"])
    assert "launch a robot that records one" in str(shown.exception)
    for name in ("one", "two"):
        recorded(tmp_path / "olympus" / name)
    shown = CliRunner().invoke(make(["store"]), ["store", "stats"])
    assert "there are several stores; name one of one, two" in str(shown.exception)


def test_a_store_without_consumers_or_letters_says_so_and_the_backup_s_example_is_right(
    tmp_path: Path,
) -> None:
    place = recorded(tmp_path / "a")
    for words, said in (
        (["consumers", place], "no consumers yet; `olympus store follow"),
        (["deadletters", "list", place], "no dead letters"),
    ):
        shown = CliRunner().invoke(make(["store"]), ["store", *words])
        assert (shown.stdout, shown.exit_code) == ("", 0)
        assert shown.stderr.startswith(said)
    (example,) = EXAMPLES["store backup"]
    words = [{"patrol": place}.get(word, str(tmp_path / "copy")) for word in example.split()]
    assert code_of(["store", "backup", *words]) == 0
    assert code_of(["store", "check", str(tmp_path / "copy")]) == 0


def test_without_a_command_there_is_a_list_of_them() -> None:
    shown = CliRunner().invoke(make(["store"]), ["store"])
    assert "backup" in shown.output
    assert "Missing command" not in shown.output


def test_dead_letters_are_listed_without_saying_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    place = str(tmp_path / "a")
    about = DeadLetter(
        header=Header(seq=1, stamp=1, source="host"),
        topic="rover/a",
        node="rover/picky",
        reason="failed",
        text="no",
    )
    with StreamStore(Path(place)) as store:
        store.append([(LETTERS, about)])

    def shown(*words: str) -> Result:
        return CliRunner().invoke(make(["store"]), ["store", "deadletters", *words])

    listed = shown("list", place)
    assert "rover/picky" in listed.stdout
    assert shown(place).stdout == listed.stdout
    (row,) = json.loads(shown(place, "--json").stdout)
    assert json.loads(shown("--json", place).stdout) == [row]
    assert "rover/picky" in shown("show", row["id"], "--store", place).stdout
    assert "no store 'patrol'" in str(shown("patrol").exception)
    mistyped = shown("shwo", row["id"])
    assert (mistyped.exit_code, "No such command 'shwo'" in mistyped.stderr) == (2, True)
    assert "retry" in shown("--help").stdout


def test_a_key_is_made_once_and_for_one_pair_of_eyes(tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert code_of(["store", "key", str(file)]) == 0
    assert file.stat().st_mode & 0o077 == 0
    assert code_of(["store", "key", str(file)]) == 2


def test_a_recording_goes_out_as_mcap_and_comes_in_again(tmp_path: Path) -> None:
    place, file, again = recorded(tmp_path / "a"), tmp_path / "a.mcap", str(tmp_path / "b")
    words = ["store", "export", place, str(file), "--as", "json", "--from", "+1", "--until", "+4"]
    shown = CliRunner().invoke(make(["store"]), words)
    assert shown.output.startswith(f"{file}: 2 messages of 1 topics, 0.0 MB")
    shown = CliRunner().invoke(make(["store"]), ["store", "import", str(file), again])
    assert shown.output == f"{again}: 2 messages of 1 topics, 2 missing\n"
    stats = CliRunner().invoke(make(["store"]), ["store", "stats", again])
    assert "run 1: 1970-01-01 00:00:02 to 1970-01-01 00:00:05, 2 recorded" in stats.output


def test_an_import_that_fails_leaves_no_store_behind(tmp_path: Path) -> None:
    bad, place = tmp_path / "bad.mcap", tmp_path / "new"
    bad.write_text("hello")
    shown = CliRunner().invoke(make(["store"]), ["store", "import", str(bad), str(place)])
    assert "is it an MCAP file, and whole?" in str(shown.exception)
    assert not place.exists()
    old = recorded(tmp_path / "old")
    CliRunner().invoke(make(["store"]), ["store", "import", str(bad), old])
    with StreamStore(Path(old), read_only=True) as store:
        assert store.topics() == ["rover/a"]


def test_an_export_says_what_it_does_not_understand(tmp_path: Path) -> None:
    place, file = recorded(tmp_path / "a"), str(tmp_path / "a.mcap")
    assert code_of(["store", "export", place, file, "--from", "noon"]) == 2
    assert code_of(["store", "export", place, file, "--compression", "rar"]) == 2
    assert code_of(["store", "export", place, file, "--topics", "rover/b"]) == 8
    assert code_of(["store", "import", file, str(tmp_path / "b")]) == 8


def test_a_moment_is_a_time_of_day_or_seconds_after_the_beginning() -> None:
    assert moment("", 7, 5) == 5
    assert moment("+1.5", 7, 0) == 1_500_000_007
    assert moment("1970-01-01T00:00:01.000002", 0, 0) == 1_000_002_000
    assert moment("1970-01-01T01:00:01+01:00", 0, 0) == 1_000_000_000
