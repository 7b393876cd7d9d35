"""A motor controller without hardware: the reference firmware on a pseudo-terminal.

    python -m olympus.sim.motor_controller --link /tmp/ttyROVER
    olympus launch launch/pi.yaml drive.source:=serial:///tmp/ttyROVER

It runs the very logic that `hardware/firmware` puts on a board, with two motors and their sensors
made up, and prints what the shafts do, one JSON object a line. With `--hold-last` it has no
time-out and keeps turning at the last command when nobody talks any more, as many controllers do.
"""

from __future__ import annotations

import json
import math
import os
import pty
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from typer import Exit

from olympus.hardware.firmware.rover_base import Board, Config, Controller
from olympus.runtime.errors import DeviceError, OlympusError
from olympus.sim import figures

_CURRENT_MA, _FULL_MV = 450, 12_400
_TELL_S = 0.25
_MOVED_RADPS = 0.05


@dataclass(slots=True)
class Shaft:
    """A motor with its gear: it follows its voltage with a lag."""

    top_radps: float = 15.0
    """Speed at full voltage."""
    lag_s: float = 0.06
    """Time constant."""
    is_stuck: bool = False
    """Whether something holds it."""
    radps: float = 0.0
    rad: float = 0.0
    voltage: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        target = 0.0 if self.is_stuck else self.voltage * self.top_radps
        self.radps += (target - self.radps) * (1 - math.exp(-seconds / self.lag_s))
        if self.is_stuck:
            self.radps = 0.0
        self.rad += self.radps * seconds


class RoverConfig(Config):
    """The simulated rover's geometry, three range sensors."""

    wheel_radius_um = round(figures.WHEEL_RADIUS_M * 1e6)
    track_um = round(figures.TRACK_M * 1e6)
    range_max_mm = 4000
    bearings_mrad = (785, 0, -785)


@dataclass(slots=True)
class SimBoard(Board):
    """Two shafts, an IMU that feels them turn, and free floor all round."""

    config: Config
    shafts: tuple[Shaft, Shaft] = field(default_factory=lambda: (Shaft(), Shaft()))
    fault_bits: int = 0
    """STOP, DRIVER: what holds now."""
    has_imu: bool = True

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for shaft in self.shafts:
            shaft.advance(seconds)

    def drive(self, left: float, right: float) -> None:
        """Set the motors' voltage."""
        self.shafts[0].voltage, self.shafts[1].voltage = left, right

    def counts(self) -> tuple[int, int]:
        """Return what encoders would have counted."""
        per_rad = self.config.counts_per_turn / math.tau
        return math.floor(self.shafts[0].rad * per_rad), math.floor(self.shafts[1].rad * per_rad)

    def imu(self) -> tuple[int, ...] | None:
        """Return gravity, and the turning of the shafts."""
        if not self.has_imu:
            return None
        difference = self.shafts[1].radps - self.shafts[0].radps
        yaw_mrad = difference * 1000 * self.config.wheel_radius_um / self.config.track_um
        return 0, 0, 9807, 0, 0, round(yaw_mrad)

    def power(self) -> tuple[int | None, int | None]:
        """Return a battery that feels the motors."""
        load = sum(abs(shaft.voltage) for shaft in self.shafts)
        return round(_FULL_MV - 150 * load), round(_CURRENT_MA + 800 * load)

    def ranges(self) -> list[int | None]:
        """Return nothing hit."""
        return [self.config.range_max_mm] * len(self.config.bearings_mrad)

    def faults(self) -> int:
        """Return what holds now."""
        return self.fault_bits


@contextmanager
def pseudo_terminal(link: Path) -> Iterator[int]:
    """Open a pseudo-terminal that programs find at `link`.

    Yields:
        The controller's end, non-blocking.

    Raises:
        DeviceError: `link` is there already and is no link.
    """
    leader, follower = pty.openpty()
    try:
        tty.setraw(follower, termios.TCSANOW)
        os.set_blocking(leader, False)
        if link.is_symlink():
            link.unlink()  # one that a killed controller left
        if link.exists():
            raise DeviceError(f"{link} is there already; choose another --link")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.ttyname(follower))
        yield leader
    finally:
        link.unlink(missing_ok=True)
        # The follower stayed open so that the line outlives programs that come and go.
        os.close(follower)
        os.close(leader)


class Line:
    """Runs a controller in real time at one end of a line."""

    def __init__(self, fd: int, controller: Controller, board: SimBoard) -> None:
        self._fd, self._controller, self._board = fd, controller, board
        self._begun = self._last = time.monotonic()

    def turn(self, wait_s: float) -> None:
        """Hear, let time pass, control, answer."""
        readable, _, _ = select.select([self._fd], [], [], wait_s)
        data = os.read(self._fd, 4096) if readable else b""
        now = time.monotonic()
        self._board.advance(now - self._last)
        self._last = now
        answer = self._controller.step(round((now - self._begun) * 1000), data)
        if answer:
            with suppress(BlockingIOError):  # nobody reads: a real line would lose it as well
                os.write(self._fd, answer)


def play(line: Line, board: SimBoard, controller: Controller, tell: Callable[[str], None]) -> None:
    """Play until interrupted; tell what the shafts do as it changes, and four times a second."""
    told_at, was_moving = 0.0, None
    while True:
        line.turn(0.002)
        speeds = [shaft.radps for shaft in board.shafts]
        is_moving = any(abs(speed) > _MOVED_RADPS for speed in speeds)
        now = time.monotonic()
        if is_moving != was_moving or (is_moving and now - told_at >= _TELL_S):
            told_at, was_moving = now, is_moving
            tell(json.dumps(_facts(board, controller, is_moving)))


def _facts(board: SimBoard, controller: Controller, is_moving: bool) -> dict[str, object]:
    left, right = board.shafts
    return {
        "moving": is_moving,
        "left_radps": round(left.radps, 2),
        "right_radps": round(right.radps, 2),
        "left_rad": round(left.rad, 2),
        "right_rad": round(right.rad, 2),
        "flags": controller.flags,
        "seq": controller.seq,
        "bad_lines": controller.bad_lines,
        "monotonic_s": round(time.monotonic(), 4),
    }


def main(
    link: Annotated[Path, typer.Option(help="Where programs find the serial port.")],
    hold_last: Annotated[
        bool, typer.Option("--hold-last", help="Keep the last command when nobody talks.")
    ] = False,
) -> None:
    """Play a motor controller on a pseudo-terminal until interrupted.

    Raises:
        Exit: The link's place is taken.
    """
    config = RoverConfig()
    if hold_last:
        config.silence_ms = 0
    board = SimBoard(config)
    controller = Controller(board, config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pseudo_terminal(link.absolute()) as fd, suppress(KeyboardInterrupt):
            typer.echo(json.dumps({"ready": f"serial://{link.absolute()}"}))
            sys.stdout.flush()
            play(Line(fd, controller, board), board, controller, _say)
    except OlympusError as error:
        typer.echo(str(error), err=True)
        raise Exit(error.exit_code) from error


def _say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
