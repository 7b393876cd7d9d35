"""What the keeper sees, told as plain values: silence to the nanosecond, and a gate's own words."""

from __future__ import annotations

import json

import pytest

from olympus.runtime.safety.acks import Ack, Flag, Reason
from olympus.runtime.safety.heartbeat import AHEAD_NS
from olympus.runtime.safety.state import Trip
from olympus.runtime.safety.telling import (
    MS,
    silence,
    told_ack,
    told_gate,
    told_trip,
    told_watch,
    with_why,
)

NOW = 10_000 * MS


def ack(flags: Flag, why: str = "") -> Ack:
    return Ack(3, NOW - 20 * MS, 7, 6, Reason.STALE, flags, 1, why)


@pytest.mark.parametrize(
    ("last_ns", "said"),
    [
        (None, "never seen"),
        (NOW, ""),
        (NOW - 300 * MS, ""),
        (NOW - 300 * MS - 1, "silent for 300 ms, allowed are 300"),
        (NOW - 1500 * MS, "silent for 1500 ms, allowed are 300"),
        (NOW + AHEAD_NS, ""),
        (NOW + AHEAD_NS + 1, "beats from the future"),
    ],
)
def test_silence_is_told_from_its_first_nanosecond(last_ns: int | None, said: str) -> None:
    assert silence(last_ns, 0.3, NOW) == said
    told = told_watch("drive", last_ns, 0.3, NOW)
    age_s = None if last_ns is None else (NOW - last_ns) / 1e9
    assert told == {"name": "drive", "age_s": age_s, "limit_s": 0.3, "is_fresh": not said}


def test_without_a_limit_whatever_was_heard_is_fresh() -> None:
    assert told_watch("arm", 0, None, NOW)["is_fresh"]
    assert not told_watch("arm", None, None, NOW)["is_fresh"]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (None, "closed"),
        (ack(Flag.CLOSED), "closed"),
        (ack(Flag.CLOSED, "unplugged"), "closed: unplugged"),
    ],
)
def test_a_gates_own_words_follow_what_it_did(one: Ack | None, said: str) -> None:
    assert with_why("closed", one) == said


@pytest.mark.parametrize(
    ("flags", "is_neutral", "is_still"),
    [
        (Flag(0), False, None),
        (Flag.NEUTRAL, True, None),
        (Flag.NEUTRAL | Flag.WATCHED, True, None),
        (Flag.NEUTRAL | Flag.WATCHED | Flag.SENSED, True, False),
        (Flag.NEUTRAL | Flag.WATCHED | Flag.SENSED | Flag.STILL, True, True),
        (Flag.STILL, False, None),
    ],
)
def test_a_gate_is_told_as_it_read_back(
    flags: Flag, is_neutral: bool, is_still: bool | None
) -> None:
    told = told_gate("drive", ack(flags), 0.3, NOW)
    assert told == {
        "name": "drive",
        "age_s": 0.02,
        "limit_s": 0.3,
        "is_fresh": True,
        "is_neutral": is_neutral,
        "is_still": is_still,
        "epoch": 7,
        "reason": "STALE",
    }


def test_a_gate_that_never_ticked_is_told_too() -> None:
    never = {"is_neutral": None, "is_still": None, "epoch": 0, "reason": "never seen"}
    assert told_ack(None) == never
    told = told_gate("arm", None, None, NOW)
    assert told == {"name": "arm", "age_s": None, "limit_s": None, "is_fresh": False} | never


def test_a_trip_is_told_in_full() -> None:
    trip = Trip("smoke", "ada", 5, "seen", is_kill=True)
    assert Trip(**json.loads(json.dumps(told_trip(trip)))) == trip
    assert MS == 1_000_000


def test_the_longest_limit_is_told_to_the_millisecond() -> None:
    said = silence(NOW - 9_001 * MS, 9.0, NOW)
    assert said == "silent for 9001 ms, allowed are 9000"
