"""No record can be changed, left out, added or moved without its being seen, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import ConfigError, DamageError
from olympus.runtime.security.chain import BEGIN, KEY, NOTHING, Anchor, Reader, sealed, verify
from olympus.runtime.security.keys import SigningKey, is_signed, make_key, read_key

OURS, THEIRS = SigningKey(b"o" * 32), SigningKey(b"t" * 32)


def chain(count: int, key: SigningKey = OURS) -> tuple[list[bytes], list[Anchor]]:
    lines, anchors = [], [Anchor(0, NOTHING)]
    for number in range(count):
        kind = BEGIN if number == 0 else "trip"
        body: dict[str, Any] = {"public": key.public} if number == 0 else {"cause": f"no. {number}"}
        line, anchor = sealed(key, anchors[-1], 1000 + number, kind, body)
        lines.append(line)
        anchors.append(anchor)
    return lines, anchors


def test_a_chain_is_whole_and_says_who_signed_it() -> None:
    lines, anchors = chain(5)
    verdict = verify(lines, public=OURS.public, anchors=anchors[3:])
    assert (verdict.is_whole, verdict.records, verdict.head) == (True, 5, anchors[5])
    assert verdict.public == OURS.public


@given(st.integers(0, 4), st.data())
def test_a_changed_byte_is_found_at_its_record(index: int, data: st.DataObject) -> None:
    lines, _ = chain(5)
    place = data.draw(st.integers(0, len(lines[index]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != lines[index][place]))
    lines[index] = lines[index][:place] + bytes([byte]) + lines[index][place + 1 :]
    verdict = verify(lines)
    assert not verdict.is_whole
    assert verdict.records == index
    assert verdict.problem.startswith(f"record {index + 1}: ")


@given(st.permutations(range(6)))
def test_only_the_order_in_which_they_were_written_is_whole(order: list[int]) -> None:
    lines, _ = chain(6)
    verdict = verify([lines[index] for index in order])
    assert verdict.is_whole == (order == sorted(order))


@pytest.mark.parametrize("gone", range(5))
def test_a_record_that_was_left_out_is_missed(gone: int) -> None:
    lines, _ = chain(6)
    del lines[gone]
    assert verify(lines).problem.startswith(f"record {gone + 1}: ")


def test_a_cut_end_is_seen_by_an_anchor_and_by_nothing_else() -> None:
    lines, anchors = chain(6)
    assert verify(lines[:4]).is_whole
    assert "its end was cut off" in verify(lines[:4], anchors=[anchors[5]]).problem
    assert verify([]).problem == "there is no record in it"


def test_a_chain_that_was_forged_from_some_record_on_is_seen_by_an_anchor() -> None:
    lines, anchors = chain(3)
    forged, _ = sealed(OURS, anchors[3], 7, "trip", {"cause": "harmless"})
    _, true = sealed(OURS, anchors[3], 7, "trip", {"cause": "a person"})
    verdict = verify([*lines, forged], anchors=[true])
    assert (verdict.records, verdict.is_whole) == (3, False)
    assert "record 4: it is not the record that an anchor names" in verdict.problem


def test_two_anchors_of_one_record_that_differ_are_not_both_right() -> None:
    lines, anchors = chain(3)
    other = Anchor(3, "ab" * 32)
    for both in ([anchors[3], other], [other, anchors[3]]):
        verdict = verify(lines, anchors=both)
        assert (verdict.records, verdict.is_whole) == (2, False)


def test_a_record_of_another_key_is_refused_wherever_it_stands() -> None:
    lines, anchors = chain(3)
    theirs, _ = sealed(THEIRS, anchors[3], 7, "trip", {})
    assert "record 4: its signature is not one of" in verify([*lines, theirs]).problem
    verdict = verify(chain(3, THEIRS)[0], public=OURS.public)
    assert "record 1: it was signed by" in verdict.problem and verdict.public == ""
    with pytest.raises(ConfigError, match="'5f0c' is no public key: 64 hex digits"):
        verify(lines, public="5f0c")


def test_a_key_can_be_changed_by_its_owner_alone() -> None:
    lines, anchors = chain(2)
    change, after = sealed(OURS, anchors[2], 7, KEY, {"public": THEIRS.public})
    theirs, _ = sealed(THEIRS, after, 8, "trip", {})
    ours, _ = sealed(OURS, after, 8, "trip", {})
    assert verify([*lines, change, theirs], public=OURS.public).is_whole
    assert not verify([*lines, change, ours]).is_whole
    forged, _ = sealed(THEIRS, anchors[2], 7, KEY, {"public": THEIRS.public})
    assert not verify([*lines, forged]).is_whole


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"{}\n", b"[" * 100_000 + b"\n", b'{"n":NaN}\n', b"\xff\n"]
)
def test_what_is_no_record_is_refused_in_our_words(line: bytes) -> None:
    with pytest.raises(DamageError):
        Reader().read(line)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(line: bytes) -> None:
    with pytest.raises(DamageError):
        Reader().read(line)


def test_a_record_written_another_way_is_refused_though_it_says_the_same() -> None:
    line = chain(1)[0][0]
    with pytest.raises(DamageError, match="not written as records are"):
        Reader().read(json.dumps(json.loads(line)).encode() + b"\n")


def test_what_is_no_json_can_not_be_sealed() -> None:
    with pytest.raises(ConfigError, match="no JSON"):
        sealed(OURS, Anchor(0, NOTHING), 1, "trip", {"x": float("nan")})
    with pytest.raises(ConfigError, match="at most 1 MB"):
        sealed(OURS, Anchor(0, NOTHING), 1, "trip", {"x": "x" * 2_000_000})


def test_a_key_is_made_once_and_read_only_from_a_file_that_nobody_else_reads(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys" / "audit.key"
    made = make_key(file)
    assert read_key(file).public == made.public
    assert is_signed(b"x", made.sign(b"x"), made.public)
    assert not is_signed(b"y", made.sign(b"x"), made.public)
    with pytest.raises(ConfigError, match="is there already"):
        make_key(file)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(file)
    file.write_text("zz")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        read_key(file)
    with pytest.raises(ConfigError, match="`olympus audit key"):
        read_key(tmp_path / "none")
    with pytest.raises(ConfigError, match="no public key"):
        is_signed(b"x", b"", "short")
