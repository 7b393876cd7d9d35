"""The guardian's side of the dead-man relay, tick by tick."""

from __future__ import annotations

import contextlib
import fcntl
import os
import termios
from pathlib import Path

import pytest

from olympus.hardware.firmware.dead_man.dead_man import Config, Contact
from olympus.hardware.firmware.dead_man.dead_man import Relay as Firmware
from olympus.hardware.relay import Options, Relay, backstop
from olympus.hardware.relay_protocol import frame
from olympus.hardware.serial_port import SerialPort
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety.backstop import Outlook, Report

MS = 1_000_000


class Coil(Contact):
    """A contact that follows at once."""

    def __init__(self) -> None:
        self.is_driven = False
        self.is_stuck = False
        self.challenges = 0

    def drive(self, is_closed: bool) -> None:
        self.is_driven = is_closed

    def is_closed(self) -> bool:
        return self.is_driven or self.is_stuck

    def challenge(self) -> int:
        self.challenges += 1
        return 1000 + self.challenges


class Wire:
    """A port with the firmware's logic at its other end."""

    def __init__(self) -> None:
        self.coil = Coil()
        self.firmware = Firmware(self.coil, Config())
        self.sent = self.heard = b""
        self.is_cut = self.is_gone = False

    def turn(self, now_ms: int) -> None:
        data, self.sent = self.sent, b""
        self.heard += self.firmware.step(now_ms, b"" if self.is_cut else data)

    def read(self) -> bytes:
        if self.is_gone:
            raise DeviceError("the serial port is gone: unplugged")
        data, self.heard = self.heard, b""
        return b"" if self.is_cut else data

    def write(self, data: bytes) -> bool:
        self.sent += data
        return True

    def close(self) -> None:
        pass


