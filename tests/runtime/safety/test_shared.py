"""Records and shared files survive whatever is in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.shared import (
    NAME_BYTES,
    Record,
    SharedFile,
    packed_name,
    plain_name,
    private_directory,
)

RECORD = Record(b"TEST", 1, "Qq8s")


def test_a_record_comes_back() -> None:
    raw = RECORD.pack(7, -3, b"name")
    assert len(raw) == RECORD.size
    assert RECORD.unpack(raw) == (7, -3, b"name\0\0\0\0")
    assert RECORD.unpack(raw + b"rest") == (7, -3, b"name\0\0\0\0")


@given(st.binary(max_size=80))
def test_nonsense_is_named_and_never_raises(raw: bytes) -> None:
    assert isinstance(RECORD.unpack(raw), str)


def test_any_flipped_bit_is_seen() -> None:
    raw = RECORD.pack(7, -3, b"name")
    for bit in range(len(raw) * 8):
        torn = bytearray(raw)
        torn[bit // 8] ^= 1 << bit % 8
        assert isinstance(RECORD.unpack(bytes(torn)), str)


@pytest.mark.parametrize("other", [Record(b"TEST", 2, "Qq8s"), Record(b"TOAST", 1, "Qq8s")])
def test_another_kind_or_version_is_refused(other: Record) -> None:
    assert "kind and version" in str(RECORD.unpack(other.pack(1, 2, b"")))


def test_a_missing_file_reads_empty_and_refuses_writing(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "no" / "file", writes=True)
    assert file.read(10) == b""
    assert not file.write(b"x")
    file.close()


def test_a_replaced_file_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    file = SharedFile(path)
    assert file.read(10) == b"old"
    file.refresh()
    path.unlink()
    path.write_bytes(b"new")
    assert file.read(10) == b"old"
    file.refresh()
    assert file.read(10) == b"new"
    assert not file.write(b"x")
    file.close()


def test_the_directory_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "a" / "safety"
    path.mkdir(parents=True, mode=0o755)
    path.chmod(0o755)
    assert private_directory(path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert private_directory(path) == path


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "safety").write_text("")
    with pytest.raises(SafetyError, match="name another directory"):
        private_directory(tmp_path / "safety")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "safety"
    path.mkdir()
    os.chown(path, 65534, 65534)
    with pytest.raises(SafetyError, match="belongs to user 65534"):
        private_directory(path)


def test_names_have_a_size() -> None:
    assert plain_name(packed_name("drive").ljust(48, b"\0")) == "drive"
    for name in ("", "x" * 49, "a\0b"):
        with pytest.raises(SafetyError, match="no usable name"):
            packed_name(name)


def test_what_can_not_be_read_is_not_taken_for_empty_by_those_who_must_know(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    folder = SharedFile(tmp_path / "folder")
    assert folder.read(10) == b""
    with pytest.raises(IsADirectoryError):
        folder.read_surely(10)
    assert SharedFile(tmp_path / "none").read_surely(10) == b""


def test_a_file_that_was_deleted_stays_open_until_another_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    file = SharedFile(path)
    assert not file.refresh()
    assert file.read(10) == b"old"
    path.unlink()
    assert file.is_displaced()
    assert not file.refresh()
    assert file.read(10) == b"old"
    path.write_bytes(b"new")
    assert file.refresh()
    assert not file.is_displaced()
    assert file.read(10) == b"new"
    file.close()


def test_a_file_that_was_deleted_can_be_made_anew(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "sub" / "file", writes=True)
    assert not file.remake()
    (tmp_path / "sub").mkdir()
    assert file.write(b"old")
    assert not file.remake()
    (tmp_path / "sub" / "file").unlink()
    (tmp_path / "sub").rmdir()
    assert not file.remake()
    assert file.read(10) == b"old"
    (tmp_path / "sub").mkdir()
    assert file.remake()
    assert file.read(10) == b""
    file.close()


def test_a_file_that_was_moved_away_or_replaced_is_not_what_its_name_stands_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    file = SharedFile(path, writes=True)
    assert not file.is_displaced()  # nothing is open yet
    assert file.write(b"old")
    assert not file.is_displaced()
    path.rename(tmp_path / "elsewhere")
    assert file.is_displaced()
    path.write_bytes(b"new")
    assert file.is_displaced()
    assert file.remake()
    assert not file.is_displaced()
    assert file.read(10) == b"new"
    path.unlink()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub").rename(path)
    assert file.is_displaced()
    assert not file.remake()  # a folder is in the way
    file.close()


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert SharedFile(tmp_path / "pipe").read(10) == b""


def test_a_forked_child_has_no_part_in_what_its_parent_claimed(tmp_path: Path) -> None:
    mine = SharedFile(tmp_path / "file", writes=True)
    assert mine.claim()
    told, tell = os.pipe()
    go_on, let_go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let_go)
        os.write(tell, b"no" if not mine.write(b"x") and mine.read(1) == b"" else b"yes")
        os.read(go_on, 1)  # until its parent lets go
        os._exit(0)
    try:
        assert os.read(told, 3) == b"no"
        assert not SharedFile(tmp_path / "file", writes=True).claim()
        mine.close()
        after = SharedFile(tmp_path / "file", writes=True)
        assert after.claim()
        after.close()
    finally:
        os.close(let_go)
        os.waitpid(child, 0)
        for one in (told, tell, go_on):
            os.close(one)


def test_a_claim_holds_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    mine, other = SharedFile(path, writes=True), SharedFile(path, writes=True)
    assert mine.claim()
    assert mine.claim()
    assert not other.claim()
    mine.close()
    assert other.claim()
    assert not mine.claim()
    other.close()
    mine.close()
    assert SharedFile(tmp_path / "no" / "file", writes=True).claim()


def test_it_works_with_the_descriptor_that_a_process_without_input_gets_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    kept = os.dup(0)
    os.close(0)
    try:
        file = SharedFile(path, writes=True)
        assert file.write(b"old")
        path.unlink()
        path.write_bytes(b"new")
        assert os.fstat(0).st_nlink == 0
        assert file.is_displaced()
        assert file.refresh()
        assert file.read(10) == b"new"
        path.unlink()
        assert file.remake()
        file.close()
        path.write_bytes(b"newest")
        assert file.read(10) == b"newest"
        assert file.read(10) == b"newest"
        file.close()
        file.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)  # it was not opened a second time
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_files_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    path, usual = tmp_path / "file", os.umask(0)
    try:
        file = SharedFile(path, writes=True)
        assert file.write(b"x")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
        assert file.remake()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        file.close()
        assert private_directory(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(usual)


@pytest.mark.parametrize("mode", [0o677, 0o701, 0o710, 0o500, 0o770])
def test_any_other_mode_is_put_right(tmp_path: Path, mode: int) -> None:
    (tmp_path / "safety").mkdir()
    (tmp_path / "safety").chmod(mode)
    assert private_directory(tmp_path / "safety").stat().st_mode & 0o777 == 0o700


def test_what_is_read_begins_where_it_is_asked_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = SharedFile(tmp_path / "file")
    assert (file.read(3), file.read(3, 2)) == (b"012", b"234")
    assert (file.read_surely(3), file.read_surely(3, 2)) == (b"012", b"234")
    file.close()


def test_the_longest_name_fits() -> None:
    assert packed_name("x" * 48) == b"x" * 48
    assert NAME_BYTES == 48
