"""The stop line: any change is a stop."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from olympus.runtime.safety.stopline import FILE, RECORD, StopLine, pull


def test_a_pull_is_seen_once_with_its_words(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    assert line.look(0) is None
    assert pull(tmp_path, "smoke", "ada")
    trip = line.look(time.monotonic_ns())
    assert trip is not None
    assert (trip.cause, trip.by) == ("smoke", "ada")
    assert "before it was seen" in trip.evidence
    assert line.look(0) is None
    line.close()


def test_a_pull_from_before_the_start_does_not_count(tmp_path: Path) -> None:
    pull(tmp_path, "smoke", "ada")
    assert StopLine(tmp_path).look(0) is None


def test_garbage_and_cuts_stop_too(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    for content in (b"garbage", b"", b"x" * 4096):
        (tmp_path / FILE).write_bytes(content)
        trip = line.look(0)
        assert trip is not None
        assert trip.cause == "stop line changed"


def test_long_and_odd_words_still_stop(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    assert pull(tmp_path, "ä" * 500, "\ud800" * 100)
    assert line.look(0) is not None


def test_a_pull_without_a_directory_says_so(tmp_path: Path) -> None:
    assert not pull(tmp_path / "missing", "smoke", "ada")


def test_that_it_was_deleted_is_a_stop_and_it_is_laid_anew(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    (tmp_path / FILE).unlink()
    trip = line.look(7)
    assert trip is not None
    assert (trip.cause, trip.at_ns) == ("stop line deleted", 7)
    assert line.problem() == ""
    assert line.look(8) is None
    assert pull(tmp_path, "smoke", "ada")
    trip = line.look(9)
    assert trip is not None
    assert trip.cause == "smoke"
    line.close()


def test_a_line_that_nobody_could_pull_stops_once_and_stands_against_motion(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "safety"
    folder.mkdir()
    line = StopLine(folder)
    shutil.rmtree(folder)
    assert line.look(0) is not None
    assert "nobody could pull it" in line.problem()
    assert line.look(0) is None
    folder.mkdir()
    assert line.look(0) is None
    assert line.problem() == ""
    assert pull(folder, "smoke", "ada")
    assert line.look(0) is not None
    line.close()


def test_it_says_whose_pull_it_was_and_how_long_ago(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    raw = RECORD.pack(1_000_000, 77, b"ada", b"smoke")
    assert raw[:12] == b"OLYSTOP\0\x01\0\0\0"
    (tmp_path / FILE).write_bytes(raw)
    trip = line.look(3_500_000)
    assert trip is not None
    assert trip.evidence == "stop line, process 77, 2.5 ms before it was seen"
    line.close()
