"""The lease: valid to the nanosecond, and invalid whenever there is any doubt."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.safety.lease import (
    FILE,
    LARGEST_EPOCH,
    LONGEST_NS,
    RECORD,
    LeaseReader,
    LeaseWriter,
    judge,
)
from olympus.runtime.safety.state import QUIET_NS, Mode

GRANTED = 1_000_000_000
UNTIL = GRANTED + 60_000_000


def written(tmp_path: Path, *, until_ns: int = UNTIL) -> LeaseReader:
    writer = LeaseWriter(tmp_path)
    assert writer.grant(4, GRANTED, until_ns)
    writer.close()
    return LeaseReader(tmp_path)


@pytest.mark.parametrize(
    ("now_ns", "is_valid"),
    [
        (GRANTED - 1, False),
        (GRANTED, True),
        (GRANTED + 1, True),
        (UNTIL - 1, True),
        (UNTIL, False),
        (UNTIL + 1, False),
        (2**62, False),
        (0, False),
    ],
)
def test_a_lease_is_valid_from_grant_to_its_end(
    tmp_path: Path, now_ns: int, is_valid: bool
) -> None:
    view = written(tmp_path).check(now_ns)
    assert view.valid is is_valid
    assert bool(view.why) is not is_valid
    assert (view.epoch, view.granted_ns, view.valid_until_ns) == (4, GRANTED, UNTIL)


def test_the_longest_lease_is_good_though_it_was_renewed_after_its_reader_took_the_time(
    tmp_path: Path,
) -> None:
    reader = written(tmp_path, until_ns=GRANTED + 50_000_000 + 1_000_000_000)
    assert reader.check(GRANTED + 1).valid


@pytest.mark.parametrize(("beyond", "is_valid"), [(0, True), (1, False)])
def test_a_lease_far_into_the_future_is_damaged(
    tmp_path: Path, beyond: int, is_valid: bool
) -> None:
    reader = written(tmp_path, until_ns=GRANTED + LONGEST_NS + beyond)
    assert reader.check(GRANTED).valid is is_valid


def test_renewing_keeps_the_time_of_the_grant(tmp_path: Path) -> None:
    writer = LeaseWriter(tmp_path)
    writer.grant(4, GRANTED, UNTIL)
    writer.renew(4, UNTIL + 5)
    view = LeaseReader(tmp_path).check(UNTIL + 1)
    assert view.valid
    assert (view.granted_ns, view.sequence) == (GRANTED, 2)
    assert writer.valid_until_ns == UNTIL + 5


@pytest.mark.parametrize("mode", [Mode.STOPPED, Mode.TRIPPED])
def test_a_revoked_lease_is_invalid_at_once(tmp_path: Path, mode: Mode) -> None:
    writer = LeaseWriter(tmp_path)
    writer.grant(4, GRANTED, UNTIL)
    writer.revoke(4, mode)
    view = LeaseReader(tmp_path).check(GRANTED)
    assert (view.valid, view.mode, view.why) == (False, mode, f"not permitted: {mode}")


def test_no_lease_is_no_permission(tmp_path: Path) -> None:
    reader = LeaseReader(tmp_path)
    assert reader.check(0).why == "no lease; no guardian"
    (tmp_path / FILE).write_bytes(b"")
    assert not reader.check(0).valid


def test_a_lease_that_appears_later_is_found(tmp_path: Path) -> None:
    reader = LeaseReader(tmp_path)
    assert not reader.check(GRANTED).valid
    written(tmp_path)
    assert reader.check(GRANTED).valid
    reader.close()


def test_a_deleted_and_remade_lease_is_found(tmp_path: Path) -> None:
    reader = written(tmp_path)
    assert reader.check(GRANTED).valid
    (tmp_path / FILE).write_bytes(b"")
    (tmp_path / FILE).unlink()
    assert not reader.check(GRANTED).valid
    written(tmp_path)
    assert reader.check(GRANTED).valid


def test_every_flipped_bit_and_every_cut_invalidates(tmp_path: Path) -> None:
    reader = written(tmp_path)
    raw = (tmp_path / FILE).read_bytes()
    for bit in range(len(raw) * 8):
        torn = bytearray(raw)
        torn[bit // 8] ^= 1 << bit % 8
        (tmp_path / FILE).write_bytes(torn)
        assert not reader.check(GRANTED).valid
    for size in range(len(raw)):
        (tmp_path / FILE).write_bytes(raw[:size])
        assert not reader.check(GRANTED).valid


def test_a_mode_that_does_not_exist_is_no_permission() -> None:
    view = judge(RECORD.pack(1, 1, GRANTED, UNTIL, 4), GRANTED)
    assert view.why == "lease unreadable: mode 4 does not exist"


@given(st.binary(max_size=2 * RECORD.size), st.integers(0, 2**63))
def test_nonsense_is_never_a_lease(raw: bytes, now_ns: int) -> None:
    assert not judge(raw, now_ns).valid


def test_an_epoch_goes_on_where_the_last_guardian_ended(tmp_path: Path) -> None:
    assert LeaseWriter(tmp_path).earlier_epoch(GRANTED) == 0
    written(tmp_path)
    assert LeaseWriter(tmp_path).earlier_epoch(GRANTED) == 4
    (tmp_path / FILE).write_bytes(b"x" * RECORD.size)
    most_possible = GRANTED // QUIET_NS
    assert LeaseWriter(tmp_path).earlier_epoch(GRANTED) > most_possible


def test_a_lease_that_cannot_be_written_is_not_believed(tmp_path: Path) -> None:
    writer = LeaseWriter(tmp_path / "missing")
    assert not writer.grant(1, GRANTED, UNTIL)
    assert writer.valid_until_ns == 0


def test_the_numbers_that_other_rooms_rely_on() -> None:
    assert LONGEST_NS == 1_250_000_000
    assert LARGEST_EPOCH == 2**62
    assert RECORD.pack(0, 0, 0, 0, 0)[:12] == b"OLYLEASE\x01\0\0\0"


def test_what_can_not_be_read_says_nothing_else() -> None:
    nothing = (0, 0, 0, 0, None)
    unknown = RECORD.pack(7, 8, 0, 2**62, len(Mode))
    for raw in (b"", b"nonsense", unknown):
        view = judge(raw, GRANTED)
        told = view.epoch, view.granted_ns, view.valid_until_ns, view.sequence, view.mode
        assert (view.valid, told) == (False, nothing)


def test_a_view_can_not_be_made_valid_afterwards() -> None:
    view = judge(b"", 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.valid = True  # type: ignore[misc]
    assert not hasattr(view, "__dict__")


def test_it_says_for_how_long_a_lease_has_lapsed(tmp_path: Path) -> None:
    assert written(tmp_path).check(UNTIL + 7_500_000).why == "lease lapsed 7.5 ms ago"


class TornFile:
    """A file that is never whole."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, size: int) -> bytes:
        """Return half a record."""
        self.reads += 1
        return bytes(size // 2)

    def refresh(self) -> None:
        """Do nothing."""


def test_a_torn_read_is_tried_again_twice(tmp_path: Path) -> None:
    reader, torn = written(tmp_path), TornFile()
    reader._file = torn  # type: ignore[assignment]
    assert not reader.check(GRANTED).valid
    assert torn.reads == 3


def test_a_lease_that_is_taken_back_has_no_time_left(tmp_path: Path) -> None:
    writer = LeaseWriter(tmp_path)
    assert writer.revoke(1, Mode.STOPPED)
    view = LeaseReader(tmp_path).check(GRANTED)
    assert (view.granted_ns, view.valid_until_ns, view.mode) == (0, 0, Mode.STOPPED)
    writer.close()


@pytest.mark.parametrize("mode", list(Mode))
def test_a_kill_is_known_by_the_next_guardian_and_only_damage_counts_as_one(
    tmp_path: Path, mode: Mode
) -> None:
    writer = LeaseWriter(tmp_path)
    assert not writer.earlier_kill()  # there is nothing yet
    assert writer.revoke(1, mode)
    assert writer.earlier_kill() == ("found at the start" if mode is Mode.KILLED else "")
    writer.close()
    (tmp_path / FILE).write_bytes(b"damaged".ljust(RECORD.size, b"\0"))
    damaged = LeaseWriter(tmp_path)
    assert damaged.earlier_kill() == "the lease is damaged and may hide one"
    assert damaged.earlier_epoch(5 * QUIET_NS) == 6
    damaged.close()


def test_a_lease_that_can_not_be_read_counts_as_a_kill_and_as_any_number_of_resets(
    tmp_path: Path,
) -> None:
    (tmp_path / FILE).mkdir()
    writer = LeaseWriter(tmp_path)
    assert writer.earlier_kill() == "the lease can't be read and may hide one: Is a directory"
    assert writer.earlier_epoch(5 * QUIET_NS) == 6


@pytest.mark.parametrize(("epoch", "found"), [(LARGEST_EPOCH, LARGEST_EPOCH), (2**62 + 1, 6)])
def test_an_epoch_that_nobody_can_have_lived_to_see_is_damage(
    tmp_path: Path, epoch: int, found: int
) -> None:
    (tmp_path / FILE).write_bytes(RECORD.pack(epoch, 1, GRANTED, UNTIL, 0))
    assert LeaseWriter(tmp_path).earlier_epoch(5 * QUIET_NS) == found


def test_a_reader_goes_over_to_the_lease_of_a_guardian_that_came_after_it_was_deleted(
    tmp_path: Path,
) -> None:
    reader = written(tmp_path)
    assert reader.check(GRANTED).valid
    (tmp_path / FILE).unlink()
    assert reader.check(GRANTED).valid  # whoever wrote it writes on
    LeaseWriter(tmp_path).grant(5, UNTIL, UNTIL + 1)
    assert reader.check(GRANTED).epoch == 4
    assert reader.check(UNTIL).epoch == 5
    assert reader.check(UNTIL).valid
    assert not reader.check(UNTIL + 1).valid


def test_a_guardian_whose_lease_is_deleted_writes_another_and_no_reader_is_without_one(
    tmp_path: Path,
) -> None:
    writer, before = LeaseWriter(tmp_path), LeaseReader(tmp_path)
    writer.grant(4, GRANTED, UNTIL)
    assert before.check(GRANTED).valid
    (tmp_path / FILE).unlink()
    assert before.check(GRANTED).valid
    assert writer.renew(4, UNTIL + 5)
    assert before.check(UNTIL).valid  # in the new file: the old one is taken back
    after = LeaseReader(tmp_path)
    assert after.check(UNTIL).valid
    assert writer.revoke(4, Mode.TRIPPED)
    for reader in (before, after):
        view = reader.check(GRANTED)
        assert (view.mode, view.epoch, view.sequence) == (Mode.TRIPPED, 4, 3)


def test_a_lease_that_was_deleted_is_taken_back_from_whoever_has_it_open(tmp_path: Path) -> None:
    writer = LeaseWriter(tmp_path)
    writer.grant(4, GRANTED, UNTIL)
    with (tmp_path / FILE).open("rb") as old:
        (tmp_path / FILE).unlink()
        writer.renew(4, UNTIL)
        view = judge(old.read(), GRANTED)
        assert (view.valid, view.mode, view.valid_until_ns) == (False, Mode.STOPPED, 0)


def test_a_guardian_whose_directory_is_gone_goes_on_with_the_lease_that_it_has(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "safety"
    folder.mkdir()
    writer, reader = LeaseWriter(folder), LeaseReader(folder)
    writer.grant(4, GRANTED, UNTIL)
    assert reader.check(GRANTED).valid
    shutil.rmtree(folder)
    assert writer.renew(4, UNTIL + 5)
    assert reader.check(UNTIL).valid
    assert writer.revoke(4, Mode.TRIPPED)
    assert reader.check(UNTIL).mode is Mode.TRIPPED
