"""The motor controller's logic on a simulated board, millisecond by millisecond."""

from __future__ import annotations

import math
import random

import pytest

from olympus.drivers.serial_protocol import (
    ControllerInfo,
    ControllerState,
    Flag,
    ReportReader,
    encode_neutral,
    encode_query,
    encode_speeds,
)
from olympus.hardware.firmware.rover_base import STOP, Controller
from olympus.sim.motor_controller import RoverConfig, Shaft, SimBoard


class Bench:
    """A controller, its board, and time that passes when told."""

    def __init__(self) -> None:
        self.config = RoverConfig()
        self.board = SimBoard(self.config)
        self.controller = Controller(self.board, self.config)
        self.reader = ReportReader()
        self.now_ms = self.seq = 0
        self.info: ControllerInfo | None = None
        self.state: ControllerState | None = None

    @property
    def left(self) -> Shaft:
        return self.board.shafts[0]

    @property
    def flags(self) -> Flag:
        return Flag(self.controller.flags)

    def hear(self, data: bytes) -> None:
        for report in self.reader.feed(self.controller.step(self.now_ms, data)):
            if isinstance(report, ControllerInfo):
                self.info = report
            else:
                self.state = report

    def neutral(self) -> None:
        self.seq += 1
        self.hear(encode_neutral(self.seq))

    def turn(self, left: float, right: float, ms: int) -> None:
        """Command wheel speeds every 20 ms, as a drive does."""
        for _ in range(0, ms, 20):
            self.seq += 1
            self.hear(encode_speeds(self.seq, left, right))
            self.forward(20)

    def forward(self, ms: int) -> None:
        for _ in range(ms):
            self.now_ms += 1
            self.board.advance(0.001)
            self.hear(b"")


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.neutral()
    return made


def test_after_power_up_nothing_moves_before_neutral_was_heard() -> None:
    bench = Bench()
    bench.turn(5, 5, 500)
    assert bench.left.rad == 0
    assert bench.flags & Flag.BOOT
    assert bench.controller.seq == bench.seq  # it hears, and refuses
    bench.neutral()
    bench.turn(5, 5, 500)
    assert bench.left.radps > 4


@pytest.mark.parametrize("speed", [-10.0, -1.0, 0.5, 3.0, 12.0])
def test_the_wheels_keep_the_speed_they_were_told(bench: Bench, speed: float) -> None:
    bench.turn(speed, -speed, 2000)
    assert bench.left.radps == pytest.approx(speed, abs=0.1 + abs(speed) * 0.03)
    assert bench.board.shafts[1].radps == pytest.approx(-speed, abs=0.1 + abs(speed) * 0.03)


def test_silence_brings_it_to_neutral_in_time_and_a_link_that_comes_back_moves_nothing(
    bench: Bench,
) -> None:
    bench.turn(5, 5, 1000)
    bench.forward(179)  # 20 ms have passed since the last command
    assert bench.left.voltage > 0
    bench.forward(11)
    assert bench.left.voltage == 0
    assert bench.flags == Flag.SILENCE
    bench.forward(400)
    at = bench.left.rad
    bench.turn(5, 5, 500)
    assert bench.left.rad == pytest.approx(at, abs=0.05)
    bench.neutral()
    bench.turn(5, 5, 500)
    assert bench.left.radps > 4


def test_one_that_holds_its_last_command_turns_on_and_on(bench: Bench) -> None:
    bench.config.silence_ms = 0
    bench.turn(5, 5, 1000)
    bench.forward(5000)
    assert bench.left.radps == pytest.approx(5, abs=0.2)


def test_garbage_does_not_keep_it_alive(bench: Bench) -> None:
    bench.turn(5, 5, 1000)
    noise = random.Random(1)
    for _ in range(30):
        bench.hear(noise.randbytes(40) + b"\n$W,1,9000,9000*0000\n$W,1,2*77\n")
        bench.forward(10)
    assert bench.left.voltage == 0
    assert bench.controller.bad_lines >= 60


def test_neutral_brakes_at_once(bench: Bench) -> None:
    bench.turn(5, 5, 1000)
    bench.neutral()
    assert bench.left.voltage == 0
    bench.forward(300)
    assert abs(bench.left.radps) < 0.05
    assert bench.controller.wheels[0].integral == 0


def test_a_speed_beyond_the_motors_is_cut_to_what_they_can(bench: Bench) -> None:
    bench.turn(1000, 1000, 100)
    assert bench.controller.wheels[0].target == bench.config.max_mradps


def test_a_stuck_motor_is_let_go_and_said(bench: Bench) -> None:
    bench.left.is_stuck = True
    bench.turn(8, 8, 1500)
    assert bench.flags & Flag.STUCK
    assert (bench.left.voltage, bench.board.shafts[1].voltage) == (0, 0)


def test_an_open_stop_input_holds_it_at_neutral_until_closed_and_neutral(bench: Bench) -> None:
    bench.turn(5, 5, 500)
    bench.board.fault_bits = STOP
    bench.turn(5, 5, 40)
    assert bench.left.voltage == 0
    bench.neutral()
    bench.turn(5, 5, 100)
    assert bench.left.voltage == 0
    bench.board.fault_bits = 0
    bench.turn(5, 5, 100)
    assert bench.left.voltage == 0
    bench.neutral()
    bench.turn(5, 5, 100)
    assert bench.left.voltage > 0


def test_it_reports_fifty_times_a_second_and_what_it_is_once(bench: Bench) -> None:
    bench.forward(1000)
    assert bench.reader.counts.frames == 51
    assert bench.info == ControllerInfo(0.08, 0.34, 4.0, (0.785, 0.0, -0.785))
    bench.info = None
    bench.hear(encode_query())
    assert bench.info is not None


def test_a_report_tells_angles_turning_battery_and_what_is_missing(bench: Bench) -> None:
    bench.turn(2, 4, 2000)
    state = bench.state
    assert state is not None
    assert state.seq == bench.seq
    assert state.wheel_rad == pytest.approx([shaft.rad for shaft in bench.board.shafts], abs=0.1)
    assert state.gyro_radps[2] == pytest.approx((4 - 2) * 0.08 / 0.34, abs=0.05)
    assert 11 < state.voltage_v < 12.6
    bench.board.has_imu = False
    bench.forward(30)
    assert bench.flags & Flag.NO_IMU
    assert bench.state is not None
    assert math.isnan(bench.state.accel_mps2[2])
