"""The guardian's side of the dead-man relay: tick by tick, then with the real firmware."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rig
from olympus.hardware.firmware.dead_man.dead_man import Config, Contact
from olympus.hardware.firmware.dead_man.dead_man import Relay as Firmware
from olympus.hardware.relay import Options, Relay, backstop
from olympus.hardware.relay_protocol import frame, pulse
from olympus.hardware.rig.relay_board import RelayBoard
from olympus.hardware.serial_port import SerialPort
from olympus.runtime.errors import ConfigError, DeviceError
from olympus.runtime.safety import spawn
from olympus.runtime.safety.backstop import Outlook, Report, Spec
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Command, Gate
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.state import Mode

MS = 1_000_000
MICROPYTHON = rig.micropython()
needs_micropython = pytest.mark.skipif(
    MICROPYTHON is None, reason="no MicroPython here; `./run rig micropython` fetches it"
)


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


# With the real firmware under MicroPython.


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.002)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[RelayBoard]:
    assert MICROPYTHON is not None
    board = RelayBoard(MICROPYTHON, tmp_path)
    yield board
    board.close()


class Feeding:
    """Feeds a relay on a real pty, as the guardian does."""

    def __init__(self, board: RelayBoard) -> None:
        self.board = board
        self.relay = Relay(Options(board.port))
        self.epoch = 0
        self.is_permitted = False
        self.report = Report("was not fed yet")
        self.fed_ns = 0

    def feed(self) -> Report:
        now_ns = time.monotonic_ns()
        outlook = Outlook(now_ns, self.epoch, self.is_permitted, now_ns, not self.is_permitted)
        self.report = self.relay.feed(outlook)
        self.fed_ns = time.monotonic_ns()
        return self.report

    def until(self, condition: Callable[[], bool]) -> None:
        def fed() -> bool:
            self.feed()
            time.sleep(0.008)
            return condition()

        until(fed)

    def permit(self) -> None:
        self.until(lambda: not self.report.problem)
        self.until(lambda: self.report.facts["sense"] is False)
        time.sleep(0.08)
        self.until(lambda: not self.report.problem)
        self.epoch += 1
        self.is_permitted = True
        self.until(lambda: self.report.text.startswith("closed"))


@pytest.fixture
def feeding(board: RelayBoard) -> Iterator[Feeding]:
    feeding = Feeding(board)
    yield feeding
    feeding.relay.close(is_neutral=True)


@needs_micropython
def test_the_firmware_opens_when_pulses_stop_20_times(
    feeding: Feeding, capsys: pytest.CaptureFixture[str]
) -> None:
    took_ms = []
    for _ in range(20):
        feeding.permit()
        assert feeding.board.is_closed
        stopped_ns = feeding.fed_ns
        until(lambda: not feeding.board.is_closed)
        opened_ns = feeding.board.opened_after(stopped_ns)
        assert opened_ns is not None
        took_ms.append((opened_ns - stopped_ns) / MS)
        feeding.is_permitted = False
    took_ms.sort()
    with capsys.disabled():
        sys.stdout.write(
            f"\nlast feed to open contact, MicroPython {len(took_ms)}x: "
            f"p50 {took_ms[10]:.1f} ms, worst {took_ms[-1]:.1f} ms\n"
        )
    assert took_ms[0] > 75  # at most one pulse, 20 ms old, was still on its way
    assert took_ms[-1] < 1000


@needs_micropython
def test_the_firmware_survives_noise_and_obeys_afterwards(feeding: Feeding) -> None:
    noise = SerialPort(feeding.board.port) if os.getuid() == 0 else None
    if noise is None:
        pytest.skip("a second opener of the port needs root")
    for seed in range(200):
        noise.write(bytes((seed * 7 + at * at) % 256 for at in range(60)))
        time.sleep(0.001)
    noise.write(b"\x03\x03\x04\x01" + pulse(1, 1))
    noise.close()
    assert feeding.board.process.poll() is None
    assert not feeding.board.changes
    feeding.permit()
    feeding.until(lambda: feeding.board.is_closed)


@needs_micropython
def test_the_firmware_finds_a_welded_contact(feeding: Feeding) -> None:
    feeding.permit()
    feeding.board.weld()
    time.sleep(0.05)
    feeding.is_permitted = False
    feeding.until(lambda: "welded" in feeding.report.problem)
    feeding.board.unweld()
    feeding.until(lambda: not feeding.board.is_closed)
    assert "welded" in feeding.feed().problem


@needs_micropython
def test_a_board_without_power_is_open_and_stands_against_motion(feeding: Feeding) -> None:
    feeding.permit()
    feeding.board.process.kill()
    until(lambda: not feeding.board.is_closed)
    feeding.until(lambda: "nothing is heard" in feeding.report.problem)


class Drive:
    """A drive loop of one motor, in this process."""

    def __init__(self, directory: Path) -> None:
        self.output = 0.0
        self._beats = HeartbeatWriter(directory, "drive")
        rules = Rules((Limits(-1.0, 1.0, 20.0),))
        self.gate = Gate(directory, "drive", rules, apply=self._apply)

    def _apply(self, channels: tuple[float, ...]) -> None:
        self.output = channels[0]

    def tick(self) -> None:
        self._beats.beat()
        self.gate.tick(Command((0.5,), time.monotonic_ns()))
        time.sleep(0.01)

    def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        def ticked() -> bool:
            self.tick()
            return condition()

        until(ticked, within_s)

    def close(self) -> None:
        self.gate.close()
        self._beats.close()


@pytest.fixture
def guardian(board: RelayBoard, tmp_path: Path) -> Iterator[spawn.Started]:
    spec = Spec("relay", "olympus.hardware.relay", {"port": board.port, "gate_silence_s": 0.3})
    settings = Settings(
        dir=tmp_path / "safety", watch={"drive": 1.0}, gates={"drive": 1.0}, backstops=(spec,)
    )
    started = spawn.start(settings)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture
def drive(guardian: spawn.Started, tmp_path: Path) -> Iterator[Drive]:
    drive = Drive(tmp_path / "safety")
    yield drive
    drive.close()


@needs_micropython
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_a_real_guardian_that_dies_or_freezes_takes_the_power_along(
    board: RelayBoard, guardian: spawn.Started, drive: Drive, tmp_path: Path, how: signal.Signals
) -> None:
    client = SafetyClient(tmp_path / "safety")
    drive.until(lambda: not client.status().blockers)
    assert client.reset("test").is_confirmed
    drive.until(lambda: board.is_closed and drive.output > 0)
    at_ns = time.monotonic_ns()
    guardian.process.send_signal(how)
    drive.until(lambda: not board.is_closed)
    opened_ns = board.opened_after(at_ns)
    assert opened_ns is not None
    assert opened_ns - at_ns < 1000 * MS
    if how is signal.SIGSTOP:
        guardian.process.send_signal(signal.SIGCONT)
        drive.until(lambda: client.status().state is Mode.TRIPPED)
        assert board.changes[-1][1] is False


@needs_micropython
def test_a_stop_opens_the_relay_and_status_tells_it(
    board: RelayBoard, drive: Drive, tmp_path: Path
) -> None:
    client = SafetyClient(tmp_path / "safety")
    drive.until(lambda: not client.status().blockers)
    assert client.reset("test").is_confirmed
    drive.until(lambda: board.is_closed)
    drive.until(lambda: client.status().backstops[0].text.startswith("closed"))
    client.stop("test")
    drive.until(lambda: not board.is_closed)
    drive.until(lambda: client.status().backstops[0].text == "open (asked)")
