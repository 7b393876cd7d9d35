"""The neutral line: the guardian's own hand on a motor's port when a gate does not answer."""

from __future__ import annotations

import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.acks import Ack, Flag, Reason
from olympus.runtime.safety.heartbeat import AHEAD_NS
from olympus.runtime.safety.limits import LONGEST_BRAKE_S
from olympus.runtime.safety.neutral_line import (
    AGAIN_NS,
    BRAKED_NS,
    SILENT_NS,
    NeutralLine,
    NeutralLines,
    announce,
)

STOP_NS = 1_000_000_000
FRAME = b"$N,1*0000\n"


class Port:
    """A serial port whose other end can be read."""

    def __init__(self) -> None:
        self._leader, self._follower = pty.openpty()
        tty.setraw(self._follower)
        os.set_blocking(self._leader, False)
        self.name = os.ttyname(self._follower)

    def heard(self) -> bytes:
        try:
            return os.read(self._leader, 4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._follower)
        os.close(self._leader)


@pytest.fixture
def port() -> Iterator[Port]:
    one = Port()
    yield one
    one.close()


def acked(tick_ns: int, flags: Flag = Flag(0)) -> dict[str, Ack]:  # noqa: B008
    return {"drive": Ack(1, tick_ns, 1, 0, Reason.OK, flags, os.getpid())}


def lines(tmp_path: Path, port: Port) -> NeutralLines:
    announce(tmp_path, "drive", port.name, FRAME)
    one = NeutralLines(tmp_path)
    one.look()
    return one


def test_a_gate_that_is_silent_after_a_stop_is_spoken_for(tmp_path: Path, port: Port) -> None:
    one = lines(tmp_path, port)
    last_ns = STOP_NS - 5
    one.tend(acked(last_ns), since_ns=STOP_NS, now_ns=last_ns + SILENT_NS - 1)
    assert port.heard() == b""
    one.tend(acked(last_ns), since_ns=STOP_NS, now_ns=last_ns + SILENT_NS)
    assert port.heard() == b"\n" + FRAME
    assert one.written == 1
    one.close()


@pytest.mark.parametrize(("ahead_ns", "is_said"), [(AHEAD_NS, False), (AHEAD_NS + 1, True)])
def test_a_gate_that_claims_to_tick_in_the_future_is_spoken_for(
    tmp_path: Path, port: Port, ahead_ns: int, is_said: bool
) -> None:
    one = lines(tmp_path, port)
    one.tend(acked(STOP_NS + ahead_ns), since_ns=STOP_NS, now_ns=STOP_NS)
    assert (port.heard() == b"\n" + FRAME) is is_said
    one.close()


@pytest.mark.parametrize(("since_stop_ns", "is_said"), [(BRAKED_NS - 1, False), (BRAKED_NS, True)])
def test_a_gate_that_answers_and_drives_on_is_spoken_for_once_every_brake_has_ended(
    tmp_path: Path, port: Port, since_stop_ns: int, is_said: bool
) -> None:
    one, now_ns = lines(tmp_path, port), STOP_NS + since_stop_ns
    one.tend(acked(now_ns), since_ns=STOP_NS, now_ns=now_ns)
    assert (port.heard() == b"\n" + FRAME) is is_said
    one.tend(acked(now_ns, Flag.NEUTRAL), since_ns=STOP_NS, now_ns=now_ns + AGAIN_NS)
    assert port.heard() == b""
    assert BRAKED_NS / 1e9 > LONGEST_BRAKE_S
    one.close()


def test_it_is_said_again_and_later_less_often(tmp_path: Path, port: Port) -> None:
    one = lines(tmp_path, port)
    now_ns, said = STOP_NS + SILENT_NS, 0
    for _ in range(200):
        one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=now_ns)
        said += port.heard().count(FRAME)
        now_ns += AGAIN_NS
    assert said == 50 + 150 // 10
    one.close()


def test_a_gate_that_answers_speaks_for_itself(tmp_path: Path, port: Port) -> None:
    one = lines(tmp_path, port)
    late_ns = STOP_NS + 10 * SILENT_NS
    one.tend(acked(STOP_NS + 1, Flag.NEUTRAL), since_ns=STOP_NS, now_ns=late_ns)
    one.tend(acked(late_ns - SILENT_NS + 1), since_ns=STOP_NS, now_ns=late_ns)  # it brakes
    one.tend({}, since_ns=STOP_NS, now_ns=late_ns)
    assert port.heard() == b""
    one.close()


def test_a_gate_that_was_closed_without_measuring_that_it_stands_is_spoken_for_too(
    tmp_path: Path, port: Port
) -> None:
    one = lines(tmp_path, port)
    late_ns = STOP_NS + SILENT_NS + 1
    closed = Flag.NEUTRAL | Flag.CLOSED
    sure = closed | Flag.WATCHED | Flag.SENSED | Flag.STILL
    one.tend(acked(STOP_NS + 1, sure), since_ns=STOP_NS, now_ns=late_ns)
    assert port.heard() == b""
    one.tend(acked(STOP_NS + 1, closed), since_ns=STOP_NS, now_ns=late_ns)
    assert port.heard() == b"\n" + FRAME
    one.close()


def test_a_port_that_is_announced_anew_is_opened_anew(tmp_path: Path, port: Port) -> None:
    one = lines(tmp_path, port)
    other = Port()
    announce(tmp_path, "drive", other.name, FRAME)
    one.look()
    one.look()
    one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=STOP_NS + SILENT_NS)
    assert (port.heard(), other.heard()) == (b"", b"\n" + FRAME)
    one.close()
    other.close()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"device": "/nowhere", "frame": "00"}'])
