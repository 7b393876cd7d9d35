"""Acknowledgements are found, read back, and doubted when damaged."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.acks import (
    PREFIX,
    RECORD,
    WHY_BYTES,
    Ack,
    AckBoard,
    AckWriter,
    Flag,
    Reason,
)
from olympus.runtime.safety.shared import SharedFile


def test_gates_are_found_as_they_come(tmp_path: Path) -> None:
    board = AckBoard(tmp_path, ["drive"])
    assert board.read() == {}
    writer = AckWriter(tmp_path, "arm")
    assert writer.write(5, epoch=2, burned=1, reason=Reason.OK, flags=Flag.NEUTRAL)
    board.look()
    assert board.names() == ("drive", "arm")
    ack = board.read()["arm"]
    assert (ack.tick_ns, ack.epoch, ack.burned, ack.reason) == (5, 2, 1, Reason.OK)
    writer.close()
    board.close()


@pytest.mark.parametrize(("at_ns", "has_stopped"), [(4, True), (5, False), (6, False)])
def test_only_a_later_tick_proves_a_stop(tmp_path: Path, at_ns: int, has_stopped: bool) -> None:
    AckWriter(tmp_path, "a").write(5, epoch=0, burned=0, reason=Reason.NO_LEASE, flags=Flag.NEUTRAL)
    assert AckBoard(tmp_path, ["a"]).read()["a"].has_stopped_since(at_ns) is has_stopped


def test_damage_keeps_the_last_good_acknowledgement(tmp_path: Path) -> None:
    board = AckBoard(tmp_path, ["a"])
    AckWriter(tmp_path, "a").write(5, epoch=0, burned=0, reason=Reason.OK, flags=Flag(0))
    good = board.read()["a"]
    (tmp_path / f"{PREFIX}a").write_bytes(b"x" * RECORD.size)
    assert board.read()["a"] == good


def test_an_unknown_reason_is_no_reason_to_move(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}a").write_bytes(RECORD.pack(b"a", 1, 1, 1, 1, 999, 3, 1, b""))
    assert AckBoard(tmp_path, ["a"]).read()["a"].reason is Reason.NO_LEASE


@pytest.mark.parametrize("name", ["", "a/b", "x" * 49, "a b", "ä"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SafetyError, match="gate name"):
        AckWriter(tmp_path, name)


@pytest.mark.parametrize("why", ["", "unplugged", "é" * 300, "\udc80", "two\nlines"])
def test_why_is_told_in_words_and_cut_to_fit(tmp_path: Path, why: str) -> None:
    writer = AckWriter(tmp_path, "a")
    assert writer.write(5, epoch=0, burned=0, reason=Reason.OK, flags=Flag(0), why=why)
    told = AckBoard(tmp_path, ["a"]).read()["a"].why
    assert told.isprintable()
    assert told == why[: WHY_BYTES // 2].replace("\udc80", "?").replace("\n", "?")


@pytest.mark.parametrize(
    ("flags", "is_proven"),
    [
        (Flag.CLOSED, True),  # nothing measures it: the driver's word is all there is
        (Flag.CLOSED | Flag.WATCHED, False),
        (Flag.CLOSED | Flag.WATCHED | Flag.SENSED, False),
        (Flag.CLOSED | Flag.WATCHED | Flag.SENSED | Flag.STILL, True),
        (Flag.WATCHED, False),
    ],
)
def test_a_gate_that_was_closed_before_it_measured_proves_nothing(
    flags: Flag, is_proven: bool
) -> None:
    ack = Ack(1, 5, 0, 0, Reason.CLOSED, flags | Flag.NEUTRAL, 1)
    assert ack.is_proven_since(4) is is_proven


def test_two_gates_of_one_name_do_not_speak_for_each_other(tmp_path: Path) -> None:
    first = AckWriter(tmp_path, "drive")
    with pytest.raises(SafetyError, match=r"there is a gate 'drive' in .* already"):
        AckWriter(tmp_path, "drive")
    AckWriter(tmp_path, "arm").close()
    first.close()
    AckWriter(tmp_path, "drive").close()


def test_a_gate_whose_process_was_killed_leaves_its_name_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from olympus.runtime.safety.acks import AckWriter\n"
        "AckWriter(Path(sys.argv[1]), 'drive'); print('claimed', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        with pytest.raises(SafetyError, match="already"):
            AckWriter(tmp_path, "drive")
        process.kill()
    AckWriter(tmp_path, "drive").close()


def write(writer: AckWriter, tick_ns: int) -> bool:
    return writer.write(tick_ns, epoch=0, burned=0, reason=Reason.OK, flags=Flag(0))


def test_a_gate_whose_file_was_deleted_is_seen_by_those_who_come_later_and_by_those_before(
    tmp_path: Path,
) -> None:
    writer, board = AckWriter(tmp_path, "a"), AckBoard(tmp_path, ["a"])
    assert write(writer, 5)
    assert board.read()["a"].tick_ns == 5
    (tmp_path / f"{PREFIX}a").unlink()
    assert board.read()["a"].tick_ns == 5
    assert write(writer, 6)
    assert AckBoard(tmp_path, ["a"]).read()["a"].tick_ns == 6
    assert board.read()["a"].tick_ns == 6
    writer.close()
    board.close()


def test_a_gate_whose_file_was_deleted_does_not_speak_for_one_made_since(tmp_path: Path) -> None:
    first = AckWriter(tmp_path, "a")
    (tmp_path / f"{PREFIX}a").unlink()
    second = AckWriter(tmp_path, "a")
    assert write(second, 5)
    assert not write(first, 6)
    assert AckBoard(tmp_path, ["a"]).read()["a"].tick_ns == 5
    second.close()
    assert write(first, 7)
    assert AckBoard(tmp_path, ["a"]).read()["a"].tick_ns == 7
    first.close()


def test_a_gate_whose_file_was_moved_away_does_not_write_where_nobody_looks(
    tmp_path: Path,
) -> None:
    first, board = AckWriter(tmp_path, "a"), AckBoard(tmp_path, ["a"])
    assert write(first, 5)
    assert board.read()["a"].tick_ns == 5
    (tmp_path / f"{PREFIX}a").rename(tmp_path / "elsewhere")
    assert write(first, 6)
    assert board.read()["a"].tick_ns == 6
    (tmp_path / f"{PREFIX}a").rename(tmp_path / "elsewhere")
    second = AckWriter(tmp_path, "a")
    assert write(second, 7)
    assert not write(first, 8)
    assert board.read()["a"].tick_ns == 7
    for one in (first, second, board):
        one.close()


def test_a_gate_whose_file_can_not_be_made_anew_knows_that_it_is_not_seen(tmp_path: Path) -> None:
    folder = tmp_path / "safety"
    folder.mkdir()
    writer = AckWriter(folder, "a")
    assert write(writer, 5)
    folder.rename(tmp_path / "elsewhere")
    assert not write(writer, 6)
    (tmp_path / "elsewhere").rename(folder)
    assert write(writer, 7)
    writer.close()


def test_a_gate_is_seen_though_others_have_no_file_yet(tmp_path: Path) -> None:
    board = AckBoard(tmp_path, ["none", "a"])
    writer = AckWriter(tmp_path, "a")
    assert write(writer, 5)
    assert list(board.read()) == ["a"]
    writer.close()
    board.close()


def test_a_gate_that_had_no_file_at_first_does_not_speak_for_one_made_since(
    tmp_path: Path,
) -> None:
    early = AckWriter(tmp_path / "later", "a")
    assert not write(early, 4)
    (tmp_path / "later").mkdir()
    late = AckWriter(tmp_path / "later", "a")
    assert write(late, 5)
    assert not write(early, 6)
    late.close()
    assert write(early, 7)
    with pytest.raises(SafetyError, match="already"):
        AckWriter(tmp_path / "later", "a")
    early.close()


def test_the_numbers_that_are_written_stay_what_they_are() -> None:
    reasons = (
        "OK NO_LEASE LAPSED NEW_PERMISSION NO_COMMAND STALE FUTURE BEFORE_PERMISSION WRONG_SHAPE "
        "NOT_FINITE OUT_OF_RANGE TOO_STEEP CLOSED"
    )
    assert [Reason[name].value for name in reasons.split()] == list(range(len(Reason)))
    flags = "NEUTRAL CLOSED WATCHED SENSED STILL REFUSED"
    assert [Flag[name].value for name in flags.split()] == [1, 2, 4, 8, 16, 32]
    assert WHY_BYTES == 160
    raw = RECORD.pack(b"a", 1, 2, 3, 4, 0, 1, 7, b"why")
    assert raw[:12] == b"OLYGATE\0\x02\0\0\0"
    assert len(raw) == RECORD.size == 12 + 48 + 4 * 8 + 3 * 4 + WHY_BYTES + 4


def test_every_tick_has_a_number_and_every_look_that_failed_is_counted(tmp_path: Path) -> None:
    writer, board = AckWriter(tmp_path, "a"), AckBoard(tmp_path, ["a"])
    for number in (1, 2, 3):
        assert write(writer, 5)
        assert board.read()["a"].sequence == number
    assert board.unlisted == 0
    gone = AckBoard(tmp_path / "none")
    for number in (1, 2):
        gone.look()
        assert gone.unlisted == number
    writer.close()
    board.close()


def test_an_acknowledgement_can_not_be_changed_afterwards() -> None:
    ack = Ack(1, 5, 0, 0, Reason.OK, Flag(0), 1)
    assert not hasattr(ack, "__dict__")
    with pytest.raises(FrozenInstanceError):
        ack.flags = Flag.NEUTRAL  # type: ignore[misc]


class TornFile(SharedFile):
    """A file that is never whole."""

    reads = 0

    def read(self, size: int, offset: int = 0) -> bytes:
        self.reads += 1
        return bytes(size // 2)


def test_a_torn_acknowledgement_is_read_again_twice(tmp_path: Path) -> None:
    board, torn = AckBoard(tmp_path), TornFile(tmp_path / "torn")
    board._files["a"] = torn
    assert board.read() == {}
    assert torn.reads == 3
