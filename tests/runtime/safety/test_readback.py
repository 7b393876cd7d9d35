"""The read-back of a stop: CONFIRMED only where every gate proved it, and the worst is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.safety.acks import Ack, AckBoard, AckWriter, Flag, Reason
from olympus.runtime.safety.readback import LOOK_S, READBACK_S, Result, read_back, unproven, verdict

AT_NS = 1_000
SEEN = Flag.NEUTRAL | Flag.WATCHED | Flag.SENSED
PROVEN = SEEN | Flag.STILL


def ack(flags: Flag, tick_ns: int = AT_NS + 1) -> Ack:
    return Ack(1, tick_ns, 0, 1, Reason.NO_LEASE, flags, 1)


def written(directory: Path, name: str, flags: Flag, tick_ns: int = AT_NS + 1) -> None:
    writer = AckWriter(directory, name)
    writer.write(tick_ns, epoch=0, burned=1, reason=Reason.NO_LEASE, flags=flags)
    writer.close()


@pytest.mark.parametrize(
    ("flags", "tick_ns", "result"),
    [
        (PROVEN, AT_NS + 1, Result.CONFIRMED),
        (PROVEN, AT_NS, Result.UNCERTAIN),
        (PROVEN, AT_NS - 1, Result.UNCERTAIN),
        (Flag.NEUTRAL, AT_NS + 1, Result.CONFIRMED),  # nothing measures it: its driver's word
        (Flag.NEUTRAL | Flag.WATCHED, AT_NS + 1, Result.UNCERTAIN),
        (SEEN, AT_NS + 1, Result.FAILED),
        (SEEN, AT_NS, Result.UNCERTAIN),
        (Flag(0), AT_NS + 1, Result.FAILED),
        (Flag(0), AT_NS, Result.UNCERTAIN),
        (Flag.REFUSED, AT_NS + 1, Result.FAILED),
        (PROVEN | Flag.CLOSED, AT_NS - 1, Result.CONFIRMED),
        (SEEN | Flag.CLOSED, AT_NS - 1, Result.UNCERTAIN),
        (Flag.CLOSED, AT_NS - 1, Result.UNCERTAIN),
    ],
)
def test_one_gate_is_judged_by_what_it_did_since(
    tmp_path: Path, flags: Flag, tick_ns: int, result: Result
) -> None:
    written(tmp_path, "drive", flags, tick_ns)
    assert read_back(tmp_path, (), AT_NS, seconds=0)[0] is result


@pytest.mark.parametrize(
    ("waiting", "result", "text"),
    [
        (
            {"a": ack(Flag(0)), "b": ack(SEEN), "c": None, "d": ack(Flag.NEUTRAL | Flag.WATCHED)},
            Result.FAILED,
            "latched, but still driven: a; cut the power",
        ),
        (
            {"b": ack(SEEN), "e": ack(SEEN), "c": None, "d": ack(Flag.NEUTRAL | Flag.WATCHED)},
            Result.FAILED,
            "at neutral, but still moving: b, e; cut the power",
        ),
        (
            {"c": None, "old": ack(Flag(0), AT_NS), "d": ack(Flag.NEUTRAL | Flag.WATCHED)},
            Result.UNCERTAIN,
            "latched, but no answer from gate c, old; look at the actuators",
        ),
        (
            {"d": ack(Flag.NEUTRAL | Flag.WATCHED)},
            Result.UNCERTAIN,
            "at neutral, but nothing measures d; look at the actuators",
        ),
    ],
)
def test_of_several_gates_the_worst_is_told(
    waiting: dict[str, Ack | None], result: Result, text: str
) -> None:
    assert verdict(waiting, AT_NS) == (result, text)


def test_every_gate_counts_those_that_are_told_and_those_that_are_found(tmp_path: Path) -> None:
    written(tmp_path, "drive", PROVEN)
    board = AckBoard(tmp_path, ["drive", "arm"])
    assert unproven(board, AT_NS) == {"arm": None}
    board.close()
    assert read_back(tmp_path, ["drive"], AT_NS, seconds=0) == (
        Result.CONFIRMED,
        "latched; at neutral: drive",
    )
    result, text = read_back(tmp_path, ["drive", "arm"], AT_NS, seconds=0)
    assert (result, "gate arm;" in text) == (Result.UNCERTAIN, True)
    written(tmp_path, "found", Flag(0))
    result, text = read_back(tmp_path, ["drive"], AT_NS, seconds=0)
    assert (result, "driven: found;" in text) == (Result.FAILED, True)


def test_without_a_gate_there_is_nothing_to_read_back(tmp_path: Path) -> None:
    result, text = read_back(tmp_path, (), AT_NS)
    assert (result, "there is no gate" in text) == (Result.UNCERTAIN, True)


def test_a_gate_that_comes_to_rest_meanwhile_is_waited_for(
    tmp_path: Path, until_true: Callable[..., None]
) -> None:
    written(tmp_path, "drive", SEEN)
    found: list[tuple[Result, str]] = []
    reading = threading.Thread(
        target=lambda: found.append(read_back(tmp_path, (), AT_NS, seconds=60))
    )
    reading.start()
    time.sleep(10 * LOOK_S)
    assert not found
    written(tmp_path, "drive", PROVEN, AT_NS + 2)
    reading.join()
    assert found[0][0] is Result.CONFIRMED


def test_the_wait_is_as_documented() -> None:
    assert READBACK_S == 1.0
    assert LOOK_S == 0.002


def test_reading_back_leaves_no_file_open(
    tmp_path: Path, open_files: Callable[[Path], list[Path]]
) -> None:
    written(tmp_path, "drive", PROVEN)
    before = open_files(tmp_path)
    read_back(tmp_path, (), AT_NS)
    written(tmp_path, "arm", Flag(0))
    read_back(tmp_path, (), AT_NS, seconds=0)
    assert open_files(tmp_path) == before
