"""The serial base on a real pseudo-terminal, with the reference firmware at its other end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from olympus.drivers.base import BaseState
from olympus.drivers.registry import make_base
from olympus.drivers.serial_base import SerialRoverBase
from olympus.drivers.serial_protocol import Flag, frame
from olympus.hardware.firmware.rover_base import STOP, Controller
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, StallError
from olympus.sim.motor_controller import Line, RoverConfig, SimBoard, pseudo_terminal


class Ear(Controller):
    """A controller whose wire may be broken."""

    is_deaf = False

    def step(self, now_ms: int, data: bytes) -> bytes:
        return super().step(now_ms, b"" if self.is_deaf else data)


class Robot:
    """A controller that a thread plays until it is unplugged."""

    def __init__(self, link: Path) -> None:
        self.link, self.config = link, RoverConfig()
        self.is_mute = False
        self._stack = ExitStack()
        self._end = threading.Event()
        self.plug()

    @property
    def voltages(self) -> tuple[float, float]:
        return self.board.shafts[0].voltage, self.board.shafts[1].voltage

    def plug(self) -> None:
        self.board = SimBoard(self.config)
        self.controller = Ear(self.board, self.config)
        self.fd = self._stack.enter_context(pseudo_terminal(self.link))
        self._end.clear()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def unplug(self) -> None:
        self._end.set()
        self._thread.join()
        self._stack.close()

    def _play(self) -> None:
        line = Line(self.fd, self.controller, self.board)
        while not self._end.is_set():
            if self.is_mute:
                self._end.wait(0.01)
                continue
            line.turn(0.002)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Robot]:
    made = Robot(tmp_path / "ttyROVER")
    yield made
    made.unplug()


def base_of(robot: Robot, options: str = "") -> SerialRoverBase:
    base = make_base(f"serial://{robot.link}{options}", clock=SystemClock())
    assert isinstance(base, SerialRoverBase)
    return base


def until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.002)


def drive_until(base: SerialRoverBase, condition: Callable[[], object]) -> None:
    def driven() -> object:
        base.command(5.0, 3.0)
        time.sleep(0.01)
        return condition()

    until(driven)


def start(base: SerialRoverBase, condition: Callable[[], object]) -> None:
    """Drive until it is so: of a machine that stood still the controller heard nothing meanwhile,
    and it takes neutral to go on."""

    def driven() -> object:
        try:
            base.command(5.0, 3.0)
        except DeviceError as error:
            if "silence" not in str(error):
                raise
            base.neutral()
        time.sleep(0.01)
        return condition()

    until(driven)


def test_it_turns_the_shafts_and_tells_what_they_do(robot: Robot) -> None:
    with base_of(robot) as base:
        assert (base.wheel_radius_m, base.track_m) == (0.08, 0.34)
        base.neutral()
        states: list[BaseState] = []

        def runs_as_told() -> bool:
            states.append(base.state())
            left, right = states[-1].left_radps, states[-1].right_radps
            return abs(left - 5.0) < 0.5 and abs(right - 3.0) < 0.5

        start(base, runs_as_told)
        state = states[-1]
        assert state.gyro_radps[2] < 0
        assert list(state.ranges_m) == [4.0, 4.0, 4.0]
        assert state.bearings_rad[0] == pytest.approx(0.785)
        assert abs(SystemClock().now_ns() - state.stamp_ns) < 1e9

        def stands() -> bool:
            base.neutral()  # again and again: who says nothing for long is told of silence
            return robot.voltages == (0, 0) and base.flags == Flag(0)

        until(stands)


def test_the_options_win_over_what_the_controller_says(robot: Robot) -> None:
    options = "?wheel_radius_m=0.1&track_m=0.5&bearings_deg=30,0,-30&range_max_m=3"
    with base_of(robot, options) as base:
        assert (base.wheel_radius_m, base.track_m) == (0.1, 0.5)
        state = base.state()
        assert state.range_max_m == 3
        assert state.bearings_rad[0] == pytest.approx(0.5236, abs=1e-3)


def test_a_wrong_number_of_bearings_is_refused(robot: Robot) -> None:
    with pytest.raises(DeviceError, match=r"3 ranges and 1 directions.*bearings_deg"):
        base_of(robot, "?bearings_deg=0").open()


def test_without_a_gyro_the_wheels_tell_how_it_turns(robot: Robot) -> None:
    robot.board.has_imu = False
    with base_of(robot) as base:
        base.neutral()
        start(base, lambda: base.state().left_radps > 4.5)
        state = base.state()
        expected = (state.right_radps - state.left_radps) * 0.08 / 0.34
        assert state.gyro_radps[2] == pytest.approx(expected, rel=0.01)


def test_a_controller_that_has_not_heard_neutral_refuses_and_says_why(robot: Robot) -> None:
    with base_of(robot) as base:
        with pytest.raises(DeviceError, match=r"refuses to move: boot.*after neutral"):
            base.command(1, 1)
        base.neutral()
        start(base, lambda: base.state().left_radps > 1)
        robot.board.fault_bits = STOP
        with pytest.raises(DeviceError, match="refuses to move: stop"):
            drive_until(base, lambda: False)


def test_a_controller_that_does_not_hear_us_is_noticed(robot: Robot) -> None:
    with base_of(robot) as base:
        base.neutral()
        start(base, lambda: base.state().left_radps > 1)
        robot.controller.is_deaf = True
        with pytest.raises(
            DeviceError,
            match=r"refuses to move: silence|its reports come, so it does not hear us.*newest \d+",
        ):
            drive_until(base, lambda: False)


def test_a_line_that_carries_nothing_either_way_is_told_apart(robot: Robot) -> None:
    with base_of(robot) as base:
        base.neutral()
        start(base, lambda: base.state().left_radps > 1.0)
        robot.is_mute = True
        with pytest.raises(
            DeviceError, match=r"nothing came from it for ([4-9]\d\d|\d{4,}) ms.* unsent"
        ):
            drive_until(base, lambda: False)
        robot.is_mute = False


def test_a_controller_that_falls_silent_is_stale_after_a_second(robot: Robot) -> None:
    with base_of(robot) as base:
        base.state()
        robot.is_mute = True
        with pytest.raises(StallError, match="no report for 1 s"):
            until(lambda: base.state() is None)


def test_unplugged_it_says_so_and_opens_again(robot: Robot) -> None:
    base = base_of(robot)
    base.open()
    base.neutral()
    start(base, lambda: base.state().left_rad > 0.5)
    before = base.state().left_rad
    robot.unplug()
    with pytest.raises(DeviceError, match="unplugged"):
        until(lambda: base.state() is None)
    with pytest.raises(DeviceError, match="unplugged"):
        base.command(1, 1)
    base.neutral()  # never fails
    base.close()
    base.close()
    base.neutral()
    with pytest.raises(DeviceError, match="/dev/serial/by-id"):
        base.open()
    robot.plug()
    base.open()
    assert base.state().left_rad >= before  # the controller began at 0 again
    with pytest.raises(DeviceError, match="boot"):
        base.command(1, 1)
    base.close()


def test_neutral_waits_on_nothing_even_when_nobody_reads(robot: Robot) -> None:
    with base_of(robot) as base:
        base.neutral()
        robot.is_mute = True
        with pytest.raises(DeviceError, match=r"takes no more bytes|hear us"):
            while True:
                base.command(5, 5)
        longest = 0.0
        for _ in range(200):
            begun = time.monotonic()
            base.neutral()
            longest = max(longest, time.monotonic() - begun)
        assert longest < 2.0  # one that waited for a reader would wait for ever
        robot.is_mute = False
        until(lambda: base.counts.frames and robot.controller.seq and robot.voltages == (0, 0))


def test_a_stop_from_any_thread_comes_after_commands_given_before(robot: Robot) -> None:
    with base_of(robot) as base:
        base.neutral()
        is_over = threading.Event()

        def command_on() -> None:
            while not is_over.is_set():
                try:
                    base.command(5, 5)
                except DeviceError:  # it heard nothing of a machine that stood still
                    base.neutral()
                time.sleep(0.001)

        thread = threading.Thread(target=command_on)
        thread.start()
        until(lambda: robot.voltages[0] > 0)
        for _ in range(100):
            base.neutral()
        is_over.set()
        thread.join()
        base.neutral()
        until(lambda: robot.voltages == (0, 0))


def test_a_second_program_is_kept_off_the_port(robot: Robot) -> None:
    with base_of(robot), pytest.raises(DeviceError, match="another program"):
        base_of(robot).open()


def test_a_port_that_speaks_no_protocol_names_the_baud_rate(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path / "tty") as fd:
        end = threading.Event()

        def chatter() -> None:
            while not end.wait(0.01):
                os.write(fd, b"\xf0\x0f\x03\n" + frame(b"hello"))

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            with pytest.raises(StallError, match="baud=115200"):
                make_base(f"serial://{tmp_path / 'tty'}", clock=SystemClock()).open()
        finally:
            end.set()
            thread.join()


def test_without_geometry_the_options_are_asked_for(tmp_path: Path) -> None:
    with pseudo_terminal(tmp_path / "tty") as fd:
        os.write(fd, b"")
        end = threading.Event()

        def report() -> None:
            while not end.wait(0.01):
                os.write(fd, frame(b"S,0,1,0" + b",0" * 13))

        thread = threading.Thread(target=report)
        thread.start()
        try:
            with pytest.raises(StallError, match="wheel_radius_m and track_m"):
                make_base(f"serial://{tmp_path / 'tty'}", clock=SystemClock()).open()
        finally:
            end.set()
            thread.join()


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("serial://ttyACM0", "three slashes"),
        ("serial:///dev/x?baud=0", "baud"),
        ("serial:///dev/x?bearings_deg=left", "bearings_deg"),
        ("serial:///dev/x?bauds=9600", "did you mean 'baud'"),
    ],
)
def test_a_wrong_source_is_refused_with_the_way_out(source: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        make_base(source, clock=SystemClock())


def test_what_is_no_serial_port_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="serial port"):
        make_base(f"serial://{tmp_path / 'file'}", clock=SystemClock()).open()


def test_a_closed_base_says_open_and_speeds_must_be_numbers(tmp_path: Path) -> None:
    base = make_base(f"serial://{tmp_path / 'none'}", clock=SystemClock())
    with pytest.raises(DeviceError, match="open"):
        base.command(1, 1)
    with pytest.raises(DeviceError, match="open"):
        base.state()
    with pytest.raises(DeviceError, match="no speeds"):
        base.command(float("nan"), 0)
