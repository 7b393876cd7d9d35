"""Sealed stops: genuine ones count once; forged, replayed and malformed ones are told apart."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import ConfigError
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.seal import (
    FILE,
    LARGEST_FILE,
    Sealed,
    SealReader,
    read_keys,
    seal,
)
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.state import Mode

KEY = bytes(range(32))
OTHER = bytes(32)


def sealed(counter: int, *, key: bytes = KEY, name: str = "tower", op: str = "stop") -> str:
    return seal(key, name, counter, op=op, cause="smoke", by="ada")


def reader(path: Path) -> tuple[SealReader, Counter[str]]:
    counters: Counter[str] = Counter()
    return SealReader(path, {"tower": KEY, "van": OTHER}, counters), counters


def test_a_genuine_order_opens_once(tmp_path: Path) -> None:
    one, counters = reader(tmp_path)
    order = sealed(7)
    assert one.open(order) == Sealed(False, "smoke", "ada", "tower")
    assert "counter 7 was used before" in str(one.open(order))
    assert "counter 6 was used before" in str(one.open(sealed(6)))
    assert one.open(sealed(8, op="kill")) == Sealed(True, "smoke", "ada", "tower")
    assert counters == {"seals_replayed": 2}


def test_each_key_has_a_counter_of_its_own(tmp_path: Path) -> None:
    one, _ = reader(tmp_path)
    assert isinstance(one.open(sealed(1000)), Sealed)
    assert isinstance(one.open(sealed(1, key=OTHER, name="van")), Sealed)


def test_a_replay_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    one, _ = reader(tmp_path)
    order = sealed(7)
    one.open(order)
    one.remember()
    one.close()
    again, _ = reader(tmp_path)
    assert "replayed" in str(again.open(order))
    assert isinstance(again.open(sealed(8)), Sealed)


@pytest.mark.parametrize(
    "order",
    [
        sealed(9, key=OTHER),
        sealed(9, name="nobody"),
        sealed(9).replace("smoke", "flood"),
        sealed(9).replace("stop", "kill"),
    ],
)
def test_a_forged_order_is_refused_and_counted(tmp_path: Path, order: str) -> None:
    one, counters = reader(tmp_path)
    assert "forged" in str(one.open(order))
    assert counters == {"seals_forged": 1}


@pytest.mark.parametrize(
    "order",
    [
        "",
        "stop",
        "[]",
        "{}",
        json.dumps({"body": 1, "mac": 2}),
        json.dumps({"body": "{}", "mac": 2}),
        json.dumps({"body": "[]", "mac": "x"}),
        "[" * 5000,
        sealed(0),
        sealed(1 << 64),
        sealed(9, op="reset"),
    ],
)
def test_a_malformed_order_is_refused_and_counted(tmp_path: Path, order: str) -> None:
    one, counters = reader(tmp_path)
    assert "malformed" in str(one.open(order))
    assert counters == {"seals_malformed": 1}


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_letter_passes(at: int, by: int) -> None:
    order = sealed(9).encode()
    at %= len(order)
    changed = bytearray(order)
    changed[at] = (changed[at] + by) % 256
    one = SealReader(Path("/nowhere"), {"tower": KEY}, Counter())
    found = one.open(changed.decode("latin-1"))
    # White space and upper case outside of what is sealed change nothing.
    assert isinstance(found, str) or found == Sealed(False, "smoke", "ada", "tower")


def keys(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_are_read_by_name(tmp_path: Path) -> None:
    path = keys(tmp_path, f"# who may stop\ntower {KEY.hex()}  # the tower\n\nvan {OTHER.hex()}\n")
    assert read_keys(path) == {"tower": KEY, "van": OTHER}


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("tower aa", 0o600, "at least 32 digits"),
        ("tower", 0o600, "a name and a key"),
        ("tower zz", 0o600, "a name and a key"),
        ("x" * 49 + " " + KEY.hex(), 0o600, "no usable name"),
        (f"tower {KEY.hex()}", 0o640, "can be read by others"),
    ],
)
def test_bad_keys_are_refused_with_the_way_out(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_keys(keys(tmp_path, text, mode))


def test_missing_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_keys(tmp_path / "keys")


def test_a_real_guardian_opens_seals_and_counts_what_is_none(
    safety_dir: Path, tmp_path: Path, start_guardian: Callable[[Settings], spawn.Started]
) -> None:
    path = keys(tmp_path, f"tower {KEY.hex()}")
    start_guardian(Settings(dir=safety_dir, watch={"x": 1.0}, keys_file=path))
    client = SafetyClient(safety_dir)
    order = sealed(time.time_ns())
    assert client.deliver(order) == ""
    status = client.status()
    assert (status.state, status.cause, status.by) == (Mode.TRIPPED, "smoke", "ada")
    assert status.trips[0].evidence == "sealed with key tower"
    assert "replayed" in client.deliver(order)
    assert "forged" in client.deliver(sealed(time.time_ns(), key=OTHER))
    assert "malformed" in client.deliver("nonsense")
    assert client.deliver(sealed(time.time_ns(), op="kill")) == ""
    status = client.status()
    assert status.state is Mode.KILLED
    wanted = {"seals_replayed": 1, "seals_forged": 1, "seals_malformed": 1}
    assert wanted.items() <= dict(status.counters).items()


def test_half_a_character_in_a_forged_order_does_not_end_the_guardian(tmp_path: Path) -> None:
    one, counters = reader(tmp_path)
    body = json.dumps({"key": "tower", "counter": 9, "op": "stop", "cause": "x"})[:-1]
    order = json.dumps({"body": body + ', "by": "\udc80"}', "mac": "00"})
    assert "forged" in str(one.open(order))
    assert counters == {"seals_forged": 1}


def test_a_replay_is_refused_though_other_keys_came_and_went(tmp_path: Path) -> None:
    one, _ = reader(tmp_path)
    order = sealed(7, key=OTHER, name="van")
    assert isinstance(one.open(order), Sealed)
    one.remember()
    one.close()
    alone, counters = SealReader(tmp_path, {"van": OTHER}, Counter()), Counter[str]()
    assert "replayed" in str(alone.open(order))
    assert isinstance(alone.open(sealed(8, key=OTHER, name="van")), Sealed)
    alone.remember()
    alone.close()
    without = SealReader(tmp_path, {"tower": KEY}, Counter())
    without.remember()
    without.close()
    back = SealReader(tmp_path, {"van": OTHER}, counters)
    assert "the newest is 8" in str(back.open(sealed(8, key=OTHER, name="van")))
    assert counters == {"seals_replayed": 1}
    back.close()


def test_damaged_counters_are_counted_and_refuse_no_genuine_stop(tmp_path: Path) -> None:
    one, _ = reader(tmp_path)
    one.open(sealed(7))
    one.open(sealed(7, key=OTHER, name="van"))
    one.remember()
    one.close()
    raw = bytearray((tmp_path / FILE).read_bytes())
    raw[50] ^= 1
    (tmp_path / FILE).write_bytes(raw)
    again, counters = reader(tmp_path)
    assert counters == {"seals_forgotten": 1}
    assert isinstance(again.open(sealed(7)), Sealed)
    assert "replayed" in str(again.open(sealed(7, key=OTHER, name="van")))


def test_counters_that_can_not_be_kept_are_counted(tmp_path: Path) -> None:
    one, counters = reader(tmp_path / "missing")
    assert isinstance(one.open(sealed(7)), Sealed)
    one.remember()
    assert counters == {"seals_unkept": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"tower {KEY.hex()}\ntower {OTHER.hex()}", r"keys:2: there are two keys 'tower'"),
        (f"to\0wer {KEY.hex()}", "no usable name"),
        ("# " + "x" * LARGEST_FILE, "has more than 65536 bytes"),
    ],
)
def test_keys_that_would_be_trouble_later_are_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_keys(keys(tmp_path, text))


def test_a_pipe_or_a_folder_of_keys_is_refused_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigError, match="is no file"):
            read_keys(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_keys_of_somebody_else_are_refused(tmp_path: Path) -> None:
    path = keys(tmp_path, f"tower {KEY.hex()}")
    for user in (1, 65534):
        os.chown(path, user, user)
        with pytest.raises(ConfigError, match=f"belongs to user {user}; chown 0"):
            read_keys(path)


def test_the_largest_counter_and_the_shortest_key_are_good(tmp_path: Path) -> None:
    path = keys(tmp_path, "tower " + "ab" * 16)
    one = SealReader(tmp_path, read_keys(path), Counter())
    assert isinstance(one.open(sealed((1 << 64) - 1, key=b"\xab" * 16)), Sealed)
    one.remember()
    one.close()
    assert (tmp_path / FILE).read_bytes()[:12] == b"OLYSEAL\0\x01\0\0\0"
    assert LARGEST_FILE == 65536
    (tmp_path / "keys").write_text("#" * LARGEST_FILE)
    assert read_keys(path) == {}


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640])
def test_keys_that_anybody_else_may_touch_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(keys(tmp_path, f"tower {KEY.hex()}", mode))


def test_what_was_sealed_can_not_be_changed_afterwards() -> None:
    order = Sealed(False, "smoke", "ada", "tower")
    assert not hasattr(order, "__dict__")
    with pytest.raises(FrozenInstanceError):
        order.is_kill = True  # type: ignore[misc]