def test_a_line_that_is_of_no_use_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "neutral.drive").write_text(text)
    one = NeutralLines(tmp_path)
    one.look()
    assert set(one.troubles) == {"drive"}
    one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=STOP_NS + SILENT_NS)
    assert one.written == 0


def test_only_a_character_device_will_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(SafetyError, match="no serial port"):
        NeutralLine(file, FRAME)
    assert file.read_text() == "precious"
    with pytest.raises(SafetyError, match="1 to 64 fit"):
        NeutralLine(file, b"")
    with pytest.raises(SafetyError, match="Not a directory"):
        announce(file, "drive", "/dev/tty", FRAME)


def test_a_port_that_is_full_is_left_alone(port: Port) -> None:
    line = NeutralLine(Path(port.name), FRAME)
    while line.write():
        pass
    assert not line.write()
    line.close()


def test_a_port_that_was_unplugged_is_opened_again_when_it_is_back(tmp_path: Path) -> None:
    name, first = tmp_path / "ttyROVER", Port()
    name.symlink_to(first.name)
    announce(tmp_path, "drive", str(name), FRAME)
    one = NeutralLines(tmp_path)
    one.look()
    first.close()
    now_ns = STOP_NS + SILENT_NS
    one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=now_ns)
    assert one.written == 0
    back = Port()
    name.unlink()
    name.symlink_to(back.name)
    one.look()
    one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=now_ns + AGAIN_NS)
    assert back.heard() == b"\n" + FRAME
    one.close()
    back.close()


def test_a_gate_that_was_never_heard_is_spoken_for_as_one_that_fell_silent(
    tmp_path: Path, port: Port
) -> None:
    one = lines(tmp_path, port)
    one.tend({}, since_ns=STOP_NS, now_ns=STOP_NS)
    one.tend({}, since_ns=STOP_NS, now_ns=STOP_NS + SILENT_NS - 1)
    assert port.heard() == b""
    one.tend({}, since_ns=STOP_NS, now_ns=STOP_NS + SILENT_NS)
    assert port.heard() == b"\n" + FRAME
    heard_ns = STOP_NS + 2 * SILENT_NS
    one.tend(acked(heard_ns, Flag.NEUTRAL), since_ns=STOP_NS, now_ns=heard_ns)
    one.tend({}, since_ns=STOP_NS, now_ns=heard_ns + 1)  # waited for anew
    one.tend({}, since_ns=STOP_NS, now_ns=heard_ns + SILENT_NS)
    assert port.heard() == b""
    one.close()


def test_neither_nests_nor_pipes_nor_endless_files_end_or_hold_up_the_guardian(
    tmp_path: Path,
) -> None:
    (tmp_path / "neutral.nest").write_text("[" * 5000)
    (tmp_path / "neutral.long").write_text('{"device": "' + "x" * 10_000_000 + '"}')
    os.mkfifo(tmp_path / "neutral.pipe")
    one = NeutralLines(tmp_path)
    one.look()
    assert set(one.troubles) == {"nest", "long", "pipe"}
    assert "recursion" in one.troubles["nest"]
    assert all(one.troubles.values())


def test_it_is_said_fifty_times_in_the_first_second_and_then_five_times_a_second(
    tmp_path: Path, port: Port
) -> None:
    assert (SILENT_NS, AGAIN_NS) == (45_000_000, 20_000_000)
    one, now_ns = lines(tmp_path, port), STOP_NS + SILENT_NS
    assert one.written == 0

    def tend(times: int) -> int:
        nonlocal now_ns
        for _ in range(times):
            one.tend(acked(STOP_NS), since_ns=STOP_NS, now_ns=now_ns)
            now_ns += AGAIN_NS
        return one.written

    assert tend(50) == 50
    assert tend(9) == 50
    assert tend(1) == 51
    assert tend(9) == 51
    assert tend(1) == 52
    one.close()


@pytest.mark.parametrize("size", [1, 64])
def test_a_frame_has_1_to_64_bytes(port: Port, size: int) -> None:
    line = NeutralLine(Path(port.name), b"x" * size)
    assert line.write()
    assert not line.is_lost
    assert port.heard() == b"\n" + b"x" * size
    line.close()
    with pytest.raises(SafetyError, match="a neutral frame of 65 bytes"):
        NeutralLine(Path(port.name), b"x" * 65)


def test_looks_into_a_directory_that_can_not_be_read_are_counted(tmp_path: Path) -> None:
    one = NeutralLines(tmp_path / "none")
    for number in (0, 1, 2):
        assert one.unlisted == number
        one.look()


@pytest.mark.parametrize(
    ("flags", "is_spoken_for"),
    [
        (Flag.NEUTRAL, False),
        (Flag(0), True),
        (Flag.REFUSED, True),
        (Flag.CLOSED, True),
        (Flag.NEUTRAL | Flag.CLOSED | Flag.WATCHED | Flag.SENSED, True),
        (Flag.CLOSED | Flag.WATCHED | Flag.SENSED | Flag.STILL, True),
    ],
)
def test_a_silent_gate_is_believed_only_what_it_proved(
    tmp_path: Path, port: Port, flags: Flag, is_spoken_for: bool
) -> None:
    one = lines(tmp_path, port)
    one.tend(acked(STOP_NS + 1, flags), since_ns=STOP_NS, now_ns=STOP_NS + 1 + SILENT_NS)
    assert bool(port.heard()) is is_spoken_for
    one.close()