class Bench:
    """A relay, its firmware, and a guardian that ticks every 10 ms."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.relay = Relay(Options("/dev/x"), lambda: self.wire)
        self.now_ms = 0
        self.epoch = 0
        self.is_permitted = False
        self.is_neutral = True
        self.gate_silent_ms = 0
        self.report = Report()
        self.forward(200)

    def permit(self) -> None:
        self.epoch += 1
        self.is_permitted, self.is_neutral = True, False

    def forward(self, ms: int) -> None:
        for _ in range(ms):
            self.now_ms += 1
            self.wire.turn(self.now_ms)
            if self.now_ms % 10 == 0:
                self.report = self.relay.feed(self.outlook)

    @property
    def outlook(self) -> Outlook:
        return Outlook(
            now_ns=self.now_ms * MS,
            epoch=self.epoch,
            is_permitted=self.is_permitted,
            answered_ns=(self.now_ms - self.gate_silent_ms) * MS,
            is_neutral=self.is_neutral,
        )

    @property
    def is_closed(self) -> bool:
        return self.wire.coil.is_driven


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_open_until_motion_is_permitted_and_closed_while_it_is(bench: Bench) -> None:
    assert not bench.is_closed
    assert (bench.report.problem, bench.report.text) == ("", "open (boot)")
    bench.permit()
    bench.forward(50)
    assert bench.is_closed
    bench.forward(10_000)
    assert bench.is_closed
    assert bench.report.problem == ""
    assert bench.report.text == "closed, longest gap 20 ms"


def test_after_a_trip_power_stays_on_while_actuators_brake_and_no_longer(bench: Bench) -> None:
    bench.permit()
    bench.forward(200)
    bench.is_permitted = False
    bench.forward(200)
    assert bench.is_closed
    bench.is_neutral = True
    bench.forward(20)
    assert not bench.is_closed
    assert bench.report.facts["cause"] == "ASKED"


def test_actuators_that_never_come_to_neutral_lose_power_when_the_time_to_brake_is_over(
    bench: Bench,
) -> None:
    bench.permit()
    bench.forward(200)
    bench.is_permitted = False
    bench.forward(490)
    assert bench.is_closed
    bench.forward(40)
    assert not bench.is_closed


def test_a_silent_gate_loses_power_at_once_and_is_a_problem(bench: Bench) -> None:
    bench.permit()
    bench.forward(200)
    bench.gate_silent_ms = 110
    bench.forward(20)
    assert not bench.is_closed
    assert bench.report.problem == "power was cut: a gate was silent for too long"


@pytest.mark.parametrize("is_gate_silent", [False, True])
def test_power_comes_back_with_a_new_permission_only(bench: Bench, is_gate_silent: bool) -> None:
    bench.permit()
    bench.forward(200)
    bench.gate_silent_ms = 110 if is_gate_silent else 0
    bench.is_permitted, bench.is_neutral = is_gate_silent, True
    bench.forward(50)
    bench.gate_silent_ms, bench.is_permitted = 0, True
    bench.forward(500)
    assert not bench.is_closed
    bench.permit()
    bench.forward(100)
    assert bench.is_closed


def test_a_relay_that_opens_by_itself_is_a_problem_and_is_not_closed_again(bench: Bench) -> None:
    bench.permit()
    bench.forward(400)
    bench.wire.is_cut = True
    bench.forward(150)
    assert not bench.is_closed
    bench.wire.is_cut = False
    bench.forward(400)
    assert not bench.is_closed
    assert bench.report.problem == "open while motion is permitted (silence); power is off"


def test_an_arm_frame_that_is_lost_is_sent_again(bench: Bench) -> None:
    bench.wire.is_cut = True
    bench.permit()
    bench.forward(40)
    bench.wire.is_cut = False
    bench.forward(60)
    assert bench.is_closed


def test_a_relay_that_says_nothing_stands_against_motion(bench: Bench) -> None:
    bench.wire.is_cut = True
    bench.forward(400)
    assert bench.report.problem == "nothing is heard from /dev/x"
    assert bench.report.text == "silent"


def test_another_version_is_named(bench: Bench) -> None:
    bench.wire.is_cut = True
    bench.forward(400)
    bench.wire.is_cut = False
    bench.wire.heard = frame(b"S,2,0,0,0,1,0,0,0,1")
    bench.now_ms += 10
    assert "version 2" in bench.relay.feed(bench.outlook).problem


def test_a_contact_stuck_closed_stands_against_motion(bench: Bench) -> None:
    bench.permit()
    bench.forward(300)
    bench.wire.coil.is_stuck = True
    bench.is_permitted, bench.is_neutral = False, True
    bench.forward(500)
    assert bench.report.problem.startswith("its contact is welded")


def test_a_port_that_is_gone_is_opened_again_and_power_stays_off(bench: Bench) -> None:
    bench.permit()
    bench.forward(300)
    bench.wire.is_gone = True
    with pytest.raises(DeviceError, match="gone"):
        bench.forward(20)
    with pytest.raises(DeviceError, match="tried again"):
        bench.forward(20)
    bench.wire.is_gone = False
    bench.now_ms += 500
    bench.forward(500)
    assert not bench.is_closed
    assert "power was cut" in bench.report.problem
    bench.permit()
    bench.forward(100)
    assert bench.is_closed


def test_closing_opens_it_whatever_the_actuators_do(bench: Bench) -> None:
    bench.permit()
    bench.forward(300)
    bench.relay.close(is_neutral=False)
    bench.wire.turn(bench.now_ms + 1)
    assert not bench.is_closed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the option 'port' is missing"),
        ({"port": "/dev/x", "brake_s": 3.0}, "brake_s=3.0 must be in 0..2 s"),
        ({"port": "/dev/x", "gate_silence_s": -1.0}, "must be in 0..1 s"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        backstop(options)
    assert words in str(raised.value)


def test_a_port_that_is_missing_or_no_terminal_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="plug it in"):
        SerialPort(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="no serial port that can be set up"):
        SerialPort(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="known: 9600"):
        SerialPort("/dev/null", baud=1)


def test_a_port_takes_no_more_than_it_can_send_and_says_when_it_is_gone() -> None:
    leader, follower = os.openpty()
    port = SerialPort(os.ttyname(follower))
    assert port.read() == b""
    while port.write(b"x" * 512):
        pass
    assert port.skipped == 1
    os.close(follower)
    os.close(leader)
    with pytest.raises(DeviceError, match="gone"):
        port.write(b"x")
    with pytest.raises(DeviceError, match="gone"):
        while not port.read():
            pass
    port.close()


class Full(SerialPort):
    """A port that takes nothing of what it was given."""

    def _waiting(self) -> int:
        return 1


@pytest.mark.parametrize("kind", [SerialPort, Full])
def test_closing_lets_the_last_word_out_and_throws_away_only_what_is_not_taken(
    kind: type[SerialPort],
) -> None:
    leader, follower = os.openpty()
    port = kind(os.ttyname(follower))
    fcntl.ioctl(leader, termios.TIOCPKT, b"\x01\0\0\0")  # it tells of flushes from here on
    assert port.write(b"open")
    port.close()
    os.set_blocking(leader, False)
    heard, was_thrown_away = b"", False
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(leader, 100):
            was_thrown_away |= bool(piece[0] & termios.TIOCPKT_FLUSHWRITE)
            heard += piece[1:]
    assert was_thrown_away is (kind is Full)
    assert was_thrown_away or heard == b"open"
    os.close(follower)
    os.close(leader)
