"""Heartbeats: slots that heal themselves, and damage that only ever looks like silence."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.heartbeat import FILE, RECORD, SLOT, HeartbeatBoard, HeartbeatWriter

NAMES = ("control", "drive")


def test_a_beat_arrives_with_its_time(tmp_path: Path) -> None:
    board = HeartbeatBoard(tmp_path, NAMES)
    assert board.read() == {}
    writer = HeartbeatWriter(tmp_path, "drive")
    before = time.monotonic_ns()
    writer.beat()
    writer.beat()
    beat = board.read()["drive"]
    assert beat.sequence == 2
    assert before <= beat.last_ns <= time.monotonic_ns()
    assert "control" not in board.read()
    writer.close()
    board.close()


def test_a_name_that_is_not_watched_is_refused_with_a_hint(tmp_path: Path) -> None:
    HeartbeatBoard(tmp_path, NAMES)
    with pytest.raises(SafetyError, match="did you mean 'drive'"):
        HeartbeatWriter(tmp_path, "drives")


def test_without_a_guardian_a_writer_says_so(tmp_path: Path) -> None:
    with pytest.raises(SafetyError, match="start the guardian first"):
        HeartbeatWriter(tmp_path, "drive")
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(SafetyError, match="start the guardian again"):
        HeartbeatWriter(tmp_path, "drive")


def test_a_damaged_slot_keeps_its_last_good_beat_and_heals(tmp_path: Path) -> None:
    board = HeartbeatBoard(tmp_path, NAMES)
    writer = HeartbeatWriter(tmp_path, "drive")
    writer.beat()
    good = board.read()["drive"]
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(SLOT)
        file.write(b"garbage" * 5)
    assert board.read()["drive"] == good
    writer.beat()
    assert board.read()["drive"].sequence == 2


def test_a_slot_with_another_name_does_not_count(tmp_path: Path) -> None:
    board = HeartbeatBoard(tmp_path, NAMES)
    with (tmp_path / FILE).open("r+b") as file:
        file.write(RECORD.pack(b"drive", 1, 1, 1))
    assert board.read() == {}


def test_a_file_cut_short_is_laid_out_again(tmp_path: Path) -> None:
    board = HeartbeatBoard(tmp_path, NAMES)
    (tmp_path / FILE).write_bytes(b"short")
    assert board.read() == {}
    assert board.repairs == 1
    HeartbeatWriter(tmp_path, "control").beat()
    assert board.read()["control"].sequence == 1


def test_a_restarted_guardian_keeps_its_writers(tmp_path: Path) -> None:
    HeartbeatBoard(tmp_path, NAMES)
    writer = HeartbeatWriter(tmp_path, "drive")
    board = HeartbeatBoard(tmp_path, NAMES)
    writer.beat()
    assert board.read()["drive"].sequence == 1


def test_another_layout_shuts_old_writers_out(tmp_path: Path) -> None:
    HeartbeatBoard(tmp_path, NAMES)
    writer = HeartbeatWriter(tmp_path, "drive")
    board = HeartbeatBoard(tmp_path, ("arm", *NAMES))
    writer.beat()
    assert board.read() == {}


def test_a_board_may_watch_nothing(tmp_path: Path) -> None:
    assert HeartbeatBoard(tmp_path, ()).read() == {}


def test_a_writer_goes_over_to_the_file_of_a_guardian_that_came_after_it_was_deleted(
    tmp_path: Path, until_true: Callable[..., None]
) -> None:
    HeartbeatBoard(tmp_path, NAMES).close()
    writer = HeartbeatWriter(tmp_path, "drive")
    (tmp_path / FILE).unlink()
    other = HeartbeatBoard(tmp_path, ["arm"])  # it does not watch this loop
    writer._looked_ns = 0
    writer.beat()
    other.close()
    (tmp_path / FILE).unlink()
    board = HeartbeatBoard(tmp_path, ("arm", *NAMES))

    def is_seen() -> bool:
        writer.beat()
        return "drive" in board.read()

    until_true(is_seen)
    assert list(board.read()) == ["drive"]
    writer.close()
    board.close()


def test_a_file_that_only_can_not_be_read_now_is_not_taken_from_its_writers(
    tmp_path: Path,
) -> None:
    HeartbeatBoard(tmp_path, NAMES).close()
    about = (tmp_path / FILE).stat()
    (tmp_path / FILE).rename(tmp_path / "aside")
    (tmp_path / FILE).symlink_to(FILE)  # round and round: it is there, and can't be opened
    board = HeartbeatBoard(tmp_path, NAMES)
    (tmp_path / FILE).unlink(missing_ok=True)
    (tmp_path / "aside").rename(tmp_path / FILE)
    writer = HeartbeatWriter(tmp_path, "drive")
    writer.beat()
    assert (tmp_path / FILE).stat().st_ino == about.st_ino
    assert board.read()["drive"].sequence == 1
    writer.close()
    board.close()


def test_a_file_that_was_deleted_is_laid_out_again_for_loops_that_start_later(
    tmp_path: Path,
) -> None:
    board = HeartbeatBoard(tmp_path, NAMES)
    before = HeartbeatWriter(tmp_path, "drive")
    before.beat()
    good = board.read()["drive"]
    (tmp_path / FILE).unlink()
    assert board.read()["drive"] == good
    assert board.repairs == 1
    after = HeartbeatWriter(tmp_path, "control")
    after.beat()
    before.beat()
    assert board.read()["drive"] == good  # until that one looks
    assert board.read()["control"].sequence == 1
    before._looked_ns = 0
    before.beat()
    before.beat()
    assert board.read()["drive"].sequence == 4
    for one in (before, after):
        one.close()
    board.close()
