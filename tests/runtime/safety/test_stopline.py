"""The stop line: any change is a stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("mode", [0, 0o400, 0o200, 0o066])
def test_a_line_that_its_mode_closes_is_a_stop_and_it_is_opened_again(
    tmp_path: Path, mode: int
) -> None:
    line = StopLine(tmp_path)
    (tmp_path / FILE).chmod(mode)
    trip = line.look(7)
    assert trip is not None
    assert (trip.cause, trip.at_ns) == ("stop line closed", 7)
    assert line.problem() == ""
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert line.look(8) is None
    assert pull(tmp_path, "smoke", "ada")
    trip = line.look(9)
    assert trip is not None and trip.cause == "smoke"
    line.close()


def test_a_line_that_was_closed_before_the_start_is_opened_by_whoever_can(tmp_path: Path) -> None:
    (tmp_path / FILE).touch(mode=0)
    line = StopLine(tmp_path)
    if os.getuid() == 0:
        assert line.look(0) is None
        assert line.problem() == ""
    else:
        assert "nobody could pull it" in line.problem()
    line.close()


def test_a_closed_line_that_stays_closed_stops_once_and_stands_against_motion(
    small: Path,
) -> None:
    line = StopLine(small)
    (small / FILE).chmod(0)
    if subprocess.run(["chattr", "+i", str(small / FILE)], check=False).returncode:
        pytest.skip("no file can be made immutable here (Linux 6.6 for a tmpfs)")
    try:
        trips = [line.look(number) for number in range(3)]
        assert [trip and trip.cause for trip in trips] == ["stop line closed", None, None]
        assert "nobody could pull it" in line.problem()
    finally:
        subprocess.run(["chattr", "-i", str(small / FILE)], check=True)
    assert line.look(3) is None
    assert line.problem() == ""
    assert pull(small, "smoke", "ada")
    trip = line.look(4)
    assert trip is not None and trip.cause == "smoke"
    (small / FILE).chmod(0)
    trip = line.look(5)
    assert trip is not None and trip.cause == "stop line closed"
    line.close()


def test_words_of_a_pull_can_not_paint_on_a_terminal(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    assert pull(tmp_path, "smoke\x1b[2J\nall is well", "ada\r")
    trip = line.look(0)
    assert trip is not None
    assert (trip.cause, trip.by) == ("smoke?[2J?all is well", "ada?")
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


def test_a_pull_into_a_line_that_the_puller_had_to_make_anew_is_seen_beside_its_deletion(
    tmp_path: Path,
) -> None:
    line = StopLine(tmp_path)
    (tmp_path / FILE).unlink()
    assert pull(tmp_path, "smoke", "ada")
    trips = [line.look(number) for number in range(3)]
    assert [trip and trip.cause for trip in trips] == ["stop line deleted", "smoke", None]
    line.close()


def test_a_pull_into_a_line_that_could_not_be_pulled_for_a_while_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "safety"
    folder.mkdir()
    line = StopLine(folder)
    shutil.rmtree(folder)
    assert line.look(0) is not None
    folder.mkdir()
    assert pull(folder, "smoke", "ada")
    trips = [line.look(number) for number in range(3)]
    assert [trip and trip.cause for trip in trips] == [None, "smoke", None]
    line.close()


@pytest.mark.parametrize("is_pulled", [False, True])
def test_a_line_that_was_moved_away_is_one_that_nobody_can_pull(
    tmp_path: Path, is_pulled: bool
) -> None:
    line = StopLine(tmp_path)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    assert not is_pulled or pull(tmp_path, "smoke", "ada")
    trips = [line.look(number) for number in range(3)]
    seen = "smoke" if is_pulled else None
    assert [trip and trip.cause for trip in trips] == ["stop line deleted", seen, None]
    assert pull(tmp_path, "fire", "bob")
    trip = line.look(4)
    assert trip is not None and trip.cause == "fire"
    line.close()


def test_a_line_that_was_laid_anew_and_is_cut_short_stops(tmp_path: Path) -> None:
    line = StopLine(tmp_path)
    (tmp_path / FILE).unlink()
    assert line.look(0) is not None
    os.truncate(tmp_path / FILE, 0)
    trip = line.look(1)
    assert trip is not None and trip.cause == "stop line changed"
    line.close()


def test_a_line_that_can_not_be_laid_at_the_start_stands_against_motion_until_it_can(
    tmp_path: Path,
) -> None:
    (tmp_path / FILE).mkdir()
    line = StopLine(tmp_path)
    assert "nobody could pull it" in line.problem()
    assert line.look(0) is None
    assert "nobody could pull it" in line.problem()
    (tmp_path / FILE).rmdir()
    assert line.look(1) is None
    assert line.problem() == ""
    assert pull(tmp_path, "smoke", "ada")
    assert line.look(2) is not None
    line.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with room for four pages."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(words, check=False).returncode:
        pytest.skip("no file system may be mounted here (CAP_SYS_ADMIN)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_line_can_be_pulled_though_the_memory_of_its_directory_is_full(small: Path) -> None:
    line = StopLine(small)
    (small / FILE).unlink()
    assert line.look(0) is not None
    fill(small)
    assert pull(small, "smoke", "ada")
    trip = line.look(1)
    assert trip is not None and trip.cause == "smoke"
    line.close()


def test_a_line_for_which_there_is_no_room_stands_against_motion_until_there_is(
    small: Path,
) -> None:
    line = StopLine(small)
    with (small / FILE).open("rb"):  # who holds the old one open holds its page
        (small / FILE).unlink()
        fill(small)
        trip = line.look(0)
        assert trip is not None and trip.cause == "stop line deleted"
        assert "nobody could pull it" in line.problem()
        assert not pull(small, "smoke", "ada")
    (small / "filling").unlink()
    assert line.look(3) is None
    assert line.problem() == ""
    assert pull(small, "smoke", "ada")
    assert line.look(4) is not None
    line.close()


def fill(folder: Path) -> None:
    with (folder / "filling").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return
